//! What is to be changed in an object: a merge patch, and functions for what a merge patch cannot say.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value};

use crate::{error::ErrorInfo, json_patch};

/// A function that changes a copy of the freshest body; the difference is sent as a JSON patch (W-PAT-004).
/// It may be applied several times, so it must be idempotent (A-PATCH-022).
pub trait Transform: fmt::Debug + Send + Sync {
    /// Changes the body in place.
    ///
    /// # Errors
    /// What the code raises: the step fails, and the object is throttled.
    fn apply(&self, body: &mut Value) -> Result<(), ErrorInfo>;

    /// Whether it is the door's code, so that the step has to run where the door wants it (DEC-6).
    fn is_plugin(&self) -> bool {
        true
    }
}

/// The changes of one cycle.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// A merge patch (RFC 7386): null deletes, mappings merge, all else replaces.
    pub merge: Map<String, Value>,
    /// Functions, in order.
    pub transforms: Vec<Arc<dyn Transform>>,
}

impl Patch {
    /// Whether nothing is to be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.merge.is_empty() && self.transforms.is_empty()
    }

    /// Changes a body: first by the merge patch, then by the functions in order.
    ///
    /// # Errors
    /// What a function raises; the body is then changed in part.
    pub fn apply(&self, body: &mut Value) -> Result<(), ErrorInfo> {
        if !self.merge.is_empty() {
            merge_map(body, &self.merge);
        }
        self.transforms.iter().try_for_each(|transform| transform.apply(body))
    }

    /// The operations of RFC 6902 that do the same to the body (A-PATCH-008, FIX-21). The `test` of the resource version
    /// is the caller's to add (W-PAT-005).
    ///
    /// # Errors
    /// What a function raises, and if there is no body while there is something to change.
    pub fn to_json_patch(&self, body: Option<&Value>) -> Result<Vec<Value>, ErrorInfo> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let Some(body) = body else {
            return Err(ErrorInfo::new(
                "Cannot build a JSON-patch without the original body as a reference.",
            ));
        };
        let mut patched = body.clone();
        self.apply(&mut patched)?;
        Ok(json_patch::between(body, &patched))
    }
}

/// Changes a value by a merge patch (RFC 7386).
pub fn merge(target: &mut Value, patch: &Value) {
    match patch {
        Value::Object(patch) => merge_map(target, patch),
        _ => *target = patch.clone(),
    }
}

fn merge_map(target: &mut Value, patch: &Map<String, Value>) {
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.shift_remove(key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::testing::{any_mapping, any_value};

    /// The cases of RFC 7386, appendix A.
    #[test]
    fn merging_follows_the_standard() {
        let check = |target: Value, patch: Value, result: Value| {
            let mut merged = target.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, result, "{target} with {patch}");
        };
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
        check(json!({"a": "foo"}), json!(null), json!(null));
        check(json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1}));
        check(json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"}));
        check(json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}}));
    }

    /// DEC-21: the order of what stays decides the bytes of what is stored.
    #[test]
    fn merging_keeps_the_order_of_keys() {
        let mut merged = json!({"a": 1, "b": 2, "c": 3, "d": 4});
        merge(&mut merged, &json!({"e": 5, "a": null, "c": 6}));
        assert_eq!(merged.to_string(), r#"{"b":2,"c":6,"d":4,"e":5}"#);
    }

    proptest! {
        /// A-PATCH-022: what is sent again after a lost answer changes nothing more.
        #[test]
        fn merging_twice_is_merging_once(target in any_value(), patch in any_mapping()) {
            let mut once = target;
            merge(&mut once, &patch);
            let mut twice = once.clone();
            merge(&mut twice, &patch);
            prop_assert_eq!(once, twice);
        }

        /// FIX-21: a JSON patch does what the merge patch does.
        #[test]
        fn a_json_patch_has_the_effect_of_the_merge_patch(body in any_mapping(), changes in any_mapping()) {
            let mut merged = body.clone();
            merge(&mut merged, &changes);
            let patch = Patch { merge: changes.as_object().cloned().unwrap(), transforms: Vec::new() };
            let mut patched = body.clone();
            json_patch::apply(&mut patched, &patch.to_json_patch(Some(&body)).unwrap()).unwrap();
            prop_assert_eq!(patched, merged);
        }
    }
}
