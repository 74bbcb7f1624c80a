//! What Kubernetes' own libraries have made of patches and texts, compared with ours (D-151, D-155, D-172, D-067, D-103,
//! D-201).

use serde_json::{Value, json};

use super::{
    json_patch, names, normalize,
    selector::{field::FieldSelector, label::LabelSelector},
    strategic,
    table::age,
    types,
};

/// One patch per line: `original`, `patch` (strategic, of a Pod) or `document`, `operations` (JSON patch), and the
/// `result` or an `error`, of k8s.io/apimachinery 0.37.2 and evanphx/json-patch 4.13.
fn vectors() -> impl Iterator<Item = Value> {
    let lines = include_str!("patches.jsonl").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| serde_json::from_str(line).unwrap())
}

#[test]
fn strategic_patches_give_what_the_library_of_kubernetes_gives() {
    let pod = types::of_kind("", "v1", "Pod");
    let mut compared = 0;
    for vector in vectors().filter(|vector| vector.get("patch").is_some()) {
        let mut patched = vector["original"].clone();
        let outcome = strategic::apply(&mut patched, &vector["patch"], pod);
        match vector.get("result") {
            Some(result) => {
                assert_eq!(outcome, Ok(()), "{vector}");
                assert_eq!(patched, without_leftovers(result), "{vector}");
            }
            None => assert!(outcome.is_err(), "{vector}"),
        }
        compared += 1;
    }
    assert!(compared >= 50, "{compared}");
}

/// The library leaves a directive in new items, which decoding drops as unknown.
fn without_leftovers(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(name, _)| *name != "$retainKeys");
            fields.map(|(name, field)| (name.clone(), without_leftovers(field))).collect()
        }
        Value::Array(items) => items.iter().map(without_leftovers).collect(),
        other => other.clone(),
    }
}

#[test]
fn json_patches_give_what_the_library_gives() {
    let mut compared = 0;
    for vector in vectors().filter(|vector| vector.get("operations").is_some()) {
        let mut patched = vector["document"].clone();
        let outcome = json_patch::apply(&mut patched, &vector["operations"]);
        match vector.get("result") {
            Some(result) => {
                assert_eq!(outcome, Ok(()), "{vector}");
                assert_eq!(patched, *result, "{vector}");
            }
            None => assert!(outcome.is_err(), "{vector}"),
        }
        compared += 1;
    }
    assert!(compared >= 50, "{compared}");
}

/// One text per line, with what is made of it: selectors (on fixed labels and fields), quantities, durations, names.
fn texts(of: &'static str) -> Vec<Value> {
    let lines = include_str!("texts.jsonl").lines().filter(|line| !line.starts_with('#'));
    let vectors = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let vectors: Vec<_> = vectors.filter(|vector| vector.get(of).is_some()).collect();
    assert!(vectors.len() >= 50, "{}", vectors.len());
    vectors
}

#[test]
fn label_selectors_are_understood_alike() {
    let labels = json!({"a": "1", "b": "", "in": "notin", "x.dev/k": "v", "n": "5"});
    for vector in texts("selector") {
        match LabelSelector::parse(vector["selector"].as_str().unwrap()) {
            Ok(selector) => {
                assert_eq!(json!(selector.matches(labels.as_object())), vector["matches"], "{vector}")
            }
            Err(error) => assert_eq!(error, vector["error"], "{vector}"),
        }
    }
}

#[test]
fn field_selectors_are_understood_alike() {
    let text_of = |field: &str| match field {
        "metadata.name" => "a".to_owned(),
        "spec.x" => "b,c=d\\".to_owned(),
        _ => String::new(),
    };
    for vector in texts("fields") {
        match FieldSelector::parse(vector["fields"].as_str().unwrap()) {
            Ok(selector) => assert_eq!(json!(selector.matches(text_of)), vector["matches"], "{vector}"),
            Err(error) => assert_eq!(error, vector["error"], "{vector}"),
        }
    }
}

#[test]
fn quantities_and_durations_are_written_alike() {
    for vector in texts("quantity") {
        match normalize::quantity(vector["quantity"].as_str().unwrap()) {
            Ok(canonical) => assert_eq!(canonical, vector["canonical"], "{vector}"),
            Err(_) => assert!(vector.get("error").is_some(), "{vector}"),
        }
    }
    for vector in texts("seconds") {
        assert_eq!(age::duration(vector["seconds"].as_i64().unwrap()), vector["human"]);
    }
}

#[test]
fn names_are_judged_alike() {
    for vector in texts("name") {
        let name = vector["name"].as_str().unwrap();
        assert_eq!(json!(names::dns_1123_subdomain(name)), vector["subdomain"], "{name}");
        assert_eq!(json!(names::dns_1123_label(name)), vector["label"], "{name}");
        assert_eq!(json!(names::dns_1035_label(name)), vector["old"], "{name}");
        assert_eq!(json!(names::qualified_name(name)), vector["qualified"], "{name}");
        assert_eq!(json!(names::label_value(name)), vector["value"], "{name}");
    }
}
