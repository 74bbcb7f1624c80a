//! Changes of the object while its handlers are half done.

use super::*;

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
