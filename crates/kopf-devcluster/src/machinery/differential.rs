//! Patches that Kubernetes' own libraries have applied, compared with ours (D-151, D-155).

use serde_json::Value;

use super::{json_patch, strategic, types};

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
