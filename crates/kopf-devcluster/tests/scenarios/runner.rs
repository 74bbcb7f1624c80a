//! Runs the scenarios of the contract, step by step.
//!
//! The judge is what a real server answered when the answers were recorded, or a running one: then each step is
//! played to it first.

use std::collections::HashMap;
use std::time::Duration;

use http::Method;
use kopf_devcluster::{Cut, DevCluster, Matcher};
use serde_json::{Value, json};

use crate::compare::{Comparison, Difference, recorded};
use crate::door::{Answer, Call, Door, PATIENCE, Watch};
use crate::expect::{self, brief, dig};
use crate::hook::Hook;

/// How often a `wait` asks the dev cluster before it gives up.
const WAIT_TRIES: usize = 2_000;

/// What came of one scenario.
pub(crate) struct Outcome {
    pub(crate) id: String,
    pub(crate) title: String,
    /// Expectations that do not hold.
    pub(crate) problems: Vec<String>,
    /// What the judge answers differently, by step.
    pub(crate) differences: Vec<(usize, Difference)>,
}

pub(crate) struct Runner<'a> {
    cluster: &'a DevCluster,
    door: Door,
    real: Option<Door>,
    /// Tells the names of this run from those of an earlier one on the same real server.
    run: String,
    scenarios: Vec<Value>,
    golden: Value,
}

/// One server in a running scenario.
struct Side<'a> {
    /// None for a real server.
    cluster: Option<&'a DevCluster>,
    door: &'a Door,
    variables: HashMap<String, String>,
    watches: HashMap<String, Watch>,
}

/// What a step has shown.
enum Seen {
    Nothing,
    Answer(Box<Answer>),
    Events(Vec<Value>),
}

