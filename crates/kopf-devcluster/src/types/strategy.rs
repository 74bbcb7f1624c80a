//! What single types do to their objects on writes, beyond the rules of all types.
//!
//! A few lines for each; defaulting in full is not done here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::crd;
use crate::machinery::cause::Cause;
use crate::server::write::Target;
use crate::server::write::prepare::{meta_text, remove};

/// Fills in what an object may leave out; the writer gets to own it.
pub(crate) fn apply_defaults(target: &Target<'_>, value: &mut Value) {
    match (&*target.served.resource.group, &*target.served.resource.kind) {
        ("", "Namespace") => name_label(value),
        ("", "Secret") => secret(value),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => crd::apply_defaults(value),
        _ => {}
    }
}

/// What the server adds to an object about to be created; nobody owns it.
pub(crate) fn on_create(target: &Target<'_>, value: &mut Value) {
    match (&*target.served.resource.group, &*target.served.resource.kind) {
        ("", "Namespace") => {
            if !value["spec"]["finalizers"].is_array() {
                value["spec"]["finalizers"] = json!(["kubernetes"]);
            }
            value["status"] = json!({"phase": "Active"});
        }
        ("", "Pod") => value["status"] = json!({"phase": "Pending"}),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => crd::on_create(value),
        _ => {}
    }
}

/// What the server does to an object about to be changed.
pub(crate) fn on_update(target: &Target<'_>, value: &mut Value, old: &Value) {
    match (&*target.served.resource.group, &*target.served.resource.kind) {
        ("", "Namespace") if target.subresource != Some("finalize") => {
            value["spec"]["finalizers"] = old["spec"]["finalizers"].clone();
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") if target.subresource.is_none() => {
            crd::on_update(value)
        }
        _ => {}
    }
}

/// Every namespace is labelled with its name (D-140).
fn name_label(value: &mut Value) {
    let name = meta_text(value, "name").to_owned();
    value["metadata"]["labels"]["kubernetes.io/metadata.name"] = name.into();
}

/// `stringData` is only a way of writing `data`.
fn secret(value: &mut Value) {
    if value["type"].as_str().unwrap_or_default().is_empty() {
        value["type"] = "Opaque".into();
    }
    let Some(texts) = value["stringData"].as_object().cloned() else { return };
    for (key, text) in texts {
        value["data"][key] = STANDARD.encode(text.as_str().unwrap_or_default()).into();
    }
    remove(value, "stringData");
}

/// What a user should know who writes an object of this type: what does not happen here.
pub(crate) fn warning(target: &Target<'_>) -> Option<String> {
    match (&*target.served.resource.group, &*target.served.resource.kind) {
        ("admissionregistration.k8s.io", kind) => Some(format!(
            "the dev cluster stores a {kind} and does not call it: nothing is admitted or refused by it"
        )),
        ("apps" | "batch" | "autoscaling" | "policy", kind)
        | ("", kind @ ("Pod" | "ReplicationController")) => {
            Some(format!("the dev cluster stores a {kind} and runs nothing for it"))
        }
        _ => None,
    }
}

/// What is wrong with a new object of a built-in type.
pub(crate) fn validate_create(target: &Target<'_>, value: &Value) -> Vec<Cause> {
    match (&*target.served.resource.group, &*target.served.resource.kind) {
        ("apiextensions.k8s.io", "CustomResourceDefinition") => crd::validate::validate(value),
        ("" | "events.k8s.io", "Event") => crate::events::validate(target, value),
        _ => Vec::new(),
    }
}

/// What is wrong with a changed object of a built-in type.
pub(crate) fn validate_update(target: &Target<'_>, value: &Value, old: &Value) -> Vec<Cause> {
    match (&*target.served.resource.group, &*target.served.resource.kind) {
        ("apiextensions.k8s.io", "CustomResourceDefinition") if value["spec"] != old["spec"] => {
            crd::validate::validate(value)
        }
        ("", "ConfigMap" | "Secret") if old["immutable"] == true => immutable(value, old),
        ("", "Secret") if value["type"] != old["type"] => {
            vec![Cause::invalid("type", &value["type"], "field is immutable")]
        }
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding")
            if value["roleRef"] != old["roleRef"] =>
        {
            vec![Cause::invalid("roleRef", &value["roleRef"], "cannot change roleRef")]
        }
        _ => Vec::new(),
    }
}

fn immutable(value: &Value, old: &Value) -> Vec<Cause> {
    let why = "field is immutable when `immutable` is set";
    let fields = ["immutable", "data", "binaryData"];
    fields
        .iter()
        .filter(|field| value[**field] != old[**field])
        .map(|field| Cause::forbidden(*field, why))
        .collect()
}
