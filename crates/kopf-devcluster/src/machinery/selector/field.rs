//! Field selectors: `metadata.name=a,status.phase!=Running`, and the fields that can be selected by.

use serde_json::Value;

/// A conjunction of terms on fields. The default one, with none, selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    field: String,
    is_negated: bool,
    value: String,
}

impl FieldSelector {
    /// Parses the text of a `fieldSelector` parameter.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = split(text);
        // The real server sorts the terms, which decides which of two errors is reported.
        parts.sort_unstable();
        let mut terms = Vec::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let (field, is_negated, value) = operator(part)
                .ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{part}'"))?;
            let value = unescape(value)?;
            // A term of nothing about nothing selects everything, on the real server too.
            if !(field.is_empty() && value.is_empty()) {
                terms.push(Term { field: field.to_owned(), is_negated, value });
            }
        }
        Ok(Self { terms })
    }

    /// Checks that a type can be selected by all of the fields.
    pub(crate) fn check(&self, is_supported: impl Fn(&str) -> bool) -> Result<(), String> {
        match self.terms.iter().find(|term| !is_supported(&term.field)) {
            None => Ok(()),
            Some(term) => Err(format!("field label not supported: {}", term.field)),
        }
    }

    /// Whether an object is selected, given the texts of its fields.
    pub(crate) fn matches(&self, text_of: impl Fn(&str) -> String) -> bool {
        self.terms.iter().all(|term| (text_of(&term.field) == term.value) != term.is_negated)
    }

    /// Whether the selector selects everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }
}

/// Splits at commas that no backslash precedes.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut is_escaped = false;
    for (position, char) in text.char_indices() {
        match char {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            ',' => {
                parts.push(&text[start..position]);
                start = position + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Field, whether negated, value: at the first operator, the longest that fits.
fn operator(term: &str) -> Option<(&str, bool, &str)> {
    let position = term.char_indices().map(|(position, _)| position).find(|position| {
        let rest = &term[*position..];
        rest.starts_with('=') || rest.starts_with("!=")
    })?;
    let (field, rest) = term.split_at(position);
    let operators = [("!=", true), ("==", false), ("=", false)];
    operators.into_iter().find_map(|(operator, is_negated)| {
        rest.strip_prefix(operator).map(|value| (field, is_negated, value))
    })
}

fn unescape(value: &str) -> Result<String, String> {
    let mut unescaped = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => unescaped.push(escaped),
                other => {
                    let sequence: String = std::iter::once('\\').chain(other).collect();
                    return Err(format!("invalid field selector: invalid escape sequence: {sequence}"));
                }
            },
            // The real server prints the number of the character.
            ',' | '=' => {
                let number = u32::from(char);
                return Err(format!("invalid field selector: unescaped character in value: {number}"));
            }
            _ => unescaped.push(char),
        }
    }
    Ok(unescaped)
}

/// A field that objects of a type can be selected by, beside `metadata.name` and `metadata.namespace`.
#[derive(Debug)]
struct Selectable {
    label: &'static str,
    /// Where the value stands; the first path with a value wins.
    pointers: &'static [&'static str],
    /// The text when there is no value.
    default: &'static str,
}

const fn selectable(
    label: &'static str,
    pointers: &'static [&'static str],
    default: &'static str,
) -> Selectable {
    Selectable { label, pointers, default }
}

const POD: &[Selectable] = &[
    selectable("spec.nodeName", &["/spec/nodeName"], ""),
    selectable("spec.restartPolicy", &["/spec/restartPolicy"], ""),
    selectable("spec.schedulerName", &["/spec/schedulerName"], ""),
    selectable("spec.serviceAccountName", &["/spec/serviceAccountName"], ""),
    selectable("spec.hostNetwork", &["/spec/hostNetwork"], "false"),
    selectable("status.phase", &["/status/phase"], ""),
    selectable("status.podIP", &["/status/podIPs/0/ip", "/status/podIP"], ""),
    selectable("status.podIPs", &["/status/podIPs/0/ip", "/status/podIP"], ""),
    selectable("status.nominatedNodeName", &["/status/nominatedNodeName"], ""),
];
/// As stored, in core/v1; the names of events.k8s.io are translated by [`canonical`].
const EVENT: &[Selectable] = &[
    selectable("involvedObject.kind", &["/involvedObject/kind"], ""),
    selectable("involvedObject.namespace", &["/involvedObject/namespace"], ""),
    selectable("involvedObject.name", &["/involvedObject/name"], ""),
    selectable("involvedObject.uid", &["/involvedObject/uid"], ""),
    selectable("involvedObject.apiVersion", &["/involvedObject/apiVersion"], ""),
    selectable("involvedObject.resourceVersion", &["/involvedObject/resourceVersion"], ""),
    selectable("involvedObject.fieldPath", &["/involvedObject/fieldPath"], ""),
    selectable("reason", &["/reason"], ""),
    selectable("reportingComponent", &["/reportingComponent"], ""),
    selectable("source", &["/source/component", "/reportingComponent"], ""),
    selectable("type", &["/type"], ""),
];

