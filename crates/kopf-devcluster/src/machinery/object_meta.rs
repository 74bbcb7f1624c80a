//! `metadata` as the type that it is: known fields only, of the right types, without empty ones.
//!
//! The real server decodes metadata into a struct and encodes it again, for built-in types and custom
//! resources alike. What that does to JSON is done here; rules on the values are in [`super::metadata`].

use serde_json::{Map, Value};

use super::normalize;

/// The type of a field, as far as decoding goes.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Integer,
    Flag,
    Time,
    TextMap,
    TextList,
    /// Kept as it is: a field set.
    Any,
    Object(&'static [Field]),
    ObjectList(&'static [Field]),
}

#[derive(Clone, Copy, Debug)]
struct Field {
    name: &'static str,
    kind: Kind,
    /// Whether the field is written even when empty.
    is_kept_empty: bool,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, is_kept_empty: false }
}

const fn kept(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, is_kept_empty: true }
}

/// In the order in which Go writes them.
const OBJECT_META: &[Field] = &[
    field("name", Kind::Text),
    field("generateName", Kind::Text),
    field("namespace", Kind::Text),
    field("selfLink", Kind::Text),
    field("uid", Kind::Text),
    field("resourceVersion", Kind::Text),
    field("generation", Kind::Integer),
    field("creationTimestamp", Kind::Time),
    field("deletionTimestamp", Kind::Time),
    field("deletionGracePeriodSeconds", Kind::Integer),
    field("labels", Kind::TextMap),
    field("annotations", Kind::TextMap),
    field("ownerReferences", Kind::ObjectList(OWNER_REFERENCE)),
    field("finalizers", Kind::TextList),
    field("managedFields", Kind::ObjectList(MANAGED_FIELDS)),
];
const OWNER_REFERENCE: &[Field] = &[
    kept("apiVersion", Kind::Text),
    kept("kind", Kind::Text),
    kept("name", Kind::Text),
    kept("uid", Kind::Text),
    field("controller", Kind::Flag),
    field("blockOwnerDeletion", Kind::Flag),
];
const MANAGED_FIELDS: &[Field] = &[
    field("manager", Kind::Text),
    field("operation", Kind::Text),
    field("apiVersion", Kind::Text),
    field("time", Kind::Time),
    field("fieldsType", Kind::Text),
    field("fieldsV1", Kind::Any),
    field("subresource", Kind::Text),
];

/// What came of decoding `metadata`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decoded {
    /// The metadata in Go's order of fields.
    pub(crate) metadata: Value,
    /// The paths of fields that were dropped since nothing knows them, e.g. `metadata.what`.
    pub(crate) unknown: Vec<String>,
}

/// Decodes metadata.
///
/// `path` is how its own path is written in what is reported, e.g. `metadata` or `spec.template.metadata`.
///
/// # Errors
///
/// The text of a type error, which the caller puts into its answer.
pub(crate) fn decode(metadata: &Value, path: &str) -> Result<Decoded, String> {
    let mut unknown = Vec::new();
    let metadata = decode_object(metadata, OBJECT_META, path, &mut unknown)?;
    Ok(Decoded { metadata: Value::Object(metadata), unknown })
}

fn decode_object(
    value: &Value,
    fields: &[Field],
    path: &str,
    unknown: &mut Vec<String>,
) -> Result<Map<String, Value>, String> {
    let mut decoded = Map::new();
    let object = match value {
        Value::Null => return Ok(decoded),
        Value::Object(object) => object,
        other => return Err(type_error(other, path, "object")),
    };
    unknown.extend(object.keys().filter(|key| !is_known(fields, key)).map(|key| format!("{path}.{key}")));
    for Field { name, kind, is_kept_empty } in fields {
        let present = object.get(*name).unwrap_or(&Value::Null);
        let value = decode_value(present, *kind, &format!("{path}.{name}"), unknown)?;
        match value {
            Some(value) => {
                decoded.insert((*name).to_owned(), value);
            }
            None if *is_kept_empty => {
                decoded.insert((*name).to_owned(), Value::String(String::new()));
            }
            None => {}
        }
    }
    Ok(decoded)
}

fn is_known(fields: &[Field], name: &str) -> bool {
    fields.iter().any(|field| field.name == name)
}

