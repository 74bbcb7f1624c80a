//! The end of an object.

use super::*;

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

/// DEC-38, W-CON-002: an object that others hold is not released again because of an event from before its release.
#[test]
fn an_object_that_others_hold_is_released_once() {
    let held = |version: &str, finalizers: &[&str]| {
        let metadata = json!({"deletionTimestamp": "2030-01-01T00:00:00Z", "finalizers": finalizers});
        handled(version, &json!({"metadata": metadata}))
    };
    let both = ["example.com/other", "kopf.zalando.org/KopfFinalizerMarker"];
    let mut bench = Bench::new(&[("d", Trigger::Delete { optional: false })]);
    let outputs = bench.event(&held("101", &both));
    let outputs = bench.finish_with(&outputs, Outcome::Succeeded(None), json!({"spec": {"x": 1}}));
    let outputs = bench.answer(&outputs, Answer::Object(held("102", &both)));
    assert_eq!(outputs.body()[1], json!({"op": "remove", "path": "/metadata/finalizers/1"}));
    bench.answer(&outputs, Answer::Object(held("103", &both[..1])));
    for more_queued in [false, true] {
        let early = Input::Event { event_type: None, object: held("102", &both), more_queued };
        assert!(bench.step(early).is_quiet());
    }
    assert!(bench.event(&held("103", &both[..1])).is_quiet());
}

/// DEC-1, DEC-38: a release that was refused, while the first request of its write is still to be seen, is sent again then.
#[test]
fn a_refused_release_is_sent_again_when_the_write_before_it_is_seen() {
    let mut bench = Bench::new(&[("d", Trigger::Delete { optional: false })]);
    let outputs = bench.event(&leaving("101"));
    let outputs = bench.finish_with(&outputs, Outcome::Succeeded(None), json!({"spec": {"x": 1}}));
    let outputs = bench.answer(&outputs, Answer::Object(leaving("102")));
    assert!(bench.answer(&outputs, rejected(422)).is_quiet());
    let outputs = bench.event(&leaving("102"));
    assert_eq!(outputs.calls().count(), 0);
    assert_eq!(outputs.body()[1], json!({"op": "remove", "path": "/metadata/finalizers"}));
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

    bench.machine = Machine::new(1);
    bench.plan =
        Arc::new(Plan { progress: Arc::new(StatusProgressStorage::default()), ..Plan::clone(&bench.plan) });
    let outputs = bench.event(&leaving("101"));
    let outputs = bench.finish_with(&outputs, Outcome::Succeeded(None), json!({"spec": {"x": 1}}));
    assert_eq!(outputs.body(), json!({"spec": {"x": 1}}));
    let outputs = bench.answer(&outputs, Answer::Object(leaving("102")));
    assert_eq!(outputs.body()[1], json!({"op": "remove", "path": "/metadata/finalizers"}));
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