fn contract(name: &str) -> String {
    let path = format!("{}/../../contract/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

impl<'a> Runner<'a> {
    /// Judged by the recorded answers.
    pub(crate) async fn new(cluster: &'a DevCluster, door: Door) -> Self {
        // As in YAML 1.2: `y` and `on` are texts.
        let options = serde_saphyr::options! { strict_booleans: true };
        let text = contract("devcluster-scenarios.yaml");
        let document: Value = serde_saphyr::from_str_with_options(&text, options).unwrap();
        define(&door, &document["fixtures"]).await;
        let golden: Value = serde_json::from_str(&contract("golden/apiserver-1.37.2.json")).unwrap();
        let scenarios = document["scenarios"].as_array().unwrap().clone();
        let golden = golden["scenarios"].clone();
        Self { cluster, door, real: None, run: "z".to_owned(), scenarios, golden }
    }

    /// Judged by a running server.
    pub(crate) async fn in_lock_step(cluster: &'a DevCluster, door: Door, real: Door) -> Self {
        let text = contract("devcluster-scenarios.yaml");
        let options = serde_saphyr::options! { strict_booleans: true };
        let document: Value = serde_saphyr::from_str_with_options(&text, options).unwrap();
        define(&real, &document["fixtures"]).await;
        let run = run_id();
        Self { real: Some(real), run, ..Self::new(cluster, door).await }
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
        let mut outcome = Outcome { id, title, problems: Vec::new(), differences: Vec::new() };
        let hook = match needs(scenario, "webhook") {
            // A paused clock does not wait for sockets (DEC-20).
            true if self.door.is_in_process() => return outcome,
            true => Some(Hook::start().await),
            false => None,
        };
        if self.real.is_some() && needs(scenario, "compact") {
            // Nobody makes a real server forget: that is its storage's business.
            return outcome;
        }
        let (namespace, unique) = (format!("ns{index}q{}", self.run), format!("id{index}q{}", self.run));
        let mut variables =
            HashMap::from([("NS".to_owned(), namespace.clone()), ("ID".to_owned(), unique.clone())]);
        variables.extend(hook_variables(hook.as_ref()));
        let side = |cluster, door| {
            let variables = variables.clone();
            Side { cluster, door, variables, watches: HashMap::new() }
        };
        let mut ours = side(Some(self.cluster), &self.door);
        let mut real = self.real.as_ref().map(|door| side(None, door));
        let mut comparison = Comparison::new(&namespace, &unique);
        if needs(scenario, "compact") {
            self.cluster.faults().compact();
        }
        if scenario.to_string().contains("$NS") {
            for side in real.iter().chain([&ours]) {
                side.make_namespace(&namespace).await;
            }
        }
        for (number, step) in scenario["steps"].as_array().unwrap().iter().enumerate() {
            let what = ["c", "read", "wait", "pause"].iter().find_map(|key| step.get(*key)).map(brief);
            let what = format!("step {number} {}", what.unwrap_or_default());
            let (seen, problems) = ours.play(step).await;
            outcome.problems.extend(problems.into_iter().map(|problem| format!("{what}: {problem}")));
            let judge = match &mut real {
                None => self.golden[&outcome.id]
                    .as_array()
                    .and_then(|steps| steps.iter().find(|real| real["step"].as_u64() == Some(number as u64)))
                    .cloned(),
                Some(real) => {
                    let awaited = match &seen {
                        Seen::Events(events) => events.len(),
                        Seen::Nothing | Seen::Answer(_) => 0,
                    };
                    let (seen, problems) = real.play_awaiting(step, awaited).await;
                    let problems = problems.into_iter().map(|it| format!("{what}: the real server: {it}"));
                    outcome.problems.extend(problems);
                    match seen {
                        Seen::Nothing => None,
                        Seen::Answer(answer) => Some(recorded(&answer)),
                        Seen::Events(events) => Some(json!({"events": events})),
                    }
                }
            };
            let differences = match (judge, &seen) {
                (Some(judge), Seen::Answer(answer)) => comparison.answer(&judge, answer),
                (Some(judge), Seen::Events(events)) => comparison.events(&judge, events),
                (None, _) | (Some(_), Seen::Nothing) => Vec::new(),
            };
            outcome.differences.extend(differences.into_iter().map(|difference| (number, difference)));
        }
        if let Some(real) = real {
            real.clean_up(&namespace, &unique).await;
        }
        outcome
    }
}

/// The dev cluster and a real server, played to side by side by the generator.
pub(crate) struct Pair<'a> {
    ours: Side<'a>,
    real: Side<'a>,
}

impl<'a> Pair<'a> {
    /// Makes the definitions and a namespace of this run on both.
    pub(crate) async fn new(
        cluster: &'a DevCluster,
        ours: &'a Door,
        real: &'a Door,
        definitions: &Value,
    ) -> Self {
        let namespace = format!("generated-{}", run_id());
        let variables = HashMap::from([("NS".to_owned(), namespace.clone())]);
        let side =
            |cluster, door| Side { cluster, door, variables: variables.clone(), watches: HashMap::new() };
        let pair = Self { ours: side(Some(cluster), ours), real: side(None, real) };
        for side in [&pair.ours, &pair.real] {
            define(side.door, definitions).await;
            side.make_namespace(&namespace).await;
        }
        pair
    }

    /// Plays steps until the answers to one differ in what is not known: that step, and how.
    pub(crate) async fn play(
        &mut self,
        steps: &[Value],
        mut is_known: impl FnMut(&Difference) -> bool,
    ) -> Option<(usize, Vec<Difference>)> {
        for side in [&mut self.ours, &mut self.real] {
            side.variables.retain(|name, _| name == "NS");
        }
        let episode = format!("e{}", run_id());
        for side in [&mut self.ours, &mut self.real] {
            side.variables.insert("EP".to_owned(), episode.clone());
        }
        let mut comparison = Comparison::new(&self.ours.variables["NS"], &episode);
        for (number, step) in steps.iter().enumerate() {
            let (Seen::Answer(real), _) = self.real.play(step).await else { continue };
            let (Seen::Answer(ours), _) = self.ours.play(step).await else { continue };
            let mut found = comparison.answer(&recorded(&real), &ours);
            found.retain(|difference| !is_known(difference));
            if !found.is_empty() {
                return Some((number, found));
            }
        }
        None
    }

    pub(crate) async fn clean_up(&self) {
        self.real.clean_up(&self.real.variables["NS"], "").await;
    }
}

impl Side<'_> {
    async fn make_namespace(&self, namespace: &str) {
        let body = json!({"metadata": {"name": namespace}});
        let answer = self.door.send(&new_call(Method::POST, "/api/v1/namespaces", Some(&body))).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        for (what, name) in [("configmaps", "kube-root-ca.crt"), ("serviceaccounts", "default")] {
            let path = format!("/api/v1/namespaces/{namespace}/{what}/{name}");
            let is_there = async || self.door.send(&new_call(Method::GET, &path, None)).await.status == 200;
            until(is_there).await;
        }
    }

    /// Deletes what a scenario may have left on a server that others use.
    async fn clean_up(&self, namespace: &str, unique: &str) {
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        for path in [
            format!("/api/v1/namespaces/{namespace}"),
            format!("/api/v1/namespaces/n-{unique}"),
            format!("{definitions}/things.x{unique}.dev"),
        ] {
            self.door.send(&new_call(Method::DELETE, &path, None)).await;
        }
    }

    async fn play(&mut self, step: &Value) -> (Seen, Vec<String>) {
        self.play_awaiting(step, 0).await
    }

    /// Plays a step, and checks what is expected of it. A real server has so many events to show.
    async fn play_awaiting(&mut self, step: &Value, awaited: usize) -> (Seen, Vec<String>) {
        let step = &substitute(step, &self.variables);
        if let Some(seconds) = step["pause"].as_f64() {
            // On the dev cluster, a pause over HTTP is no more than a barrier.
            if self.cluster.is_none() || self.door.is_in_process() {
                tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            }
            return (Seen::Nothing, Vec::new());
        }
        if step["read"].is_string() {
            return self.read(step, awaited).await;
        }
        if step["wait"].is_object() {
            return (Seen::Nothing, self.wait(&step["wait"]).await);
        }
        if step["c"].as_str().is_some_and(|call| call.contains(" https://")) {
            // What the webhook server itself answers says nothing about the cluster.
            return (Seen::Nothing, Vec::new());
        }
        if step["u"][0].as_str().is_some_and(|object| object.starts_with('$')) {
            // It was never there.
            return (Seen::Nothing, Vec::new());
        }
        let call = call(step);
        if let Some(name) = step["bg"].as_str() {
            self.watches.insert(name.to_owned(), self.door.watch(&call).await);
            return (Seen::Nothing, Vec::new());
        }
        let answer = self.door.send(&call).await;
        let problems = expect::answer(&step["x"], &answer);
        let saved = step["sv"].as_object().filter(|_| answer.status.is_success());
        for (name, path) in saved.into_iter().flatten() {
            let value = dig(&answer.body, path.as_str().unwrap()).map(|value| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            self.variables.insert(name.clone(), value.unwrap_or_default());
        }
        (Seen::Answer(Box::new(answer)), problems)
    }

    async fn read(&mut self, step: &Value, awaited: usize) -> (Seen, Vec<String>) {
        let expected = &step["x"];
        let watch = self.watches.remove(step["read"].as_str().unwrap()).unwrap();
        let status = watch.status.as_u16();
        let mut problems = Vec::new();
        if let Some(expected) = expected["s"].as_u64().filter(|expected| *expected != u64::from(status)) {
            problems.push(format!("status {status}, expected {expected}"));
        }
        let shows_bookmarks =
            expected["ev"].as_array().is_some_and(|types| types.iter().any(|t| t == "BOOKMARK"));
        let counts = |event: &Value| event["type"] != "BOOKMARK" || shows_bookmarks;
        let ends = expected["ended"] == true;
        let events = match self.cluster {
            Some(cluster) => {
                if ends && self.door.is_in_process() && !watch.has_ended() {
                    problems.push("the stream has not ended".to_owned());
                }
                if !ends || !problems.is_empty() {
                    // A clean cut sends what has happened so far.
                    cluster.faults().cut_watches(&Matcher::any(), Cut::Clean);
                }
                watch.events().await
            }
            None if ends => {
                until(async || watch.has_ended()).await;
                watch.events().await
            }
            None => {
                watch.up_to(|events| events.iter().filter(|event| counts(event)).count() >= awaited).await
            }
        };
        let events: Vec<Value> = events.into_iter().filter(counts).collect();
        if let Some(types) = expected["ev"].as_array() {
            let found: Vec<&Value> = events.iter().map(|event| &event["type"]).collect();
            if found != types.iter().collect::<Vec<_>>() {
                problems.push(format!("events {found:?}, expected {types:?}"));
            }
        }
        if expected["j"].is_object() {
            let (first, last) = (events.first(), events.last());
            let mut ends = json!({"first": first, "last": last});
            if let (Value::Object(ends), Some(Value::Object(only))) = (&mut ends, first) {
                ends.extend(only.clone());
            }
            expect::partial(&expected["j"], &ends, "", &mut problems);
        }
        (Seen::Events(events), problems)
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
            if self.cluster.is_none() {
                tokio::time::sleep(PATIENCE / u32::try_from(WAIT_TRIES).unwrap()).await;
            }
        }
        vec![format!("never {}; last {}", brief(&wait["until"]), brief(&last))]
    }
}

