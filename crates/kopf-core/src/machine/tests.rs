//! Single ways through the machine, step by step. Whole courses are in `tests/golden_cycles.rs`, laws in `tests/simulation.rs`.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{completion::digest, *};
use crate::{
    field::FieldPath,
    filter::{Filters, Predicate},
    handler::{Needs, Options, Trigger},
    lifecycle,
    resource::Resource,
    settings::Settings,
    storage::{
        AnnotationsDiffBaseStorage, MultiProgressStorage, SmartProgressStorage, StatusProgressStorage,
    },
    subcycle::Subcycle,
};

const HANDLED: &str = "{\"spec\":{\"f\":1}}\n";

/// A machine with its plan and its clock.
struct Bench {
    plan: Arc<Plan>,
    machine: Machine,
    now: Timestamp,
}

impl Bench {
    fn new(handlers: &[(&str, Trigger)]) -> Self {
        Self::with(handlers.iter().map(|(id, trigger)| handler(id, *trigger)).collect(), |_| {})
    }

    fn with(handlers: Vec<Handler>, change: impl Fn(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        let plan = Plan {
            resource: Arc::new(Resource::default()),
            handlers: handlers.into_iter().map(Arc::new).collect(),
            extra_fields: Vec::new(),
            progress: Arc::new(SmartProgressStorage::default()),
            diff_base: Arc::new(AnnotationsDiffBaseStorage::default()),
            lifecycle: lifecycle::asap(),
            settings: Arc::new(settings),
        };
        Self { plan: Arc::new(plan), machine: Machine::new(1), now: Timestamp::UNIX_EPOCH }
    }

    fn step(&mut self, input: Input) -> Outputs {
        match self.machine.step(input, self.now, &self.plan) {
            Ok(outputs) => Outputs(outputs),
            Err(error) => Outputs(self.machine.fail(error, self.now, &self.plan)),
        }
    }

    fn event(&mut self, object: &Object) -> Outputs {
        self.step(Input::Event {
            event_type: Some(EventType::Modified),
            object: object.clone(),
            more_queued: false,
        })
    }

    fn finish(&mut self, outputs: &Outputs, outcome: Outcome) -> Outputs {
        self.finish_with(outputs, outcome, json!({}))
    }

    /// Finishes a call that has put this into the patch.
    fn finish_with(&mut self, outputs: &Outputs, outcome: Outcome, merge: Value) -> Outputs {
        let Value::Object(merge) = merge else { panic!("no mapping") };
        let patch = Patch { merge, transforms: Vec::new() };
        self.step(Input::Finished { call: outputs.call().id, outcome, patch, subrefs: Vec::new() })
    }

    fn answer(&mut self, outputs: &Outputs, answer: Answer) -> Outputs {
        self.step(Input::Answered { request: outputs.request().id, answer })
    }

    fn after(&mut self, seconds: u64, input: Input) -> Outputs {
        self.now += Duration::from_secs(seconds);
        self.step(input)
    }
}

#[derive(Debug)]
struct Outputs(Vec<Output>);

impl Outputs {
    fn lines(&self) -> Vec<String> {
        let line = |output: &Output| match output {
            Output::Log(log) => Some(log.line.to_string()),
            _ => None,
        };
        self.0.iter().filter_map(line).collect()
    }

    fn posts(&self) -> Vec<&str> {
        let posts = self.0.iter().filter_map(|output| match output {
            Output::Post(post) => Some(post.message.as_str()),
            _ => None,
        });
        posts.collect()
    }

    fn call(&self) -> &Call {
        self.calls().next().unwrap_or_else(|| panic!("no call in {self:?}"))
    }

    fn calls(&self) -> impl Iterator<Item = &Call> {
        self.0.iter().filter_map(|output| match output {
            Output::Call(call) => Some(call),
            _ => None,
        })
    }

    fn request(&self) -> &Request {
        let request = self.0.iter().find_map(|output| match output {
            Output::Request(request) => Some(request),
            _ => None,
        });
        request.unwrap_or_else(|| panic!("no request in {self:?}"))
    }

    fn body(&self) -> Value {
        match &self.request().body {
            PatchBody::Merge(body) => body.clone(),
            PatchBody::Json(operations) => operations.clone().into(),
        }
    }

