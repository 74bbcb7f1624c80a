//! The parsed form of a schema.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;

/// A schema or a part of it.
///
/// Parsing never fails: what is not understood does not constrain. Whether a schema is allowed at all is
/// decided by [`super::check`] before it is stored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schema {
    /// `object`, `array`, `string`, `integer`, `number` or `boolean`; empty if any.
    pub(crate) kind: String,
    pub(crate) is_nullable: bool,
    pub(crate) default: Option<Value>,
    pub(crate) properties: BTreeMap<String, Self>,
    pub(crate) additional: Additional,
    pub(crate) items: Option<Box<Self>>,
    pub(crate) preserves_unknown_fields: bool,
    pub(crate) is_embedded_resource: bool,
    pub(crate) is_int_or_string: bool,
    pub(crate) list_type: ListType,
    pub(crate) list_map_keys: Vec<String>,
    /// Whether a map or struct is owned and compared as a whole.
    pub(crate) is_atomic_map: bool,
    /// Whether there are CEL rules at this level.
    pub(crate) has_own_rules: bool,
    pub(crate) limits: Box<Limits>,
}

/// `additionalProperties`.
#[derive(Clone, Debug, Default)]
pub(crate) enum Additional {
    /// Not said.
    #[default]
    Unspecified,
    /// `true`, or an empty schema.
    Any,
    /// `false`.
    None,
    /// A schema for all values.
    Schema(Box<Schema>),
}

/// `x-kubernetes-list-type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ListType {
    /// Owned and compared as a whole; the default.
    #[default]
    Atomic,
    /// Unique values, each owned by itself.
    Set,
    /// Objects told apart by keys.
    Map,
}

/// The keywords that constrain values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) format: String,
    pub(crate) minimum: Option<f64>,
    pub(crate) is_minimum_exclusive: bool,
    pub(crate) maximum: Option<f64>,
    pub(crate) is_maximum_exclusive: bool,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) min_length: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) min_items: Option<u64>,
    pub(crate) max_items: Option<u64>,
    pub(crate) min_properties: Option<u64>,
    pub(crate) max_properties: Option<u64>,
    pub(crate) required: Vec<String>,
    pub(crate) enumeration: Vec<Value>,
    pub(crate) all_of: Vec<Schema>,
    pub(crate) any_of: Vec<Schema>,
    pub(crate) one_of: Vec<Schema>,
    pub(crate) not: Option<Schema>,
}

/// A regular expression and its text. An expression that Rust does not know constrains nothing.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) text: String,
    pub(crate) expression: Option<Regex>,
}

impl Schema {
    /// Parses an `openAPIV3Schema`.
    pub(crate) fn parse(schema: &Value) -> Self {
        let flag = |name: &str| schema[name] == Value::Bool(true);
        let texts = |name: &str| {
            let items = schema[name].as_array().into_iter().flatten();
            items.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
        };
        let is_int_or_string = flag("x-kubernetes-int-or-string");
        Self {
            kind: schema["type"].as_str().unwrap_or_default().to_owned(),
            is_nullable: flag("nullable"),
            default: schema.get("default").filter(|default| !default.is_null()).cloned(),
            properties: schema["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, schema)| (name.clone(), Self::parse(schema)))
                .collect(),
            additional: Additional::parse(schema.get("additionalProperties")),
            items: schema["items"].as_object().map(|_| Box::new(Self::parse(&schema["items"]))),
            preserves_unknown_fields: flag("x-kubernetes-preserve-unknown-fields"),
            is_embedded_resource: flag("x-kubernetes-embedded-resource"),
            is_int_or_string,
            list_type: match schema["x-kubernetes-list-type"].as_str() {
                Some("set") => ListType::Set,
                Some("map") => ListType::Map,
                _ => ListType::Atomic,
            },
            list_map_keys: texts("x-kubernetes-list-map-keys"),
            is_atomic_map: schema["x-kubernetes-map-type"] == "atomic",
            has_own_rules: schema["x-kubernetes-validations"]
                .as_array()
                .is_some_and(|rules| !rules.is_empty()),
            limits: Box::new(Limits::parse(schema)),
        }
    }

    /// The schema that applies to a field of an object, if any is known.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(match &self.additional {
            Additional::Schema(schema) => Some(schema),
            Additional::Unspecified | Additional::Any | Additional::None => None,
        })
    }

    /// Whether there are CEL rules at this level or below (DEC-26, DEC-33).
    pub(crate) fn has_rules(&self) -> bool {
        let additional = match &self.additional {
            Additional::Schema(schema) => Some(schema.as_ref()),
            Additional::Unspecified | Additional::Any | Additional::None => None,
        };
        self.has_own_rules
            || self.properties.values().chain(self.items.as_deref()).chain(additional).any(Self::has_rules)
    }
}

impl Additional {
    fn parse(value: Option<&Value>) -> Self {
        match value {
            Some(Value::Bool(true)) => Self::Any,
            Some(Value::Bool(false)) => Self::None,
            Some(schema @ Value::Object(_)) => Self::Schema(Box::new(Schema::parse(schema))),
            _ => Self::Unspecified,
        }
    }
}

impl Limits {
    fn parse(schema: &Value) -> Self {
        let flag = |name: &str| schema[name] == Value::Bool(true);
        let schemas =
            |name: &str| schema[name].as_array().into_iter().flatten().map(Schema::parse).collect::<Vec<_>>();
        let texts = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Self {
            format: schema["format"].as_str().unwrap_or_default().to_owned(),
            minimum: schema["minimum"].as_f64(),
            is_minimum_exclusive: flag("exclusiveMinimum"),
            maximum: schema["maximum"].as_f64(),
            is_maximum_exclusive: flag("exclusiveMaximum"),
            multiple_of: schema["multipleOf"].as_f64(),
            min_length: schema["minLength"].as_u64(),
            max_length: schema["maxLength"].as_u64(),
            pattern: schema["pattern"].as_str().filter(|text| !text.is_empty()).map(Pattern::new),
            min_items: schema["minItems"].as_u64(),
            max_items: schema["maxItems"].as_u64(),
            min_properties: schema["minProperties"].as_u64(),
            max_properties: schema["maxProperties"].as_u64(),
            required: texts.map(str::to_owned).collect(),
            enumeration: schema["enum"].as_array().cloned().unwrap_or_default(),
            all_of: schemas("allOf"),
            any_of: schemas("anyOf"),
            one_of: schemas("oneOf"),
            not: schema["not"].as_object().map(|_| Schema::parse(&schema["not"])),
        }
    }
}

impl Pattern {
    fn new(text: &str) -> Self {
        Self { text: text.to_owned(), expression: Regex::new(text).ok() }
    }
}

/// The fields of every object that no schema needs to name.
pub(super) fn is_type_or_object_meta(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata")
}