/// Creates definitions, or makes existing ones as they should be.
async fn define(door: &Door, fixtures: &Value) {
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    for fixture in fixtures.as_array().unwrap() {
        let answer = door.send(&new_call(Method::POST, definitions, Some(fixture))).await;
        let path = format!("{definitions}/{}", fixture["metadata"]["name"].as_str().unwrap());
        if answer.status == 409 {
            let mut call = new_call(Method::PATCH, &path, Some(fixture));
            call.headers = vec![("content-type".to_owned(), "application/merge-patch+json".to_owned())];
            let answer = door.send(&call).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
        } else {
            assert_eq!(answer.status, 201, "{}", answer.body);
        }
        let established = "status.conditions[type=Established].status";
        until(async || {
            let answer = door.send(&new_call(Method::GET, &path, None)).await;
            dig(&answer.body, established) == Some(&"True".into())
        })
        .await;
    }
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    while !holds().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A few characters that no other run on the same cluster has.
pub(crate) fn run_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()[..6].to_owned()
}

pub(crate) fn new_call(method: Method, path: &str, body: Option<&Value>) -> Call {
    let headers = match body {
        Some(_) => vec![("content-type".to_owned(), "application/json".to_owned())],
        None => Vec::new(),
    };
    Call { method, path: path.to_owned(), headers, body: body.map(ToString::to_string) }
}

fn hook_variables(hook: Option<&Hook>) -> HashMap<String, String> {
    let variables = |hook: &Hook| [("HOOK", hook.url.clone()), ("HOOKCA", hook.authority.clone())];
    hook.map(variables).into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn needs(scenario: &Value, what: &str) -> bool {
    scenario["needs"].as_array().is_some_and(|needs| needs.iter().any(|need| need == what))
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
    let body = match (&step["raw"], step.get("b"), &step["u"]) {
        (Value::String(raw), _, _) => Some(raw.clone()),
        (_, Some(body), _) => Some(body.to_string()),
        (_, _, Value::Array(update)) => {
            let mut object = serde_json::from_str(update[0].as_str().unwrap()).unwrap_or_default();
            merge(&mut object, &update[1]);
            Some(object.to_string())
        }
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

/// Changes a value as a merge patch says.
fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    let fields = value.as_object_mut().unwrap();
    for (name, change) in changes {
        match change {
            Value::Null => drop(fields.shift_remove(name)),
            change => merge(fields.entry(name).or_insert(Value::Null), change),
        }
    }
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
