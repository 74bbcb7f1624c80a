//! Steps of paths into objects, and their text in `FieldsV1` and in messages.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::machinery::json::canonical;

/// A step from a value to a part of it.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A field of an object, an entry of a map.
    Field(String),
    /// An item of a list of objects, by some of its fields, sorted by name.
    Key(Map<String, Value>),
    /// An item of a set, by its value.
    Value(Value),
    /// An item of a list, by position. Not made here, but clients may send it.
    Index(i64),
}

impl Step {
    /// The text in `FieldsV1`: `f:name`, `k:{…}`, `v:…`, `i:…`.
    pub(crate) fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(fields) => format!("k:{}", Value::Object(fields.clone())),
            Self::Value(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// Reads the text in `FieldsV1`.
    pub(crate) fn decode(text: &str) -> Result<Self, String> {
        let (kind, rest) =
            text.split_once(':').ok_or_else(|| format!("missing colon in path element {text:?}"))?;
        let json =
            || serde_json::from_str::<Value>(rest).map_err(|error| format!("path element {text:?}: {error}"));
        match kind {
            "f" => Ok(Self::Field(rest.to_owned())),
            "k" => match canonical(&json()?) {
                Value::Object(fields) => Ok(Self::Key(fields)),
                _ => Err(format!("path element {text:?}: the key is no object")),
            },
            "v" => Ok(Self::Value(json()?)),
            "i" => rest.parse().map(Self::Index).map_err(|_| format!("path element {text:?}: no index")),
            _ => Err(format!("unknown kind of path element {text:?}")),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

/// As in messages: `.name`, `[name="c"]`, `[="a"]`, `[0]`.
impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
                write!(f, "[{}]", fields.join(","))
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Step {}

impl PartialOrd for Step {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The order in which steps stand in `FieldsV1`.
impl Ord for Step {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(left), Self::Field(right)) => left.cmp(right),
            (Self::Key(left), Self::Key(right)) => compare_objects(left, right),
            (Self::Value(left), Self::Value(right)) => compare_values(left, right),
            (Self::Index(left), Self::Index(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

fn compare_objects(left: &Map<String, Value>, right: &Map<String, Value>) -> Ordering {
    for ((left_name, left), (right_name, right)) in left.iter().zip(right) {
        let order = left_name.cmp(right_name).then_with(|| compare_values(left, right));
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len())
}

/// Numbers, texts, flags, lists, objects, null, in this order; numbers by value.
fn compare_values(left: &Value, right: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    };
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => {
                let number = |number: &serde_json::Number| number.as_f64().unwrap_or_default();
                number(left).total_cmp(&number(right))
            }
        },
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Array(left), Value::Array(right)) => {
            let orders = left.iter().zip(right).map(|(left, right)| compare_values(left, right));
            orders.into_iter().find(|order| order.is_ne()).unwrap_or(left.len().cmp(&right.len()))
        }
        (Value::Object(left), Value::Object(right)) => compare_objects(left, right),
        _ => rank(left).cmp(&rank(right)),
    }
}
