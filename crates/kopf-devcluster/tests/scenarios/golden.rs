//! Comparison with the masked answers of a real API server (DEC-30).
//!
//! What we answer must be what it answered; what only it answers is collected. Masks stand for values that differ
//! from run to run: each is bound to the value it stands for, so that "the same again" and "another one" are compared.

use std::collections::HashMap;

use regex::Regex;
use serde_json::Value;

use crate::door::Answer;
use crate::expect::brief;

/// Paths whose values say what the server is, not how it behaves.
const MASKED: &[&str] = &[
    "serverAddressByClientCIDRs",
    "gitCommit",
    "gitTreeState",
    "buildDate",
    "goVersion",
    "compiler",
    "platform",
    "status.userInfo",
    "status.resourceRules",
    "status.nonResourceRules",
    "status.reason",
    "clusterIP",
    "clusterIPs",
    "ca.crt",
];

/// What masks are bound to in one scenario.
#[derive(Default)]
pub(crate) struct Bindings {
    /// From a mask such as `<uid:1>` to the value, and back.
    bound: HashMap<String, String>,
    masks: HashMap<String, String>,
    /// `$NS` and `$ID`.
    variables: Vec<(String, String)>,
    is_discovery: bool,
    /// Controllers of workloads have written in between, so that versions differ (DEC-30).
    ignores_versions: bool,
}

/// Scenarios in which they have.
const WITH_WORKLOADS: &[&str] = &["DT-039", "DT-040", "DT-152"];

/// What a comparison has found.
#[derive(Default)]
pub(crate) struct Difference {
    pub(crate) problems: Vec<String>,
    /// Paths that only the real answer has.
    pub(crate) missing: Vec<String>,
}

impl Bindings {
    pub(crate) fn new(scenario: &str, namespace: &str, id: &str) -> Self {
        let ignores_versions = WITH_WORKLOADS.contains(&scenario);
        let variables = vec![("$NS".to_owned(), namespace.to_owned()), ("$ID".to_owned(), id.to_owned())];
        Self { variables, ignores_versions, ..Self::default() }
    }

    /// Compares an answer with the recorded step.
    pub(crate) fn answer(&mut self, real: &Value, answer: &Answer) -> Difference {
        let mut difference = Difference::default();
        if real["status"].as_u64() != Some(answer.status.as_u16().into()) {
            let body = brief(&answer.body);
            difference
                .problems
                .push(format!("status {}, the real server's is {}: {body}", answer.status, real["status"]));
            return difference;
        }
        let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
        if real["type"].as_str() != header("content-type") {
            let found = header("content-type");
            difference
                .problems
                .push(format!("content type {found:?}, the real server's is {}", real["type"]));
        }
        if real["retryAfter"].is_string() != header("retry-after").is_some() {
            difference.problems.push("Retry-After differs".to_owned());
        }
        self.warnings(real, answer, &mut difference);
        let real_body = match real["body"].as_str() {
            Some(text) if answer.body.is_object() => serde_saphyr::from_str(text).unwrap(),
            _ => real["body"].clone(),
        };
        if real["body"]["omitted"].is_string() {
            return difference;
        }
        self.is_discovery = answer.body["kind"] == "APIGroupDiscoveryList";
        self.value(&real_body, &answer.body, "", &mut difference);
        difference
    }

