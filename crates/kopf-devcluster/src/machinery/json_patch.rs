//! JSON patch as the API server does it.
//!
//! Kubernetes does not follow RFC 6902 to the letter but the Go library evanphx/json-patch, version 4:
//! `test` of a missing key equals `null`, `replace` of a missing key adds it, array indices may be negative.
//! Clients rely on it: kube-rs sets finalizers with `test … null`.

use serde_json::{Map, Value};

/// The most operations that the API server takes in one patch.
pub(crate) const MAX_OPERATIONS: usize = 10_000;

/// Why a patch was not applied. The cases differ in the code of the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The body is no list of operations: 400.
    #[error("{0}")]
    Malformed(String),
    /// Too many operations: 413.
    #[error("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {0}")]
    TooLarge(usize),
    /// An operation cannot be applied: 422 with a generic text; this one is for logs.
    #[error("{0}")]
    Failed(String),
}

/// Applies the operations in order. If one fails, nothing is changed.
pub(crate) fn apply(target: &mut Value, patch: &Value) -> Result<(), Error> {
    let operations = operations(patch)?;
    let mut patched = target.clone();
    for operation in operations {
        apply_one(&mut patched, operation).map_err(Error::Failed)?;
    }
    *target = patched;
    Ok(())
}

fn operations(patch: &Value) -> Result<Vec<&Map<String, Value>>, Error> {
    let Value::Array(items) = patch else {
        let kind = go_kind(patch);
        let text = format!("json: cannot unmarshal {kind} into Go value of type jsonpatch.Patch");
        return Err(Error::Malformed(text));
    };
    if items.len() > MAX_OPERATIONS {
        return Err(Error::TooLarge(items.len()));
    }
    items.iter().map(operation).collect()
}

fn operation(item: &Value) -> Result<&Map<String, Value>, Error> {
    item.as_object().ok_or_else(|| {
        let kind = go_kind(item);
        Error::Malformed(format!("json: cannot unmarshal {kind} into Go value of type jsonpatch.Operation"))
    })
}

/// What Go's JSON decoder calls a value of an unexpected type.
fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn apply_one(document: &mut Value, operation: &Map<String, Value>) -> Result<(), String> {
    let text = |name: &str| match operation.get(name) {
        Some(Value::String(text)) => Ok(text.as_str()),
        _ => Err(format!("operation has no {name}")),
    };
    let value = operation.get("value").unwrap_or(&Value::Null);
    match text("op")? {
        "add" => add(document, text("path")?, value.clone()),
        "remove" => remove(document, text("path")?).map(drop),
        "replace" => replace(document, text("path")?, value),
        "test" => test(document, text("path")?, value),
        "move" => {
            let value = remove(document, text("from")?)?;
            add(document, text("path")?, value)
        }
        "copy" => {
            let from = text("from")?;
            let (container, key) = find(document, from)?;
            let value = get(container, &key)?.cloned().unwrap_or(Value::Null);
            add(document, text("path")?, value)
        }
        other => Err(format!("unexpected operation {other}")),
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let (container, key) = find_mut(document, path)?;
    match container {
        Value::Object(fields) => {
            fields.insert(key, value);
        }
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            // Counted in the list that is about to be: -1 appends.
            let index = index(&key, items.len() + 1)?;
            items.insert(index, value);
        }
        _ => return Err(no_container(path)),
    }
    Ok(())
}

fn remove(document: &mut Value, path: &str) -> Result<Value, String> {
    let (container, key) = find_mut(document, path)?;
    match container {
        Value::Object(fields) => fields.shift_remove(&key).ok_or_else(|| format!("{path} does not exist")),
        Value::Array(items) => {
            let index = index(&key, items.len())?;
            Ok(items.remove(index))
        }
        _ => Err(no_container(path)),
    }
}

fn replace(document: &mut Value, path: &str, value: &Value) -> Result<(), String> {
    if path.is_empty() {
        if !value.is_object() && !value.is_array() {
            return Err("only an object or a list can replace the whole document".to_owned());
        }
        *document = value.clone();
        return Ok(());
    }
    let (container, key) = find_mut(document, path)?;
    match container {
        Value::Object(fields) => {
            fields.insert(key, value.clone());
        }
        Value::Array(items) => {
            let index = index(&key, items.len())?;
            items[index] = value.clone();
        }
        _ => return Err(no_container(path)),
    }
    Ok(())
}

