//! Resources and selectors as upstream has them: `contract/golden/resources.json`.

use std::sync::Arc;

use kopf_core::{
    object::Object,
    resource::{Resource, stream_key},
    selector::{Keywords, Positional, Selector},
};
use serde_json::{Value, json};

fn cases(kind: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contract/golden/resources.json");
    let content: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let all = content["cases"].as_array().unwrap().iter();
    let cases: Vec<_> = all.filter(|case| case["kind"] == kind).cloned().collect();
    assert!(!cases.is_empty());
    cases
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// W-API-001; golden: `resources/url-*`. Queries and servers are the client's.
#[test]
fn paths_are_those_of_upstream() {
    for case in cases("url") {
        let input = &case["input"];
        let resource = Resource {
            group: text(&input["resource"]["group"]).unwrap(),
            version: text(&input["resource"]["version"]).unwrap(),
            plural: text(&input["resource"]["plural"]).unwrap(),
            namespaced: input["resource"]["namespaced"] == json!(true),
            ..Resource::default()
        };
        let path =
            resource.path(input["namespace"].as_str(), input["name"].as_str(), input["subresource"].as_str());
        match path {
            Err(error) => assert_eq!(error.to_string(), case["output"]["message"], "{}", case["id"]),
            Ok(path) => {
                let whole = case["output"].as_str().unwrap();
                let whole = whole.strip_prefix("https://host:6443/prefix").unwrap_or(whole);
                assert_eq!(Some(path.as_str()), whole.split('?').next(), "{}", case["id"]);
            }
        }
    }
}

/// The resources that the golden selectors were matched against.
fn known() -> Vec<(&'static str, Arc<Resource>)> {
    let resource = |group: &str, version: &str, plural: &str, kind: &str, preferred: bool| Resource {
        group: group.into(),
        version: version.into(),
        plural: plural.into(),
        kind: kind.into(),
        singular: kind.to_lowercase(),
        namespaced: true,
        preferred,
        ..Resource::default()
    };
    let all = |resource: Resource, short: &[&str]| Resource {
        short_names: short.iter().map(ToString::to_string).collect(),
        categories: vec!["all".into()],
        ..resource
    };
    let metrics = Resource {
        singular: String::new(),
        ..resource("metrics.k8s.io", "v1beta1", "pods", "PodMetrics", true)
    };
    vec![
        ("kex", Arc::new(all(resource("kopf.dev", "v1", "kopfexamples", "KopfExample", true), &["kex"]))),
        (
            "kex-v1beta1-nonpreferred",
            Arc::new(all(resource("kopf.dev", "v1beta1", "kopfexamples", "KopfExample", false), &["kex"])),
        ),
        ("pods", Arc::new(all(resource("", "v1", "pods", "Pod", true), &["po"]))),
        ("pod-metrics", Arc::new(Resource { version: "v1".into(), ..metrics })),
        ("events", Arc::new(resource("", "v1", "events", "Event", true))),
        ("events-k8s", Arc::new(resource("events.k8s.io", "v1", "events", "Event", true))),
    ]
}

fn positional(args: &Value) -> Vec<Positional> {
    let parse = |arg: &Value| match arg.as_str().unwrap() {
        "<EVERYTHING>" => Positional::Everything,
        name => Positional::Text(name.to_owned()),
    };
    args.as_array().unwrap().iter().map(parse).collect()
}

/// A-SEL-001..015, W-DSC-006, W-DSC-007; golden: `resources/selector-*`.
#[test]
fn selectors_are_parsed_and_matched_as_upstream_does() {
    for case in cases("selector") {
        let (id, input, output) = (&case["id"], &case["input"], &case["output"]);
        let keyword = |key: &str| text(&input["kwargs"][key]);
        let keywords = Keywords {
            group: keyword("group"),
            version: keyword("version"),
            kind: keyword("kind"),
            plural: keyword("plural"),
            singular: keyword("singular"),
            shortcut: keyword("shortcut"),
            category: keyword("category"),
        };
        match Selector::parse(&positional(&input["args"]), keywords) {
            Err(error) => assert_eq!(error.to_string(), output["message"], "{id}"),
            Ok(selector) => {
                assert_eq!(selector.to_string(), output["repr"], "{id}");
                assert_eq!(json!(selector.is_specific()), output["is_specific"], "{id}");
                for (name, resource) in known() {
                    let matches = selector.matches(&resource).unwrap();
                    assert_eq!(json!(matches), output["matches"][name], "{id} {name}");
                }
            }
        }
    }
}

/// W-DSC-008; golden: `resources/select-*`.
#[test]
fn resources_of_the_core_group_win() {
    for case in cases("select") {
        let selector = Selector::parse(&positional(&case["input"]["args"]), Keywords::default()).unwrap();
        let wanted = case["input"]["resources"].as_array().unwrap();
        let there: Vec<_> = known().into_iter().filter(|(name, _)| wanted.contains(&json!(name))).collect();
        let resources: Vec<_> = there.iter().map(|(_, resource)| resource.clone()).collect();
        let selected = selector.select(&resources).unwrap();
        let names: Vec<_> =
            there.iter().filter(|(_, resource)| selected.contains(resource)).map(|(name, _)| *name).collect();
        assert_eq!(json!(names), case["output"], "{}", case["id"]);
    }
}

/// W-QUE-003; golden: `resources/stream-key-*`.
#[test]
fn objects_are_told_apart_as_upstream_does() {
    for case in cases("stream_key") {
        let object = Object::new(case["input"].clone());
        assert_eq!(stream_key(&object).as_ref(), case["output"], "{}", case["id"]);
    }
}
