//! Help for the tests of this folder: generators of JSON, and the recorded answers of a real server.

use proptest::prelude::*;
use serde_json::{Map, Value};

/// Any JSON value, a few levels deep, with few different keys so that values meet.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..4).prop_map(Value::from),
        "[a-c/~]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-d~/]{1,2}", inner, 0..4).prop_map(to_object),
        ]
    })
}

/// Any JSON object.
pub(crate) fn any_object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-d~/]{1,2}", any_value(), 0..4).prop_map(to_object)
}

fn to_object(fields: std::collections::BTreeMap<String, Value>) -> Value {
    Value::Object(fields.into_iter().collect::<Map<_, _>>())
}

/// The real server's answer to a step of a scenario: `{status, body, …}`.
pub(crate) fn golden_step(scenario: &str, step: usize) -> Value {
    golden_steps(scenario).into_iter().find(|answer| answer["step"] == step).unwrap()
}

/// The real server's answers to the steps of a scenario.
pub(crate) fn golden_steps(scenario: &str) -> Vec<Value> {
    let answers = contract_json("golden/apiserver-1.37.2.json");
    answers["scenarios"][scenario].as_array().unwrap().clone()
}

/// A JSON file of the contract.
pub(crate) fn contract_json(path: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contract").join(path);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The scenarios of the contract.
pub(crate) fn scenarios() -> Value {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contract/devcluster-scenarios.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

/// A step of a scenario, as it stands in the file.
pub(crate) fn scenario_step<'a>(scenarios: &'a Value, id: &str, step: usize) -> &'a Value {
    let scenarios = scenarios["scenarios"].as_array().unwrap();
    let scenario = scenarios.iter().find(|scenario| scenario["id"] == id).unwrap();
    &scenario["steps"][step]
}

/// The schema of the first version of a definition that the scenarios use.
pub(crate) fn fixture_schema<'a>(scenarios: &'a Value, name: &str) -> &'a Value {
    &fixture(scenarios, name)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

/// The messages of all failures that the real server answered with.
pub(crate) fn all_golden_messages() -> Vec<String> {
    let answers = contract_json("golden/apiserver-1.37.2.json");
    let steps = answers["scenarios"].as_object().unwrap().values().filter_map(Value::as_array).flatten();
    let messages = steps.filter_map(|step| step["body"]["message"].as_str());
    messages.map(str::to_owned).collect()
}

/// A definition that the scenarios use.
pub(crate) fn fixture<'a>(scenarios: &'a Value, name: &str) -> &'a Value {
    let fixtures = scenarios["fixtures"].as_array().unwrap();
    fixtures.iter().find(|fixture| fixture["metadata"]["name"] == name).unwrap()
}
