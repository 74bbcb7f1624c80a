//! Keys, records, essences, diffs, patches and finalizers, compared with upstream Kopf.

mod golden;

use std::sync::Arc;

use golden::Case;
use jiff::{SignedDuration, Timestamp};
use kopf_core::{
    diff::{Diff, Scope},
    error::ErrorInfo,
    field::FieldPath,
    finalizer::FinalizerChange,
    handler::HandlerId,
    json, json_patch,
    key::{self, Prefix},
    moment::Moment,
    object::Object,
    patch::{Patch, Transform},
    reason::Reason,
    record::{Attempt, ProgressRecord},
    storage::{
        AnnotationsDiffBaseStorage, AnnotationsProgressStorage, DiffBaseStorage, MultiDiffBaseStorage,
        MultiProgressStorage, ProgressStorage, RawRecord, SmartProgressStorage, StatusDiffBaseStorage,
        StatusProgressStorage, named_field,
    },
};
use serde_json::{Map, Value, json};

#[test]
fn overrides_are_of_cases_and_name_their_statements() {
    golden::check_overrides();
}

/// W-KEY-010..020, FIX-22.
#[test]
fn annotation_keys_are_those_of_upstream() {
    golden::check("annotation_keys", "", |case| {
        let prefix = Prefix::new(text(&case.input["prefix"])).map_err(|error| error.to_string())?;
        let id = text(&case.input["handler_id"]);
        let v1 = case.input["v1"] == true;
        Ok(json!({
            "keys": prefix.keys(id, v1, &object(case)),
            "safe_key": key::safe_name(id),
            "hash_of_key": key::suffix(id),
            "hash_of_safe_key": key::suffix(&key::safe_name(id)),
            "v2_of_unmarked_key": prefix.v2_key(id),
            "v1_of_unmarked_key": prefix.v1_key(id),
            "warnings": upstreams_warnings(&prefix),
        }))
    });
}

/// W-REC-001..005.
#[test]
fn records_are_written_as_upstream_writes_them() {
    golden::check("progress_records", "serialize", |case| {
        let raw = record(&case.input).to_raw();
        let verbose = AnnotationsProgressStorage { verbose: true, ..Default::default() };
        let terse = SmartProgressStorage::default();
        Ok(json!({
            "record": raw,
            "record_without_nones": terse.kept(&raw),
            "annotation": json::compact_map(&terse.kept(&raw)),
            "annotation_verbose": json::compact_map(&verbose.kept(&raw)),
        }))
    });
}

/// W-REC-006..010, W-REC-014, W-REC-015, W-REC-017.
#[test]
fn records_are_read_as_upstream_reads_them() {
    let answer = |case: &Case| {
        let raw = map(&case.input["record"]);
        let now = moment(&case.input["now"]).timestamp();
        let record = ProgressRecord::parse(&raw, now).map_err(|error| error.to_string())?;
        let kept = SmartProgressStorage::default().kept(&record.to_raw());
        let mut state = Value::Object(record.to_raw());
        state["active"] = false.into();
        state["subrefs"] = record.subrefs.iter().map(HandlerId::as_str).collect();
        Ok(json!({
            "state": state,
            "finished": record.is_finished(),
            "sleeping": record.is_sleeping(now),
            "awakened": record.is_awakened(now),
            "runtime_seconds": record.runtime(now).as_secs_f64(),
            "delays_if_active": record.delay(now).map(|delay| delay.as_secs_f64()).into_iter().collect::<Vec<_>>(),
            "reserialized": json::compact_map(&kept),
            "is_restored_if_unchanged": !json::python_eq_maps(&kept, &raw),
        }))
    };
    // Upstream sorts them only when it writes.
    golden::check_by("progress_records", "parse", answer, |_, expected, ours| {
        let mut expected = expected.clone();
        if let Some(Value::Array(subrefs)) = expected.pointer_mut("/state/subrefs") {
            subrefs.sort_by_key(Value::to_string);
        }
        golden::is_same(&expected, ours)
    });
}