    fn warnings(&mut self, real: &Value, answer: &Answer, difference: &mut Difference) {
        let texts = answer.headers.get_all("warning").iter().filter_map(|value| value.to_str().ok());
        // Our own warnings say what we do not do.
        let mut found: Vec<&str> =
            texts.filter(|text| !text.starts_with("299 - \"the dev cluster ")).collect();
        let mut expected: Vec<&str> =
            real["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        found.sort_unstable();
        expected.sort_unstable();
        let is_equal = found.len() == expected.len()
            && expected.iter().zip(&found).all(|(expected, found)| self.text(expected, found));
        if !is_equal {
            difference.problems.push(format!("warnings {found:?}, the real server's are {expected:?}"));
        }
    }

    /// Compares the events of a watch.
    pub(crate) fn events(&mut self, real: &Value, events: &[Value]) -> Difference {
        let mut difference = Difference::default();
        let events = Value::from(events.to_vec());
        self.value(&real["events"], &events, "events", &mut difference);
        difference
    }

    fn value(&mut self, real: &Value, found: &Value, path: &str, difference: &mut Difference) {
        // The real server's are sentences of its documentation.
        if path.contains("columnDefinitions[") && path.ends_with("].description") {
            return;
        }
        if MASKED.iter().any(|masked| path == *masked || path.ends_with(&format!(".{masked}"))) {
            return;
        }
        match (real, found) {
            (Value::Object(expected), Value::Object(fields)) => {
                let names: HashMap<String, &Value> =
                    expected.iter().map(|(key, value)| (self.unmasked(key), value)).collect();
                for (key, value) in fields {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    match names.get(key) {
                        None => difference.problems.push(format!(
                            "{path} is {}, which the real server does not answer",
                            brief(value)
                        )),
                        Some(expected)
                            if key == "resourceVersion"
                                && (self.ignores_versions || !is_own_version(found, expected, &path)) => {}
                        Some(expected) => self.value(expected, value, &path, difference),
                    }
                }
                for key in names.keys().filter(|key| !fields.contains_key(*key)) {
                    let key = self.masked(key);
                    difference.missing.push(if path.is_empty() { key } else { format!("{path}.{key}") });
                }
            }
            (Value::Array(expected), Value::Array(items)) => self.array(expected, items, path, difference),
            (Value::String(expected), Value::String(text)) if self.text(expected, text) => {}
            _ if real == found => {}
            _ => difference.problems.push(format!(
                "{path} is {}, the real server's is {}",
                brief(found),
                brief(real)
            )),
        }
    }

    fn array(&mut self, real: &[Value], found: &[Value], path: &str, difference: &mut Difference) {
        let (mut real, found) = (self.sorted(real, path), &*self.sorted(found, path));
        // What controllers of workloads own: there are none here (DEC-30).
        let is_controllers = |entry: &Value| entry["manager"] == "controllers";
        if path.ends_with("managedFields") && !found.iter().any(is_controllers) {
            real.retain(|entry| !is_controllers(entry));
        }
        let real = &*real;
        if real.len() != found.len() {
            let (real, found) = (brief(&real.to_vec().into()), brief(&found.to_vec().into()));
            difference.problems.push(format!("{path} is {found}, the real server's is {real}"));
            return;
        }
        for (index, (real, found)) in real.iter().zip(found).enumerate() {
            self.value(real, found, &format!("{path}[{index}]"), difference);
        }
    }

    /// Lists whose order says nothing, in one order; without what other scenarios may have left.
    fn sorted(&self, items: &[Value], path: &str) -> Vec<Value> {
        let mut items = items.to_vec();
        if path == "resources" || path == "groups" || path == "items" && self.is_discovery {
            items.retain(|item| !is_leftover(item));
            items.sort_by_key(|item| item["name"].to_string() + &item["metadata"]["name"].to_string());
        } else if path.ends_with("versions[0].resources") || path.ends_with("versions[1].resources") {
            items.sort_by_key(|item| item["resource"].to_string());
        } else if path.ends_with("managedFields") {
            items.sort_by_key(|entry| {
                ["manager", "operation", "apiVersion", "subresource"].map(|field| entry[field].to_string())
            });
        } else if path.ends_with("causes") {
            items.sort_by_key(|cause| cause["field"].to_string() + &cause["message"].to_string());
        }
        items
    }

    /// Whether a text is what the masked text stands for; binds masks.
    fn text(&mut self, real: &str, found: &str) -> bool {
        // Which checks a server has, and hashes of documents, are its own.
        let last_line = |text: &str| text.trim_end().rsplit('\n').next().map(ToOwned::to_owned);
        if real.starts_with("[+]") && found.starts_with("[+]") {
            return last_line(real) == last_line(found);
        }
        if let (Some((real, _)), Some((found, _))) = (real.split_once("?hash="), found.split_once("?hash=")) {
            return real == found;
        }
        let real = self.with_variables(real);
        if real == found {
            return true;
        }
        let masks = Regex::new(
            r"<(uid|rv):\d+>|<(time|continue|token|rand|age)>|\b(pre|e)-[bcdfghjklmnpqrstvwxz2456789]{5}\b",
        )
        .unwrap();
        let mut pattern = "^".to_owned();
        let mut bound = Vec::new();
        let mut end = 0;
        for mask in masks.find_iter(&real) {
            pattern += &regex::escape(&real[end..mask.start()]);
            end = mask.end();
            pattern += match mask.as_str() {
                "<time>" => r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)",
                "<continue>" | "<token>" => "(.+)",
                "<rand>" => "([a-z0-9]{5})",
                "<age>" => r"(\w+)",
                uid if uid.starts_with("<uid") => {
                    r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
                }
                rv if rv.starts_with("<rv") => r"(\d+)",
                _ => "([a-z]+-[a-z0-9]{5})",
            };
            bound.push(mask.as_str().to_owned());
        }
        pattern += &regex::escape(&real[end..]);
        let Some(captures) = Regex::new(&format!("(?s){pattern}$")).unwrap().captures(found) else {
            return is_age(&real, found);
        };
        bound.iter().enumerate().all(|(index, mask)| {
            let value = &captures[index + 1];
            !(mask.starts_with("<uid") || mask.starts_with("<rv")) || self.bind(mask, value)
        })
    }

    /// A mask stands for one value, and a value for one mask.
    fn bind(&mut self, mask: &str, value: &str) -> bool {
        let value = format!("{}{value}", &mask[..3]);
        let known = self.bound.entry(mask.to_owned()).or_insert_with(|| value.clone());
        let back = self.masks.entry(value.clone()).or_insert_with(|| mask.to_owned());
        *known == value && back == mask
    }

    /// A key in which masks are replaced by what they stand for.
    fn unmasked(&self, key: &str) -> String {
        let mut key = self.with_variables(key);
        for (mask, value) in &self.bound {
            key = key.replace(mask, &value[3..]);
        }
        key
    }

    /// A key as it is written in the list of missing fields.
    fn masked(&self, key: &str) -> String {
        let mut key = key.to_owned();
        for (value, mask) in &self.masks {
            if value.len() > 12 {
                key = key.replace(&value[3..], mask);
            }
        }
        for (name, value) in &self.variables {
            key = key.replace(value, name);
        }
        key
    }

    fn with_variables(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.variables {
            text = text.replace(name, value);
        }
        text
    }
}

/// Whether a resource version is that of an object itself, not of a list, a table or a bookmark.
fn is_own_version(metadata: &Value, real: &Value, path: &str) -> bool {
    let is_masked = real.as_str().is_some_and(|version| version.starts_with('<'));
    path.ends_with("metadata.resourceVersion") && metadata["uid"].is_string() && is_masked
}

/// A group of a definition that another scenario made.
fn is_leftover(item: &Value) -> bool {
    let name = item["name"].as_str().or(item["metadata"]["name"].as_str()).unwrap_or_default();
    name.starts_with('x') && name.ends_with(".dev")
}

/// Ages in cells of tables.
fn is_age(real: &str, found: &str) -> bool {
    let age = Regex::new(r"^(\d+[smhdy])+$|^<unknown>$").unwrap();
    age.is_match(real) && age.is_match(found)
}
