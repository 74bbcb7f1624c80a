//! The forms of log lines.

use serde_json::{Value, json};
use tracing::field::Visit;

use super::{
    format::{Line, Lines},
    objects::{Fields, ObjectFields, Reader},
    *,
};

fn line(object: Option<ObjectFields>, extra: Value) -> Line<'static> {
    let mut fields = Fields::default();
    fields.message = "Handler 'create' succeeded.".into();
    if let Value::Object(extra) = extra {
        fields.extra = extra;
    }
    Line {
        time: "2024-05-06T07:08:09.123456Z".parse().unwrap(),
        level: tracing::Level::WARN,
        target: OBJECTS,
        fields,
        object,
    }
}

fn about(namespace: Option<&str>) -> ObjectFields {
    let mut fields = Fields::default();
    let span = tracing::subscriber::with_default(
        tracing_subscriber::registry(),
        || tracing::info_span!(target: OBJECTS, "handler", api_version = "v1", kind = "Pod", namespace, name = "a", uid = "u"),
    );
    let metadata = span.metadata().unwrap();
    let mut reader = Reader { fields: &mut fields, is_about_object: true };
    for (key, value) in [
        ("api_version", Some("v1")),
        ("kind", Some("Pod")),
        ("namespace", namespace),
        ("name", Some("a")),
        ("uid", Some("u")),
    ] {
        if let Some(value) = value {
            reader.record_str(&metadata.fields().field(key).unwrap(), value);
        }
    }
    fields.object().unwrap().clone()
}

fn text(options: &LogOptions, line: &Line<'_>) -> String {
    Lines::new(options).text(line)
}

#[test]
fn a_full_line_is_as_kopf_writes_it() {
    // A-LOG-003, A-LOG-004.
    assert_eq!(
        text(&LogOptions::default(), &line(Some(about(Some("default"))), json!({"size": 3}))),
        "[2024-05-06 07:08:09,123] kopf.objects         [WARNING ] [default/a] Handler 'create' succeeded. size=3"
    );
}

#[test]
fn a_cluster_scoped_object_has_no_namespace_in_front() {
    let options = LogOptions { format: LogFormat::Plain, ..LogOptions::default() };
    assert_eq!(text(&options, &line(Some(about(None)), Value::Null)), "[a] Handler 'create' succeeded.");
}

#[test]
fn the_prefix_may_be_left_out() {
    let options = LogOptions { format: LogFormat::Plain, prefix: Some(false), ..LogOptions::default() };
    assert_eq!(text(&options, &line(Some(about(None)), Value::Null)), "Handler 'create' succeeded.");
}

#[test]
fn a_json_line_has_the_reference_of_the_object() {
    // A-LOG-005.
    let options = LogOptions { format: LogFormat::Json, refkey: Some("ref".into()), ..LogOptions::default() };
    let text = text(&options, &line(Some(about(None)), json!({"size": 3})));
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap(),
        json!({
            "message": "Handler 'create' succeeded.",
            "timestamp": "2024-05-06T07:08:09.123456Z",
            "severity": "warn",
            "size": 3,
            "ref": {"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u", "namespace": null},
        })
    );
}
