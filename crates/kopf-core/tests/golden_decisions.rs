//! Compares single decisions with those of upstream: causes, the selection of handlers, the state of a cycle, throttling.

mod golden;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use golden::Case;
use jiff::Timestamp;
use kopf_core::{
    cause::Cause,
    detect::{Situation, detect},
    diff::{Diff, Scope},
    error::ErrorInfo,
    field::FieldPath,
    filter::{Criterion, Filters, Predicate},
    handler::{Handler, HandlerId, Needs, Options, Trigger},
    lifecycle,
    log::{Level, Log},
    machine::{Input, Machine, Output},
    object::Object,
    patch::Patch,
    plan::Plan,
    reason::{EventType, Reason},
    record::ProgressRecord,
    resource::Resource,
    select,
    settings::Settings,
    state::{Counts, State},
    storage::{AnnotationsDiffBaseStorage, AnnotationsProgressStorage, ProgressStorage},
};
use serde_json::{Map, Value, json};

const FINALIZER: &str = "kopf.zalando.org/KopfFinalizerMarker";

/// W-CAU-001: all combinations.
#[test]
fn causes_are_those_of_upstream() {
    golden::check("cause_detection", "", |Case { input, .. }| {
        let mut metadata = Map::new();
        if input["deletion_timestamp"] == true {
            metadata.insert("deletionTimestamp".into(), "2030-01-01T00:00:00Z".into());
        }
        metadata.insert(
            "finalizers".into(),
            match input["finalizers"].as_str().unwrap() {
                "none" => json!([]),
                "ours" => json!([FINALIZER]),
                "foreign" => json!(["other/x"]),
                _ => json!(["other/x", FINALIZER]),
            },
        );
        let object = Object::new(json!({"metadata": metadata, "spec": {"a": 1}}));
        let old = match input["last_handled"].as_str().unwrap() {
            "absent" => None,
            "same" => Some(json!({"spec": {"a": 1}})),
            "empty" => Some(json!({})),
            _ => Some(json!({"spec": {"a": 2}})),
        };
        let diff =
            Diff::between(old.as_ref().unwrap_or(&Value::Null), &json!({"spec": {"a": 1}}), Scope::Full);
        let detected = detect(Situation {
            event_type: event_type(&input["event_type"]),
            object: &object,
            finalizer: FINALIZER,
            is_handled: old.is_some(),
            is_changed: !diff.is_empty(),
            is_initial: input["initial"] == true,
        });
        Ok(json!({
            "reason": detected.reason.as_str(),
            "initial": detected.initial,
            "deleted": object.is_deleting(),
        }))
    });
}

/// W-HSL, A-FLT, W-FIN-003.
#[test]
fn selections_are_those_of_upstream() {
    let file: Value = serde_json::from_str(
        &std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../contract/golden/handler_selection.json"
        ))
        .unwrap(),
    )
    .unwrap();
    let handlers: Vec<_> = file["handlers"].as_array().unwrap().iter().map(declared).collect();
    golden::check("handler_selection", "", |Case { input, .. }| {
        let object = Object::new(input["body"].clone());
        let state = |value: &Value| Some(value).filter(|value| !value.is_null()).cloned();
        let (old, new) = (state(&input["old"]), state(&input["new"]));
        let diff = Diff::between(&input["old"], &input["new"], Scope::Full);
        let event_type = event_type(&input["event_type"]);
        let detected = detect(Situation {
            event_type,
            object: &object,
            finalizer: FINALIZER,
            is_handled: old.is_some(),
            is_changed: !diff.is_empty(),
            is_initial: input["initial"] == true,
        });
        let cause = Cause {
            object_id: 1,
            cycle: 1,
            resource: Arc::default(),
            event_type,
            object,
            reason: Some(detected.reason),
            initial: detected.initial,
            old: old.map(Arc::new),
            new: new.map(Arc::new),
            diff: Arc::new(diff),
            waits: None,
        };
        let selected = select::changing(&handlers, &cause).unwrap();
        Ok(json!({
            "reason": detected.reason.as_str(),
            "initial": detected.initial,
            "selected": selected.iter().map(|handler| handler.id.as_str()).collect::<Vec<_>>(),
            "prematch": select::is_concerned(&handlers, &cause).unwrap(),
            "requires_finalizer": select::requires_finalizer(&handlers, &cause).unwrap(),
        }))
    });
}