    fn is_quiet(&self) -> bool {
        !self.0.iter().any(|output| matches!(output, Output::Call(_) | Output::Request(_)))
    }
}

fn handler(id: &str, trigger: Trigger) -> Handler {
    Handler {
        id: id.into(),
        trigger,
        filters: Filters::default(),
        options: Options::default(),
        function: 1,
        needs: Needs::ALL,
    }
}

/// An object that was never handled, with changes.
fn object(version: &str, rest: &Value) -> Object {
    let mut body = json!({"metadata": {"name": "ex1", "resourceVersion": version}, "spec": {"f": 1}});
    crate::patch::merge(&mut body, rest);
    Object::new(body)
}

/// The same, handled.
fn handled(version: &str, rest: &Value) -> Object {
    let mut base =
        json!({"metadata": {"annotations": {"kopf.zalando.org/last-handled-configuration": HANDLED}}});
    crate::patch::merge(&mut base, rest);
    object(version, &base)
}

fn marked() -> Value {
    json!({"metadata": {"annotations": {"kopf.zalando.org/last-handled-configuration": HANDLED}}})
}

fn unknown() -> Answer {
    Answer::Unknown(ErrorInfo::new("connection lost"))
}

fn rejected(status: u16) -> Answer {
    Answer::Rejected { status, error: ErrorInfo::new("spec.x: must be a number") }
}

/// W-CYC, W-PAT-001, W-CON-003: an object is created, handled, written, and seen again.
#[test]
fn a_new_object_is_handled_and_written_once() {
    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let outputs = bench.event(&object("101", &json!({})));
    assert_eq!(outputs.call().cause.reason, Some(crate::reason::Reason::Create));
    assert!(!bench.machine.accepts_events());

    let outputs = bench.finish(&outputs, Outcome::Succeeded(Some(json!("done"))));
    let mut body = marked();
    body["status"] = json!({"c": "done"});
    assert_eq!(outputs.body(), body);
    assert_eq!(
        outputs.lines()[..2],
        ["Handler 'c' succeeded.".to_owned(), "Creation is processed: 1 succeeded; 0 failed.".to_owned()]
    );

    let written = object("102", &body);
    assert!(bench.answer(&outputs, Answer::Object(written.clone())).0.is_empty());
    assert!(bench.machine.accepts_events());
    let outputs = bench.event(&written);
    assert_eq!(
        outputs.lines(),
        [
            "Something has changed, but we are not interested (the essence is the same).",
            "Handling cycle is finished, waiting for new changes."
        ]
    );
}

/// W-CON-002: an event from before the own write does not make the handler run again.
#[test]
fn an_older_event_waits_for_the_own_write() {
    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let outputs = bench.event(&object("101", &json!({})));
    let outputs = bench.finish(&outputs, Outcome::Succeeded(None));
    bench.answer(&outputs, Answer::Object(object("103", &marked())));

    let outputs = bench.event(&object("102", &json!({})));
    let deadline = bench.now + Duration::from_secs(5);
    assert!(matches!(outputs.0.as_slice(), [Output::WakeAt(time)] if *time == deadline), "{outputs:?}");
}

/// DEC-13, DEC-14: the event of the own write was replaced in the queue by a newer one.
#[test]
fn an_own_write_counts_as_seen_though_its_event_was_replaced() {
    let mut bench = Bench::new(&[("u", Trigger::Update)]);
    bench.machine.observe("101");
    let outputs = bench.event(&handled("101", &json!({"spec": {"f": 2}})));
    let outputs = bench.finish(&outputs, Outcome::Succeeded(None));
    let mut written = outputs.body();
    written["spec"] = json!({"f": 2});
    bench.answer(&outputs, Answer::Object(object("102", &written)));
    bench.machine.observe("102");
    bench.machine.observe("103");

    written["spec"] = json!({"f": 3});
    assert_eq!(bench.event(&object("103", &written)).call().retry, 0);
}

/// DEC-14: after the wait is over, a version that does not show the own write is older than it, and is not handled.
#[test]
fn a_late_event_does_not_repeat_a_finished_handler() {
    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let first = object("101", &json!({}));
    let outputs = bench.event(&first);
    let outputs = bench.finish(&outputs, Outcome::Succeeded(None));
    bench.answer(&outputs, Answer::Object(object("103", &marked())));
    bench.now += Duration::from_secs(60);

    let outputs = bench.event(&object("102", &json!({"status": {"x": 1}})));
    assert_eq!(outputs.body(), marked(), "it is written once more, and nothing is called");
    let outputs = bench.answer(&outputs, Answer::Object(object("104", &marked())));
    assert!(outputs.is_quiet());
}

/// DEC-7: a lost answer, then nothing: the same is sent again, after a pause.
#[test]
fn a_write_without_an_answer_is_repeated() {
    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let outputs = bench.event(&object("101", &json!({})));
    let outputs = bench.finish_with(&outputs, Outcome::Succeeded(None), json!({"spec": {"x": 1}}));
    let body = outputs.body();
    let outputs = bench.answer(&outputs, unknown());
    assert_eq!(outputs.lines(), ["Throttling for 1 seconds due to an unexpected error: connection lost"]);
    assert!(bench.machine.accepts_events());

    let outputs = bench.after(1, Input::Tick);
    assert_eq!(outputs.body(), body);
    assert_eq!(outputs.lines()[0], "Throttling is over. Switching back to normal operations.");
}

/// DEC-7: a lost answer, but the stream shows that the write was applied.
#[test]
fn a_write_that_is_seen_is_not_repeated() {
    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let outputs = bench.event(&object("101", &json!({})));
    let outputs = bench.finish(&outputs, Outcome::Succeeded(None));
    bench.answer(&outputs, unknown());
    assert!(bench.event(&object("102", &marked())).is_quiet());

    let outputs = bench.after(1, Input::Tick);
    assert!(outputs.is_quiet(), "{outputs:?}");
    assert!(outputs.lines().contains(&"Handling cycle is finished, waiting for new changes.".to_owned()));
}

/// DEC-7: another writer comes between: the handler stays finished, what it wanted to change is lost, and that is told.
#[test]
fn a_foreign_change_drops_what_handlers_wanted_but_not_that_they_are_done() {
    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let outputs = bench.event(&object("101", &json!({})));
    let outputs = bench.finish_with(
        &outputs,
        Outcome::Succeeded(Some(json!("done"))),
        json!({"spec": {"x": {"y": 1}}}),
    );
    bench.answer(&outputs, Answer::Conflict(ErrorInfo::new("conflict")));

    let foreign = object("102", &json!({"spec": {"f": 2}}));
    let outputs = bench.event(&foreign);
    let lost = "The changes of spec.x.y are lost: they could not be written before the object was changed by others.";
    assert_eq!(outputs.lines(), [lost]);
    assert_eq!(outputs.posts(), [lost]);
    let outputs = bench.after(1, Input::Tick);
    let mut body = marked();
    body["status"] = json!({"c": "done"});
    assert_eq!(outputs.body(), body, "the essence that was handled, and the result");
    let outputs = bench.answer(&outputs, Answer::Object(object("103", &body)));
    assert!(outputs.is_quiet());
}

/// DEC-7: the server does not accept what a handler wants: the engine's part is sent alone.
#[test]
fn what_the_server_refuses_is_dropped_and_told() {
    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let outputs = bench.event(&object("101", &json!({})));
    let outputs = bench.finish_with(&outputs, Outcome::Succeeded(None), json!({"spec": {"x": "text"}}));
    let outputs = bench.answer(&outputs, rejected(422));
    let lost = "The changes of spec.x are lost: the server refuses them: spec.x: must be a number";
    assert_eq!(outputs.lines()[0], lost);
    assert_eq!(outputs.posts(), [lost]);
    assert_eq!(outputs.body(), marked());
}

/// Missing permissions are no fault of the patch: nothing is dropped.
#[test]
fn what_the_server_forbids_is_tried_again() {
    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let outputs = bench.event(&object("101", &json!({})));
    let outputs = bench.finish_with(&outputs, Outcome::Succeeded(None), json!({"spec": {"x": "text"}}));
    let body = outputs.body();
    bench.answer(&outputs, rejected(403));
    assert_eq!(bench.after(1, Input::Tick).body(), body);
}

/// W-PAT-020, W-PAT-021: pruned fields are told, fulfilled removals are not.
#[test]
fn what_the_server_has_not_kept_is_told() {
    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let outputs = bench.event(&object("101", &json!({})));
    let merge = json!({"spec": {"x": 1, "gone": null}, "metadata": {"labels": {"gone": null}}});
    let outputs = bench.finish_with(&outputs, Outcome::Succeeded(None), merge);
    let outputs = bench.answer(&outputs, Answer::Object(object("102", &marked())));
    assert_eq!(
        outputs.lines(),
        ["Merge-patching finished with inconsistencies: (('remove', ('spec', 'x'), 1, None),)"]
    );
}

/// DEC-2: what has changed since the first handler finished arrives as an update, also if it was taken back.
#[test]
fn a_finished_handler_hears_of_the_way_back() {
    let mut bench = Bench::new(&[("a", Trigger::Update), ("b", Trigger::Update)]);
    let changed = handled("101", &json!({"spec": {"f": 2}}));
    let outputs = bench.event(&changed);
    let outputs = bench.finish(&outputs, Outcome::Succeeded(None));
    let written = outputs.body();
    assert_eq!(
        written["metadata"]["annotations"]["kopf.zalando.org/cycle-configuration"],
        format!(
            "{{\"started\":\"1970-01-01T00:00:00.000000+00:00\",\"beside\":\"{}\",\"seen\":[{{\"spec\":{{\"f\":2}}}}]}}\n",
            digest(&json!({"spec": {"f": 1}}))
        )
    );
    let mut body = changed.body().clone();
    crate::patch::merge(&mut body, &written);
    bench.answer(&outputs, Answer::Object(with_version(&body, "102")));
    body["spec"]["f"] = 1.into();

    bench.machine.observe("102");
    bench.machine.observe("103");
    let outputs = bench.event(&with_version(&body, "103"));
    let expected = json!({"metadata": {"annotations": {
        "kopf.zalando.org/a": null,
        "kopf.zalando.org/b": null,
        "kopf.zalando.org/cycle-configuration": before(&json!({"spec": {"f": 2}}), &json!({"spec": {"f": 1}})),
        "kopf.zalando.org/last-handled-configuration": "{\"spec\":{\"f\":2}}\n",
    }}});
    assert_eq!(outputs.body(), expected);
}

/// DEC-2 (c): a handler of a field that has finished with another essence than the last handled one hears of the way to the
/// present one, also if the last handled one does not differ from that in the field; the others do not run again.
#[test]
fn a_finished_handler_hears_of_the_way_back_of_its_field_in_a_later_update() {
    let mut colored = Handler { function: 2, ..handler("colored", Trigger::Field) };
    colored.filters.field = Some(FieldPath::dotted("spec.color"));
    let mut bench = Bench::with(vec![handler("a", Trigger::Update), colored], |_| {});
    let value = |color: &str, f: u8| json!({"spec": {"f": f, "color": color}});
    let essence = |color: &str, f: u8| crate::json::compact(&value(color, f)) + "\n";
    let mut body = object(
        "101",
        &json!({
            "metadata": {"annotations": {
                "kopf.zalando.org/last-handled-configuration": essence("red", 1),
                "kopf.zalando.org/cycle-configuration": before(&value("red", 1), &value("green", 1)),
            }},
            "spec": {"color": "red", "f": 2},
        }),
    )
    .body()
    .clone();

    let outputs = bench.event(&with_version(&body, "101"));
    assert_eq!(outputs.calls().map(|call| call.handler.id.as_str()).collect::<Vec<_>>(), ["a"]);
    let outputs = bench.finish(&outputs, Outcome::Succeeded(None));
    let written = outputs.body();
    let annotations = &written["metadata"]["annotations"];
    assert_eq!(annotations["kopf.zalando.org/last-handled-configuration"], essence("green", 1));
    let kept: Value =
        serde_json::from_str(annotations["kopf.zalando.org/cycle-configuration"].as_str().unwrap()).unwrap();
    assert_eq!(kept["beside"], digest(&value("green", 1)));
    assert_eq!(kept["seen"], json!([value("red", 2)]));
    crate::patch::merge(&mut body, &written);
    bench.answer(&outputs, Answer::Object(with_version(&body, "102")));

    let outputs = bench.event(&with_version(&body, "102"));
    assert_eq!(outputs.calls().map(|call| call.handler.id.as_str()).collect::<Vec<_>>(), ["colored"]);
    let outputs = bench.finish(&outputs, Outcome::Succeeded(None));
    let expected = json!({"metadata": {"annotations": {
        "kopf.zalando.org/a": null,
        "kopf.zalando.org/cycle-configuration": null,
        "kopf.zalando.org/last-handled-configuration": essence("red", 2),
    }}});
    assert_eq!(outputs.body(), expected);
}

/// DEC-2 (e), W-DIF-013: what a handler changes in the middle of a cycle is no news to the others, and makes no update; what
/// somebody else changes is.
#[test]
fn changes_by_handlers_in_the_middle_of_a_cycle_make_no_update() {
    for is_changed_by_others in [false, true] {
        let mut bench = Bench::new(&[("a", Trigger::Create), ("b", Trigger::Create), ("c", Trigger::Create)]);
        let mut body = object("101", &json!({"spec": {"f": 1}})).body().clone();
        let mut outputs = bench.event(&with_version(&body, "101"));
        for (version, patch) in [("102", json!({"spec": {"x": 1}})), ("103", json!({"spec": {"y": 2}}))] {
            outputs = bench.finish_with(&outputs, Outcome::Succeeded(None), patch);
            body = accept(&mut bench, &outputs, &Object::new(body), version).body().clone();
            if is_changed_by_others {
                body["spec"]["f"] = 5.into();
            }
            let newest = format!("{version}a");
            bench.machine.observe(version);
            bench.machine.observe(&newest);
            outputs = bench.event(&with_version(&body, &newest));
        }
        outputs = bench.finish(&outputs, Outcome::Succeeded(None));
        let handled =
            &outputs.body()["metadata"]["annotations"]["kopf.zalando.org/last-handled-configuration"];
        let expected =
            if is_changed_by_others { json!({"f": 1, "x": 1, "y": 2}) } else { body["spec"].clone() };
        assert_eq!(serde_json::from_str::<Value>(handled.as_str().unwrap()).unwrap()["spec"], expected);
    }
}

/// DEC-2, W-IOP-014: upstream ends a cycle, and leaves what ours has kept of it. It does not count for another cycle.
#[test]
fn what_is_left_of_a_cycle_that_upstream_has_ended_does_not_count() {
    let left = |beside: &Value| {
        let seen = [json!({"spec": {"f": 0}})];
        let kept =
            json!({"started": "2029-01-01T00:00:00.000000+00:00", "beside": digest(beside), "seen": seen});
        json!({"metadata": {"annotations": {"kopf.zalando.org/cycle-configuration": kept.to_string()}}})
    };
    let with_left = left(&json!({"spec": {"f": 1}}));
    let handlers = [("a", Trigger::Update), ("b", Trigger::Update)];

    let outputs = Bench::new(&handlers).event(&handled("101", &with_left));
    let purge = json!({"metadata": {"annotations": {"kopf.zalando.org/cycle-configuration": null}}});
    assert_eq!(outputs.body(), purge, "no way back, and so no update");

    let mut changed = with_left;
    changed["spec"]["f"] = 2.into();
    changed["metadata"]["annotations"]["kopf.zalando.org/a"] = json!({
        "started": "2029-05-05T00:00:00.000000+00:00", "purpose": "update", "retries": 1, "success": true, "failure": false,
    })
    .to_string()
    .into();
    let mut bench = Bench::new(&handlers);
    let outputs = bench.event(&handled("101", &changed));
    assert_eq!(outputs.call().handler.id.as_str(), "b");
    let outputs = bench.finish(&outputs, Outcome::Succeeded(None));
    assert_eq!(
        outputs.body()["metadata"]["annotations"]["kopf.zalando.org/last-handled-configuration"],
        "{\"spec\":{\"f\":2}}\n"
    );
}

/// What is kept of cycles before, beside a last handled essence.
fn before(handled: &Value, seen: &Value) -> String {
    crate::json::compact(&json!({"beside": digest(handled), "before": [seen]})) + "\n"
}

fn with_version(body: &Value, version: &str) -> Object {
    let mut body = body.clone();
    body["metadata"]["resourceVersion"] = version.into();
    Object::new(body)
}

/// DEC-12: one Event per finished cycle, one per failed attempt, none for what is ignored.
#[test]
fn progress_is_posted() {
    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let outputs = bench.event(&object("101", &json!({})));
    let failed = Outcome::Temporary { error: ErrorInfo::new("wait"), delay: None };
    assert_eq!(bench.finish(&outputs, failed).posts(), ["Handler 'c' failed temporarily: wait"]);

    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let outputs = bench.event(&object("101", &json!({})));
    let outputs = bench.finish(&outputs, Outcome::Succeeded(None));
    assert_eq!(outputs.posts(), ["Creation is processed: 1 succeeded; 0 failed."]);

    let mut bench =
        Bench::with(vec![handler("c", Trigger::Create)], |settings| settings.posting.enabled = false);
    let outputs = bench.event(&object("101", &json!({})));
    assert_eq!(bench.finish(&outputs, Outcome::Succeeded(None)).posts(), [""; 0]);
}

/// W-CYC-007: event handlers run at once; FIX-3: a failing filter does not make them run again.
#[test]
fn event_handlers_run_once_per_event() {
    let mut failing = handler("c", Trigger::Create);
    failing.filters.when = Some(Arc::new(Failing));
    let handlers = vec![
        handler("e1", Trigger::Event),
        Handler { function: 2, ..handler("e2", Trigger::Event) },
        failing,
    ];
    let mut bench = Bench::with(handlers, |_| {});
    let outputs = bench.event(&object("101", &json!({})));
    let calls: Vec<_> = outputs.calls().map(|call| call.id).collect();
    assert_eq!(calls.len(), 2);

    let finished = |call| Input::Finished {
        call,
        outcome: Outcome::Succeeded(None),
        patch: Patch::default(),
        subrefs: Vec::new(),
    };
    assert!(bench.step(finished(calls[1])).is_quiet());
    let outputs = bench.step(finished(calls[0]));
    assert_eq!(
        outputs.lines(),
        ["Handler 'e1' succeeded.", "Throttling for 1 seconds due to an unexpected error: boo"]
    );
    assert!(bench.after(1, Input::Tick).is_quiet());
}

#[derive(Debug)]
struct Failing;

impl Predicate for Failing {
    fn test(&self, _: Option<&Value>, _: &Cause) -> Result<bool, ErrorInfo> {
        Err(ErrorInfo::new("boo"))
    }
}

/// W-THR-004: an event during a pause takes the place of the failed one, and waits for the end of the pause.
#[test]
fn only_the_latest_event_is_processed_after_a_pause() {
    let mut failing = handler("c", Trigger::Create);
    failing.filters.when = Some(Arc::new(Failing));
    let mut bench = Bench::with(vec![failing], |_| {});
    bench.event(&object("101", &json!({})));
    assert!(bench.event(&object("102", &json!({}))).0.is_empty());
    bench.plan = Bench::new(&[("c", Trigger::Create)]).plan;
    let outputs = bench.after(1, Input::Tick);
    assert_eq!(outputs.call().cause.object.resource_version(), Some("102"));
}

/// DEC-4: what runs may finish and is written; nothing new begins.
#[test]
fn a_stop_lets_handlers_finish_and_begins_none() {
    let mut bench = Bench::with(
        vec![handler("a", Trigger::Create), Handler { function: 2, ..handler("b", Trigger::Create) }],
        |_| {},
    );
    let mut plan = Plan::clone(&bench.plan);
    plan.lifecycle = Arc::new(lifecycle::Builtin::AllAtOnce);
    bench.plan = Arc::new(plan);
    let running = bench.event(&object("101", &json!({})));
    assert!(bench.step(Input::Stop).is_quiet());
    let outputs = bench.finish(&running, Outcome::Succeeded(None));
    assert_eq!(outputs.calls().count(), 0);
    let record = &outputs.body()["metadata"]["annotations"]["kopf.zalando.org/a"];
    assert!(record.as_str().unwrap().contains("\"success\":true"), "{record}");
    assert!(bench.answer(&outputs, Answer::Object(object("102", &json!({})))).is_quiet());
    assert!(bench.event(&object("103", &json!({}))).0.is_empty());
}

/// Runs the only child of a call's handler, and ends the call with it.
fn run_child(bench: &mut Bench, call: &Call, child: Handler, outcome: Outcome) -> Outputs {
    let (plan, now) = (bench.plan.clone(), bench.now);
    let mut subcycle =
        Subcycle::open(plan, call.cause.clone(), &[Arc::new(child)], call.patch.clone(), now).unwrap();
    if let Some(call) = subcycle.next(now).unwrap().call {
        subcycle.finished(call.id, outcome, call.patch, Vec::new(), now);
    }
    let closed = subcycle.close(now).unwrap();
    let outcome = match closed.unfinished {
        Some(delay) => Outcome::Unfinished(Some(delay)),
        None => Outcome::Succeeded(None),
    };
    bench.step(Input::Finished { call: call.id, outcome, patch: closed.patch, subrefs: closed.subrefs })
}

/// Accepts what is sent, and gives the object as it is then.
fn accept(bench: &mut Bench, outputs: &Outputs, object: &Object, version: &str) -> Object {
    let mut body = object.body().clone();
    match &outputs.request().body {
        PatchBody::Merge(change) => crate::patch::merge(&mut body, change),
        PatchBody::Json(operations) => crate::json_patch::apply(&mut body, operations).unwrap(),
    }
    let object = with_version(&body, version);
    bench.answer(outputs, Answer::Object(object.clone()));
    object
}

fn temporary() -> Outcome {
    Outcome::Temporary { error: ErrorInfo::new("wait"), delay: None }
}

fn sub(id: &str) -> Handler {
    handler(id, Trigger::Sub { needs_change: false })
}

/// FIX-16, DEC-15: waiting for sub-handlers uses up no attempt of the parent, and its time does not stop it while it waits.
#[test]
fn waiting_for_children_is_no_attempt() {
    let options =
        Options { retries: Some(2), timeout: Some(SignedDuration::from_secs(5)), ..Options::default() };
    let mut bench = Bench::with(vec![Handler { options, ..handler("p", Trigger::Create) }], |_| {});
    let mut object = object("101", &json!({}));
    for version in ["102", "103", "104"] {
        bench.now += Duration::from_secs(3);
        let outputs = bench.event(&object);
        let outputs = run_child(&mut bench, outputs.call(), sub("p/c"), temporary());
        assert_eq!(outputs.posts(), ["Handler 'p/c' failed: wait"]);
        assert_eq!(outputs.lines()[0], "Handler 'p' has unfinished sub-handlers. Will retry soon.");
        object = accept(&mut bench, &outputs, &object, version);
    }
    let outputs = bench.event(&object);
    assert_eq!(outputs.call().retry, 3, "what handlers see counts all attempts (A-KW-025)");
    let outputs = bench.finish(&outputs, Outcome::Arbitrary(ErrorInfo::new("boo")));
    let line = "Handler 'p' failed with an exception and will stop now (it would time out in 5 seconds on the next attempt): boo";
    assert_eq!(outputs.lines()[0], line);
}

/// DEC-15: the limit of attempts counts the parent's own, also when its sub-handlers are finished.
#[test]
fn own_attempts_are_counted_apart_from_waits() {
    let options = Options { retries: Some(2), ..Options::default() };
    let mut bench = Bench::with(vec![Handler { options, ..handler("p", Trigger::Create) }], |_| {});
    let mut object = object("101", &json!({}));
    for (version, outcome) in [("102", temporary()), ("103", temporary()), ("104", Outcome::Succeeded(None))]
    {
        let outputs = bench.event(&object);
        let call = outputs.call().clone();
        let outputs = if version == "104" {
            // The child is done, and then the parent fails by itself.
            let patch = patch_of_finished_child(&bench, &call, outcome);
            let subrefs = vec!["p/c".into()];
            bench.step(Input::Finished { call: call.id, outcome: temporary(), patch, subrefs })
        } else {
            run_child(&mut bench, &call, sub("p/c"), outcome)
        };
        object = accept(&mut bench, &outputs, &object, version);
    }
    assert_eq!(bench.event(&object).call().retry, 3, "its second own attempt");
}

fn patch_of_finished_child(bench: &Bench, call: &Call, outcome: Outcome) -> Patch {
    let (plan, now) = (bench.plan.clone(), bench.now);
    let child = Arc::new(sub("p/c"));
    let mut subcycle = Subcycle::open(plan, call.cause.clone(), &[child], call.patch.clone(), now).unwrap();
    let call = subcycle.next(now).unwrap().call.unwrap();
    subcycle.finished(call.id, outcome, call.patch, Vec::new(), now);
    subcycle.close(now).unwrap().patch
}

/// DEC-15: waits of sub-handlers that have sub-handlers are counted as well.
#[test]
fn waits_are_counted_at_any_depth() {
    let mut bench = Bench::new(&[("p", Trigger::Create)]);
    let outputs = bench.event(&object("101", &json!({})));
    let call = outputs.call().clone();
    let (plan, now) = (bench.plan.clone(), bench.now);
    let open = |id: &str, cause: &Arc<Cause>, patch: Patch| {
        Subcycle::open(plan.clone(), cause.clone(), &[Arc::new(sub(id))], patch, now).unwrap()
    };
    let mut middle = open("p/m", &call.cause, Patch::default());
    let middle_call = middle.next(now).unwrap().call.unwrap();
    let mut inner = open("p/m/i", &middle_call.cause, Patch::default());
    let inner_call = inner.next(now).unwrap().call.unwrap();
    inner.finished(inner_call.id, temporary(), Patch::default(), Vec::new(), now);
    let closed = inner.close(now).unwrap();
    middle.finished(
        middle_call.id,
        Outcome::Unfinished(closed.unfinished),
        closed.patch,
        closed.subrefs,
        now,
    );
    let closed = middle.close(now).unwrap();
    assert_eq!(closed.subrefs, [HandlerId::from("p/m"), HandlerId::from("p/m/i")]);
    let outcome = Outcome::Unfinished(closed.unfinished);
    let outputs =
        bench.step(Input::Finished { call: call.id, outcome, patch: closed.patch, subrefs: closed.subrefs });
    assert_eq!(outputs.posts(), ["Handler 'p/m/i' failed: wait"], "waiting is no failure");
    let object = accept(&mut bench, &outputs, &object("101", &json!({})), "102");
    let waits = bench.event(&object).call().cause.waits.clone().unwrap();
    assert_eq!([waits[&HandlerId::from("p")], waits[&HandlerId::from("p/m")]], [1, 1]);
}

/// W-CYC-013 in a subcycle: what was achieved for another cause counts, and is told so.
#[test]
fn sub_handlers_are_taken_over_by_the_cause() {
    let mut bench = Bench::new(&[("p", Trigger::Update)]);
    let record = "{\"started\":\"1970-01-01T00:00:00.000000+00:00\",\"purpose\":\"resume\",\"retries\":1,\"success\":false,\"failure\":false}";
    let stored = json!({"metadata": {"annotations": {"kopf.zalando.org/p.c": record}}, "spec": {"f": 2}});
    let outputs = bench.event(&handled("101", &stored));
    let outputs = run_child(&mut bench, outputs.call(), sub("p/c"), temporary());
    let written = outputs.body()["metadata"]["annotations"]["kopf.zalando.org/p.c"].clone();
    assert!(written.as_str().unwrap().contains("\"purpose\":\"update\",\"retries\":2"), "{written}");
}

/// DEC-5: a second subcycle of one call sees what the first has left in the patch.
#[test]
fn a_subcycle_reads_records_from_the_patch() {
    let mut bench = Bench::new(&[("p", Trigger::Create)]);
    let outputs = bench.event(&object("101", &json!({})));
    let call = outputs.call().clone();
    let patch = patch_of_finished_child(&bench, &call, Outcome::Succeeded(None));
    let child = Arc::new(sub("p/c"));
    let mut again =
        Subcycle::open(bench.plan.clone(), call.cause.clone(), &[child], patch, bench.now).unwrap();
    assert!(again.next(bench.now).unwrap().call.is_none());
    assert_eq!(again.close(bench.now).unwrap().unfinished, None);
}

/// A-HID-011: two functions under one id share a record.
#[test]
fn one_id_has_one_record() {
    let mut bench = Bench::with(
        vec![handler("c", Trigger::Create), Handler { function: 2, ..handler("c", Trigger::Create) }],
        |_| {},
    );
    let record = "{\"started\":\"1970-01-01T00:00:00.000000+00:00\",\"purpose\":\"create\",\"retries\":1,\"success\":true,\"failure\":false}";
    let stored = json!({"metadata": {"annotations": {"kopf.zalando.org/c": record}}});
    let outputs = bench.event(&object("101", &stored));
    assert!(
        outputs.lines().contains(&"Creation is processed: 1 succeeded; 0 failed.".to_owned()),
        "{outputs:?}"
    );
}

/// DEC-12: what is ignored is no failure.
#[test]
fn ignored_errors_are_not_posted() {
    let options = Options { errors: Some(crate::handler::ErrorsMode::Ignored), ..Options::default() };
    let mut bench = Bench::with(vec![Handler { options, ..handler("c", Trigger::Create) }], |_| {});
    let outputs = bench.event(&object("101", &json!({})));
    let outputs = bench.finish(&outputs, Outcome::Arbitrary(ErrorInfo::new("boo")));
    assert_eq!(outputs.posts(), ["Creation is processed: 1 succeeded; 0 failed."]);
}

/// DEC-7: the event of the first request of a write, while the second is to be repeated, is no foreign change.
#[test]
fn an_event_of_the_own_write_is_processed_after_it() {
    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let mut plan = Plan::clone(&bench.plan);
    plan.resource = Arc::new(Resource { subresources: vec!["status".into()], ..Resource::default() });
    bench.plan = Arc::new(plan);
    let outputs = bench.event(&object("101", &json!({})));
    let outputs =
        bench.finish_with(&outputs, Outcome::Succeeded(Some(json!(1))), json!({"status": {"x": 1}}));
    let first = object("102", &marked());
    let outputs = bench.answer(&outputs, Answer::Object(first.clone()));
    let body = outputs.body();
    assert_eq!(body, json!({"status": {"x": 1, "c": 1}}));
    bench.answer(&outputs, unknown());
    assert!(bench.event(&first).0.is_empty());
    assert_eq!(bench.after(1, Input::Tick).body(), body);
}

/// W-FIN-013: the end of an object waits for no pause.
#[test]
fn a_deleted_object_is_forgotten_during_a_pause() {
    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let outputs = bench.event(&object("101", &json!({})));
    let outputs = bench.finish_with(&outputs, Outcome::Succeeded(None), json!({"spec": {"x": 1}}));
    bench.answer(&outputs, unknown());
    let object = object("102", &json!({}));
    let outputs =
        bench.step(Input::Event { event_type: Some(EventType::Deleted), object, more_queued: false });
    assert_eq!(outputs.lines(), ["Deleted, really deleted, and we are notified."]);
    assert!(matches!(outputs.0.last(), Some(Output::Forget)));
}

/// W-QUE-002: with more events to come, nothing is slept for or looked at again.
#[test]
fn nothing_is_waited_for_while_more_events_are_queued() {
    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let outputs = bench.event(&object("101", &json!({})));
    let delay = Some(SignedDuration::from_secs(10));
    let outputs = bench.finish(&outputs, Outcome::Temporary { error: ErrorInfo::new("wait"), delay });
    let object = accept(&mut bench, &outputs, &object("101", &json!({})), "102");
    let pressed =
        |object: &Object| Input::Event { event_type: None, object: object.clone(), more_queued: true };
    let outputs = bench.step(pressed(&object));
    let sleep = [
        "Sleeping for 10.0 seconds for the delayed handlers.",
        "Sleeping was interrupted by new changes, 10.0 seconds left.",
    ];
    assert_eq!(outputs.lines()[1..], sleep);
    assert!(!outputs.0.iter().any(|output| matches!(output, Output::WakeAt(_))));

    let mut bench = Bench::new(&[("d", Trigger::Delete { optional: false })]);
    let outputs = bench.step(pressed(&handled("101", &json!({}))));
    let held = json!({"metadata": {"finalizers": ["kopf.zalando.org/KopfFinalizerMarker"]}});
    let outputs = bench.answer(&outputs, Answer::Object(handled("102", &held)));
    assert!(outputs.0.is_empty(), "{outputs:?}");
}

/// W-TCH-013: a storage of a user may have nothing to touch; the work goes on all the same.
#[test]
fn work_goes_on_without_a_touch() {
    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let mut plan = Plan::clone(&bench.plan);
    plan.progress = Arc::new(MultiProgressStorage(vec![Arc::new(SmartProgressStorage::default())]));
    bench.plan = Arc::new(plan);
    let outputs = bench.event(&object("101", &json!({})));
    let delay = Some(SignedDuration::from_secs(10));
    let outputs = bench.finish(&outputs, Outcome::Temporary { error: ErrorInfo::new("wait"), delay });
    let touch =
        json!({"metadata": {"annotations": {"kopf.zalando.org/touch-dummy": "1970-01-01T00:00:10+00:00"}}});
    let object = accept(&mut bench, &outputs, &object("101", &touch), "102");
    bench.event(&object);
    assert_eq!(bench.after(10, Input::Tick).call().retry, 1);
}

/// A tick that comes a moment too early, by the rounding of clocks, loses nothing.
#[test]
fn an_early_tick_is_asked_for_again() {
    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let outputs = bench.event(&object("101", &json!({})));
    bench.finish(&outputs, Outcome::Succeeded(None));
    let outputs = bench.step(Input::Answered { request: RequestId(3), answer: unknown() });
    assert!(outputs.lines()[0].starts_with("Throttling"), "{outputs:?}");
    let outputs = bench.step(Input::Tick);
    assert!(matches!(outputs.0.as_slice(), [Output::WakeAt(_)]), "{outputs:?}");
    assert_eq!(bench.after(1, Input::Tick).body(), marked());
}

fn leaving(version: &str) -> Object {
    let metadata = json!({
        "deletionTimestamp": "2030-01-01T00:00:00Z",
        "finalizers": ["kopf.zalando.org/KopfFinalizerMarker"],
    });
    handled(version, &json!({"metadata": metadata}))
}

/// DEC-38, W-CON-007: after the release nothing is done about the object any more, whatever events come late.
#[test]
fn a_released_object_is_left_alone() {
    let mut bench = Bench::with(
        vec![handler("d", Trigger::Delete { optional: false }), handler("e", Trigger::Event)],
        |_| {},
    );
    let outputs = bench.event(&leaving("101"));
    let outputs = bench.finish(&outputs, Outcome::Succeeded(None));
    let outputs = bench.finish(&outputs, Outcome::Succeeded(None));
    assert_eq!(outputs.body()[1], json!({"op": "remove", "path": "/metadata/finalizers"}));
    accept(&mut bench, &outputs, &leaving("101"), "102");
    bench.now += Duration::from_secs(60);
    let outputs = bench.event(&leaving("101"));
    assert!(bench.finish(&outputs, Outcome::Succeeded(None)).is_quiet());
}

/// DEC-1: a deletion that was handled is not handled again because the finalizer could not be removed at once.
#[test]
fn a_handled_deletion_is_only_released_again() {
    let mut bench = Bench::new(&[("d", Trigger::Delete { optional: false })]);
    let outputs = bench.event(&leaving("101"));
    let outputs = bench.finish(&outputs, Outcome::Succeeded(None));
    let told = bench.answer(&outputs, rejected(422)).lines().join("\n");
    assert!(told.ends_with("Remaining: 1 functions"), "W-PAT-008: {told}");
    let outputs = bench.event(&leaving("102"));
    assert_eq!(outputs.calls().count(), 0);
    assert_eq!(outputs.body()[0]["value"], "102");
}

/// W-PAT-005, W-LOG-006: the line of a JSON patch shows all of it, the guard too.
#[test]
fn the_line_of_a_json_patch_shows_its_guard() {
    let mut bench = Bench::new(&[("d", Trigger::Delete { optional: false })]);
    let outputs = bench.event(&object("101", &json!({})));
    let guard = "{'op': 'test', 'path': '/metadata/resourceVersion', 'value': '101'}";
    let line = outputs.lines().into_iter().find(|line| line.starts_with("JSON-patching the resource with: "));
    assert!(line.as_ref().is_some_and(|line| line.contains(guard)), "{line:?}");
}

/// DEC-38: if a delete handler wants something to be changed, its record is written with it.
#[test]
fn the_last_changes_of_a_deletion_carry_the_records() {
    let mut bench = Bench::new(&[("d", Trigger::Delete { optional: false })]);
    let outputs = bench.event(&leaving("101"));
    let outputs = bench.finish_with(&outputs, Outcome::Succeeded(None), json!({"spec": {"x": 1}}));
    let record = &outputs.body()["metadata"]["annotations"]["kopf.zalando.org/d"];
    assert!(record.as_str().unwrap().contains("\"success\":true"), "{record}");
}

/// DEC-38: nothing is compared any more with what was handled last, so it stays as it is.
#[test]
fn the_last_handled_essence_stays_when_a_deletion_ends() {
    let mut bench = Bench::new(&[("d", Trigger::Delete { optional: false })]);
    let outputs = bench.event(&leaving("101"));
    let outputs = bench.finish_with(&outputs, Outcome::Succeeded(None), json!({"spec": {"x": 1}}));
    let body = outputs.body();
    let written: Vec<_> = body["metadata"]["annotations"].as_object().unwrap().keys().collect();
    assert_eq!(written, ["kopf.zalando.org/d"]);
}

/// DEC-38: but not in a request of their own: a crash before the release may repeat a deletion of one step (DEC-1).
#[test]
fn the_results_of_a_deletion_take_no_request_for_records() {
    let mut bench = Bench::new(&[("d", Trigger::Delete { optional: false })]);
    let resource =
        Resource { subresources: ["status".to_owned()].into(), ..Resource::clone(&bench.plan.resource) };
    bench.plan = Arc::new(Plan { resource: Arc::new(resource), ..Plan::clone(&bench.plan) });
    let outputs = bench.event(&leaving("101"));
    let outputs = bench.finish(&outputs, Outcome::Succeeded(Some(json!("result"))));
    assert_eq!(outputs.request().subresource, Some("status"));
    assert_eq!(outputs.body(), json!({"status": {"d": "result"}}));
}

/// W-TCH-011, W-PAT-007: that a delay is not slept is told of objects that are gone, too.
#[test]
fn a_delay_of_an_object_that_is_gone_is_told() {
    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let outputs = bench.event(&object("101", &json!({})));
    let delay = Some(SignedDuration::from_secs(5));
    let outputs = bench.finish(&outputs, Outcome::Temporary { error: ErrorInfo::new("wait"), delay });
    assert_eq!(
        bench.answer(&outputs, Answer::Gone).lines(),
        [
            "Patching was skipped: the object does not exist anymore.",
            "Sleeping was skipped because of the patch, 5.0 seconds left."
        ]
    );
}

/// W-REC-004, W-CYC-017: in a storage in the status, fields that a later attempt of a sub-handler has emptied are emptied.
#[test]
fn emptied_fields_of_the_records_of_sub_handlers_are_sent() {
    let mut bench = Bench::new(&[("p", Trigger::Create)]);
    let progress = Arc::new(StatusProgressStorage::default());
    bench.plan = Arc::new(Plan { progress, ..Plan::clone(&bench.plan) });
    let record = |delayed: Value, retries: u32, success: bool| {
        json!({
            "started": "1970-01-01T00:00:00.000000+00:00", "stopped": null, "delayed": delayed, "purpose": "create",
            "retries": retries, "success": success, "failure": false, "message": null, "subrefs": null,
        })
    };
    let stored = |record: Value| json!({"status": {"kopf": {"progress": {"p/c": record}}}});
    let waits = record("1970-01-01T00:00:00.000000+00:00".into(), 1, false);
    let outputs = bench.event(&object("101", &stored(waits)));
    let patch = Patch {
        merge: stored(record(Value::Null, 2, true)).as_object().cloned().unwrap(),
        ..Patch::default()
    };
    let outcome = Outcome::Unfinished(Some(SignedDuration::from_secs(1)));
    let subrefs = vec![HandlerId::from("p/c")];
    let call = outputs.call().id;
    let outputs = bench.step(Input::Finished { call, outcome, patch, subrefs });
    let written = &outputs.body()["status"]["kopf"]["progress"]["p/c"];
    assert_eq!(written["success"], true);
    assert!(written.as_object().unwrap().contains_key("delayed"), "{written}");
}

/// DEC-14: a later write that changes no records does not hide that an earlier one was not seen either.
#[test]
fn all_unseen_writes_are_expected_together() {
    let mut bench = Bench::new(&[("a", Trigger::Create), ("e", Trigger::Event)]);
    let first = object("101", &json!({}));
    let outputs = bench.event(&first);
    let outputs = bench.finish(&outputs, Outcome::Succeeded(None));
    let outputs = bench.finish(&outputs, Outcome::Succeeded(None));
    accept(&mut bench, &outputs, &first, "102");
    // An event from before it, and an unimportant write because of that.
    let late = object("101a", &json!({"status": {"x": 1}}));
    let outputs = bench.event(&late);
    let outputs = bench.finish_with(&outputs, Outcome::Succeeded(None), json!({"spec": {"note": 1}}));
    accept(&mut bench, &outputs, &late, "103");
    bench.now += Duration::from_secs(60);
    let outputs = bench.event(&object("101b", &json!({"status": {"x": 2}})));
    let outputs = bench.finish(&outputs, Outcome::Succeeded(None));
    assert_eq!(outputs.body(), marked(), "nothing is handled, what was written is written again");
}

/// W-PAT-008: functions that meet a newer version are applied again; refused twice for one version, they are dropped.
#[test]
fn functions_are_applied_again_until_they_are_refused_for_what_they_do() {
    #[derive(Debug)]
    struct Set;
    impl Transform for Set {
        fn apply(&self, body: &mut Value) -> Result<(), ErrorInfo> {
            body["spec"]["x"] = "text".into();
            Ok(())
        }
    }
    let mut bench = Bench::new(&[("e", Trigger::Event)]);
    let outputs = bench.event(&object("101", &json!({})));
    let patch = Patch { transforms: vec![Arc::new(Set)], ..Patch::default() };
    let (call, outcome) = (outputs.call().id, Outcome::Succeeded(None));
    let outputs = bench.step(Input::Finished { call, outcome, patch, subrefs: Vec::new() });
    let operations = outputs.body();
    let outputs = bench.answer(&outputs, rejected(422));
    assert!(
        outputs.lines()[0]
            .starts_with("Could not apply the patch in full due to conflicts with newer changes.")
    );
    assert!(bench.machine.has_plugins(), "they are kept");

    let outputs = bench.after(1, Input::Tick);
    assert_eq!(outputs.body(), operations);
    let outputs = bench.answer(&outputs, rejected(422));
    assert_eq!(
        outputs.lines(),
        ["The changes of 1 functions are lost: the server refuses them: spec.x: must be a number"]
    );
    assert!(!bench.machine.has_plugins());
}

/// A function that fails does so again: it is dropped, the rest is written.
#[test]
fn a_failing_function_does_not_hold_up_the_object() {
    #[derive(Debug)]
    struct Fail;
    impl Transform for Fail {
        fn apply(&self, _: &mut Value) -> Result<(), ErrorInfo> {
            Err(ErrorInfo::new("boo"))
        }
    }
    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let outputs = bench.event(&object("101", &json!({})));
    let patch = Patch { transforms: vec![Arc::new(Fail)], ..Patch::default() };
    let (call, outcome) = (outputs.call().id, Outcome::Succeeded(None));
    let outputs = bench.step(Input::Finished { call, outcome, patch, subrefs: Vec::new() });
    assert_eq!(outputs.body(), marked());
    let outputs = bench.answer(&outputs, Answer::Object(object("102", &marked())));
    assert_eq!(
        outputs.lines(),
        [
            "The changes of 1 functions are lost: they have failed: boo",
            "Throttling for 1 seconds due to an unexpected error: boo"
        ]
    );
    let outputs = bench.after(1, Input::Tick);
    assert_eq!(outputs.lines(), ["Throttling is over. Switching back to normal operations."]);
    assert!(bench.event(&object("102", &marked())).is_quiet());
}

/// There is a machine for every object of the cluster: an idle one is small, and keeps nothing but its last version.
#[test]
fn an_idle_machine_is_small() {
    assert!(size_of::<Machine>() <= 192, "{} bytes", size_of::<Machine>());
}
