//! Replays writes of the scenarios and compares the managed fields with the real server's.

use serde_json::{Value, json};

use super::{
    apply::{self, Error},
    managed::{self, Writer},
    set::Set,
    view::View,
};
use crate::machinery::{
    cause::Cause,
    merge_patch,
    schema::{Schema, defaults, prune},
    testing,
};

/// The time that the recorded answers have in place of any.
const NOW: &str = "<time>";

/// What the server does between a request and the store, as far as these scenarios need it.
fn finish(object: &mut Value, schema: &Schema) {
    prune::prune(object, schema);
    defaults::apply(object, schema);
}

/// The spec, status and managed fields: what the scenarios are about.
fn essence(object: &Value) -> Value {
    json!({
        "spec": object["spec"], "status": object["status"], "data": object["data"],
        "managedFields": object["metadata"]["managedFields"],
    })
}

fn replay(scenario: &str, definition: &str) {
    let scenarios = testing::scenarios();
    let schema = Schema::parse(testing::fixture_schema(&scenarios, definition));
    let mut stored: Option<Value> = None;
    for answer in testing::golden_steps(scenario) {
        let index = usize::try_from(answer["step"].as_u64().unwrap()).unwrap();
        let step = testing::scenario_step(&scenarios, scenario, index);
        let call = step["c"].as_str().unwrap();
        let (path, query) = call.split_once('?').unwrap_or((call, ""));
        if path.starts_with("GET") {
            continue;
        }
        let parameter = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value).unwrap_or_default()
        };
        let is_status = path.ends_with("/status");
        let is_core = path.contains(" /api/v1/");
        let reset = match (is_core, is_status) {
            (true, _) => Set::default(),
            (false, true) => managed::spec_only(),
            (false, false) => managed::status_only(),
        };
        let agent = step["h"]["User-Agent"].as_str().unwrap_or_default();
        let manager = managed::manager_name(parameter("fieldManager"), agent);
        let writer = Writer {
            manager: &manager,
            api_version: if is_core { "v1" } else { "test.dev/v1" },
            subresource: if is_status { "status" } else { "" },
            now: NOW,
            view: if is_core { managed::built_in_view("", "v1", "ConfigMap") } else { View::Custom(&schema) },
            reset: &reset,
        };
        let kind = step["h"]["Content-Type"].as_str().unwrap_or_default();
        let result = match kind {
            "application/apply-patch+yaml" => {
                let is_forced = parameter("force") == "true";
                apply::apply(stored.as_ref(), &step["b"], &writer, is_forced).map(|applied| applied.object)
            }
            "application/merge-patch+json" => {
                let mut new = stored.clone().unwrap();
                merge_patch::apply(&mut new, &step["b"]);
                if !is_core {
                    finish(&mut new, &schema);
                }
                managed::update(stored.as_ref(), &mut new, &writer);
                Ok(new)
            }
            _ => {
                let mut new = step["b"].clone();
                if !is_core {
                    finish(&mut new, &schema);
                }
                managed::update(None, &mut new, &writer);
                Ok(new)
            }
        };
        match result {
            Ok(mut object) => {
                if !is_core {
                    finish(&mut object, &schema);
                }
                assert_eq!(essence(&object), essence(&answer["body"]), "{scenario} step {index}");
                stored = Some(object);
            }
            Err(Error::Conflict { message, causes }) => {
                assert_eq!(message, answer["body"]["message"], "{scenario} step {index}");
                let causes: Vec<_> = causes.iter().map(rendered).collect();
                assert_eq!(Value::from(causes), answer["body"]["details"]["causes"]);
            }
            Err(error @ Error::Unsuitable(_)) => panic!("{scenario} step {index}: {error}"),
        }
    }
}

fn rendered(cause: &Cause) -> Value {
    json!({"reason": cause.reason, "message": cause.message, "field": cause.field})
}

/// D-158, D-159, DT-045 to DT-050.
#[test]
fn applies_give_what_the_real_server_gives() {
    for scenario in ["DT-045", "DT-047", "DT-048", "DT-049", "DT-050"] {
        replay(scenario, "widgets.test.dev");
    }
}

/// D-157, D-160, DT-052 to DT-054.
#[test]
fn updates_give_what_the_real_server_gives() {
    for scenario in ["DT-052", "DT-053", "DT-054"] {
        replay(scenario, "widgets.test.dev");
    }
}

/// DEC-34: the entry of a created workload, whose lists are keyed by the table of built-in types.
#[test]
fn the_fields_of_a_created_deployment_are_those_of_the_real_server() {
    for scenario in ["DT-039", "DT-040"] {
        let real = testing::golden_step(scenario, 0)["body"].clone();
        let mut created = real.clone();
        created["metadata"].as_object_mut().unwrap().shift_remove("managedFields");
        let writer = Writer {
            manager: "unknown",
            api_version: "apps/v1",
            subresource: "",
            now: NOW,
            view: managed::built_in_view("apps", "v1", "Deployment"),
            reset: &managed::status_only(),
        };
        managed::update(None, &mut created, &writer);
        assert_eq!(essence(&created), essence(&real));
    }
}

/// DEC-34: whatever was created in the scenarios by one request has one entry with all its fields.
#[test]
fn the_fields_of_all_created_objects_are_those_of_the_real_server() {
    let answers = testing::contract_json("golden/apiserver-1.37.2.json");
    let mut compared = 0;
    for (scenario, steps) in answers["scenarios"].as_object().unwrap() {
        for step in steps.as_array().unwrap() {
            let body = &step["body"];
            let entries = body["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
            let [entry] = entries else { continue };
            let api_version = body["apiVersion"].as_str().unwrap();
            let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
            let view = managed::built_in_view(group, version, body["kind"].as_str().unwrap());
            let is_plain = entry["operation"] == "Update" && entry.get("subresource").is_none();
            if step["status"] != 201 || !is_plain || matches!(view, View::Unknown) {
                continue;
            }
            let mut created = body.clone();
            created["metadata"].as_object_mut().unwrap().shift_remove("managedFields");
            // Set by admission or by the type's own preparation, after managed fields are recorded.
            let late: &[&str] = match body["kind"].as_str().unwrap() {
                "Pod" => &["/spec/tolerations", "/spec/priority", "/spec/preemptionPolicy"],
                "Namespace" => &["/spec/finalizers", "/status/phase"],
                "Service" => {
                    &["/spec/clusterIP", "/spec/clusterIPs", "/spec/ipFamilies", "/spec/ipFamilyPolicy"]
                }
                _ => &[],
            };
            for (parent, name) in late.iter().map(|pointer| pointer.rsplit_once('/').unwrap()) {
                created.pointer_mut(parent).and_then(Value::as_object_mut).unwrap().shift_remove(name);
            }
            let reset = managed::status_only();
            let writer = Writer {
                manager: entry["manager"].as_str().unwrap(),
                api_version,
                subresource: "",
                now: NOW,
                view,
                reset: &reset,
            };
            managed::update(None, &mut created, &writer);
            assert_eq!(
                created["metadata"]["managedFields"], body["metadata"]["managedFields"],
                "{scenario} {body}"
            );
            compared += 1;
        }
    }
    assert!(compared > 30, "{compared}");
}
