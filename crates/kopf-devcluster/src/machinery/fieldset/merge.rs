//! Merging of an applied configuration into an object.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value};

use super::{
    path::Step,
    view::{Kind, View},
};

/// The object with the configuration merged into it.
///
/// # Errors
///
/// A keyed list of the configuration has an item twice or one without its key.
pub(super) fn merge(object: &Value, config: &Value, view: View<'_>) -> Result<Value, String> {
    Ok(merge_values(Some(object), Some(config), view)?.unwrap_or_else(|| Value::Object(Map::new())))
}

fn merge_values(
    left: Option<&Value>,
    right: Option<&Value>,
    view: View<'_>,
) -> Result<Option<Value>, String> {
    let kind = view.kind(if right.is_some_and(|right| !right.is_null()) { right } else { left });
    let whole = || Ok(right.or(left).cloned());
    match kind {
        Kind::Scalar | Kind::AtomicList | Kind::Map { is_atomic: true } => whole(),
        Kind::Map { is_atomic: false } => {
            let nothing = Map::new();
            let left_fields = left.and_then(Value::as_object).unwrap_or(&nothing);
            let right_fields = right.and_then(Value::as_object).unwrap_or(&nothing);
            if left_fields.is_empty() && right_fields.is_empty() {
                return whole();
            }
            merge_maps(left_fields, right_fields, view)
        }
        Kind::KeyedList => {
            let left_items = left.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let right_items = right.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            if left_items.is_empty() && right_items.is_empty() {
                return whole();
            }
            merge_lists(left_items, right_items, view)
        }
    }
}

fn merge_maps(
    left: &Map<String, Value>,
    right: &Map<String, Value>,
    view: View<'_>,
) -> Result<Option<Value>, String> {
    let mut merged = Map::new();
    let names = left.keys().chain(right.keys().filter(|name| !left.contains_key(*name)));
    for name in names {
        if let Some(value) = merge_values(left.get(name), right.get(name), view.field(name).0)? {
            merged.insert(name.clone(), value);
        }
    }
    Ok((!merged.is_empty()).then_some(Value::Object(merged)))
}

/// Items of the configuration come in its order; other items stay where they are between those that both have.
fn merge_lists(left: &[Value], right: &[Value], view: View<'_>) -> Result<Option<Value>, String> {
    let left_steps = left.iter().map(|item| view.step(item)).collect::<Result<Vec<_>, _>>()?;
    let right_steps = right.iter().map(|item| view.step(item)).collect::<Result<Vec<_>, _>>()?;
    // An item that is there twice is not merged with the new one, which replaces both.
    let mut old: BTreeMap<&Step, Option<&Value>> = BTreeMap::new();
    for (step, item) in left_steps.iter().zip(left) {
        old.entry(step).and_modify(|item| *item = None).or_insert(Some(item));
    }
    let mut new: BTreeMap<&Step, &Value> = BTreeMap::new();
    for (step, item) in right_steps.iter().zip(right) {
        if new.insert(step, item).is_some() {
            return Err(format!("duplicate entries for key {step}"));
        }
    }
    let mut shared: VecDeque<&Step> = right_steps.iter().filter(|step| old.contains_key(step)).collect();
    let mut done: BTreeSet<&Step> = BTreeSet::new();
    let mut merged = Vec::with_capacity(left.len().max(right.len()));
    let mut take = |step: &Step, left: Option<&Value>, right: Option<&Value>| -> Result<(), String> {
        debug_assert!(left.is_some() || right.is_some(), "nothing to take for {step}");
        merged.extend(merge_values(left, right, view.item())?);
        Ok(())
    };
    let (mut l, mut r) = (0, 0);
    while l < left.len() || r < right.len() {
        if let (Some(left_step), Some(right_step)) = (left_steps.get(l), right_steps.get(r)) {
            if left_step == right_step {
                done.insert(right_step);
                take(right_step, old.get(left_step).copied().flatten(), Some(&right[r]))?;
                (l, r) = (l + 1, r + 1);
                shared.pop_front();
                continue;
            }
            let is_shared = new.contains_key(left_step);
            if is_shared && shared.front().is_some_and(|next| *next != left_step) {
                // It will come at the place where the configuration has it.
                l += 1;
                continue;
            }
        }
        if let Some(left_step) = left_steps.get(l) {
            if !new.contains_key(left_step) {
                take(left_step, Some(&left[l]), None)?;
                l += 1;
                continue;
            }
            if done.contains(left_step) {
                l += 1;
            }
        }
        if let Some(right_step) = right_steps.get(r) {
            done.insert(right_step);
            take(right_step, old.get(right_step).copied().flatten(), Some(&right[r]))?;
            r += 1;
            if shared.front() == Some(&right_step) {
                shared.pop_front();
            }
        }
    }
    Ok((!merged.is_empty()).then_some(Value::Array(merged)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machinery::{schema::Schema, types};
    use serde_json::json;

    fn check_list(left: Value, right: Value, expected: Value) {
        let schema = Schema::parse(&json!({"type": "object", "properties": {"l": {
            "type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"},
        }}}));
        let merged = merge(&json!({"l": left}), &json!({"l": right}), View::Custom(&schema)).unwrap();
        assert_eq!(merged["l"], expected);
    }

    /// D-159.
    #[test]
    fn applied_items_come_in_their_order_and_others_keep_their_place() {
        check_list(json!(["a"]), json!(["b"]), json!(["a", "b"]));
        check_list(json!(["a", "b", "c"]), json!(["c", "a"]), json!(["b", "c", "a"]));
        check_list(json!(["a", "x", "b"]), json!(["a", "b"]), json!(["a", "x", "b"]));
        check_list(json!(["a", "x", "b"]), json!(["b", "n", "a"]), json!(["x", "b", "n", "a"]));
        check_list(json!(["a", "a"]), json!(["a"]), json!(["a"]));
        check_list(json!([]), json!([]), json!([]));
        check_list(json!(["a", "b", "x", "c"]), json!(["b", "a", "c"]), json!(["b", "x", "a", "c"]));
    }

    #[test]
    fn what_applies_twice_or_is_no_map_is_refused() {
        let pod = View::BuiltIn(types::of_kind("", "v1", "Pod").unwrap());
        let config = |containers: Value| json!({"spec": {"containers": containers}});
        let twice = merge(&json!({}), &config(json!([{"name": "a"}, {"name": "a"}])), pod).unwrap_err();
        assert_eq!(twice, "duplicate entries for key [name=\"a\"]");
        let scalar = merge(&json!({}), &config(json!(["a"])), pod).unwrap_err();
        assert!(scalar.contains("non-map elements"), "{scalar}");
    }

    /// D-159, Appendix B: ports have two keys, one with a default; selectors are atomic.
    #[test]
    fn built_in_types_are_merged_by_their_tables() {
        let service = View::BuiltIn(types::of_kind("", "v1", "Service").unwrap());
        let merged = merge(
            &json!({"spec": {"ports": [{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}], "selector": {"a": "1"}}}),
            &json!({"spec": {"ports": [{"port": 53, "name": "tcp"}], "selector": {"b": "2"}}}),
            service,
        )
        .unwrap();
        assert_eq!(
            merged,
            json!({"spec": {
                "ports": [{"port": 53, "protocol": "TCP", "name": "tcp"}, {"port": 53, "protocol": "UDP"}],
                "selector": {"b": "2"},
            }})
        );
    }
}
