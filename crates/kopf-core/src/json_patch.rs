//! JSON patches (RFC 6902): the difference of two bodies as operations, and their application.

use serde_json::{Map, Value, json};

/// Lists whose lengths multiply to more are compared position by position: the patch is longer, the work stays bounded.
const ALIGNED_LIMIT: usize = 1_000_000;

/// A patch that cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// An operation is none of the standard.
    #[error("malformed operation of a JSON patch: {operation}")]
    Malformed {
        /// The operation, as JSON.
        operation: String,
    },
    /// The place that an operation is about does not exist.
    #[error("no such place in the object: {pointer:?}")]
    NoSuchPlace {
        /// The place, as a JSON pointer.
        pointer: String,
    },
    /// A `test` has failed: the object is not what it was.
    #[error("the object differs from what the patch was made for, at {pointer:?}")]
    TestFailed {
        /// The place, as a JSON pointer.
        pointer: String,
    },
}

impl ApplyError {
    /// Whether the patch was made for another state of the object, and is to be made anew.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::TestFailed { .. })
    }
}

/// The operations `add`, `remove` and `replace` that turn one value into another. Unlike in [`Diff`](crate::diff::Diff), values
/// are equal only if their JSON is. List items are aligned, so that foreign items are neither moved nor rewritten (W-FIN-009).
#[must_use]
pub fn between(old: &Value, new: &Value) -> Vec<Value> {
    let mut operations = Vec::new();
    compare(old, new, "", &mut operations);
    operations
}

/// Applies operations in order: all of RFC 6902. A `test` compares as [`between`] does.
///
/// # Errors
/// At the first operation that cannot be applied; the value is then changed in part.
pub fn apply(value: &mut Value, operations: &[Value]) -> Result<(), ApplyError> {
    operations.iter().try_for_each(|operation| apply_one(value, operation))
}

fn compare(old: &Value, new: &Value, path: &str, operations: &mut Vec<Value>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(old), Value::Object(new)) => compare_mappings(old, new, path, operations),
        (Value::Array(old), Value::Array(new)) => compare_lists(old, new, path, operations),
        _ => operations.push(json!({"op": "replace", "path": path, "value": new})),
    }
}

fn compare_mappings(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    path: &str,
    operations: &mut Vec<Value>,
) {
    let inside = |key: &str| format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        operations.push(json!({"op": "remove", "path": inside(key)}));
    }
    for (key, value) in new {
        match old.get(key) {
            Some(old) => compare(old, value, &inside(key), operations),
            None => operations.push(json!({"op": "add", "path": inside(key), "value": value})),
        }
    }
}

/// Goes from one pair of equal items to the next. What lies between is changed item by item, as far as both sides have
/// some; the rest is removed or added. Everything to the left is final by then, so positions are those of the new list.
fn compare_lists(old: &[Value], new: &[Value], path: &str, operations: &mut Vec<Value>) {
    let start = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (mut old_start, mut new_start) = (start, start);
    let pairs = aligned(&old[start..], &new[start..]);
    let pairs = pairs.into_iter().map(|(old, new)| (start + old, start + new));
    for (old_end, new_end) in pairs.chain([(old.len(), new.len())]) {
        let (gone, come) = (&old[old_start..old_end], &new[new_start..new_end]);
        let changed = gone.len().min(come.len());
        for position in 0..changed {
            compare(
                &gone[position],
                &come[position],
                &format!("{path}/{}", new_start + position),
                operations,
            );
        }
        for _ in changed..gone.len() {
            operations.push(json!({"op": "remove", "path": format!("{path}/{}", new_start + changed)}));
        }
        for (position, value) in come.iter().enumerate().skip(changed) {
            operations.push(
                json!({"op": "add", "path": format!("{path}/{}", new_start + position), "value": value}),
            );
        }
        (old_start, new_start) = (old_end + 1, new_end + 1);
    }
}

