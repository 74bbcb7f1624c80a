//! Strategic merge patches of built-in types (D-155).
//!
//! Objects are merged by key, lists as the type says: lists of objects by a merge key, some lists of scalars by
//! union, all others are replaced. Directives in the patch say more: `$patch`, `$retainKeys`,
//! `$deleteFromPrimitiveList/FIELD` and `$setElementOrder/FIELD`.

use serde_json::{Map, Value};

use super::types::{Field, Merge, Shape, TypeId};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";

/// Why a patch was not applied. The cases differ in the code of the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The patch is malformed: 400.
    #[error("{0}")]
    Malformed(String),
    /// The patch does not fit the type: 500 on the real server.
    #[error("{0}")]
    Unsuitable(String),
}

/// Applies a strategic merge patch to an object of a type. Without a type all lists are replaced.
pub(crate) fn apply(target: &mut Value, patch: &Value, id: Option<TypeId>) -> Result<(), Error> {
    let Value::Object(patch) = patch else {
        let found = match patch {
            Value::String(_) => "string",
            Value::Number(_) => "number",
            Value::Bool(_) => "bool",
            _ => return Err(Error::Malformed("invalid JSON document".to_owned())),
        };
        let error = format!("json: cannot unmarshal {found} into Go value of type map[string]interface {{}}");
        return Err(Error::Malformed(error));
    };
    let original = std::mem::take(target);
    let original = match original {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    *target = Value::Object(merge_objects(original, patch.clone(), id)?);
    Ok(())
}

/// What is known of a field that is patched.
#[derive(Clone, Debug)]
struct Strategy {
    merge: Merge,
    inner: Option<TypeId>,
}

impl Strategy {
    fn of(id: Option<TypeId>, name: &str) -> Self {
        match id.and_then(|id| id.field(name)) {
            Some(field) => Self { merge: field.merge.clone(), inner: inner_type(field) },
            None => Self { merge: Merge::Default, inner: None },
        }
    }

    fn key(&self) -> Option<&str> {
        match &self.merge {
            Merge::ByKey(key) => Some(key),
            Merge::Default | Merge::Union | Merge::Replace => None,
        }
    }
}

/// The type of a field's value, or of the items of its list or map.
fn inner_type(field: &Field) -> Option<TypeId> {
    fn of(shape: &Shape) -> Option<TypeId> {
        match shape {
            Shape::Object(id) => Some(*id),
            Shape::List(item) => of(item),
            _ => None,
        }
    }
    of(&field.shape)
}

fn merge_objects(
    mut original: Map<String, Value>,
    mut patch: Map<String, Value>,
    id: Option<TypeId>,
) -> Result<Map<String, Value>, Error> {
    match patch.shift_remove(PATCH) {
        None => {}
        Some(directive) if directive == "replace" => return Ok(patch),
        Some(directive) if directive == "delete" => return Ok(Map::new()),
        Some(directive) => return Err(bad_directive(&directive)),
    }
    retain_keys(&mut original, &mut patch)?;
    merge_ordered_lists(&mut original, &mut patch, id)?;
    for (name, change) in patch {
        if let Some(list) = name.strip_prefix(DELETE_FROM) {
            delete_items(original.get_mut(list), &change);
            continue;
        }
        if change.is_null() {
            original.shift_remove(&name);
            continue;
        }
        let Some(current) = original.get_mut(&name) else {
            set(&mut original, name, change);
            continue;
        };
        let strategy = Strategy::of(id, &name);
        match (current, change) {
            (Value::Object(_), Value::Object(change)) if strategy.merge == Merge::Replace => {
                original.insert(name, Value::Object(change));
            }
            (Value::Object(current), Value::Object(change)) => {
                *current = merge_objects(std::mem::take(current), change, strategy.inner)?;
            }
            (Value::Array(current), Value::Array(change)) => {
                *current = merge_lists(std::mem::take(current), change, &strategy)?;
            }
            (_, change) => set(&mut original, name, change),
        }
    }
    Ok(original)
}

fn set(fields: &mut Map<String, Value>, name: String, value: Value) {
    match without_directives(value) {
        Some(value) => {
            fields.insert(name, value);
        }
        None => {
            fields.shift_remove(&name);
        }
    }
}

/// `$retainKeys`: only the fields named stay.
fn retain_keys(original: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), Error> {
    let Some(retained) = patch.shift_remove(RETAIN_KEYS) else { return Ok(()) };
    let malformed = || Error::Malformed("invalid patch format of retainKeys".to_owned());
    let retained = retained.as_array().ok_or_else(malformed)?;
    let is_retained = |name: &str| retained.iter().any(|key| key == name);
    let is_covered = |(name, change): (&String, &Value)| {
        change.is_null() || name.starts_with(DELETE_FROM) || name.starts_with(SET_ORDER) || is_retained(name)
    };
    if !patch.iter().all(is_covered) {
        return Err(malformed());
    }
    original.retain(|name, _| is_retained(name));
    Ok(())
}

/// `$setElementOrder/FIELD`: merges the list FIELD and puts it in order.
fn merge_ordered_lists(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    id: Option<TypeId>,
) -> Result<(), Error> {
    let directives: Vec<String> = patch.keys().filter(|name| name.starts_with(SET_ORDER)).cloned().collect();
    for directive in directives {
        let order = patch.shift_remove(&directive).unwrap_or_default();
        let malformed = || Error::Malformed("invalid patch format of setElementOrder list".to_owned());
        let Value::Array(order) = order else { return Err(malformed()) };
        let name = &directive[SET_ORDER.len()..];
        let strategy = Strategy::of(id, name);
        let list = |value: Option<Value>| match value {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(malformed()),
        };
        let changes = list(patch.shift_remove(name))?;
        let current = list(original.get(name).cloned())?;
        if let Some(changes) = &changes {
            check_order(changes, &order, strategy.key())?;
        }
        let merged = match (current.clone(), changes) {
            (None, None) => continue,
            (Some(current), None) => current,
            (None, Some(changes)) => changes.into_iter().filter_map(without_directives).collect(),
            (Some(current), Some(changes)) => merge_lists(current, changes, &strategy)?,
        };
        let merged = in_order(merged, &order, &current.unwrap_or_default(), strategy.key());
        original.insert(name.to_owned(), Value::Array(merged));
    }
    Ok(())
}

/// Checks that the items of a patch come in the order that the patch itself asks for.
fn check_order(changes: &[Value], order: &[Value], key: Option<&str>) -> Result<(), Error> {
    if changes.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut rest = order.iter();
    let ordered = changes
        .iter()
        .filter(|change| change.get(PATCH).is_none())
        .all(|change| rest.any(|expected| is_same(change, expected, key)));
    if ordered {
        return Ok(());
    }
    let text = |items: &[Value]| Value::from(items).to_string();
    Err(Error::Unsuitable(format!(
        "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
        text(changes),
        text(order)
    )))
}

/// Whether two items are the same one: by key if there is one, else by value.
fn is_same(left: &Value, right: &Value, key: Option<&str>) -> bool {
    match key {
        Some(key) => left.get(key).is_some() && left.get(key) == right.get(key),
        None => left == right,
    }
}

fn merge_lists(original: Vec<Value>, changes: Vec<Value>, strategy: &Strategy) -> Result<Vec<Value>, Error> {
    let key = match &strategy.merge {
        Merge::Default | Merge::Replace => return Ok(changes),
        Merge::Union => None,
        Merge::ByKey(key) => Some(key.as_str()),
    };
    let (original, changes) = match key {
        None => (original, changes),
        Some(key) => follow_directives(original, changes, key)?,
    };
    let mut merged = original.clone();
    for change in &changes {
        let position = merged.iter().position(|item| is_same(item, change, key));
        match (position, change) {
            (Some(position), Value::Object(change)) => {
                let item = match std::mem::take(&mut merged[position]) {
                    Value::Object(item) => item,
                    _ => Map::new(),
                };
                merged[position] = Value::Object(merge_objects(item, change.clone(), strategy.inner)?);
            }
            (Some(_), _) => {}
            (None, change) => merged.push(change.clone()),
        }
    }
    Ok(in_order(merged, &changes, &original, key))
}

/// `$patch` in items of a list: deletes items, or replaces the list. Gives what is left to merge.
fn follow_directives(
    mut original: Vec<Value>,
    changes: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>), Error> {
    let mut is_replaced = false;
    let mut rest = Vec::with_capacity(changes.len());
    for change in changes {
        let has_key = change.get(key).is_some();
        match change.get(PATCH) {
            None if has_key => rest.push(change),
            Some(directive) if directive == "replace" => is_replaced = true,
            Some(directive) if directive == "delete" && has_key => {
                original.retain(|item| !is_same(item, &change, Some(key)));
            }
            Some(directive) if directive == "merge" => {
                let text = "merging lists cannot yet be specified in the patch";
                return Err(Error::Unsuitable(text.to_owned()));
            }
            Some(directive) if directive != "delete" => return Err(bad_directive(directive)),
            _ => {
                let text = format!("map: {change} does not contain declared merge key: {key}");
                return Err(Error::Unsuitable(text));
            }
        }
    }
    Ok(if is_replaced { (rest, Vec::new()) } else { (original, rest) })
}

/// Items in the order of the patch, and those that only the server has where they were before.
///
/// An item of the server goes before an item of the patch only if it stood before it already.
fn in_order(items: Vec<Value>, order: &[Value], server_order: &[Value], key: Option<&str>) -> Vec<Value> {
    let position = |order: &[Value], item: &Value| order.iter().position(|other| is_same(item, other, key));
    let (mut patched, server_only): (Vec<_>, Vec<_>) =
        items.into_iter().partition(|item| position(order, item).is_some());
    patched.sort_by_key(|item| position(order, item));
    let mut server_only = server_only.into_iter().peekable();
    let mut ordered = Vec::new();
    for item in patched {
        let place = position(server_order, &item);
        let stood_before =
            |other: &Value| position(server_order, other).zip(place).is_some_and(|(a, b)| a < b);
        while let Some(server_item) = server_only.next_if(|other| stood_before(other)) {
            ordered.push(server_item);
        }
        ordered.push(item);
    }
    ordered.extend(server_only);
    ordered
}

fn delete_items(list: Option<&mut Value>, deleted: &Value) {
    if let (Some(Value::Array(items)), Value::Array(deleted)) = (list, deleted) {
        items.retain(|item| !deleted.contains(item));
    }
}

/// The value without directives and nulls, as a new field gets it; `None` if it is itself a directive: with nothing to
/// replace or delete, it does nothing.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(fields) if fields.contains_key(PATCH) => None,
        Value::Object(fields) => {
            let is_kept = |name: &str| {
                name != RETAIN_KEYS && !name.starts_with(DELETE_FROM) && !name.starts_with(SET_ORDER)
            };
            let fields = fields.into_iter().filter(|(name, field)| is_kept(name) && !field.is_null());
            let fields = fields.filter_map(|(name, field)| Some((name, without_directives(field)?)));
            Some(Value::Object(fields.collect()))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(without_directives).collect())),
        other => Some(other),
    }
}

