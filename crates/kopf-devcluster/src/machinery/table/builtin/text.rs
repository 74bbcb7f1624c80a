//! Texts of parts of objects, as cells show them.

use serde_json::{Map, Value};

/// The text of a scalar at a JSON pointer, or else another text; an empty one counts as none.
pub(super) fn or(object: &Value, pointer: &str, default: &str) -> String {
    match object.pointer(pointer) {
        None | Some(Value::Null) => default.to_owned(),
        Some(Value::String(text)) if text.is_empty() => default.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The number at a JSON pointer, or zero.
pub(super) fn integer(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// How many entries the list or map at a JSON pointer has.
pub(super) fn count(object: &Value, pointer: &str) -> usize {
    match object.pointer(pointer) {
        Some(Value::Array(items)) => items.len(),
        Some(Value::Object(fields)) => fields.len(),
        _ => 0,
    }
}

/// The items of the list at a JSON pointer.
pub(super) fn items<'a>(object: &'a Value, pointer: &str) -> impl DoubleEndedIterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// A field of each item of a list, joined; missing ones are empty.
pub(super) fn joined(object: &Value, pointer: &str, field: &str, separator: &str) -> String {
    let texts: Vec<_> = items(object, pointer).map(|item| item[field].as_str().unwrap_or_default()).collect();
    texts.join(separator)
}

/// The texts of a list, joined, or else another text.
pub(super) fn joined_or(object: &Value, pointer: &str, separator: &str, default: &str) -> String {
    let texts: Vec<_> = items(object, pointer).filter_map(Value::as_str).collect();
    if texts.is_empty() { default.to_owned() } else { texts.join(separator) }
}

/// A map of labels: `a=b,c=d`, or `<none>`.
pub(super) fn labels(object: &Value, pointer: &str) -> String {
    match object.pointer(pointer).and_then(Value::as_object).filter(|labels| !labels.is_empty()) {
        Some(labels) => pairs(labels).join(","),
        None => "<none>".to_owned(),
    }
}

fn pairs(labels: &Map<String, Value>) -> Vec<String> {
    let mut pairs: Vec<_> =
        labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    pairs.sort_unstable();
    pairs
}

/// A selector with `matchLabels` and `matchExpressions`: `a=b,c in (d,e)`, or else another text.
pub(super) fn selector(object: &Value, pointer: &str, default: &str) -> String {
    let selector = object.pointer(pointer).unwrap_or(&Value::Null);
    let labels = selector["matchLabels"].as_object().map(|labels| {
        labels
            .iter()
            .map(|(key, value)| (key.clone(), format!("{key}={}", value.as_str().unwrap_or_default())))
    });
    let mut parts: Vec<(String, String)> = labels.into_iter().flatten().collect();
    for expression in items(selector, "/matchExpressions") {
        let key = expression["key"].as_str().unwrap_or_default();
        let mut values: Vec<_> = items(expression, "/values").filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let text = match expression["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        };
        parts.push((key.to_owned(), text));
    }
    parts.sort();
    let parts: Vec<_> = parts.into_iter().map(|(_, text)| text).collect();
    if parts.is_empty() { default.to_owned() } else { parts.join(",") }
}

/// The status of the condition of a type: `True`, `False` or `Unknown`.
pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    items(object, "/status/conditions").find(|condition| condition["type"] == kind)?["status"].as_str()
}

/// Whether an object is being deleted.
pub(super) fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}
