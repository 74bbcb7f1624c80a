//! Single ways through the machine, step by step. Whole courses are in `tests/golden_cycles.rs`, laws in `tests/simulation.rs`.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::{
    filter::{Filters, Predicate},
    handler::{Needs, Options, Trigger},
    lifecycle,
    resource::Resource,
    settings::Settings,
    storage::{AnnotationsDiffBaseStorage, SmartProgressStorage},
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
        "{\"spec\":{\"f\":2}}\n"
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
        "kopf.zalando.org/cycle-configuration": null,
        "kopf.zalando.org/last-handled-configuration": "{\"spec\":{\"f\":2}}\n",
    }}});
    assert_eq!(outputs.body(), expected);
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

/// FIX-16, DEC-15: waiting for sub-handlers uses up no attempt of the parent, nor its time.
#[test]
fn waiting_for_children_is_no_attempt() {
    let options = Options { retries: Some(1), ..Options::default() };
    let mut bench = Bench::with(vec![Handler { options, ..handler("p", Trigger::Create) }], |_| {});
    let mut body = object("101", &json!({})).body().clone();
    for version in 102..105 {
        let outputs = bench.event(&Object::new(body.clone()));
        let call = outputs.call();
        let child = Arc::new(handler("p/c", Trigger::Sub { needs_change: false }));
        let mut subcycle =
            Subcycle::open(bench.plan.clone(), call.cause.clone(), &[child], Patch::default(), bench.now)
                .unwrap();
        let step = subcycle.next(bench.now).unwrap();
        let failed = Outcome::Temporary { error: ErrorInfo::new("wait"), delay: None };
        subcycle.finished(step.call.unwrap().id, failed, Patch::default(), Vec::new(), bench.now);
        let closed = subcycle.close(bench.now).unwrap();
        assert_eq!(closed.subrefs, [HandlerId::from("p/c")]);

        let outcome = Outcome::Unfinished(closed.unfinished);
        let input = Input::Finished { call: call.id, outcome, patch: closed.patch, subrefs: closed.subrefs };
        let outputs = bench.step(input);
        assert_eq!(outputs.posts(), ["Handler 'p/c' failed: wait"]);
        assert_eq!(outputs.lines()[0], "Handler 'p' has unfinished sub-handlers. Will retry soon.");
        crate::patch::merge(&mut body, &outputs.body());
        body["metadata"]["resourceVersion"] = version.to_string().into();
        bench.answer(&outputs, Answer::Object(Object::new(body.clone())));
    }
    let outputs = bench.event(&Object::new(body));
    let failed = Outcome::Arbitrary(ErrorInfo::new("boo"));
    let line = "Handler 'p' failed with an exception and will stop now (it would exceed 1 retries on the next attempt): boo";
    assert_eq!(bench.finish(&outputs, failed).lines()[0], line, "its own first failure is its last attempt");
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
