//! Kubernetes Events as they are posted (W-EVT-002..005).

use jiff::Timestamp;
use kopf_core::settings::Posting;
use serde_json::{Map, Value, json};

/// The API server's limit of messages, in bytes; upstream counts characters (W-EVT-005).
const MESSAGE_LIMIT: usize = 1024;
/// How much of the beginning and of the end of a longer message is kept.
const HEAD: usize = 511;
const TAIL: usize = 510;
/// The API server's limit of reasons, in bytes.
const REASON_LIMIT: usize = 128;

/// What an Event says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    pub(crate) kind: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
}

/// The namespace of an Event: that of the object, else that of the credentials, else `default` (W-EVT-001).
pub(crate) fn namespace<'a>(reference: &'a Map<String, Value>, of_credentials: Option<&'a str>) -> &'a str {
    let own = reference.get("namespace").and_then(Value::as_str).filter(|namespace| !namespace.is_empty());
    own.or(of_credentials.filter(|namespace| !namespace.is_empty())).unwrap_or("default")
}

/// Whether an Event about this would be about an Event (W-EVT-006).
pub(crate) fn is_about_event(reference: &Map<String, Value>) -> bool {
    reference.get("apiVersion").and_then(Value::as_str) == Some("v1")
        && reference.get("kind").and_then(Value::as_str) == Some("Event")
}

/// The body to post.
pub(crate) fn body(
    reference: &Map<String, Value>,
    content: Content<'_>,
    namespace: &str,
    settings: &Posting,
    now: Timestamp,
) -> Value {
    let mut involved = reference.clone();
    involved.insert("namespace".into(), namespace.into());
    let now = timestamp(now);
    json!({
        "metadata": {"namespace": namespace, "generateName": settings.event_name_prefix},
        "action": "Action?",
        "type": content.kind,
        "reason": reason(content.reason),
        "message": message(content.message),
        "reportingComponent": settings.reporting_component,
        "reportingInstance": settings.reporting_instance,
        "source": {"component": settings.reporting_component},
        "involvedObject": involved,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "eventTime": now,
    })
}

/// A moment with six digits of the second, always: without them the API server does not parse it (W-EVT-003).
pub(crate) fn timestamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}

/// A message that the API server accepts: what is too long is cut in the middle.
fn message(text: &str) -> String {
    if text.len() <= MESSAGE_LIMIT {
        return text.to_owned();
    }
    let head = boundary_before(text, HEAD);
    let tail = boundary_after(text, text.len() - TAIL);
    format!("{}...{}", &text[..head], &text[tail..])
}

/// A reason that the API server accepts: it refuses an empty one, and a longer one.
fn reason(text: &str) -> &str {
    match text {
        "" => "Unspecified",
        text => &text[..boundary_before(text, REASON_LIMIT)],
    }
}

/// The last border between characters that is not after `at`.
fn boundary_before(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

/// The first border between characters that is not before `at`.
fn boundary_after(text: &str, at: usize) -> usize {
    (at..text.len()).find(|i| text.is_char_boundary(*i)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    fn posting(changes: &Value) -> Posting {
        let mut settings = Posting::default();
        for (key, value) in changes.as_object().unwrap() {
            let text = value.as_str().unwrap().to_owned();
            match key.as_str() {
                "reporting_component" => settings.reporting_component = text,
                "reporting_instance" => settings.reporting_instance = text,
                "event_name_prefix" => settings.event_name_prefix = text,
                other => panic!("unknown setting {other}"),
            }
        }
        settings
    }

    /// W-EVT-001, W-EVT-002, W-EVT-004 to W-EVT-006; golden: `event_objects`.
    #[test]
    fn events_are_those_of_upstream() {
        for case in golden::cases("event_objects", None) {
            let (id, input) = (case["id"].as_str().unwrap(), &case["input"]);
            let reference = input["ref"].as_object().unwrap();
            let expected = &case["output"][0];
            assert_eq!(is_about_event(reference), expected.is_null(), "{id}");
            if expected.is_null() {
                continue;
            }
            let content = Content {
                kind: input["type"].as_str().unwrap(),
                reason: input["reason"].as_str().unwrap(),
                message: input["message"].as_str().unwrap(),
            };
            let namespace = namespace(reference, input["credentials_default_namespace"].as_str());
            let now = input["now"].as_str().unwrap().parse().unwrap();
            let ours = body(reference, content, namespace, &posting(&input["settings_posting"]), now);
            assert_eq!(ours, expected["payload"], "{id}");
            assert_eq!(format!("/api/v1/namespaces/{namespace}/events"), expected["path"], "{id}");
        }
    }

    /// W-EVT-005.
    #[test]
    fn messages_fit_the_limit_in_bytes() {
        let long = message(&"ж".repeat(600));
        assert!(long.len() <= MESSAGE_LIMIT && long.contains("ж...ж"), "{}", long.len());
        assert_eq!(message(&"ж".repeat(512)).chars().count(), 512);
        assert_eq!(reason(&"r".repeat(200)).len(), 128);
        assert_eq!(reason(""), "Unspecified");
    }

    /// W-EVT-003.
    #[test]
    fn moments_have_six_digits_even_if_they_are_zeros() {
        assert_eq!(timestamp("2030-01-01T00:00:00Z".parse().unwrap()), "2030-01-01T00:00:00.000000+00:00");
    }
}