/// `None` for what Go leaves out as empty.
fn decode_value(
    value: &Value,
    kind: Kind,
    path: &str,
    unknown: &mut Vec<String>,
) -> Result<Option<Value>, String> {
    let decoded = match (kind, value) {
        (_, Value::Null) => None,
        (Kind::Any, value) => Some(value.clone()),
        (Kind::Text, Value::String(text)) => (!text.is_empty()).then(|| value.clone()),
        (Kind::Text, other) => return Err(type_error(other, path, "string")),
        (Kind::Integer, Value::Number(number)) if number.is_i64() || number.is_u64() => {
            // A zero is left out, but for the grace period, which is a pointer.
            let is_zero = number.as_i64() == Some(0) && !path.ends_with("GracePeriodSeconds");
            (!is_zero).then(|| value.clone())
        }
        (Kind::Integer, other) => return Err(type_error(other, path, "int64")),
        (Kind::Flag, Value::Bool(_)) => Some(value.clone()),
        (Kind::Flag, other) => return Err(type_error(other, path, "bool")),
        (Kind::Time, Value::String(text)) if text.is_empty() => None,
        (Kind::Time, Value::String(text)) => Some(normalize::time(text)?.into()),
        (Kind::Time, other) => return Err(type_error(other, path, "string")),
        (Kind::TextMap, Value::Object(entries)) => text_map(entries, path)?,
        (Kind::TextMap, other) => return Err(type_error(other, path, "map[string]string")),
        (Kind::TextList, Value::Array(items)) => {
            let wrong = items.iter().find(|item| !item.is_string());
            if let Some(wrong) = wrong {
                return Err(type_error(wrong, path, "string"));
            }
            (!items.is_empty()).then(|| value.clone())
        }
        (Kind::TextList, other) => return Err(type_error(other, path, "[]string")),
        (Kind::Object(fields), value) => Some(Value::Object(decode_object(value, fields, path, unknown)?)),
        (Kind::ObjectList(fields), Value::Array(items)) => {
            let mut list = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                list.push(Value::Object(decode_object(item, fields, &path, unknown)?));
            }
            (!list.is_empty()).then_some(Value::Array(list))
        }
        (Kind::ObjectList(_), other) => return Err(type_error(other, path, "list")),
    };
    Ok(decoded)
}

/// Entries sorted by key; `null` becomes an empty text.
fn text_map(entries: &Map<String, Value>, path: &str) -> Result<Option<Value>, String> {
    let mut sorted: Vec<(&String, &str)> = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        match value {
            Value::String(text) => sorted.push((key, text)),
            Value::Null => sorted.push((key, "")),
            other => return Err(type_error(other, path, "string")),
        }
    }
    sorted.sort_unstable();
    let sorted: Map<_, _> = sorted.into_iter().map(|(key, text)| (key.clone(), text.into())).collect();
    Ok((!sorted.is_empty()).then_some(Value::Object(sorted)))
}

fn type_error(value: &Value, path: &str, expected: &str) -> String {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let field = path.rsplit_once("metadata.").map_or("metadata", |(_, field)| field);
    format!("json: cannot unmarshal {kind} into Go struct field ObjectMeta.{field} of type {expected}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// D-068, D-076.
    #[test]
    fn metadata_keeps_known_fields_in_order_and_drops_empty_ones() {
        let decoded = decode(
            &json!({
                "finalizers": [], "labels": {"b": "2", "a": null}, "what": 1, "name": "n", "generation": 0,
                "creationTimestamp": "2020-01-01T02:00:00+02:00", "annotations": {}, "namespace": "",
                "deletionGracePeriodSeconds": 0,
                "ownerReferences": [{"kind": "A", "odd": 1, "controller": false}],
            }),
            "metadata",
        )
        .unwrap();
        assert_eq!(
            decoded.metadata.to_string(),
            json!({
                "name": "n", "creationTimestamp": "2020-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0,
                "labels": {"a": "", "b": "2"},
                "ownerReferences": [{"apiVersion": "", "kind": "A", "name": "", "uid": "", "controller": false}],
            })
            .to_string()
        );
        assert_eq!(decoded.unknown, ["metadata.what", "metadata.ownerReferences[0].odd"]);
    }

    #[test]
    fn a_field_of_the_wrong_type_is_an_error() {
        let error = decode(&json!({"labels": {"a": 1}}), "metadata").unwrap_err();
        assert_eq!(
            error,
            "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string"
        );
        for wrong in [json!([]), json!({"name": 1}), json!({"finalizers": "x"}), json!({"generation": 1.5})] {
            assert!(decode(&wrong, "metadata").is_err(), "{wrong}");
        }
    }
}
