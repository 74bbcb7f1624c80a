//! Events of core/v1 and events.k8s.io/v1: one object, two shapes (D-161).
//!
//! Stored in the shape of core/v1.

use serde_json::{Map, Value};

use crate::machinery::cause::Cause;
use crate::machinery::names;
use crate::server::write::Target;
use crate::types::Shape;

/// The names that differ: core/v1, events.k8s.io/v1.
const RENAMED: &[(&str, &str)] = &[
    ("message", "note"),
    ("involvedObject", "regarding"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// A stored Event as events.k8s.io/v1 shows it.
pub(crate) fn to_events_v1(value: &Value) -> Value {
    renamed(value, "events.k8s.io/v1", |(core, events)| (core, events))
}

/// An Event of events.k8s.io/v1 as it is stored.
pub(crate) fn to_core(value: &Value) -> Value {
    renamed(value, "v1", |(core, events)| (events, core))
}

fn renamed(
    value: &Value,
    api_version: &str,
    direction: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) -> Value {
    let empty = Map::new();
    let fields = value.as_object().unwrap_or(&empty);
    let mut out = Map::new();
    for (key, value) in fields {
        let name = RENAMED
            .iter()
            .map(|names| direction(*names))
            .find(|(from, _)| from == key)
            .map_or(&**key, |n| n.1);
        out.insert(name.to_owned(), value.clone());
    }
    out.insert("apiVersion".to_owned(), api_version.into());
    out.into()
}

/// The most characters of a message.
const MAX_MESSAGE: usize = 1024;
/// The most characters of `reportingInstance` and `action`.
const MAX_TEXT: u64 = 128;

/// What is wrong with a new Event. Only Events with an `eventTime` are held to the newer rules.
pub(crate) fn validate(target: &Target<'_>, value: &Value) -> Vec<Cause> {
    let core = match target.served.version().view.shape {
        Shape::EventsV1 => to_core(value),
        Shape::BuiltIn | Shape::Custom => value.clone(),
    };
    let text = |field: &str| core[field].as_str().unwrap_or_default();
    let mut causes = Vec::new();
    let is_old = core["eventTime"].is_null() && target.served.resource.group.is_empty();
    let regarding = core["involvedObject"]["namespace"].as_str().unwrap_or_default();
    let expected = if regarding.is_empty() { "default" } else { regarding };
    if expected != target.namespace && !(regarding.is_empty() && target.namespace == "kube-system") {
        let detail = "does not match event.namespace";
        causes.push(Cause::invalid("involvedObject.namespace", &regarding.into(), detail));
    }
    if is_old {
        return causes;
    }
    let component = text("reportingComponent");
    if component.is_empty() {
        causes.push(Cause::required("reportingComponent", ""));
    }
    for fault in names::qualified_name(component) {
        causes.push(Cause::invalid("reportingComponent", &component.into(), &fault));
    }
    for field in ["reportingInstance", "action"] {
        if text(field).is_empty() {
            causes.push(Cause::required(field, ""));
        }
        if text(field).chars().count() > usize::try_from(MAX_TEXT).unwrap_or(usize::MAX) {
            causes.push(Cause::invalid(
                field,
                &"".into(),
                &format!("can have at most {MAX_TEXT} characters"),
            ));
        }
    }
    if text("reason").is_empty() {
        causes.push(Cause::required("reason", ""));
    }
    if text("message").chars().count() > MAX_MESSAGE {
        causes.push(Cause::invalid(
            "message",
            &"".into(),
            &format!("can have at most {MAX_MESSAGE} characters"),
        ));
    }
    causes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// D-161.
    #[test]
    fn both_shapes_say_the_same() {
        let core = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "message": "m", "type": "Normal",
            "involvedObject": {"kind": "Pod"}, "reportingComponent": "x", "count": 2,
        });
        let events = to_events_v1(&core);
        assert_eq!((&events["note"], &events["regarding"]["kind"]), (&json!("m"), &json!("Pod")));
        assert_eq!((&events["deprecatedCount"], &events["type"]), (&json!(2), &json!("Normal")));
        assert_eq!(to_core(&events), core);
    }
}
