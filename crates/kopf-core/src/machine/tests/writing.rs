//! Requests, and what becomes of their answers.

use super::*;

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

/// W-PAT-005, W-LOG-006: the line of a JSON patch shows all of it, the guard too.
#[test]
fn the_line_of_a_json_patch_shows_its_guard() {
    let mut bench = Bench::new(&[("d", Trigger::Delete { optional: false })]);
    let outputs = bench.event(&object("101", &json!({})));
    let guard = "{'op': 'test', 'path': '/metadata/resourceVersion', 'value': '101'}";
    let line = outputs.lines().into_iter().find(|line| line.starts_with("JSON-patching the resource with: "));
    assert!(line.as_ref().is_some_and(|line| line.contains(guard)), "{line:?}");
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
