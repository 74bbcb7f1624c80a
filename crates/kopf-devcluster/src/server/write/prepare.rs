//! What the server does to an object before it is validated: system fields, status, generation.

use serde_json::{Map, Value};

use super::Target;
use crate::types::flags::{GENERATION, STATUS};
use crate::types::{Resource, Version};

/// System fields that clients cannot set on create.
const WIPED: &[&str] =
    &["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"];
/// System fields that an update keeps, whatever it says.
const KEPT: &[&str] = &[
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
];

/// The metadata of an object, made if it is not there.
pub(crate) fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    let metadata = &mut object["metadata"];
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    match metadata {
        Value::Object(fields) => fields,
        _ => unreachable!("made an object above"),
    }
}

/// A text of the metadata; empty if it is not there.
pub(crate) fn meta_text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// Whether deletion of the object has begun.
pub(crate) fn is_being_deleted(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Whether finalizers keep the object.
pub(crate) fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

/// Drops what clients cannot set on create (D-100).
pub(crate) fn wipe(object: &mut Value) {
    let fields = metadata(object);
    for field in WIPED {
        fields.shift_remove(*field);
    }
}

/// Sets the system fields of a new object (D-100). Its name is final.
pub(crate) fn for_create(target: &Target<'_>, object: &mut Value) {
    let resource = &target.served.resource;
    let fields = metadata(object);
    fields.insert("uid".to_owned(), target.shared.random.uid().into());
    fields.insert("creationTimestamp".to_owned(), target.shared.clock.now_text().into());
    if resource.namespaced {
        fields.insert("namespace".to_owned(), target.namespace.into());
    } else {
        fields.shift_remove("namespace");
    }
    // Types that do not count keep what they are sent.
    if has_generation(resource) {
        fields.insert("generation".to_owned(), 1.into());
    }
    if status_is_apart(resource, target.served.version()) {
        remove(object, "status");
    }
    drop_empty_metadata(object);
}

/// Applies what an update may not change, and counts the generation (D-080, D-081, D-108).
pub(crate) fn for_update(target: &Target<'_>, old: &Value, new: &mut Value) {
    let (resource, version) = (&target.served.resource, target.served.version());
    match target.subresource {
        Some("status") => only_status(resource, old, new),
        Some(_) => {}
        None if status_is_apart(resource, version) => copy(old, new, "status"),
        None => {}
    }
    for field in KEPT {
        if *field == "uid" && !meta_text(new, "uid").is_empty() {
            // Another one is refused later.
            continue;
        }
        let value = old["metadata"].get(*field).cloned();
        let fields = metadata(new);
        match value {
            Some(value) => fields.insert((*field).to_owned(), value),
            None => fields.shift_remove(*field),
        };
    }
    drop_empty_metadata(new);
    if has_generation(resource)
        && target.subresource != Some("status")
        && content(resource, version, old) != content(resource, version, new)
    {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0);
        metadata(new).insert("generation".to_owned(), (generation + 1).into());
    }
}

/// A write through `/status` changes the status; of a custom resource nothing else, of built-in types also metadata.
fn only_status(resource: &Resource, old: &Value, new: &mut Value) {
    let mut kept = old.clone();
    match new.get("status") {
        Some(status) => kept["status"] = status.clone(),
        None => remove(&mut kept, "status"),
    }
    let managed = new["metadata"].get("managedFields").cloned();
    if resource.custom.is_none() {
        kept["metadata"] = new["metadata"].clone();
    } else if let Some(managed) = managed {
        kept["metadata"]["managedFields"] = managed;
    } else {
        metadata(&mut kept).shift_remove("managedFields");
    }
    *new = kept;
}

fn has_generation(resource: &Resource) -> bool {
    resource.custom.is_some() || resource.has(GENERATION)
}

pub(crate) fn status_is_apart(resource: &Resource, version: &Version) -> bool {
    if resource.custom.is_some() { version.has_status() } else { resource.has(STATUS) }
}

/// What the generation counts changes of.
fn content<'a>(resource: &Resource, version: &Version, object: &'a Value) -> Vec<(&'a String, &'a Value)> {
    let without_status = status_is_apart(resource, version);
    let mut fields: Vec<_> = object
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, value)| {
            let is_type_or_metadata = matches!(key.as_str(), "metadata" | "apiVersion" | "kind");
            let is_ignored_status = without_status && *key == "status";
            !is_type_or_metadata && !is_ignored_status && !value.is_null()
        })
        .collect();
    fields.sort_by_key(|(key, _)| *key);
    fields
}

fn copy(from: &Value, to: &mut Value, field: &str) {
    match from.get(field) {
        Some(value) => to[field] = value.clone(),
        None => remove(to, field),
    }
}

pub(crate) fn remove(object: &mut Value, field: &str) {
    if let Value::Object(fields) = object {
        fields.shift_remove(field);
    }
}

/// Empty maps, lists and texts of the metadata are not printed by Go, so they are not kept.
pub(crate) fn drop_empty_metadata(object: &mut Value) {
    metadata(object).retain(|_, value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    });
}
