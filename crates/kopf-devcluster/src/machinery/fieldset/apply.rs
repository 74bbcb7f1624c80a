//! Server-side apply (D-158 to D-160).

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    compare::Comparison,
    extent, kubectl,
    managed::{
        Entry, Operation, Writer, decode_entries, empty_object, put_managed_fields, record_update,
        take_managed_fields, without_identity,
    },
    merge, remove,
    set::Set,
    view::{Expected, Kind, View},
};
use crate::machinery::{cause::Cause, go, json::sorted};

/// Who owns the fields of an object that was never tracked, when it is first applied to.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Why a configuration was not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// Others own fields with different values: 409. The causes come in the order of the managers.
    #[error("{message}")]
    Conflict {
        /// The whole message, e.g. `Apply failed with 1 conflict: conflict with "m1": .spec.size`.
        message: String,
        /// One per field.
        causes: Vec<Cause>,
    },
    /// The configuration does not fit its type: 500 on the real server, with what failed before this text.
    #[error("{0}")]
    Unsuitable(String),
}

/// What came of an apply.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Applied {
    /// The object with its managed fields, before defaults: those belong to nobody.
    pub(crate) object: Value,
    /// Whether more than managed fields changed.
    pub(crate) is_changed: bool,
}

/// Why [`try_apply`] gave up.
#[derive(Debug)]
pub(super) enum Failure {
    /// Who owns which of the fields that would change.
    Conflicts(Vec<(Entry, Set)>),
    Unsuitable(String),
}

/// Applies a configuration to an object; without an object it becomes one.
///
/// Objects that `kubectl apply` made on the client's side change over without conflicts: see
/// [`super::kubectl`].
///
/// # Errors
///
/// Conflicts, unless `is_forced`; a configuration with undeclared fields or bad lists.
pub(crate) fn apply(
    live: Option<&Value>,
    config: &Value,
    writer: &Writer<'_>,
    is_forced: bool,
) -> Result<Applied, Error> {
    let mut result = try_apply(live, config, writer, is_forced);
    if let (true, Some(live), Err(Failure::Conflicts(conflicts))) =
        (kubectl::is_writer(writer), live, &mut result)
    {
        let allowed = kubectl::client_side_fields(live, writer);
        for (_, fields) in conflicts.iter_mut() {
            *fields = fields.difference(&allowed);
        }
        conflicts.retain(|(_, fields)| !fields.is_empty());
        if conflicts.is_empty() {
            result = try_apply(Some(live), config, writer, true);
        }
    }
    match result {
        Ok(mut applied) => {
            if kubectl::is_writer(writer) {
                applied.is_changed |= kubectl::renew_annotation(&mut applied.object, config);
            }
            Ok(applied)
        }
        Err(Failure::Unsuitable(text)) => Err(Error::Unsuitable(text)),
        Err(Failure::Conflicts(conflicts)) => Err(conflict(&conflicts)),
    }
}

fn try_apply(
    live: Option<&Value>,
    config: &Value,
    writer: &Writer<'_>,
    is_forced: bool,
) -> Result<Applied, Failure> {
    check_types(config, writer.view)?;
    let mut live_value = live.cloned().unwrap_or_else(|| empty_object(writer.view));
    let stored = take_managed_fields(&mut live_value);
    let mut entries = stored.and_then(|stored| decode_entries(&stored).ok()).unwrap_or_default();
    if entries.is_empty() {
        let before = Writer { manager: BEFORE_FIRST_APPLY, ..*writer };
        entries = record_update(&empty_object(writer.view), &live_value, entries, &before);
    }

    let merged = merge::merge(&live_value, config, writer.view).map_err(Failure::Unsuitable)?;
    let fields = extent::of(config, writer.view).without_subtrees(writer.reset);
    let mut own = writer.entry(Operation::Apply, fields, None);
    let last =
        entries.iter().position(|entry| entry.is_same_manager(&own)).map(|position| entries.remove(position));
    own.time = last.as_ref().and_then(|last| last.time.clone());
    let object = match last {
        Some(last) => prune(&merged, &last.fields, &entries, &own, writer.view),
        None => merged,
    };

    take_over(&live_value, &object, &mut entries, writer, is_forced)?;
    let is_changed = object != live_value;
    if is_changed {
        own.time = Some(writer.now.to_owned());
    }
    own.fields = without_identity(&own.fields);
    entries.push(own);
    entries.retain(|entry| !entry.fields.is_empty());
    let mut object = if is_changed { object } else { live_value };
    put_managed_fields(&mut object, &entries);
    Ok(Applied { object, is_changed })
}

