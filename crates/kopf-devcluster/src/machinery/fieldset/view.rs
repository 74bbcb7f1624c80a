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

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    String,
    Number,
    Boolean,
    /// A text, a number or a flag.
    Scalar,
    Map,
    List,
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

    /// What a value of this type must be; `None` if that is not checked when it is applied.
    pub(super) fn expects(self) -> Option<Expected> {
        let of_shape = |shape: &Shape| match shape {
            Shape::Text | Shape::Bytes => Some(Expected::String),
            Shape::Flag => Some(Expected::Boolean),
            Shape::Int32 | Shape::Int64 | Shape::Double => Some(Expected::Number),
            Shape::Object(_) | Shape::Map(_) => Some(Expected::Map),
            Shape::List(_) | Shape::Items => Some(Expected::List),
            Shape::Time | Shape::MicroTime | Shape::Quantity | Shape::IntOrString => Some(Expected::Scalar),
            Shape::Raw | Shape::FieldsV1 | Shape::Any => None,
        };
        match self {
            View::Custom(_) | View::BuiltIn(_) | View::Struct(_) => Some(Expected::Map),
            // Strings with a format are checked by the schema.
            View::CustomPart(schema) if schema.is_int_or_string || schema.limits.format == "date-time" => {
                None
            }
            View::CustomPart(schema) => match schema.kind.as_str() {
                "object" => Some(Expected::Map),
                "array" => Some(Expected::List),
                "string" => Some(Expected::String),
                "boolean" => Some(Expected::Boolean),
                "integer" | "number" => Some(Expected::Number),
                _ => None,
            },
            View::BuiltInField(field) => of_shape(&field.shape),
            View::BuiltInItem(shape) => of_shape(shape),
            View::Scalar => Some(Expected::String),
            View::Unknown => None,
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
    /// An item of a keyed list is no object, or one of a set is no scalar.
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
                // Of ports one key has a default; other keys are what Go makes of nothing.
                let is_number = |key: &str| {
                    let field = self.item().field(key).0;
                    field.expects() == Some(Expected::Number)
                };
                let default = |key: &str| match key {
                    "protocol" => Some("TCP".into()),
                    key if is_number(key) => Some(0.into()),
                    _ => Some("".into()),
                };
                key_of(item, keys, default)
            }
            _ => match item {
                Value::Null => {
                    Err("associative list without keys has an element that's an explicit null".to_owned())
                }
                Value::Object(_) => {
                    Err("associative list without keys has an element that's a map type".to_owned())
                }
                Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
                _ => Ok(Step::Value(item.clone())),
            },
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
    let fields = match item {
        Value::Object(fields) => fields,
        Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let mut sorted: Vec<_> = keys.iter().collect();
    sorted.sort_unstable();
    let mut key = Map::new();
    for name in sorted {
        let value = fields.get(name).filter(|value| !value.is_null()).cloned().or_else(|| default(name));
        // An item without a key is known by the others.
        if let Some(value) = value {
            key.insert(name.clone(), value);
        }
    }
    Ok(Step::Key(key))
}
