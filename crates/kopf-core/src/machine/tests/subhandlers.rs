//! Sub-handlers and their records.

use super::*;

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

/// W-CYC-017: what was achieved for another cause counts, and its record keeps the purpose with which it has begun.
#[test]
fn sub_handlers_go_on_for_another_cause() {
    let mut bench = Bench::new(&[("p", Trigger::Update)]);
    let record = "{\"started\":\"1970-01-01T00:00:00.000000+00:00\",\"purpose\":\"resume\",\"retries\":1,\"success\":false,\"failure\":false}";
    let stored = json!({"metadata": {"annotations": {"kopf.zalando.org/p.c": record}}, "spec": {"f": 2}});
    let outputs = bench.event(&handled("101", &stored));
    let outputs = run_child(&mut bench, outputs.call(), sub("p/c"), temporary());
    let written = outputs.body()["metadata"]["annotations"]["kopf.zalando.org/p.c"].clone();
    assert!(written.as_str().unwrap().contains("\"purpose\":\"resume\",\"retries\":2"), "{written}");
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

/// DEC-38, W-CYC-017: where nothing else is written, the records of sub-handlers are not written either when a deletion ends.
#[test]
fn a_handled_deletion_takes_no_request_for_the_records_of_sub_handlers() {
    let metadata = json!({
        "deletionTimestamp": "2030-01-01T00:00:00Z",
        "finalizers": ["kopf.zalando.org/KopfFinalizerMarker"],
    });
    for (wanted, is_written) in [(json!({}), false), (json!({"spec": {"x": 1}}), true)] {
        let mut bench = Bench::new(&[("d", Trigger::Delete { optional: false })]);
        let outputs = bench.event(&handled("101", &json!({"metadata": metadata})));
        let mut call = outputs.call().clone();
        call.patch.merge = wanted.as_object().unwrap().clone();
        let outputs = run_child(&mut bench, &call, sub("d/s"), Outcome::Succeeded(None));
        let written: Vec<_> = match outputs.body().pointer("/metadata/annotations") {
            Some(Value::Object(annotations)) => annotations.keys().cloned().collect(),
            _ => Vec::new(),
        };
        let records = ["kopf.zalando.org/d.s", "kopf.zalando.org/d"];
        assert_eq!(written, if is_written { &records[..] } else { &[] }, "{wanted}");
    }
}