fn bad_directive(directive: &Value) -> Error {
    Error::Unsuitable(format!("unknown patch type: {directive}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machinery::{
        testing::{self, any_object},
        types,
    };
    use proptest::prelude::*;
    use serde_json::json;

    fn check(kind: &str, target: Value, patch: Value, expected: Value) {
        let group = if kind == "Deployment" { "apps" } else { "" };
        let mut patched = target;
        apply(&mut patched, &patch, types::of_kind(group, "v1", kind)).unwrap();
        assert_eq!(patched.to_string(), expected.to_string());
    }

    fn check_error(patch: Value, expected: &str) {
        let mut target = json!({"spec": {"containers": [{"name": "a"}], "volumes": []}});
        let error = apply(&mut target, &patch, types::of_kind("", "v1", "Pod")).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    /// D-155, DT-039, DT-040: each patch applied to the real object before it gives the real object after it.
    #[test]
    fn patches_give_what_the_real_server_stores() {
        let scenarios = testing::scenarios();
        let deployment = types::of_kind("apps", "v1", "Deployment");
        for scenario in ["DT-039", "DT-040"] {
            let answers = testing::golden_steps(scenario);
            for pair in answers.windows(2) {
                let step = usize::try_from(pair[1]["step"].as_u64().unwrap()).unwrap();
                let patch = &testing::scenario_step(&scenarios, scenario, step)["b"];
                let mut object = pair[0]["body"].clone();
                apply(&mut object, patch, deployment).unwrap();
                let template = "/spec/template/spec/containers";
                let mut expected = pair[1]["body"].clone();
                if step == 4 {
                    // The new container has got defaults.
                    expected["spec"]["template"]["spec"]["containers"] =
                        json!([{"name": "only", "image": "x"}]);
                }
                assert_eq!(object.pointer(template), expected.pointer(template), "{scenario} {step}");
                assert_eq!(object["spec"]["strategy"], expected["spec"]["strategy"], "{scenario} {step}");
                assert_eq!(
                    object["metadata"].get("finalizers").filter(|list| **list != json!([])),
                    expected["metadata"].get("finalizers"),
                    "{scenario} {step}"
                );
            }
        }
    }

    /// D-155.
    #[test]
    fn lists_are_merged_as_their_type_says() {
        check(
            "Pod",
            json!({"metadata": {"finalizers": ["a"]}, "spec": {"containers": [{"name": "c", "args": ["x"]}]}}),
            json!({"metadata": {"finalizers": ["b", "a"]}, "spec": {"containers": [{"name": "c", "args": ["y"]}]}}),
            json!({"metadata": {"finalizers": ["b", "a"]}, "spec": {"containers": [{"name": "c", "args": ["y"]}]}}),
        );
        check(
            "Service",
            json!({"spec": {"ports": [{"port": 1}, {"port": 2}]}}),
            json!({"spec": {"ports": [{"port": 3}, {"port": 2, "name": "two"}]}}),
            json!({"spec": {"ports": [{"port": 3}, {"port": 1}, {"port": 2, "name": "two"}]}}),
        );
        check(
            "Pod",
            json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "m"}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "configMap": {"name": "m"}}]}}),
        );
    }

    /// D-155.
    #[test]
    fn directives_replace_delete_and_order() {
        check(
            "Pod",
            json!({"spec": {"nodeSelector": {"a": "1"}, "containers": [{"name": "a"}, {"name": "b"}]}}),
            json!({"spec": {"nodeSelector": {"$patch": "replace", "b": "2"}, "containers": [{"name": "b", "$patch": "delete"}]}}),
            json!({"spec": {"nodeSelector": {"b": "2"}, "containers": [{"name": "a"}]}}),
        );
        check(
            "Pod",
            json!({"spec": {"containers": [{"name": "a"}, {"name": "mine"}, {"name": "b"}]}}),
            json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}),
            json!({"spec": {"containers": [{"name": "mine"}, {"name": "b"}, {"name": "a"}]}}),
        );
        check(
            "Pod",
            json!({"metadata": {"finalizers": ["a", "b"]}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "labels": null}}),
            json!({"metadata": {"finalizers": ["b"]}}),
        );
        check(
            "Pod",
            json!({}),
            json!({"metadata": {"labels": {"a": null, "b": "1"}, "annotations": {"$patch": "delete"}}}),
            json!({"metadata": {"labels": {"b": "1"}}}),
        );
    }

    #[test]
    fn bad_patches_are_refused() {
        check_error(json!([]), "invalid JSON document");
        check_error(
            json!({"spec": {"$retainKeys": ["x"], "nodeName": "n"}}),
            "invalid patch format of retainKeys",
        );
        check_error(
            json!({"spec": {"$setElementOrder/containers": "x"}}),
            "invalid patch format of setElementOrder list",
        );
        check_error(
            json!({"spec": {"containers": [{"image": "i"}]}}),
            "map: {\"image\":\"i\"} does not contain declared merge key: name",
        );
        check_error(json!({"spec": {"$patch": "explode"}}), "unknown patch type: \"explode\"");
    }

    proptest! {
        /// Merging what is there already changes nothing, whatever the lists are.
        #[test]
        fn an_object_merged_with_itself_stays_the_same(
            names in prop::collection::btree_set("[a-c]", 0..3), free in any_object(),
        ) {
            let containers: Vec<_> = names.iter().map(|name| json!({"name": name, "env": [{"name": name}]})).collect();
            let mut object = json!({
                "metadata": {"finalizers": names, "annotations": free}, "spec": {"containers": containers},
            });
            drop_nulls(&mut object);
            let mut merged = object.clone();
            apply(&mut merged, &object, types::of_kind("", "v1", "Pod")).unwrap();
            prop_assert_eq!(merged, object);
        }

        #[test]
        fn patching_twice_is_patching_once(target in any_object(), patch in any_object()) {
            let (mut once, mut patch) = (target, patch);
            drop_nulls(&mut patch);
            apply(&mut once, &patch, None).unwrap();
            let mut twice = once.clone();
            apply(&mut twice, &patch, None).unwrap();
            prop_assert_eq!(once, twice);
        }
    }

    fn drop_nulls(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|_, field| !field.is_null());
                fields.values_mut().for_each(drop_nulls);
            }
            Value::Array(items) => items.iter_mut().for_each(drop_nulls),
            _ => {}
        }
    }
}
