//! What is known of a value when fields are compared and merged: of which kind it is, and what its parts are.
//!
//! Schemas of custom resources and the table of built-in types say it in different ways; the walks see one.

use serde_json::{Map, Value};

use super::path::Step;
use crate::machinery::{
    schema::{
        Schema,
        structural::{Additional, ListType},
    },
    types::{self, Field, ListKeys, Shape, TypeId},
};

/// A type, as far as merging needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) enum View<'a> {
    /// A whole custom resource.
    Custom(&'a Schema),
    /// A part of a custom resource.
    CustomPart(&'a Schema),
    /// A whole built-in object.
    BuiltIn(TypeId),
    /// A built-in struct without `apiVersion` and `kind`.
    Struct(TypeId),
    /// A field of a built-in type.
    BuiltInField(&'static Field),
    /// An item of a list or map of a built-in type.
    BuiltInItem(&'static Shape),
    /// `apiVersion` and `kind`.
    Scalar,
    /// Nothing is known: maps are merged by key, lists are atomic.
    Unknown,
}

/// How a value is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As a whole.
    Scalar,
    /// A map or struct: as a whole if atomic, else by key.
    Map { is_atomic: bool },
    /// A list, as a whole.
    AtomicList,
    /// A list whose items have an identity.
    KeyedList,
}

impl<'a> View<'a> {
    /// How a value of this type is merged. A missing value takes any form.
    pub(super) fn kind(self, value: Option<&Value>) -> Kind {
        match self {
            View::Custom(_) | View::BuiltIn(_) => Kind::Map { is_atomic: false },
            View::CustomPart(schema) if schema.is_int_or_string => Kind::Scalar,
            View::CustomPart(schema) => match schema.kind.as_str() {
                "object" => Kind::Map { is_atomic: schema.is_atomic_map },
                "array" if schema.list_type == ListType::Atomic => Kind::AtomicList,
                "array" => Kind::KeyedList,
                "" => deduced(value),
                _ => Kind::Scalar,
            },
            View::BuiltInField(field) => match (&field.shape, &field.list) {
                (Shape::List(_), Some(_)) => Kind::KeyedList,
                (Shape::Object(_) | Shape::Map(_), _) => Kind::Map { is_atomic: field.is_atomic },
                (shape, _) => kind_of_shape(shape, value),
            },
            View::Struct(id) => Kind::Map { is_atomic: id.get().is_atomic },
            View::BuiltInItem(Shape::Object(id)) => Kind::Map { is_atomic: id.get().is_atomic },
            View::BuiltInItem(shape) => kind_of_shape(shape, value),
            View::Scalar => Kind::Scalar,
            View::Unknown => deduced(value),
        }
    }

    /// The type of a field or entry, and whether it is a field of a struct.
    pub(super) fn field(self, name: &str) -> (Self, bool) {
        match self {
            View::Custom(schema) => match object_field(name) {
                Some(view) => (view, true),
                None => View::CustomPart(schema).field(name),
            },
            View::CustomPart(schema) => {
                let embedded = object_field(name).filter(|_| schema.is_embedded_resource);
                if let Some(view) = embedded {
                    return (view, true);
                }
                let inner = schema.field(name).map_or(View::Unknown, View::CustomPart);
                (inner, schema.properties.contains_key(name))
            }
            View::BuiltIn(_) if matches!(name, "apiVersion" | "kind") => (View::Scalar, true),
            View::BuiltIn(id) | View::Struct(id) => field_of_type(id, name),
            View::BuiltInField(field) => View::BuiltInItem(&field.shape).field(name),
            View::BuiltInItem(Shape::Object(id)) => field_of_type(*id, name),
            View::BuiltInItem(Shape::Map(item)) => (View::BuiltInItem(item), false),
            View::BuiltInItem(_) | View::Scalar | View::Unknown => (View::Unknown, false),
        }
    }

    /// Whether a value of this type may have a field of a name.
    pub(super) fn declares(self, name: &str) -> bool {
        match self {
            View::Custom(schema) => object_field(name).is_some() || View::CustomPart(schema).declares(name),
            View::CustomPart(schema) => {
                schema.preserves_unknown_fields
                    || schema.field(name).is_some()
                    || schema.properties.is_empty()
                    || !matches!(schema.additional, Additional::Unspecified)
                    || (schema.is_embedded_resource && object_field(name).is_some())
            }
            View::BuiltIn(id) => matches!(name, "apiVersion" | "kind") || id.field(name).is_some(),
            View::Struct(id) => id.field(name).is_some(),
            View::BuiltInItem(Shape::Object(id)) => id.field(name).is_some(),
            View::BuiltInField(field) => View::BuiltInItem(&field.shape).declares(name),
            View::BuiltInItem(_) | View::Scalar | View::Unknown => true,
        }
    }

    /// The type of the items of a list.
    pub(super) fn item(self) -> Self {
        match self {
            View::CustomPart(schema) => schema.items.as_deref().map_or(View::Unknown, View::CustomPart),
            View::BuiltInField(Field { shape: Shape::List(item), .. })
            | View::BuiltInItem(Shape::List(item)) => View::BuiltInItem(item),
            _ => View::Unknown,
        }
    }

    /// The step that leads to an item of a keyed list.
    ///
    /// # Errors
    ///
    /// The item lacks a key, or is no object.
    pub(super) fn step(self, item: &Value) -> Result<Step, String> {
        match self {
            View::CustomPart(schema) if schema.list_type == ListType::Map => {
                let default = |key: &str| {
                    let items = schema.items.as_deref()?;
                    items.properties.get(key)?.default.clone()
                };
                key_of(item, &schema.list_map_keys, default)
            }
            View::BuiltInField(Field { list: Some(ListKeys::Map(keys)), .. }) => {
                // The only key with a default, of ports of containers and services.
                let default = |key: &str| (key == "protocol").then(|| "TCP".into());
                key_of(item, keys, default)
            }
            _ => Ok(Step::Value(item.clone())),
        }
    }
}

/// The fields that every object has.
fn object_field(name: &str) -> Option<View<'static>> {
    match name {
        "apiVersion" | "kind" => Some(View::Scalar),
        "metadata" => Some(View::Struct(types::object_meta())),
        _ => None,
    }
}

fn field_of_type(id: TypeId, name: &str) -> (View<'static>, bool) {
    match id.field(name) {
        Some(field) => (View::BuiltInField(field), true),
        None => (View::Unknown, false),
    }
}

fn kind_of_shape(shape: &Shape, value: Option<&Value>) -> Kind {
    match shape {
        Shape::Object(_) | Shape::Map(_) => Kind::Map { is_atomic: false },
        Shape::List(_) | Shape::Items => Kind::AtomicList,
        Shape::Raw | Shape::FieldsV1 | Shape::Any => deduced(value),
        Shape::Text
        | Shape::Flag
        | Shape::Int32
        | Shape::Int64
        | Shape::Double
        | Shape::Bytes
        | Shape::Time
        | Shape::MicroTime
        | Shape::Quantity
        | Shape::IntOrString => Kind::Scalar,
    }
}

fn deduced(value: Option<&Value>) -> Kind {
    match value {
        Some(Value::Array(_)) => Kind::AtomicList,
        None | Some(Value::Object(_) | Value::Null) => Kind::Map { is_atomic: false },
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) => Kind::Scalar,
    }
}

fn key_of(item: &Value, keys: &[String], default: impl Fn(&str) -> Option<Value>) -> Result<Step, String> {
    let Value::Object(fields) = item else {
        return Err("associative list with keys may not have non-map elements".to_owned());
    };
    let mut sorted: Vec<_> = keys.iter().collect();
    sorted.sort_unstable();
    let mut key = Map::new();
    for name in sorted {
        let value = fields.get(name).filter(|value| !value.is_null()).cloned().or_else(|| default(name));
        let value = value.ok_or_else(|| {
            format!(
                "associative list with keys has an element that omits key field \"{name}\" (and doesn't have \
                 default value)"
            )
        })?;
        key.insert(name.clone(), value);
    }
    Ok(Step::Key(key))
}