fn selectables(group: &str, kind: &str) -> &'static [Selectable] {
    const NAMESPACE: &[Selectable] = &[selectable("status.phase", &["/status/phase"], "")];
    const NODE: &[Selectable] = &[selectable("spec.unschedulable", &["/spec/unschedulable"], "false")];
    const REPLICAS: &[Selectable] = &[selectable("status.replicas", &["/status/replicas"], "0")];
    const SECRET: &[Selectable] = &[selectable("type", &["/type"], "")];
    const JOB: &[Selectable] = &[selectable("status.successful", &["/status/succeeded"], "0")];
    const SIGNING_REQUEST: &[Selectable] = &[selectable("spec.signerName", &["/spec/signerName"], "")];
    match (group, kind) {
        ("", "Pod") => POD,
        ("" | "events.k8s.io", "Event") => EVENT,
        ("", "Namespace") => NAMESPACE,
        ("", "Node") => NODE,
        ("", "Secret") => SECRET,
        ("", "ReplicationController") | ("apps", "ReplicaSet") => REPLICAS,
        ("batch", "Job") => JOB,
        ("certificates.k8s.io", "CertificateSigningRequest") => SIGNING_REQUEST,
        _ => &[],
    }
}

/// The name under which a field is stored; events.k8s.io has its own names.
fn canonical(group: &str, kind: &str, field: &str) -> String {
    if (group, kind) != ("events.k8s.io", "Event") {
        return field.to_owned();
    }
    match field.strip_prefix("regarding.") {
        Some(rest) => format!("involvedObject.{rest}"),
        None if field == "reportingController" => "reportingComponent".to_owned(),
        None => field.to_owned(),
    }
}

/// Whether objects of a built-in type can be selected by a field.
pub(crate) fn is_supported(group: &str, kind: &str, field: &str) -> bool {
    let field = canonical(group, kind, field);
    matches!(field.as_str(), "metadata.name" | "metadata.namespace")
        || selectables(group, kind).iter().any(|selectable| selectable.label == field)
}

/// The text of a field of an object, as selectors compare it. Events are given as stored, in core/v1.
pub(crate) fn text_of(object: &Value, group: &str, kind: &str, field: &str) -> String {
    let field = canonical(group, kind, field);
    match field.as_str() {
        "metadata.name" => first_text(object, &["/metadata/name"], ""),
        "metadata.namespace" => first_text(object, &["/metadata/namespace"], ""),
        _ => match selectables(group, kind).iter().find(|selectable| selectable.label == field) {
            Some(selectable) => first_text(object, selectable.pointers, selectable.default),
            None => String::new(),
        },
    }
}

fn first_text(object: &Value, pointers: &[&str], default: &str) -> String {
    let mut texts = pointers.iter().filter_map(|pointer| object.pointer(pointer)).map(scalar_text);
    texts.find(|text| !text.is_empty()).unwrap_or_else(|| default.to_owned())
}

/// The text of a scalar as selectors compare it.
pub(crate) fn scalar_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(selector: &str, object: &Value, group: &str, kind: &str, expected: bool) {
        let selector = FieldSelector::parse(selector).unwrap();
        selector.check(|field| is_supported(group, kind, field)).unwrap();
        let matches = selector.matches(|field| text_of(object, group, kind, field));
        assert_eq!(matches, expected, "{selector:?}");
    }

    fn check_error(selector: &str, expected: &str) {
        assert_eq!(FieldSelector::parse(selector).unwrap_err(), expected);
    }

    /// D-172, DT-082.
    #[test]
    fn pods_are_selected_by_their_fields() {
        let pod = json!({
            "metadata": {"name": "p", "namespace": "ns"},
            "spec": {"nodeName": "n1"},
            "status": {"phase": "Pending"},
        });
        check("spec.nodeName=n1,status.phase=Pending", &pod, "", "Pod", true);
        check("metadata.name!=p", &pod, "", "Pod", false);
        check("metadata.namespace==ns,spec.hostNetwork=false", &pod, "", "Pod", true);
        check("spec.nodeName=", &pod, "", "Pod", false);
        check("", &pod, "", "Pod", true);
    }

    /// D-172, D-161: both groups serve the same Events.
    #[test]
    fn events_are_selected_by_the_names_of_either_group() {
        let event = json!({
            "involvedObject": {"kind": "Widget", "name": "a"},
            "reason": "Created",
            "reportingComponent": "kopf",
        });
        check("involvedObject.name=a,involvedObject.kind=Widget", &event, "", "Event", true);
        check("regarding.name=a,reportingController=kopf", &event, "events.k8s.io", "Event", true);
        check("source=kopf,reason!=Created", &event, "", "Event", false);
    }

    #[test]
    fn numbers_and_flags_have_defaults() {
        check("spec.unschedulable=false", &json!({}), "", "Node", true);
        check("spec.unschedulable=true", &json!({"spec": {"unschedulable": true}}), "", "Node", true);
        check("status.successful=0", &json!({}), "batch", "Job", true);
        check("status.replicas=3", &json!({"status": {"replicas": 3}}), "apps", "ReplicaSet", true);
    }

    /// D-172: the real answer of DT-082.
    #[test]
    fn a_field_that_a_type_does_not_have_is_refused() {
        let selector = FieldSelector::parse("spec.nope=1").unwrap();
        let error = selector.check(|field| is_supported("", "Pod", field)).unwrap_err();
        assert_eq!(error, "field label not supported: spec.nope");
    }

    #[test]
    fn backslashes_escape_and_bad_selectors_are_refused() {
        let object = json!({"metadata": {"name": r"a,b=c\", "namespace": "n"}});
        check(r"metadata.name=a\,b\=c\\,metadata.namespace=n", &object, "", "Pod", true);
        check_error("a", "invalid selector: 'a'; can't understand 'a'");
        check_error("b,a", "invalid selector: 'b,a'; can't understand 'a'");
        check_error("b=1,a", "invalid selector: 'b=1,a'; can't understand 'a'");
        check_error(r"a=\x", r"invalid field selector: invalid escape sequence: \x");
        check_error("a=b=c", "invalid field selector: unescaped character in value: 61");
    }
}
