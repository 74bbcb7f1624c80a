//! Waiting for the own write.

use super::*;

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
