//! The essence of an object: the part whose changes are handled (W-DIF-004..008).
//!
//! Here is what all storages have in common. What a storage itself keeps in objects, it drops from the essence itself.

use serde_json::{Map, Value};

use crate::{
    field::FieldPath,
    json::python_bool,
    key::{MARKER, is_known_prefix},
    object::Object,
};

/// What kubectl keeps in objects; it repeats what is there already.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The essence of an object: everything but `apiVersion`, `kind`, `metadata` and `status`; then the labels, and the
/// annotations that are of no operator; then the extra fields, whatever they are.
///
/// `metadata.annotations: null` is as absent, unlike upstream, which fails (W-DIF-010).
#[must_use]
pub fn build(object: &Object, extra_fields: &[FieldPath]) -> Map<String, Value> {
    let empty = Map::new();
    let body = object.body().as_object().unwrap_or(&empty);
    let system = ["apiVersion", "kind", "metadata", "status"];
    let own = body.iter().filter(|(key, _)| !system.contains(&key.as_str()));
    let mut essence: Map<String, Value> = own.map(|(key, value)| (key.clone(), value.clone())).collect();

    if let Some(labels) = object.meta("labels") {
        FieldPath::dotted("metadata.labels").set(&mut essence, labels.clone());
    }
    if let Some(annotations) = object.annotations() {
        let users: Map<String, Value> = users_annotations(annotations).collect();
        FieldPath::dotted("metadata.annotations").set(&mut essence, users.into());
    }

    // Upstream's order of extra fields is that of a set. Sorted, the stored text is at least the same each time.
    let mut extra_fields: Vec<_> = extra_fields.iter().collect();
    extra_fields.sort();
    for field in extra_fields {
        if let Some(value) = field.resolve_in(body) {
            field.set(&mut essence, value.clone());
        }
    }
    drop_empty_stanzas(&mut essence);
    essence
}

/// Drops labels, annotations, metadata and status if nothing is in them.
pub fn drop_empty_stanzas(essence: &mut Map<String, Value>) {
    if let Some(Value::Object(metadata)) = essence.get_mut("metadata") {
        drop_empty(metadata, "annotations");
        drop_empty(metadata, "labels");
    }
    drop_empty(essence, "metadata");
    drop_empty(essence, "status");
}

/// Drops the annotations that `is_own` tells.
pub(crate) fn drop_annotations(essence: &mut Map<String, Value>, is_own: impl Fn(&str) -> bool) {
    let metadata = essence.get_mut("metadata");
    if let Some(Value::Object(annotations)) = metadata.and_then(|metadata| metadata.get_mut("annotations")) {
        annotations.retain(|key, _| !is_own(key));
    }
}

/// Removes the fields that the user does not want to be handled, and the parents that become empty (W-DIF-008).
pub(crate) fn drop_fields(essence: &mut Map<String, Value>, fields: &[FieldPath]) {
    for field in fields {
        field.remove(essence);
    }
}

/// The annotations but those of kubectl and of operators (W-DIF-005).
fn users_annotations(annotations: &Map<String, Value>) -> impl Iterator<Item = (String, Value)> {
    let marked: Vec<&str> = annotations
        .keys()
        .filter_map(|key| key.split_once('/'))
        .filter_map(|(prefix, name)| (name == MARKER).then_some(prefix))
        .collect();
    let is_operators = move |key: &str| {
        key.split_once('/').is_some_and(|(prefix, _)| is_known_prefix(prefix) || marked.contains(&prefix))
    };
    annotations
        .iter()
        .filter(move |(key, _)| *key != LAST_APPLIED && !is_operators(key))
        .map(|(key, value)| (key.clone(), value.clone()))
}

fn drop_empty(map: &mut Map<String, Value>, key: &str) {
    if map.get(key).is_some_and(|value| !python_bool(value)) {
        map.shift_remove(key);
    }
}