/// W-REC-011..013.
#[test]
fn records_change_by_outcomes_as_upstream_changes_them() {
    golden::check("progress_records", "outcome", |case| {
        let outcome = &case.input["outcome"];
        let attempt = Attempt {
            is_final: outcome["final"] == true,
            delay: outcome["delay"].as_f64().map(SignedDuration::from_secs_f64),
            error: outcome["exception"]["str"].as_str().map(str::to_owned),
            subrefs: texts(&outcome["subrefs"]).map(HandlerId::from).collect(),
        };
        let record = record(&case.input["state"]).after(attempt, moment(&case.input["now"]).timestamp());
        Ok(json!({
            "record": record.to_raw(),
            "finished": record.is_finished(),
            "annotation": json::compact_map(&SmartProgressStorage::default().kept(&record.to_raw())),
        }))
    });
}

/// W-PRG-001..008, W-TCH-001, W-KEY-021.
#[test]
fn progress_is_stored_where_upstream_stores_it() {
    golden::check("progress_storage", "", |case| {
        let storage = progress_storage(&case.input["storage"]);
        let (input, object) = (&case.input, object(case));
        let id = HandlerId::from(input["key"].as_str().unwrap_or_default());
        let mut patch = Patch { merge: map(&input["patch_before"]), ..Default::default() };
        match text(&input["op"]) {
            "fetch" => return Ok(json!({"record": storage.fetch(&id, &object).map_err(shown)?})),
            "clear" => {
                return Ok(json!({"essence": storage.clear(input["essence"].clone()).map_err(shown)?}));
            }
            "store" => storage.store(&id, &map(&input["record"]), &object, &mut patch),
            "purge" => storage.purge(&id, &object, &mut patch),
            "touch" => storage.touch(&object, &mut patch, input["value"].as_str()),
            other => panic!("no operation of a storage: {other}"),
        }
        .map_err(shown)?;
        Ok(json!({"patch": patch.merge}))
    });
}

/// W-DIF-001..011.
#[test]
fn essences_are_those_of_upstream() {
    golden::check("essences", "", |case| {
        let storage = diff_base_storage(&case.input["storage"]);
        let extra_fields: Vec<FieldPath> =
            texts(&case.input["extra_fields"]).map(FieldPath::dotted).collect();
        let essence = storage.build(&object(case), &extra_fields).map_err(shown)?;
        let cleared = SmartProgressStorage::default().clear(essence.clone()).map_err(shown)?;
        let mut patch = Patch::default();
        storage.store(&cleared, &object(case), &mut patch).map_err(shown)?;
        Ok(json!({"essence": essence, "essence_after_progress_clear": cleared, "stored_patch": patch.merge}))
    });
}

/// W-DIF-012, W-IOP-010.
#[test]
fn the_last_handled_essence_is_read_as_upstream_reads_it() {
    golden::check("diffbase_fetch", "", |case| {
        let storage = diff_base_storage(&case.input["storage"]);
        Ok(json!({"essence": storage.fetch(&object(case)).map_err(shown)?}))
    });
}

/// W-DFF-001..006.
#[test]
fn diffs_are_those_of_upstream() {
    golden::check("diffs", "diff", |case| {
        let scope = match text(&case.input["scope"]) {
            "LEFT" => Scope::Left,
            "RIGHT" => Scope::Right,
            _ => Scope::Full,
        };
        let diff = Diff::between(&case.input["old"], &case.input["new"], scope);
        Ok(items(&diff, &texts(&case.input["path"]).collect::<Vec<_>>()))
    });
}

/// W-DFF-007.
#[test]
fn diffs_are_reduced_as_upstream_reduces_them() {
    golden::check("diffs", "reduce", |case| {
        let field = FieldPath(texts(&case.input["field"]).map(str::to_owned).collect());
        let diff = Diff::between(&case.input["old"], &case.input["new"], Scope::Full);
        Ok(items(&diff.reduce(&field), &[]))
    });
}