/// W-CYC-013, W-PRG-006, W-REC-015, W-REC-017.
#[test]
fn states_are_those_of_upstream() {
    golden::check_by(
        "progress_records",
        "state",
        |Case { input, .. }| {
            let now: Timestamp = input["now"].as_str().unwrap().parse().unwrap();
            let storage = AnnotationsProgressStorage::default();
            let records: BTreeMap<String, Value> = serde_json::from_value(input["records"].clone()).unwrap();
            let object = stored(&records, &storage);
            let reason = Reason::parse(input["reason"].as_str().unwrap()).unwrap();
            let handlers = |ids: &Value| -> Vec<_> {
                ids.as_array()
                    .unwrap()
                    .iter()
                    .map(|id| Arc::new(plain(id.as_str().unwrap(), Trigger::Create)))
                    .collect()
            };
            let selected = handlers(&input["selected_handlers"]);
            let mut state =
                State::read(&storage, &object, &handlers(&input["owned_handlers"]), &selected, reason, now)
                    .unwrap();

            let superseded = state.superseded();
            if !superseded.is_empty() {
                state.take_over();
            }
            let known = states(&state);
            let purged = state.drop_irrelevant();
            let mut purge_patch = Patch::default();
            purged.iter().for_each(|id| storage.purge(id, &object, &mut purge_patch).unwrap());
            let mut store_patch = Patch::default();
            for (id, record) in state.changed(&storage) {
                storage.store(id, &record, &object, &mut store_patch).unwrap();
            }
            let delays: Vec<_> = {
                let active = state.iter().filter(|progress| progress.is_active);
                active
                    .filter_map(|progress| progress.record.delay(now))
                    .map(|delay| delay.as_secs_f64())
                    .collect()
            };
            let awakened = state.awakened(&selected, now);
            Ok(json!({
                "superseded": superseded.iter().map(|(reason, all)| (reason.to_string(), counts(*all))).collect::<Map<_, _>>(),
                "purged_before_execution": !purged.is_empty(),
                "purge_patch": purge_patch.merge,
                "handlers": known,
                "awakened": awakened.iter().map(|handler| handler.id.as_str()).collect::<Vec<_>>(),
                "done": state.is_done(),
                "counts": counts(state.counts()),
                "delays": delays,
                "delay": state.delay(now).map(|delay| delay.as_secs_f64()),
                "store_patch": store_patch.merge,
            }))
        },
        |_, expected, ours| golden::is_same(&with_sorted_delays(expected), &with_sorted_delays(ours)),
    );
}

/// W-THR; FIX-3 and DEC-3 for the overrides. Upstream's events come after each pause; ours repeats the failed one itself.
#[test]
fn pauses_after_errors_are_those_of_upstream() {
    golden::check("throttling", "", |Case { input, .. }| {
        let fails: Vec<bool> = serde_json::from_value(input["events_fail"].clone()).unwrap();
        let delays: Vec<u64> = serde_json::from_value(input["delays"].clone()).unwrap();
        Ok(fail_and_repeat(&fails, &delays))
    });
}

/// Feeds one event per entry, and lets the filter of the only handler fail where told.
fn fail_and_repeat(fails: &[bool], delays: &[u64]) -> Value {
    let failing = Arc::new(Mutex::new(false));
    let mut handler = plain("c", Trigger::Create);
    handler.filters.when = Some(Arc::new(Failing(failing.clone())));
    let mut settings = Settings::default();
    settings.queueing.error_delays = delays.iter().copied().map(Duration::from_secs).collect();
    let plan = Arc::new(Plan {
        resource: Arc::new(Resource::default()),
        handlers: vec![Arc::new(handler)],
        extra_fields: Vec::new(),
        progress: Arc::new(AnnotationsProgressStorage::default()),
        diff_base: Arc::new(AnnotationsDiffBaseStorage::default()),
        lifecycle: lifecycle::asap(),
        settings: Arc::new(settings),
    });
    let mut machine = Machine::new(1);
    let mut now = Timestamp::UNIX_EPOCH;
    let mut pending: Option<Input> = None;
    let mut results = Vec::new();
    for (version, &fails) in (1..).zip(fails) {
        *failing.lock().unwrap() = fails;
        let object = Object::new(json!({"metadata": {"resourceVersion": version.to_string()}}));
        let event = Input::Event { event_type: Some(EventType::Modified), object, more_queued: false };
        let begin = now;
        let mut logs = Vec::new();
        let outputs = match machine.step(pending.take().unwrap_or(event), now, &plan) {
            Ok(outputs) => outputs,
            Err(error) => machine.fail(error, now, &plan),
        };
        for output in outputs {
            match output {
                Output::Log(log) => note(&log, &mut logs),
                Output::WakeAt(time) => {
                    now = time;
                    pending = Some(Input::Tick);
                    logs.push(json!(["INFO", "Throttling is over. Switching back to normal operations."]));
                }
                other => panic!("{other:?}"),
            }
        }
        let took = now.duration_since(begin).as_secs_f64();
        results.push(json!({"fails": fails, "ran": true, "took": took, "logs": logs}));
    }
    results.into()
}

