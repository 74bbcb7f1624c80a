//! Comparison with what a real API server answers, now or as it was recorded (DEC-30).
//!
//! Both are walked together. What differs from run to run (uids, versions, times, generated names; masks in recorded
//! answers) is bound: the same again must be the same again on the other side. Everything else must be equal.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::door::Answer;
use crate::expect::brief;

/// Fields whose values say which server it is, not how it behaves.
const MASKED: &[&str] = &[
    "serverAddressByClientCIDRs",
    "gitCommit",
    "gitTreeState",
    "buildDate",
    "goVersion",
    "compiler",
    "platform",
    "ca.crt",
];

/// What differs from run to run, or the mask of it.
static VARYING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?P<time><time>|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)",
        r"|(?P<uid><uid:\d+>|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})",
        r"|(?P<name>-<rand>|-[bcdfghjklmnpqrstvwxz2456789]{5}\b)",
        r"|(?P<address>\b10\.(?:\d+\.){2}\d+\b)",
        r"|(?P<version><rv:\d+>|\b\d+\b)",
    ))
    .unwrap()
});

/// Something that the two servers answer differently.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    /// A path in the body such as `metadata.labels`, or a header or `status` in parentheses.
    pub(crate) field: String,
    real: Option<Value>,
    ours: Option<Value>,
}

impl Difference {
    /// What both say.
    pub(crate) fn texts(&self) -> String {
        let text = |value: &Option<Value>| value.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{} {}", text(&self.real), text(&self.ours))
    }

    /// The field without indices, and the statuses: what one defect has in common.
    pub(crate) fn kind(&self) -> String {
        static INDEX: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[\d+\]").unwrap());
        let status = |answer: &Option<Value>| answer.as_ref().map(|answer| answer[0].to_string());
        let side = match (&self.real, &self.ours) {
            (Some(_), None) => "only the real server's",
            (None, Some(_)) => "only ours",
            _ if self.field == "(status)" => {
                let (real, ours) = (status(&self.real), status(&self.ours));
                return format!(
                    "status {} instead of {}",
                    ours.unwrap_or_default(),
                    real.unwrap_or_default()
                );
            }
            _ => "",
        };
        format!("{} {side}", INDEX.replace_all(&self.field, "[]"))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.real, &self.ours) {
            (Some(Value::String(real)), Some(Value::String(ours))) => {
                // Long texts from where they differ.
                let shared = real.chars().zip(ours.chars()).take_while(|(real, ours)| real == ours).count();
                let from = |text: &str| {
                    brief(&text.chars().skip(shared.saturating_sub(80)).collect::<String>().into())
                };
                write!(out, "{} is {}, the real server's is {}", self.field, from(ours), from(real))
            }
            (Some(real), Some(ours)) => {
                write!(out, "{} is {}, the real server's is {}", self.field, brief(ours), brief(real))
            }
            (Some(real), None) => {
                write!(out, "{} is not there, the real server's is {}", self.field, brief(real))
            }
            (None, ours) => {
                let ours = brief(ours.as_ref().unwrap_or(&Value::Null));
                write!(out, "{} is {ours}, which the real server does not answer", self.field)
            }
        }
    }
}