/// W-PAT-006, A-PATCH-008, FIX-21: the effect counts.
#[test]
fn json_patches_have_the_effect_of_those_of_upstream() {
    let answer = |case: &Case| {
        let transforms = case.input["transformations"].as_array().into_iter().flatten();
        let transforms = transforms.map(|transform| Arc::new(Edit(transform.clone())) as Arc<dyn Transform>);
        let patch = Patch { merge: map(&case.input["merge_patch"]), transforms: transforms.collect() };
        let body = Some(&case.input["body"]).filter(|body| !body.is_null());
        Ok(json!({"ops": patch.to_json_patch(body).map_err(shown)?}))
    };
    golden::check_by("json_patches", "", answer, |case, expected, ours| {
        let (Some(expected), Some(ours)) = (expected["ops"].as_array(), ours["ops"].as_array()) else {
            return golden::is_same(expected, ours);
        };
        let applied = |operations: &[Value]| {
            let mut body = case.input["body"].clone();
            json_patch::apply(&mut body, operations).map(|()| body)
        };
        // Strictly: whether `1` became `true` or `1.0` is what some cases are about.
        applied(expected) == applied(ours) && expected.is_empty() == ours.is_empty()
    });
}

/// W-FIN-009.
#[test]
fn finalizers_are_added_and_removed_as_upstream_does() {
    golden::check("finalizers", "", |case| {
        let finalizer = text(&case.input["finalizer"]).to_owned();
        let change = match text(&case.input["op"]) {
            "block" => FinalizerChange::Block(finalizer),
            _ => FinalizerChange::Allow(finalizer),
        };
        let patch = Patch { merge: Map::new(), transforms: vec![Arc::new(change)] };
        let mut body = case.input["body"].clone();
        let operations = patch.to_json_patch(Some(&body)).map_err(shown)?;
        patch.apply(&mut body).map_err(shown)?;
        Ok(json!({"body": body, "json_patch": operations}))
    });
}

/// A transformation as the golden data describes it.
#[derive(Debug)]
struct Edit(Value);

impl Transform for Edit {
    fn apply(&self, body: &mut Value) -> Result<(), ErrorInfo> {
        let path: Vec<&str> = texts(&self.0["path"]).collect();
        let (last, parents) = path.split_last().unwrap();
        let parent = parents.iter().fold(body, |body, key| &mut body[*key]);
        let value = &self.0["value"];
        match text(&self.0["do"]) {
            "set" => parent[*last] = value.clone(),
            "remove" => drop(parent.as_object_mut().unwrap().shift_remove(*last)),
            "append" => parent[*last].as_array_mut().unwrap().push(value.clone()),
            _ => parent[*last].as_array_mut().unwrap().retain(|item| item != value),
        }
        Ok(())
    }
}

fn items(diff: &Diff, path: &[&str]) -> Value {
    let mut items: Vec<Value> = diff
        .0
        .iter()
        .map(|item| {
            let path: Vec<&str> =
                path.iter().copied().chain(item.path.0.iter().map(String::as_str)).collect();
            json!([item.op.as_str(), path, item.old, item.new])
        })
        .collect();
    items.sort_by_key(|item| (item[1].to_string(), item[0].to_string()));
    items.into()
}