fn note(log: &Log, logs: &mut Vec<Value>) {
    let level = match log.level {
        // The end of a pause is noted where the pause begins.
        Level::Debug | Level::Info => return,
        Level::Warning => "WARNING",
        Level::Error => "ERROR",
    };
    logs.push(json!([level, log.line.to_string()]));
}

/// A filter that fails when told, and rejects all objects.
#[derive(Debug)]
struct Failing(Arc<Mutex<bool>>);

impl Predicate for Failing {
    fn test(&self, _: Option<&Value>, _: &Cause) -> Result<bool, ErrorInfo> {
        let error = ErrorInfo { text: "boo".into(), repr: "ValueError('boo')".into(), origin: None };
        if *self.0.lock().unwrap() { Err(error) } else { Ok(false) }
    }
}

fn stored(records: &BTreeMap<String, Value>, storage: &AnnotationsProgressStorage) -> Object {
    let empty = Object::new(json!({}));
    let mut patch = Patch::default();
    for (id, record) in records {
        storage.store(&id.as_str().into(), record.as_object().unwrap(), &empty, &mut patch).unwrap();
    }
    Object::new(patch.merge.into())
}

fn states(state: &State) -> Map<String, Value> {
    let entry = |is_active: bool, record: &ProgressRecord| {
        let mut all = record.to_raw();
        all.insert("subrefs".into(), record.subrefs.iter().map(HandlerId::as_str).collect());
        all.insert("active".into(), is_active.into());
        Value::Object(all)
    };
    state
        .iter()
        .map(|progress| (progress.id.to_string(), entry(progress.is_active, &progress.record)))
        .collect()
}

fn counts(counts: Counts) -> Value {
    json!({"success": counts.succeeded, "failure": counts.failed, "running": counts.left})
}

/// The order of delays has no meaning.
fn with_sorted_delays(output: &Value) -> Value {
    let mut output = output.clone();
    if let Some(delays) = output.get_mut("delays").and_then(Value::as_array_mut) {
        delays.sort_by(|left, right| left.as_f64().partial_cmp(&right.as_f64()).unwrap());
    }
    output
}

fn event_type(value: &Value) -> Option<EventType> {
    value.as_str().and_then(EventType::parse)
}

fn plain(id: &str, trigger: Trigger) -> Handler {
    Handler {
        id: id.into(),
        trigger,
        filters: Filters::default(),
        options: Options::default(),
        function: 1,
        needs: Needs::ALL,
    }
}

/// A handler of the golden file.
fn declared(described: &Value) -> Arc<Handler> {
    let criterion = |value: &Value| match value {
        Value::Null => None,
        Value::String(token) if token == "PRESENT" => Some(Criterion::Present),
        Value::String(token) if token == "ABSENT" => Some(Criterion::Absent),
        literal => Some(Criterion::Equals(literal.clone())),
    };
    let trigger = match described["reason"].as_str() {
        Some("create") => Trigger::Create,
        Some("update") => Trigger::Update,
        Some("delete") => Trigger::Delete { optional: described["requires_finalizer"] != true },
        _ if described["initial"] == true => Trigger::Resume { deleted: described["deleted"] == true },
        _ => Trigger::Field,
    };
    let labels = described["labels"].as_object().into_iter().flatten();
    let handler = plain(described["id"].as_str().unwrap(), trigger);
    Arc::new(Handler {
        filters: Filters {
            labels: labels.map(|(key, value)| (key.clone(), Criterion::Equals(value.clone()))).collect(),
            field: serde_json::from_value::<Option<Vec<String>>>(described["field"].clone())
                .unwrap()
                .map(FieldPath),
            value: criterion(&described["value"]),
            old: criterion(&described["old"]),
            new: criterion(&described["new"]),
            ..Filters::default()
        },
        ..handler
    })
}
