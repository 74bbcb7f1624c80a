//! Runs the scenarios of the contract, step by step.

use std::collections::HashMap;

use http::Method;
use kopf_devcluster::{Cut, DevCluster, Matcher};
use serde_json::Value;

use crate::door::{Call, Door, Watch};
use crate::expect::{self, brief, dig};
use crate::golden::{Bindings, Difference};
use crate::hook::Hook;

/// How often a `wait` asks before it gives up.
const WAIT_TRIES: usize = 2_000;

/// What came of one scenario.
pub(crate) struct Outcome {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) problems: Vec<String>,
    pub(crate) missing: Vec<String>,
}

pub(crate) struct Runner<'a> {
    cluster: &'a DevCluster,
    door: Door,
    scenarios: Vec<Value>,
    golden: Value,
}

/// The state of a running scenario.
struct State {
    variables: HashMap<String, String>,
    watches: HashMap<String, Watch>,
    bindings: Bindings,
    real: Vec<Value>,
    problems: Vec<String>,
    missing: Vec<String>,
}

fn contract(name: &str) -> String {
    let path = format!("{}/../../contract/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

impl<'a> Runner<'a> {
    pub(crate) async fn new(cluster: &'a DevCluster, door: Door) -> Self {
        // As in YAML 1.2: `y` and `on` are texts.
        let options = serde_saphyr::options! { strict_booleans: true };
        let text = contract("devcluster-scenarios.yaml");
        let document: Value = serde_saphyr::from_str_with_options(&text, options).unwrap();
        for fixture in document["fixtures"].as_array().unwrap() {
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions".to_owned();
            let call =
                Call { method: Method::POST, path, body: Some(fixture.to_string()), ..Call::default() };
            assert_eq!(door.send(&call).await.status, 201);
        }
        let golden: Value = serde_json::from_str(&contract("golden/apiserver-1.37.2.json")).unwrap();
        let scenarios = document["scenarios"].as_array().unwrap().clone();
        Self { cluster, door, scenarios, golden: golden["scenarios"].clone() }
    }

    pub(crate) async fn run_all(&self) -> Vec<Outcome> {
        let filter = std::env::var("SCENARIO").unwrap_or_default();
        let mut outcomes = Vec::new();
        for (index, scenario) in self.scenarios.iter().enumerate() {
            if scenario["id"].as_str().unwrap().contains(&filter) {
                outcomes.push(self.run(index, scenario).await);
            }
        }
        outcomes
    }

    async fn run(&self, index: usize, scenario: &Value) -> Outcome {
        let id = scenario["id"].as_str().unwrap().to_owned();
        let title = scenario["t"].as_str().unwrap().to_owned();
        let hook = match needs(scenario, "webhook") {
            // A paused clock does not wait for sockets (DEC-20).
            true if self.door.is_in_process() => {
                return Outcome { id, title, problems: Vec::new(), missing: Vec::new() };
            }
            true => Some(Hook::start().await),
            false => None,
        };
        let (namespace, unique) = (format!("ns{index}qz"), format!("id{index}qz"));
        let variables =
            HashMap::from([("NS".to_owned(), namespace.clone()), ("ID".to_owned(), unique.clone())]);
        let mut state = State {
            bindings: Bindings::new(&id, &namespace, &unique),
            real: self.golden[&id].as_array().cloned().unwrap_or_default(),
            variables: variables.into_iter().chain(hook_variables(hook.as_ref())).collect(),
            watches: HashMap::new(),
            problems: Vec::new(),
            missing: Vec::new(),
        };
        if needs(scenario, "compact") {
            self.cluster.faults().compact();
        }
        if scenario.to_string().contains("$NS") {
            let path = "/api/v1/namespaces".to_owned();
            let body = serde_json::json!({"metadata": {"name": namespace}}).to_string();
            let call = Call { method: Method::POST, path, body: Some(body), ..Call::default() };
            assert_eq!(self.door.send(&call).await.status, 201);
        }
        for (number, step) in scenario["steps"].as_array().unwrap().iter().enumerate() {
            let step = substitute(step, &state.variables);
            let problems = self.step(&mut state, number, &step).await;
            let what = ["c", "read", "wait", "pause"].iter().find_map(|key| step.get(*key)).map(brief);
            let what = what.unwrap_or_default();
            state
                .problems
                .extend(problems.into_iter().map(|problem| format!("step {number} {what}: {problem}")));
        }
        Outcome { id, title, problems: state.problems, missing: state.missing }
    }

    async fn step(&self, state: &mut State, number: usize, step: &Value) -> Vec<String> {
        if let Some(seconds) = step["pause"].as_f64() {
            if self.door.is_in_process() {
                tokio::time::sleep(std::time::Duration::from_secs_f64(seconds)).await;
            }
            return Vec::new();
        }
        if step["read"].is_string() {
            return self.read(state, number, step).await;
        }
        if step["wait"].is_object() {
            return self.wait(&step["wait"]).await;
        }
        if step["c"].as_str().is_some_and(|call| call.contains(" https://")) {
            // What the webhook server itself answers says nothing about the cluster.
            return Vec::new();
        }
        let call = call(step);
        if let Some(name) = step["bg"].as_str() {
            state.watches.insert(name.to_owned(), self.door.watch(&call).await);
            return Vec::new();
        }
        let answer = self.door.send(&call).await;
        let mut problems = expect::answer(&step["x"], &answer);
        if let Some(real) = real(state, number) {
            let difference = state.bindings.answer(&real, &answer);
            note(state, number, difference, &mut problems);
        }
        for (name, path) in step["sv"].as_object().into_iter().flatten() {
            let value = dig(&answer.body, path.as_str().unwrap()).map(|value| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            state.variables.insert(name.clone(), value.unwrap_or_default());
        }
        problems
    }

    async fn read(&self, state: &mut State, number: usize, step: &Value) -> Vec<String> {
        let expected = &step["x"];
        let watch = state.watches.remove(step["read"].as_str().unwrap()).unwrap();
        let mut problems = Vec::new();
        if let Some(status) =
            expected["s"].as_u64().filter(|status| *status != u64::from(watch.status.as_u16()))
        {
            problems.push(format!("status {}, expected {status}", watch.status));
        }
        let ends = expected["ended"] == true;
        if ends && self.door.is_in_process() && !watch.has_ended() {
            problems.push("the stream has not ended".to_owned());
        }
        if !ends || !problems.is_empty() {
            // A clean cut sends what has happened so far.
            self.cluster.faults().cut_watches(&Matcher::any(), Cut::Clean);
        }
        let shows_bookmarks =
            expected["ev"].as_array().is_some_and(|types| types.iter().any(|t| t == "BOOKMARK"));
        let events: Vec<Value> = watch
            .events()
            .await
            .into_iter()
            .filter(|event| event["type"] != "BOOKMARK" || shows_bookmarks)
            .collect();
        if let Some(types) = expected["ev"].as_array() {
            let found: Vec<&Value> = events.iter().map(|event| &event["type"]).collect();
            if found != types.iter().collect::<Vec<_>>() {
                problems.push(format!("events {found:?}, expected {types:?}"));
            }
        }
        if expected["j"].is_object() {
            let (first, last) = (events.first(), events.last());
            let mut ends = serde_json::json!({"first": first, "last": last});
            if let (Value::Object(ends), Some(Value::Object(only))) = (&mut ends, first) {
                ends.extend(only.clone());
            }
            expect::partial(&expected["j"], &ends, "", &mut problems);
        }
        if let Some(real) = real(state, number) {
            let difference = state.bindings.events(&real, &events);
            note(state, number, difference, &mut problems);
        }
        problems
    }

    async fn wait(&self, wait: &Value) -> Vec<String> {
        let call = call(wait);
        let until = wait["until"].as_object().unwrap();
        let mut last = Value::Null;
        for _ in 0..WAIT_TRIES {
            let answer = self.door.send(&call).await;
            let holds = until.iter().all(|(path, wanted)| match path.as_str() {
                "status" if wanted.is_u64() => wanted.as_u64() == Some(answer.status.as_u16().into()),
                _ if wanted == "*" => dig(&answer.body, path).is_some(),
                _ => dig(&answer.body, path) == Some(wanted),
            });
            if holds {
                return expect::answer(&wait["x"], &answer);
            }
            last = answer.body;
        }
        vec![format!("never {}; last {}", brief(&wait["until"]), brief(&last))]
    }
}

fn hook_variables(hook: Option<&Hook>) -> HashMap<String, String> {
    let variables = |hook: &Hook| [("HOOK", hook.url.clone()), ("HOOKCA", hook.authority.clone())];
    hook.map(variables).into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn needs(scenario: &Value, what: &str) -> bool {
    scenario["needs"].as_array().is_some_and(|needs| needs.iter().any(|need| need == what))
}

fn real(state: &State, number: usize) -> Option<Value> {
    state.real.iter().find(|step| step["step"].as_u64() == Some(number as u64)).cloned()
}

fn note(state: &mut State, number: usize, difference: Difference, problems: &mut Vec<String>) {
    problems.extend(difference.problems);
    state.missing.extend(difference.missing.into_iter().map(|path| format!("{number} {path}")));
}

/// A step's request.
fn call(step: &Value) -> Call {
    let (method, path) = step["c"].as_str().unwrap().split_once(' ').unwrap();
    let mut headers: Vec<(String, String)> = step["h"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect();
    let body = match (&step["raw"], step.get("b")) {
        (Value::String(raw), _) => Some(raw.clone()),
        (_, Some(body)) => Some(body.to_string()),
        _ => None,
    };
    if body.is_some() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    headers.retain(|(name, value)| !(value.is_empty() && name.eq_ignore_ascii_case("accept")));
    if let Some(user) = step["as"].as_str() {
        headers.push(("impersonate-user".to_owned(), user.to_owned()));
    }
    let is_watch = method == "WATCH" || step["bg"].is_string();
    let path = match (is_watch, path.contains('?')) {
        (false, _) => path.to_owned(),
        (true, _) if method != "WATCH" => path.to_owned(),
        (true, true) => format!("{path}&watch=true"),
        (true, false) => format!("{path}?watch=true"),
    };
    let method = if is_watch { Method::GET } else { method.parse().unwrap() };
    Call { method, path, headers, body }
}

/// Replaces `$name` in all texts and keys.
fn substitute(value: &Value, variables: &HashMap<String, String>) -> Value {
    match value {
        Value::String(text) => replaced(text, variables).into(),
        Value::Array(items) => items.iter().map(|item| substitute(item, variables)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (replaced(key, variables), substitute(value, variables)))
            .collect(),
        scalar => scalar.clone(),
    }
}

fn replaced(text: &str, variables: &HashMap<String, String>) -> String {
    let names = regex::Regex::new(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?").unwrap();
    names
        .replace_all(text, |found: &regex::Captures<'_>| {
            variables.get(&found[1]).cloned().unwrap_or_else(|| found[0].to_owned())
        })
        .into_owned()
}
