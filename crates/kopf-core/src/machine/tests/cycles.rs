//! Events, calls, delays and pauses.

use super::*;

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

/// An operator that reads no objects must not pay for their decoding.
#[test]
fn an_event_handler_without_filters_leaves_the_object_undecoded() {
    let received = Received {
        text: r#"{"metadata":{"name":"obj","uid":"u","resourceVersion":"1"}}"#.into(),
        decode: |text| panic!("somebody reads {text}"),
        head: Head::default(),
    };
    let mut bench = Bench::new(&[("watch", Trigger::Event)]);
    let called = bench.event(&Object::received(received));
    assert!(bench.finish(&called, Outcome::Succeeded(None)).is_quiet());
    assert!(bench.machine.accepts_events());
}

/// W-CYC-007: event handlers run one after another; FIX-3: a failing filter does not make them run again.
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
    let first = bench.event(&object("101", &json!({})));
    assert_eq!(first.lines(), ["Handler 'e1' is invoked."]);
    let second = bench.finish(&first, Outcome::Succeeded(None));
    assert_eq!(second.lines(), ["Handler 'e1' succeeded.", "Handler 'e2' is invoked."]);
    assert!(bench.finish(&first, Outcome::Succeeded(None)).0.is_empty(), "it has finished before");
    let outputs = bench.finish(&second, Outcome::Succeeded(None));
    assert_eq!(
        outputs.lines(),
        ["Handler 'e2' succeeded.", "Throttling for 1 seconds due to an unexpected error: boo"]
    );
    assert!(bench.after(1, Input::Tick).is_quiet());
}

/// W-CYC-008: nothing of a patch is lost because another handler has one, too; A-KW-033: each gets it as it is by then.
#[test]
fn event_handlers_share_the_patch() {
    let mut bench = Bench::new(&[("e1", Trigger::Event), ("e2", Trigger::Event)]);
    let first = bench.event(&object("101", &json!({})));
    let second = bench.finish_with(&first, Outcome::Succeeded(None), json!({"spec": {"a": 1}}));
    let mut patch = second.call().patch.merge.clone();
    assert_eq!(Value::Object(patch.clone()), json!({"spec": {"a": 1}}));
    patch.insert("status".to_owned(), json!({"b": 2}));
    let outputs = bench.finish_with(&second, Outcome::Succeeded(None), Value::Object(patch));
    assert_eq!(outputs.body(), json!({"spec": {"a": 1}, "status": {"b": 2}}));
}

/// DEC-4, W-CYC-007: nobody tells the others of the event later.
#[test]
fn an_event_is_told_to_all_its_handlers_before_a_stop() {
    let mut bench = Bench::new(&[("e1", Trigger::Event), ("e2", Trigger::Event)]);
    let first = bench.event(&object("101", &json!({})));
    assert!(bench.step(Input::Stop).is_quiet());
    let second = bench.finish(&first, Outcome::Succeeded(None));
    assert_eq!(second.call().handler.id.as_str(), "e2");
    assert!(bench.finish(&second, Outcome::Succeeded(None)).is_quiet());
    assert!(bench.machine.accepts_events());
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

/// W-TCH-011: how long the patch has taken does not matter.
#[test]
fn a_delay_that_is_not_slept_is_told_as_it_was_before_the_patch() {
    let mut bench = Bench::new(&[("c", Trigger::Create)]);
    let object = object("101", &json!({}));
    let outputs = bench.event(&object);
    let delay = Some(SignedDuration::from_secs(1));
    let outcome = Outcome::Temporary { error: ErrorInfo::new("wait"), delay };
    let outputs = bench.finish_with(&outputs, outcome, json!({"spec": {"f": 2}}));
    bench.now += Duration::from_secs(5);
    let refused = Answer::Rejected { status: 422, error: ErrorInfo::new("no") };
    let outputs = bench.answer(&outputs, refused);
    let told = bench.answer(&outputs, Answer::Object(with_version(object.body(), "102"))).lines();
    assert!(
        told.iter().any(|line| line.starts_with("Sleeping was skipped because of the patch, 1")),
        "{told:?}"
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

/// There is a machine for every object of the cluster: an idle one is small, and keeps nothing but its last version.
#[test]
fn an_idle_machine_is_small() {
    assert!(size_of::<Machine>() <= 192, "{} bytes", size_of::<Machine>());
}