/// Drops what the applier applied last time, does not apply now, and nobody else owns.
fn prune(merged: &Value, last: &Set, others: &[Entry], own: &Entry, view: View<'_>) -> Value {
    if last.is_empty() {
        return merged.clone();
    }
    let named = |set: &Set| set.with_named_fields(view);
    let extent_of = |value: &Value| named(&extent::of(value, view));
    let last = named(last);
    let all = extent_of(merged);
    let owned = others.iter().fold(own.fields.clone(), |owned, entry| owned.union(&entry.fields));

    let pruned = remove::remove(merged, &last, view);
    // What others own comes back …
    let gone = all.difference(&extent_of(&pruned).union(&named(&owned)));
    let pruned = remove::remove(merged, &gone, view);
    // … and so does what stood below a removed item without being the applier's.
    let gone = all.difference(&extent_of(&pruned)).intersection(&last);
    remove::remove(merged, &gone, view)
}

/// Takes the changed fields from their owners, if that is allowed.
fn take_over(
    live: &Value,
    object: &Value,
    entries: &mut Vec<Entry>,
    writer: &Writer<'_>,
    is_forced: bool,
) -> Result<(), Failure> {
    let comparison = Comparison::of(live, object, writer.view).without(writer.reset);
    let changed = comparison.modified.union(&comparison.added);
    let conflicts: Vec<(Entry, Set)> = entries
        .iter()
        .map(|entry| (entry.clone(), entry.fields.intersection(&changed)))
        .filter(|(_, fields)| !fields.is_empty())
        .collect();
    if !conflicts.is_empty() && !is_forced {
        return Err(Failure::Conflicts(conflicts));
    }
    for entry in entries.iter_mut() {
        entry.fields = entry.fields.difference(&changed).difference(&comparison.removed);
    }
    entries.retain(|entry| !entry.fields.is_empty());
    Ok(())
}

fn conflict(conflicts: &[(Entry, Set)]) -> Error {
    let mut sorted: Vec<_> = conflicts.iter().collect();
    sorted.sort_by_key(|(entry, _)| (&entry.manager, entry.operation, &entry.api_version));
    let mut causes = Vec::new();
    let mut lines = Vec::new();
    for (entry, fields) in sorted {
        let who = entry.describe();
        lines.push(format!("conflicts with {who}:"));
        for path in fields.paths() {
            lines.push(format!("- {path}"));
            let message = format!("conflict with {who}");
            causes.push(Cause { reason: "FieldManagerConflict", message, field: path });
        }
    }
    let message = match &causes[..] {
        [only] => format!("Apply failed with 1 conflict: {}: {}", only.message, only.field),
        _ => format!("Apply failed with {} conflicts: {}", causes.len(), lines.join("\n")),
    };
    Error::Conflict { message, causes }
}

/// Refuses what does not fit the type: apply drops nothing.
fn check_types(config: &Value, view: View<'_>) -> Result<(), Failure> {
    let mut faults = Vec::new();
    collect_faults(config, view, "", &mut faults);
    match &faults[..] {
        [] => Ok(()),
        [fault] => Err(Failure::Unsuitable(fault.clone())),
        _ => Err(Failure::Unsuitable(format!("errors:\n  {}", faults.join("\n  ")))),
    }
}

fn collect_faults(value: &Value, view: View<'_>, path: &str, faults: &mut Vec<String>) {
    if let Some(fault) = type_fault(value, view) {
        faults.push(format!("{path}: {fault}"));
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, field) in sorted(fields) {
                let path = format!("{path}.{name}");
                match view.declares(name) {
                    true => collect_faults(field, view.field(name).0, &path, faults),
                    false => faults.push(format!("{path}: field not declared in schema")),
                }
            }
        }
        Value::Array(items) if view.kind(Some(value)) == Kind::KeyedList => {
            let mut seen = BTreeSet::new();
            for (index, item) in items.iter().enumerate() {
                let step = match view.step(item) {
                    Ok(step) => step,
                    Err(fault) => {
                        faults.push(format!("{path}: element {index}: {fault}"));
                        return;
                    }
                };
                if !seen.insert(step.clone()) {
                    faults.push(format!("{path}: duplicate entries for key {step}"));
                }
                collect_faults(item, view.item(), &format!("{path}{step}"), faults);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_faults(item, view.item(), &format!("{path}[{index}]"), faults);
            }
        }
        _ => {}
    }
}