fn progress_storage(spec: &Value) -> Arc<dyn ProgressStorage> {
    let kwargs = &spec["kwargs"];
    let annotations = || {
        let default = AnnotationsProgressStorage::default();
        AnnotationsProgressStorage {
            prefix: prefix(kwargs),
            verbose: kwargs["verbose"] == true,
            touch_key: kwargs["touch_key"].as_str().map_or(default.touch_key, str::to_owned),
            v1: kwargs["v1"] != false,
        }
    };
    let status = || {
        let name = kwargs["name"].as_str().unwrap_or("kopf");
        let field = |key: &str, default: FieldPath| {
            kwargs[key].as_str().map_or(default, |text| named_field(text, name))
        };
        let default = StatusProgressStorage::named(name);
        StatusProgressStorage {
            field: field("field", default.field),
            touch_field: field("touch_field", default.touch_field),
        }
    };
    match text(&spec["class"]) {
        "Annotations" => Arc::new(annotations()),
        "Status" => Arc::new(status()),
        "Smart" => Arc::new(SmartProgressStorage { annotations: annotations(), status: status() }),
        _ => Arc::new(MultiProgressStorage(storages(spec).map(progress_storage).collect())),
    }
}

fn diff_base_storage(spec: &Value) -> Arc<dyn DiffBaseStorage> {
    let kwargs = &spec["kwargs"];
    let ignored_fields: Vec<FieldPath> = texts(&kwargs["ignored_fields"]).map(FieldPath::dotted).collect();
    match text(&spec["class"]) {
        "Annotations" => {
            let default = AnnotationsDiffBaseStorage::default();
            let key = kwargs["key"].as_str().map_or(default.key, str::to_owned);
            let v1 = kwargs["v1"] != false;
            Arc::new(AnnotationsDiffBaseStorage { prefix: prefix(kwargs), key, ignored_fields, v1 })
        }
        "Status" => {
            let name = kwargs["name"].as_str().unwrap_or("kopf");
            let default = StatusDiffBaseStorage::named(name).field;
            let field = kwargs["field"].as_str().map_or(default, |text| named_field(text, name));
            Arc::new(StatusDiffBaseStorage { field, ignored_fields })
        }
        _ => Arc::new(MultiDiffBaseStorage(storages(spec).map(diff_base_storage).collect())),
    }
}

fn storages(spec: &Value) -> impl Iterator<Item = &Value> {
    spec["storages"].as_array().into_iter().flatten()
}

fn prefix(kwargs: &Value) -> Prefix {
    kwargs["prefix"].as_str().map_or_else(Prefix::default, |prefix| Prefix::new(prefix).unwrap())
}

fn upstreams_warnings(prefix: &Prefix) -> Vec<String> {
    let ours = key::PrefixWarning::Unmarked;
    prefix
        .warnings()
        .into_iter()
        .filter(|warning| *warning != ours)
        .map(|warning| warning.to_string())
        .collect()
}

fn record(state: &Value) -> ProgressRecord {
    let optional = |field: &str| Some(&state[field]).filter(|value| !value.is_null()).map(moment);
    ProgressRecord {
        started: moment(&state["started"]),
        stopped: optional("stopped"),
        delayed: optional("delayed"),
        purpose: state["purpose"].as_str().and_then(Reason::parse),
        retries: state["retries"].as_u64().unwrap().try_into().unwrap(),
        success: state["success"] == true,
        failure: state["failure"] == true,
        message: state["message"].as_str().map(str::to_owned),
        subrefs: texts(&state["subrefs"]).map(HandlerId::from).collect(),
    }
}

fn moment(value: &Value) -> Moment {
    Moment::parse(text(value)).unwrap()
}

fn object(case: &Case) -> Object {
    Object::new(case.input.get("body").cloned().unwrap_or_default())
}

fn map(value: &Value) -> RawRecord {
    value.as_object().cloned().unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("expected text in the golden data: {value}"))
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().map(text)
}

fn shown(error: ErrorInfo) -> String {
    error.text
}

/// W-REC-005 is about the bytes, which a comparison of moments would not see.
#[test]
fn moments_are_written_as_in_the_golden_data() {
    let text = "2030-01-01T00:00:00.000000+00:00";
    assert_eq!(Moment::utc("2030-01-01T00:00:00Z".parse::<Timestamp>().unwrap()).to_string(), text);
}
