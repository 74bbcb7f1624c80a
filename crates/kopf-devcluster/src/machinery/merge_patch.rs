//! JSON merge patch, RFC 7386.

use serde_json::{Map, Value};

/// Applies a merge patch: objects are merged by key, `null` removes a key, everything else replaces.
pub(crate) fn apply(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (key, change) in changes {
        if change.is_null() {
            fields.shift_remove(key);
        } else {
            apply(fields.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    use crate::machinery::testing::{any_object, any_value};

    fn check(target: Value, patch: Value, expected: Value) {
        let mut patched = target;
        apply(&mut patched, &patch);
        assert_eq!(patched, expected);
    }

    /// The test cases of RFC 7386, appendix A (D-153).
    #[test]
    fn the_examples_of_the_rfc_hold() {
        check(json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"}));
        check(json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"}));
        check(json!({"a": "b"}), json!({"a": null}), json!({}));
        check(json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"}));
        check(json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"}));
        check(json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]}));
        check(json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}}));
        check(json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]}));
        check(json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"]));
        check(json!({"a": "b"}), json!(["c"]), json!(["c"]));
        check(json!({"a": "foo"}), Value::Null, Value::Null);
        check(json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1}));
        check(json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"}));
        check(json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}}));
    }

    proptest! {
        #[test]
        fn patching_twice_is_patching_once(target in any_value(), patch in any_value()) {
            let mut once = target;
            apply(&mut once, &patch);
            let mut twice = once.clone();
            apply(&mut twice, &patch);
            prop_assert_eq!(once, twice);
        }

        #[test]
        fn an_empty_patch_of_an_object_changes_nothing(target in any_object()) {
            let mut patched = target.clone();
            apply(&mut patched, &json!({}));
            prop_assert_eq!(patched, target);
        }

        #[test]
        fn an_object_without_nulls_applied_to_nothing_is_itself(object in any_object()) {
            let mut object = object;
            drop_nulls(&mut object);
            let mut patched = Value::Null;
            apply(&mut patched, &object);
            prop_assert_eq!(patched, object);
        }
    }

    fn drop_nulls(value: &mut Value) {
        if let Value::Object(fields) = value {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
    }
}