fn type_fault(value: &Value, view: View<'_>) -> Option<String> {
    match (view.expects()?, value) {
        (_, Value::Null)
        | (Expected::String, Value::String(_))
        | (Expected::Number, Value::Number(_))
        | (Expected::Boolean, Value::Bool(_))
        | (Expected::Map, Value::Object(_))
        | (Expected::Scalar, Value::String(_) | Value::Number(_) | Value::Bool(_))
        | (Expected::List, Value::Array(_)) => None,
        (Expected::String, value) => {
            Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go::syntax(value)))
        }
        (Expected::Number, value) => {
            Some(format!("expected numeric (int or float), got {}", go::type_of(value)))
        }
        (Expected::Boolean, value) => Some(format!("expected boolean, got &{{{}}}", go::printed(value))),
        (Expected::Scalar, value) => Some(format!("expected any scalar, got &{{{}}}", go::printed(value))),
        (Expected::Map, value) => Some(format!("expected map, got &{{{}}}", go::printed(value))),
        (Expected::List, value) => Some(format!("expected list, got &{{{}}}", go::printed(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machinery::{fieldset::managed, schema::Schema, types};
    use proptest::prelude::*;
    use serde_json::json;

    fn schema() -> Schema {
        Schema::parse(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "a": {"type": "string"},
            "b": {"type": "string"},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "atomic": {"type": "array", "items": {"type": "string"}},
            "list": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "string"}}},
            },
        }}}}))
    }

    struct World {
        schema: Schema,
        reset: Set,
        object: Option<Value>,
        clock: u32,
    }

    impl World {
        fn new() -> Self {
            Self { schema: schema(), reset: Set::default(), object: None, clock: 0 }
        }

        fn writer<'a>(&'a self, manager: &'a str, now: &'a str) -> Writer<'a> {
            Writer {
                manager,
                api_version: "test.dev/v1",
                subresource: "",
                now,
                view: View::Custom(&self.schema),
                reset: &self.reset,
            }
        }

        fn apply(&mut self, manager: &str, spec: Value, is_forced: bool) -> Result<bool, Error> {
            self.clock += 1;
            let now = format!("t{:03}", self.clock);
            let config = json!({"apiVersion": "test.dev/v1", "metadata": {"name": "a"}, "spec": spec});
            let applied = apply(self.object.as_ref(), &config, &self.writer(manager, &now), is_forced)?;
            self.object = Some(applied.object);
            Ok(applied.is_changed)
        }

        fn update(&mut self, manager: &str, spec: Value) {
            self.clock += 1;
            let now = format!("t{:03}", self.clock);
            let mut new = self.object.clone().unwrap_or_else(|| json!({"metadata": {"name": "a"}}));
            new["spec"] = spec;
            managed::update(self.object.as_ref(), &mut new, &self.writer(manager, &now));
            self.object = Some(new);
        }

        fn spec(&self) -> Value {
            self.object.as_ref().unwrap()["spec"].clone()
        }

        fn owned(&self, manager: &str) -> Vec<String> {
            let entries = &self.object.as_ref().unwrap()["metadata"]["managedFields"];
            let entries = decode_entries(entries).unwrap();
            entries
                .iter()
                .find(|entry| entry.manager == manager)
                .map(|entry| entry.fields.paths())
                .unwrap_or_default()
        }
    }

    /// D-158: texts of a real server.
    #[test]
    fn what_does_not_fit_its_type_is_refused_in_the_words_of_the_real_server() {
        let check = |spec: Value, expected: &str| {
            let error = World::new().apply("m", spec, false).unwrap_err();
            assert_eq!(error, Error::Unsuitable(expected.to_owned()));
        };
        check(json!({"a": 1}), ".spec.a: expected string, got &value.valueUnstructured{Value:1}");
        check(
            json!({"a": ["x"]}),
            r#".spec.a: expected string, got &value.valueUnstructured{Value:[]interface {}{"x"}}"#,
        );
        check(json!("x"), ".spec: expected map, got &{x}");
        check(json!({"set": {"k": 1}}), ".spec.set: expected list, got &{map[k:1]}");
        check(
            json!({"atomic": ["a", 1]}),
            ".spec.atomic[1]: expected string, got &value.valueUnstructured{Value:1}",
        );
        check(json!({"set": ["a", "a"]}), ".spec.set: duplicate entries for key [=\"a\"]");
        check(
            json!({"set": [null], "x": 1}),
            "errors:\n  .spec.set: element 0: associative list without keys has an element that's an explicit \
             null\n  .spec.x: field not declared in schema",
        );
        check(
            json!({"list": [1]}),
            ".spec.list: element 0: associative list with keys may not have non-map elements",
        );
    }

    /// D-159.
    #[test]
    fn a_field_that_is_no_longer_applied_goes_if_nobody_else_owns_it() {
        let mut world = World::new();
        world
            .apply("m1", json!({"a": "1", "b": "2", "map": {"x": "1", "y": "2"}, "set": ["p", "q"]}), false)
            .unwrap();
        world.apply("m2", json!({"b": "2", "map": {"y": "2"}, "set": ["q"]}), false).unwrap();
        world.apply("m1", json!({}), false).unwrap();
        assert_eq!(world.spec(), json!({"b": "2", "map": {"y": "2"}, "set": ["q"]}));
        assert_eq!(world.owned("m1"), [".spec"]);
    }

    /// D-159.
    #[test]
    fn items_of_lists_are_owned_one_by_one() {
        let mut world = World::new();
        world.apply("m1", json!({"list": [{"k": "x", "v": "1"}], "atomic": ["a"]}), false).unwrap();
        world.apply("m2", json!({"list": [{"k": "y", "v": "2"}]}), false).unwrap();
        assert_eq!(world.spec()["list"], json!([{"k": "x", "v": "1"}, {"k": "y", "v": "2"}]));
        let error =
            world.apply("m2", json!({"atomic": ["b"], "list": [{"k": "x", "v": "3"}]}), false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Apply failed with 2 conflicts: conflicts with \"m1\":\n- .spec.atomic\n- .spec.list[k=\"x\"].v"
        );
        world.apply("m1", json!({"atomic": ["a"]}), false).unwrap();
        assert_eq!(world.spec()["list"], json!([{"k": "y", "v": "2"}]));
    }

    /// D-159: defaults and the like belong to nobody, so an applier cannot lose them.
    #[test]
    fn a_field_that_nobody_owns_stays() {
        let mut world = World::new();
        world.apply("m", json!({"a": "1", "b": "2"}), false).unwrap();
        world.object.as_mut().unwrap()["spec"]["map"] = json!({"x": "default"});
        world.apply("m", json!({"a": "1"}), false).unwrap();
        assert_eq!(world.spec(), json!({"a": "1", "map": {"x": "default"}}));
    }

    /// D-159: conflicts only when the value differs; sharing otherwise; force takes over.
    #[test]
    fn force_takes_ownership() {
        let mut world = World::new();
        world.apply("m1", json!({"a": "1"}), false).unwrap();
        world.apply("m2", json!({"a": "1"}), false).unwrap();
        assert!(world.apply("m2", json!({"a": "2"}), false).is_err());
        world.apply("m2", json!({"a": "2"}), true).unwrap();
        assert_eq!((world.spec(), world.owned("m1")), (json!({"a": "2"}), Vec::new()));
    }

    /// D-157: an update takes what it changes, without asking.
    #[test]
    fn an_update_takes_fields_from_appliers() {
        let mut world = World::new();
        world.apply("m1", json!({"a": "1", "b": "2"}), false).unwrap();
        world.update("u", json!({"a": "9", "b": "2"}));
        assert_eq!(
            (world.owned("m1"), world.owned("u")),
            (vec![".spec.b".to_owned()], vec![".spec.a".to_owned()])
        );
        let error = world.apply("m1", json!({"a": "1", "b": "2"}), false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Apply failed with 1 conflict: conflict with \"u\" using test.dev/v1: .spec.a"
        );
    }

    /// D-157: fields of an untracked object are somebody's.
    #[test]
    fn what_was_there_before_the_first_apply_is_owned() {
        let mut world = World::new();
        world.object = Some(json!({"metadata": {"name": "a", "uid": "u"}, "spec": {"a": "1"}}));
        let error = world.apply("m", json!({"a": "2"}), false).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Apply failed with 1 conflict: conflict with \"before-first-apply\" using test.dev/v1: .spec.a"
        );
        world.apply("m", json!({"b": "2"}), false).unwrap();
        assert_eq!(world.owned("before-first-apply"), [".spec", ".spec.a"]);
    }

    #[test]
    fn undeclared_fields_are_refused() {
        let mut world = World::new();
        let error = world.apply("m", json!({"nope": 1}), false).unwrap_err();
        assert_eq!(error, Error::Unsuitable(".spec.nope: field not declared in schema".to_owned()));
        let pod = View::BuiltIn(types::of_kind("", "v1", "Pod").unwrap());
        let reset = Set::default();
        let writer = Writer { view: pod, ..world.writer("m", "t") };
        let writer = Writer { reset: &reset, ..writer };
        let config = json!({"spec": {"containers": [{"name": "c", "x": 1}], "y": 1}});
        assert_eq!(
            apply(None, &config, &writer, false).unwrap_err().to_string(),
            "errors:\n  .spec.containers[name=\"c\"].x: field not declared in schema\n  .spec.y: field not declared in schema"
        );
    }

    fn any_spec() -> impl Strategy<Value = Value> {
        let maybe = || prop::option::of("[x-z]");
        // Not empty: an empty list belongs to nobody, on the real server too, so that it stays.
        let texts = || prop::option::of(prop::collection::btree_set("[p-r]", 1..3));
        let map = || prop::option::of(prop::collection::btree_map("[p-r]", "[x-z]", 1..3));
        (maybe(), maybe(), map(), texts(), texts(), map()).prop_map(|(a, b, map, set, atomic, list)| {
            let list =
                list.map(|list| list.into_iter().map(|(k, v)| json!({"k": k, "v": v})).collect::<Vec<_>>());
            let mut spec = json!({"a": a, "b": b, "map": map, "set": set, "atomic": atomic, "list": list});
            spec.as_object_mut().unwrap().retain(|_, field| !field.is_null());
            spec
        })
    }

    proptest! {
        /// Applying the same again changes nothing, not even a time. It may take one apply to settle: what
        /// has lost all its fields is null at first.
        #[test]
        fn apply_is_idempotent(first in any_spec(), other in any_spec(), again in any_spec()) {
            let mut world = World::new();
            world.apply("m1", first, true).unwrap();
            world.apply("m2", other, true).unwrap();
            world.apply("m1", again.clone(), true).unwrap();
            world.apply("m1", again.clone(), true).unwrap();
            let once = world.object.clone();
            prop_assert!(!world.apply("m1", again, true).unwrap());
            prop_assert_eq!(&world.object, &once);
        }

        /// What is applied is there, whatever was there before.
        #[test]
        fn what_is_forced_is_there(before in any_spec(), spec in any_spec()) {
            let mut world = World::new();
            world.update("u", before);
            world.apply("m", spec.clone(), true).unwrap();
            for field in ["a", "b", "atomic"] {
                if let Some(value) = spec.get(field) {
                    prop_assert_eq!(&world.spec()[field], value);
                }
            }
        }

        /// An applier alone gets exactly what it applies: leftovers of its earlier configurations go.
        #[test]
        fn an_applier_alone_replaces_its_configuration(before in any_spec(), spec in any_spec()) {
            let mut world = World::new();
            world.apply("m", before, false).unwrap();
            world.apply("m", spec.clone(), false).unwrap();
            let mut expected = World::new();
            expected.apply("m", spec, false).unwrap();
            // What has lost all its fields is null, which the schema then drops.
            let spec = if world.spec().is_null() { json!({}) } else { world.spec() };
            prop_assert_eq!(sorted_lists(spec), sorted_lists(expected.spec()));
        }
    }

    /// Applied lists may keep an order that they had.
    fn sorted_lists(value: Value) -> Value {
        match value {
            Value::Array(mut items) => {
                items.sort_by_key(Value::to_string);
                Value::Array(items)
            }
            Value::Object(fields) => {
                fields.into_iter().map(|(name, field)| (name, sorted_lists(field))).collect()
            }
            other => other,
        }
    }
}