/// What belongs together in one scenario, and what has been found.
#[derive(Default)]
pub(crate) struct Comparison {
    /// From a kind and the real value to ours.
    bound: HashMap<(&'static str, String), String>,
    /// Our values that are bound.
    taken: HashSet<(&'static str, String)>,
    /// `$NS` and `$ID`, which recorded answers contain.
    variables: Vec<(String, String)>,
    is_discovery: bool,
    found: Vec<Difference>,
}

/// An answer in the form of the recorded ones.
pub(crate) fn recorded(answer: &Answer) -> Value {
    let texts = |name: &str| -> Vec<&str> {
        answer.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    };
    serde_json::json!({
        "status": answer.status.as_u16(),
        "type": texts("content-type").first(),
        "warnings": texts("warning"),
        "retryAfter": texts("retry-after").first(),
        "body": answer.body,
    })
}

impl Comparison {
    pub(crate) fn new(namespace: &str, id: &str) -> Self {
        let variables = vec![("$NS".to_owned(), namespace.to_owned()), ("$ID".to_owned(), id.to_owned())];
        Self { variables, ..Self::default() }
    }

    /// Compares an answer with the real server's.
    pub(crate) fn answer(&mut self, real: &Value, answer: &Answer) -> Vec<Difference> {
        let ours = recorded(answer);
        if real["status"] != ours["status"] {
            let whole = |answer: &Value| serde_json::json!([answer["status"], answer["body"]]);
            return vec![Difference {
                field: "(status)".to_owned(),
                real: Some(whole(real)),
                ours: Some(whole(&ours)),
            }];
        }
        for (field, name) in [("type", "(Content-Type)"), ("retryAfter", "(Retry-After)")] {
            if real[field] != ours[field] {
                self.differ(name, Some(&real[field]), Some(&ours[field]));
            }
        }
        self.warnings(&real["warnings"], &ours["warnings"]);
        let real_body = match real["body"].as_str() {
            // A recorded YAML document: its version is no mask.
            Some(text) if answer.body.is_object() => {
                let mut body: Value = serde_saphyr::from_str(text).unwrap();
                body["metadata"]["resourceVersion"] = answer.body["metadata"]["resourceVersion"].clone();
                body
            }
            _ => real["body"].clone(),
        };
        if !real["body"]["omitted"].is_string() {
            self.is_discovery = answer.body["kind"] == "APIGroupDiscoveryList";
            self.value(&real_body, &answer.body, "");
        }
        std::mem::take(&mut self.found)
    }

    /// Compares the events of a watch.
    pub(crate) fn events(&mut self, real: &Value, events: &[Value]) -> Vec<Difference> {
        self.value(&real["events"], &events.to_vec().into(), "events");
        std::mem::take(&mut self.found)
    }

    fn warnings(&mut self, real: &Value, ours: &Value) {
        let sorted = |warnings: &Value| {
            let texts = warnings.as_array().into_iter().flatten().filter_map(Value::as_str);
            // Our own warnings say what we do not do.
            let mut texts: Vec<String> =
                texts.filter(|text| !text.starts_with("299 - \"the dev cluster ")).map(Into::into).collect();
            texts.sort_unstable();
            texts
        };
        let (real, ours) = (sorted(real), sorted(ours));
        if real.len() != ours.len() || !real.iter().zip(&ours).all(|(real, ours)| self.text(real, ours)) {
            self.differ("(Warning)", Some(&real.into()), Some(&ours.into()));
        }
    }

    fn differ(&mut self, field: &str, real: Option<&Value>, ours: Option<&Value>) {
        self.found.push(Difference { field: self.masked(field), real: real.cloned(), ours: ours.cloned() });
    }

    fn value(&mut self, real: &Value, ours: &Value, path: &str) {
        // The real server's are sentences of its documentation.
        if path.contains("columnDefinitions[") && path.ends_with("].description") {
            return;
        }
        if MASKED.iter().any(|masked| path == *masked || path.ends_with(&format!(".{masked}"))) {
            return;
        }
        match (real, ours) {
            (Value::Object(expected), Value::Object(fields)) => {
                let expected: HashMap<String, &Value> =
                    expected.iter().map(|(key, value)| (self.key(key), value)).collect();
                let inside = |key: &str| {
                    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
                };
                // Uids and versions of an object first: later fields mention them.
                let (first, rest): (Vec<_>, Vec<_>) = fields
                    .iter()
                    .partition(|(key, _)| ["metadata", "uid", "resourceVersion"].contains(&key.as_str()));
                for (key, value) in first.into_iter().chain(rest) {
                    match expected.get(key) {
                        None => self.differ(&inside(key), None, Some(value)),
                        Some(real) if key == "resourceVersion" => {
                            let is_own = path.ends_with("metadata") && fields.contains_key("uid");
                            self.version(real, value, is_own, &inside(key));
                        }
                        Some(real) if key == "continue" || key == "token" => {
                            if real.as_str().is_none_or(str::is_empty)
                                != value.as_str().is_none_or(str::is_empty)
                            {
                                self.differ(&inside(key), Some(real), Some(value));
                            }
                        }
                        Some(real) => self.value(real, value, &inside(key)),
                    }
                }
                let mut missing: Vec<_> =
                    expected.iter().filter(|(key, _)| !fields.contains_key(*key)).collect();
                missing.sort_unstable_by_key(|(key, _)| *key);
                for (key, value) in missing {
                    self.differ(&inside(key), Some(value), None);
                }
            }
            (Value::Array(expected), Value::Array(items)) => self.array(expected, items, path),
            (Value::String(expected), Value::String(text)) if self.text(expected, text) => {}
            _ if real == ours => {}
            _ => self.differ(path, Some(real), Some(ours)),
        }
    }

    fn array(&mut self, real: &[Value], ours: &[Value], path: &str) {
        let (mut real, ours) = (self.sorted(real, path), self.sorted(ours, path));
        // What controllers of workloads own: there are none here (DEC-30).
        if path.ends_with("managedFields") && !ours.iter().any(is_of_controllers) {
            real.retain(|entry| !is_of_controllers(entry));
        }
        if real.len() != ours.len() {
            self.differ(path, Some(&real.into()), Some(&ours.into()));
            return;
        }
        for (index, (real, ours)) in real.iter().zip(&ours).enumerate() {
            self.value(real, ours, &format!("{path}[{index}]"));
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

    /// Versions of objects are the same again or others on both sides; a list's depend on what else happens.
    fn version(&mut self, real: &Value, ours: &Value, is_own: bool, path: &str) {
        let (real_text, ours_text) = (real.as_str().unwrap_or_default(), ours.as_str().unwrap_or_default());
        let is_version =
            |text: &str| text.starts_with("<rv:") || text.parse::<u64>().is_ok_and(|number| number > 0);
        let holds = match is_version(real_text) && is_version(ours_text) {
            true if is_own && real_text != ours_text => self.bind("version", real_text, ours_text),
            true => true,
            false => real == ours,
        };
        if !holds {
            self.differ(path, Some(real), Some(ours));
        }
    }

    /// Whether two texts are the same but for what differs from run to run.
    fn text(&mut self, real: &str, ours: &str) -> bool {
        // Which checks a server has, and hashes of documents, are its own.
        let last_line = |text: &str| text.trim_end().rsplit('\n').next().map(ToOwned::to_owned);
        if real.starts_with("[+]") && ours.starts_with("[+]") {
            return last_line(real) == last_line(ours);
        }
        if let (Some((real, _)), Some((ours, _))) = (real.split_once("?hash="), ours.split_once("?hash=")) {
            return real == ours;
        }
        let real = self.with_variables(real);
        if let (Some((real, _)), Some((ours, _))) =
            (real.split_once(" in scheme \""), ours.split_once(" in scheme \""))
        {
            // The scheme is called by a line of its source.
            return real == ours;
        }
        // The real server looks at fields in any order, and at none after one that it does not know.
        let stops = |text: &str| {
            text.starts_with("failed to create typed patch") && text.contains("field not declared")
        };
        if stops(&real) && stops(ours) {
            return true;
        }
        // What was to be removed is sometimes still in a patch that a message shows.
        if real.contains("\"map[") && parts_without_nulls(&real) == parts_without_nulls(ours) {
            return true;
        }
        if real == ours || is_age(&real, ours) || is_reordered(&real, ours) {
            return true;
        }
        if let (Some((real, real_rest)), Some((found, our_rest))) =
            (quoted_object(&real), quoted_object(ours))
        {
            // The order of keys in it is left out.
            let count = self.found.len();
            self.value(&real, &found, "");
            let is_same = self.found.len() == count;
            self.found.truncate(count);
            // Of several wrong types the first is told, in the order of the keys.
            let is_of_types = |rest: &str| rest.contains("json: cannot unmarshal");
            return is_same && (real_rest == our_rest || is_of_types(&real_rest) && is_of_types(&our_rest));
        }
        let (real_rest, real_values) = parts(&real);
        let (our_rest, our_values) = parts(ours);
        real_rest == our_rest
            && real_values.iter().zip(&our_values).all(|((kind, real), (_, ours))| match *kind {
                "time" => real.len() == ours.len() || *real == "<time>",
                // A number is a version if it was one before; a mask always is.
                "version" => {
                    real == ours
                        || self.bound.get(&("version", (*real).to_owned())).is_some_and(|bound| bound == ours)
                        || real.starts_with('<') && self.bind("version", real, ours)
                }
                kind => *real == "-<rand>" || self.bind(kind, real, ours),
            })
    }

    /// A value of the real server stands for one of ours, and the other way round.
    fn bind(&mut self, kind: &'static str, real: &str, ours: &str) -> bool {
        if let Some(bound) = self.bound.get(&(kind, real.to_owned())) {
            return bound == ours;
        }
        let is_free = self.taken.insert((kind, ours.to_owned()));
        if is_free {
            self.bound.insert((kind, real.to_owned()), ours.to_owned());
        }
        is_free
    }

    /// A key of the real server as it must be in ours.
    fn key(&self, key: &str) -> String {
        let key = self.with_variables(key);
        let uid = VARYING.captures(&key).and_then(|found| found.name("uid"));
        match uid.and_then(|uid| Some((uid, self.bound.get(&("uid", uid.as_str().to_owned()))?))) {
            Some((uid, ours)) => key.replace(uid.as_str(), ours),
            None => key,
        }
    }

    /// A path as it is written in the list of differences.
    fn masked(&self, path: &str) -> String {
        let mut path = path.to_owned();
        for ((kind, _), ours) in self.bound.iter().filter(|((kind, _), _)| *kind == "uid") {
            path = path.replace(ours, &format!("<{kind}>"));
        }
        for (name, value) in &self.variables {
            path = path.replace(value, name);
        }
        path
    }

    fn with_variables(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.variables {
            text = text.replace(name, value);
        }
        text
    }
}

/// A text without what varies, and that by kind.
fn parts(text: &str) -> (String, Vec<(&'static str, &str)>) {
    let (mut rest, mut values, mut end) = (String::new(), Vec::new(), 0);
    for found in VARYING.captures_iter(text) {
        let whole = found.get(0).unwrap();
        let kind =
            ["time", "uid", "name", "address", "version"].into_iter().find(|kind| found.name(kind).is_some());
        let kind = kind.unwrap();
        rest += &text[end..whole.start()];
        rest += &format!("\0{kind}");
        values.push((kind, whole.as_str()));
        end = whole.end();
    }
    (rest + &text[end..], values)
}

/// A text without the nulls of patches that it shows.
fn parts_without_nulls(text: &str) -> String {
    static NULL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r" ?[^ \[]+:<nil>").unwrap());
    parts(&NULL.replace_all(text, "").replace("[ ", "[")).0
}

/// An object that a message quotes, and the message without it.
fn quoted_object(message: &str) -> Option<(Value, String)> {
    let start = message.find("Invalid value: \"{")? + "Invalid value: ".len();
    let mut texts = serde_json::Deserializer::from_str(&message[start..]).into_iter::<String>();
    let text = texts.next()?.ok()?;
    let rest = format!("{}{}", &message[..start], &message[start + texts.byte_offset()..]);
    Some((serde_json::from_str(&text).ok()?, rest))
}

/// Several errors of one message, `…: [one, two]`, come in any order.
fn is_reordered(real: &str, ours: &str) -> bool {
    let pieces = |message: &str| -> Option<Vec<String>> {
        let (before, errors, separator) = match message.split_once(" is invalid: [") {
            Some((before, errors)) => (before, errors.strip_suffix(']')?, ", "),
            None => {
                let (before, errors) = message.split_once(": errors:\n")?;
                (before, errors, "\n")
            }
        };
        let pieces = errors.split(separator).chain([before]);
        let mut pieces: Vec<String> = pieces.map(ToOwned::to_owned).collect();
        pieces.sort_unstable();
        Some(pieces)
    };
    pieces(real).is_some_and(|real| pieces(ours) == Some(real))
}

/// An entry of what a controller of the real cluster wrote.
fn is_of_controllers(entry: &Value) -> bool {
    entry["manager"]
        .as_str()
        .is_some_and(|manager| manager == "controllers" || manager.starts_with("realkube"))
}

/// A group of a definition that another scenario or test made.
fn is_leftover(item: &Value) -> bool {
    let name = item["name"].as_str().or(item["metadata"]["name"].as_str()).unwrap_or_default();
    // Resources and Kubernetes' own old groups have no dot.
    name.contains('.') && !name.ends_with(".k8s.io") && name != "test.dev"
}

/// Ages in cells of tables.
fn is_age(real: &str, ours: &str) -> bool {
    static AGE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^(\d+[smhdy])+$|^<unknown>$|^<age>$").unwrap());
    AGE.is_match(real) && AGE.is_match(ours)
}
