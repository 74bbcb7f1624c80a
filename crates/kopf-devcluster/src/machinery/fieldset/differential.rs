//! Replays histories of writes that Kubernetes' own library has gone through, and compares each state.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    apply::apply,
    managed::{Entry, Writer, decode_entries, take_managed_fields, update},
    set::Set,
    view::View,
};
use crate::machinery::schema::Schema;

/// The schema that the histories were made with.
fn schema() -> Schema {
    let text = json!({"type": "string"});
    let texts = json!({"type": "object", "additionalProperties": text});
    let sub = |inner: Value| json!({"type": "object", "properties": {"x": text, "inner": inner}});
    Schema::parse(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "a": text, "b": text, "map": texts,
        "set": {"type": "array", "items": text, "x-kubernetes-list-type": "set"},
        "atomic": {"type": "array", "items": text},
        "list": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {"k": text, "v": text, "m": texts}},
        },
        "sub": sub(sub(sub(sub(json!({"type": "object"}))))),
    }}}}))
}

/// The object without managed fields, and the sets by manager.
fn state(object: &Value) -> (Value, BTreeMap<String, Set>) {
    let mut object = object.clone();
    let entries = take_managed_fields(&mut object).map(|fields| decode_entries(&fields).unwrap());
    if let Value::Object(fields) = &mut object {
        fields.shift_remove("metadata");
    }
    let entries = entries.unwrap_or_default().into_iter();
    (object, entries.map(|Entry { manager, fields, .. }| (manager, fields)).collect())
}

/// D-159, D-160.
#[test]
fn histories_go_as_in_the_library_of_kubernetes() {
    let schema = schema();
    let reset = Set::default();
    let mut compared = 0;
    for line in include_str!("vectors.jsonl").lines().filter(|line| !line.starts_with('#')) {
        let history: Vec<Value> = serde_json::from_str(line).unwrap();
        let mut object: Option<Value> = None;
        for (index, step) in history.iter().enumerate() {
            let writer = Writer {
                manager: step["manager"].as_str().unwrap(),
                api_version: "v1",
                subresource: "",
                now: "t",
                view: View::Custom(&schema),
                reset: &reset,
            };
            let sent = &step["object"];
            if step["op"] == "apply" {
                match apply(object.as_ref(), sent, &writer, step["force"] == true) {
                    Ok(applied) => {
                        assert!(step["error"].is_null(), "{index} of {line}: {step}");
                        object = Some(applied.object);
                    }
                    Err(error) => assert!(step["error"].is_string(), "{index} of {line}: {error}"),
                }
            } else {
                let mut new = sent.clone();
                update(object.as_ref(), &mut new, &writer);
                object = Some(new);
            }
            let expected: BTreeMap<String, Set> = step["sets"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(manager, fields)| (manager.clone(), Set::decode(fields).unwrap()))
                .collect();
            let (found, sets) = object.as_ref().map_or((json!({}), BTreeMap::new()), state);
            // Objects have metadata here, and do not vanish with their last field.
            let result = if step["result"].is_null() { json!({}) } else { step["result"].clone() };
            assert_eq!(found, result, "step {index} of {line}");
            assert_eq!(sets, expected, "step {index} of {line}");
            compared += 1;
        }
    }
    assert!(compared >= 200, "{compared}");
}