fn test(document: &Value, path: &str, expected: &Value) -> Result<(), String> {
    let actual = match path.is_empty() {
        true => document,
        false => {
            let (container, key) = find(document, path)?;
            get(container, &key)?.unwrap_or(&Value::Null)
        }
    };
    if actual == expected { Ok(()) } else { Err(format!("testing value {path} failed")) }
}

/// The container that the path ends in, and the last key, decoded.
fn find<'a>(document: &'a Value, path: &str) -> Result<(&'a Value, String), String> {
    let (parents, key) = split(path)?;
    let mut current = document;
    for parent in parents {
        current = get(current, &parent).ok().flatten().ok_or_else(|| no_container(path))?;
    }
    Ok((current, key))
}

fn find_mut<'a>(document: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), String> {
    let (parents, key) = split(path)?;
    let mut current = document;
    for parent in parents {
        current = match current {
            Value::Object(fields) => fields.get_mut(&parent),
            Value::Array(items) => {
                let index = index(&parent, items.len())?;
                items.get_mut(index)
            }
            _ => None,
        }
        .ok_or_else(|| no_container(path))?;
    }
    Ok((current, key))
}

/// `None` for a missing key of an object; a bad index of a list is an error.
fn get<'a>(container: &'a Value, key: &str) -> Result<Option<&'a Value>, String> {
    match container {
        Value::Object(fields) => Ok(fields.get(key)),
        Value::Array(items) => Ok(items.get(index(key, items.len())?)),
        _ => Err(format!("{key} is looked up in a value that is neither object nor list")),
    }
}

/// The keys of a path; whatever precedes the first slash is ignored.
fn split(path: &str) -> Result<(Vec<String>, String), String> {
    let mut keys: Vec<String> = path.split('/').skip(1).map(decode).collect();
    let last = keys.pop().ok_or_else(|| no_container(path))?;
    Ok((keys, last))
}

fn decode(key: &str) -> String {
    key.replace("~1", "/").replace("~0", "~")
}

/// A position in a list of this length; negative ones count from the end.
fn index(key: &str, length: usize) -> Result<usize, String> {
    let wrong = || format!("{key} is no index of a list of {length}");
    let number: i64 = key.parse().map_err(|_| wrong())?;
    let length = i64::try_from(length).map_err(|_| wrong())?;
    let index = if number < 0 { number + length } else { number };
    if (0..length).contains(&index) { usize::try_from(index).map_err(|_| wrong()) } else { Err(wrong()) }
}