/// The positions of a longest common subsequence.
fn aligned(old: &[Value], new: &[Value]) -> Vec<(usize, usize)> {
    if old.len().saturating_mul(new.len()) > ALIGNED_LIMIT {
        return Vec::new();
    }
    // lengths[i][j]: of the longest common subsequence of old[i..] and new[j..].
    let mut lengths = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            lengths[i][j] = if old[i] == new[j] {
                lengths[i + 1][j + 1] + 1
            } else {
                lengths[i + 1][j].max(lengths[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if lengths[i + 1][j] >= lengths[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

fn apply_one(value: &mut Value, operation: &Value) -> Result<(), ApplyError> {
    let malformed = || ApplyError::Malformed { operation: operation.to_string() };
    let text = |field: &str| operation.get(field).and_then(Value::as_str).ok_or_else(malformed);
    let argument = || operation.get("value").cloned().ok_or_else(malformed);
    let path = text("path")?;
    match text("op")? {
        "add" => add(value, path, argument()?),
        "remove" => remove(value, path).map(drop),
        "replace" => {
            *place(value, path)? = argument()?;
            Ok(())
        }
        "test" if *place(value, path)? == argument()? => Ok(()),
        "test" => Err(ApplyError::TestFailed { pointer: path.to_owned() }),
        "move" => {
            let moved = remove(value, text("from")?)?;
            add(value, path, moved)
        }
        "copy" => {
            let copied = place(value, text("from")?)?.clone();
            add(value, path, copied)
        }
        _ => Err(malformed()),
    }
}

fn add(value: &mut Value, pointer: &str, new: Value) -> Result<(), ApplyError> {
    let Some((parent, key)) = parent(value, pointer)? else {
        *value = new;
        return Ok(());
    };
    match parent {
        Value::Object(map) => {
            map.insert(key, new);
            Ok(())
        }
        Value::Array(items) => {
            let position = if key == "-" { Some(items.len()) } else { index(&key) };
            let position =
                position.filter(|position| *position <= items.len()).ok_or_else(|| nowhere(pointer))?;
            items.insert(position, new);
            Ok(())
        }
        _ => Err(nowhere(pointer)),
    }
}

fn remove(value: &mut Value, pointer: &str) -> Result<Value, ApplyError> {
    let Some((parent, key)) = parent(value, pointer)? else { return Ok(value.take()) };
    match parent {
        Value::Object(map) => map.shift_remove(&key).ok_or_else(|| nowhere(pointer)),
        Value::Array(items) => {
            let position =
                index(&key).filter(|position| *position < items.len()).ok_or_else(|| nowhere(pointer))?;
            Ok(items.remove(position))
        }
        _ => Err(nowhere(pointer)),
    }
}

fn place<'a>(value: &'a mut Value, pointer: &str) -> Result<&'a mut Value, ApplyError> {
    value.pointer_mut(pointer).ok_or_else(|| nowhere(pointer))
}

/// The parent of a place and the last key, unescaped; none for the root.
fn parent<'a>(value: &'a mut Value, pointer: &str) -> Result<Option<(&'a mut Value, String)>, ApplyError> {
    if pointer.is_empty() {
        return Ok(None);
    }
    let (parent, key) = pointer.rsplit_once('/').ok_or_else(|| nowhere(pointer))?;
    Ok(Some((place(value, parent)?, key.replace("~1", "/").replace("~0", "~"))))
}

/// A position in a list, by RFC 6901: digits without leading zeros.
fn index(key: &str) -> Option<usize> {
    let is_canonical =
        key.bytes().all(|byte| byte.is_ascii_digit()) && (key.len() == 1 || !key.starts_with('0'));
    if is_canonical { key.parse().ok() } else { None }
}

fn nowhere(pointer: &str) -> ApplyError {
    ApplyError::NoSuchPlace { pointer: pointer.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::any_value;

    #[test]
    fn items_of_lists_are_aligned() {
        let check = |old: Value, new: Value, operations: Value| {
            assert_eq!(Value::Array(between(&old, &new)), operations, "{old} to {new}");
        };
        check(
            json!(["f", "a", "f"]),
            json!(["a"]),
            json!([{"op": "remove", "path": "/0"}, {"op": "remove", "path": "/1"}]),
        );
        check(json!(["a", "c"]), json!(["a", "b", "c"]), json!([{"op": "add", "path": "/1", "value": "b"}]));
        check(
            json!([{"n": 1, "v": 1}, 2]),
            json!([{"n": 1, "v": 2}, 2]),
            json!([{"op": "replace", "path": "/0/v", "value": 2}]),
        );
    }

    #[test]
    fn operations_of_the_standard_are_applied() {
        let check = |value: Value, operation: Value, result: Result<Value, ApplyError>| {
            let mut patched = value;
            assert_eq!(
                apply(&mut patched, std::slice::from_ref(&operation)).map(|()| patched),
                result,
                "{operation}"
            );
        };
        let nowhere = |pointer: &str| Err(nowhere(pointer));
        check(json!({"a": 1}), json!({"op": "move", "from": "/a", "path": "/b~1c"}), Ok(json!({"b/c": 1})));
        check(
            json!({"a": 1}),
            json!({"op": "copy", "from": "/a", "path": "/b"}),
            Ok(json!({"a": 1, "b": 1})),
        );
        check(json!([1]), json!({"op": "add", "path": "/-", "value": 2}), Ok(json!([1, 2])));
        check(json!([1]), json!({"op": "add", "path": "/2", "value": 2}), nowhere("/2"));
        check(json!([1]), json!({"op": "remove", "path": "/1"}), nowhere("/1"));
        check(json!([1, 2]), json!({"op": "remove", "path": "/01"}), nowhere("/01"));
        check(json!({}), json!({"op": "remove", "path": "/a"}), nowhere("/a"));
        check(json!({}), json!({"op": "replace", "path": "/a", "value": 1}), nowhere("/a"));
        check(json!({}), json!({"op": "add", "path": "/a/b", "value": 1}), nowhere("/a"));
        check(json!({}), json!({"op": "add", "path": "a", "value": 1}), nowhere("a"));
        check(json!(1), json!({"op": "replace", "path": "", "value": 2}), Ok(json!(2)));
        check(json!({"a": 1}), json!({"op": "test", "path": "/a", "value": 1}), Ok(json!({"a": 1})));
        check(
            json!({"a": 1}),
            json!({"op": "test", "path": "/a", "value": 2}),
            Err(ApplyError::TestFailed { pointer: "/a".into() }),
        );
        check(
            json!({}),
            json!({"op": "add", "path": "/a"}),
            Err(ApplyError::Malformed { operation: r#"{"op":"add","path":"/a"}"#.into() }),
        );
    }

    proptest! {
        /// W-PAT-006.
        #[test]
        fn the_difference_applied_to_the_old_value_gives_the_new_one(old in any_value(), new in any_value()) {
            let mut value = old.clone();
            apply(&mut value, &between(&old, &new)).unwrap();
            prop_assert_eq!(value, new);
        }

        /// A-PATCH-008: no-op changes vanish.
        #[test]
        fn equal_values_need_no_operations(value in any_value()) {
            prop_assert_eq!(between(&value, &value.clone()), Vec::<Value>::new());
        }
    }
}