fn no_container(path: &str) -> String {
    format!("document has nothing at the parent of {path}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    use crate::machinery::testing::{any_object, any_value};

    fn check(target: Value, patch: Value, expected: Value) {
        let mut patched = target;
        apply(&mut patched, &patch).unwrap();
        assert_eq!(patched, expected);
    }

    fn check_failure(target: Value, patch: Value) {
        let mut patched = target.clone();
        let error = apply(&mut patched, &patch).unwrap_err();
        assert!(matches!(error, Error::Failed(_)), "{error:?}");
        assert_eq!(patched, target, "a failed patch changes nothing");
    }

    /// D-151, DT-032.
    #[test]
    fn all_operations_are_applied_in_order() {
        check(
            json!({"annotations": {"x/y": "1", "t~z": "2"}, "data": {"k": "v"}}),
            json!([
                {"op": "test", "path": "/data/k", "value": "v"},
                {"op": "copy", "from": "/data/k", "path": "/data/c"},
                {"op": "move", "from": "/data/k", "path": "/data/m"},
                {"op": "replace", "path": "/annotations/x~1y", "value": "9"},
                {"op": "remove", "path": "/annotations/t~0z"},
                {"op": "add", "path": "/data/n", "value": "1"},
            ]),
            json!({"annotations": {"x/y": "9"}, "data": {"c": "v", "m": "v", "n": "1"}}),
        );
    }

    /// D-151, DT-034: kube-rs sets finalizers this way.
    #[test]
    fn a_missing_key_tests_equal_to_null() {
        let test_then_add = json!([
            {"op": "test", "path": "/finalizers", "value": null},
            {"op": "add", "path": "/finalizers", "value": ["f"]},
        ]);
        check(json!({}), test_then_add.clone(), json!({"finalizers": ["f"]}));
        check_failure(json!({"finalizers": []}), test_then_add);
        check(json!({}), json!([{"op": "test", "path": "/a"}]), json!({}));
        check_failure(json!({}), json!([{"op": "test", "path": "/a/b", "value": null}]));
        check_failure(json!({"a": []}), json!([{"op": "test", "path": "/a/0", "value": null}]));
    }

    /// D-151, DT-033.
    #[test]
    fn what_cannot_be_applied_fails() {
        check_failure(json!({"k": "v"}), json!([{"op": "test", "path": "/k", "value": "w"}]));
        check_failure(json!({}), json!([{"op": "remove", "path": "/none"}]));
        check_failure(json!({}), json!([{"op": "add", "path": "/no/parent", "value": 1}]));
        check_failure(json!({"a": [1]}), json!([{"op": "add", "path": "/a/5", "value": 1}]));
        check_failure(json!({"a": [1]}), json!([{"op": "add", "path": "/a/x", "value": 1}]));
        check_failure(json!({"a": 1}), json!([{"op": "add", "path": "/a/b", "value": 1}]));
        check_failure(json!({"a": 1}), json!([{"op": "explode", "path": "/a"}]));
        check_failure(json!({"a": 1}), json!([{"op": "add", "value": 1}]));
        check_failure(json!({"a": 1}), json!([{"op": "add", "path": "", "value": {}}]));
        check_failure(
            json!({"a": 1}),
            json!([{"op": "add", "path": "/b", "value": 1}, {"op": "remove", "path": "/c"}]),
        );
    }

    /// D-151.
    #[test]
    fn negative_indices_count_from_the_end() {
        check(
            json!({"l": [1, 2]}),
            json!([{"op": "add", "path": "/l/-", "value": 3}]),
            json!({"l": [1, 2, 3]}),
        );
        check(
            json!({"l": [1, 2]}),
            json!([{"op": "add", "path": "/l/-1", "value": 3}]),
            json!({"l": [1, 2, 3]}),
        );
        check(json!({"l": [1, 2]}), json!([{"op": "remove", "path": "/l/-1"}]), json!({"l": [1]}));
        check(
            json!({"l": [1, 2]}),
            json!([{"op": "replace", "path": "/l/-2", "value": 0}]),
            json!({"l": [0, 2]}),
        );
        check_failure(json!({"l": [1, 2]}), json!([{"op": "remove", "path": "/l/-3"}]));
    }

    /// D-151: version 4 of the Go library is lenient here, the RFC is not.
    #[test]
    fn replacing_a_missing_key_adds_it() {
        check(json!({}), json!([{"op": "replace", "path": "/a", "value": 1}]), json!({"a": 1}));
        check_failure(json!({}), json!([{"op": "replace", "path": "/a/b", "value": 1}]));
        check(json!({"a": 1}), json!([{"op": "replace", "path": "", "value": {"b": 2}}]), json!({"b": 2}));
    }

    /// D-151: 400 instead of 422.
    #[test]
    fn a_body_that_is_no_list_of_operations_is_malformed() {
        for patch in [json!({"op": "add"}), json!("x"), json!([1]), json!([[]])] {
            let error = apply(&mut json!({}), &patch).unwrap_err();
            assert!(matches!(error, Error::Malformed(_)), "{error:?}");
        }
        let many = Value::from(vec![json!({"op": "test", "path": ""}); MAX_OPERATIONS + 1]);
        assert_eq!(apply(&mut json!({}), &many), Err(Error::TooLarge(MAX_OPERATIONS + 1)));
    }

    proptest! {
        #[test]
        fn adding_then_removing_a_new_key_changes_nothing(object in any_object(), value in any_value()) {
            let mut patched = object.clone();
            let patch = json!([
                {"op": "add", "path": "/new~0~1key", "value": value},
                {"op": "test", "path": "/new~0~1key", "value": value},
                {"op": "remove", "path": "/new~0~1key"},
            ]);
            apply(&mut patched, &patch).unwrap();
            prop_assert_eq!(patched, object);
        }

        #[test]
        fn no_patch_panics(object in any_object(), path in "[/a-d~01-]{0,6}", value in any_value()) {
            for op in ["add", "remove", "replace", "test", "move", "copy"] {
                let patch = json!([{"op": op, "path": path, "from": path, "value": value}]);
                let _ = apply(&mut object.clone(), &patch);
            }
        }
    }
}
