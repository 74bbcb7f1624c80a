//! What single types do to their objects on writes, beyond the rules of all types.
//!
//! A few lines for each; defaults are data, elsewhere.

use serde_json::{Map, Value, json};

use super::fields::id_of;

use crate::crd;
use crate::machinery::cause::Cause;
use crate::machinery::defaults::{self, pods};
use crate::machinery::rules;
use crate::machinery::types::decode;
use crate::server::write::Target;

/// Fills in what an object may leave out; the writer gets to own it (D-065).
pub(crate) fn apply_defaults(target: &Target<'_>, value: &mut Value) {
    if let Some(id) = id_of(target.served) {
        defaults::apply(value, id);
    }
    if &*target.served.resource.store == crd::STORE {
        crd::apply_defaults(value);
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
        ("", "Pod") => {
            pods::admit(value);
            value["status"] = json!({"phase": "Pending", "qosClass": pods::qos_class(value)});
        }
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => drop_empty_rules(value),
        ("batch", "Job") if value["spec"]["manualSelector"] != true => select_by_uid(value),
        ("", "PersistentVolumeClaim") => value["status"] = json!({"phase": "Pending"}),
        ("", "Service") => give_address(target, value),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => crd::on_create(value),
        _ => {}
    }
    // As its type writes it: an empty status, for example.
    if let Some(id) = id_of(target.served)
        && let Ok(decoded) = decode::decode(value, id, "")
    {
        *value = decoded.value;
    }
}

/// An empty list is stored as none, and shown so.
fn drop_empty_rules(role: &mut Value) {
    if role["rules"].as_array().is_some_and(Vec::is_empty) {
        role["rules"] = Value::Null;
    }
}

/// A Job knows its pods by labels with its uid (D-065).
fn select_by_uid(job: &mut Value) {
    let (uid, name) = (job["metadata"]["uid"].clone(), job["metadata"]["name"].clone());
    let labels = &mut job["spec"]["template"]["metadata"]["labels"];
    for prefix in ["batch.kubernetes.io/", ""] {
        for (label, value) in [("controller-uid", &uid), ("job-name", &name)] {
            labels[format!("{prefix}{label}")] = value.clone();
        }
    }
    let labels = labels.clone();
    // Labels of its own, or else those of its pods.
    if job["metadata"]["labels"].as_object().is_none_or(Map::is_empty) {
        job["metadata"]["labels"] = labels;
    }
    job["spec"]["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"] = uid;
}

/// Gives a Service an address of its own, as far as its type has one.
fn give_address(target: &Target<'_>, service: &mut Value) {
    if service["spec"]["type"] == "ExternalName" {
        return;
    }
    if service["spec"]["clusterIP"].as_str().unwrap_or_default().is_empty() {
        let services = target.shared.store.list(&target.served.resource.store, None).objects;
        let taken =
            |address: &str| services.iter().any(|(_, other)| other.value["spec"]["clusterIP"] == address);
        let mut address = target.shared.random.service_address();
        while taken(&address) {
            address = target.shared.random.service_address();
        }
        service["spec"]["clusterIP"] = address.into();
    }
    let spec = &mut service["spec"];
    if spec["clusterIPs"].as_array().is_none_or(Vec::is_empty) {
        spec["clusterIPs"] = json!([spec["clusterIP"]]);
    }
    if spec["ipFamilies"].is_null() {
        let is_headless_without_pods =
            spec["clusterIP"] == "None" && spec["selector"].as_object().is_none_or(Map::is_empty);
        // Who has no pods of its own may get endpoints of both families.
        let (families, policy) = match is_headless_without_pods {
            true => (json!(["IPv4", "IPv6"]), "RequireDualStack"),
            false => (json!(["IPv4"]), "SingleStack"),
        };
        spec["ipFamilies"] = families;
        spec["ipFamilyPolicy"] = policy.into();
    }
}

/// A Service that does not speak of its address keeps the one that it has.
fn keep_address(service: &mut Value, old: &Value) {
    let (spec, old) = (&mut service["spec"], &old["spec"]);
    if spec["type"] == "ExternalName" || old["type"] == "ExternalName" || old["clusterIP"].is_null() {
        return;
    }
    if spec["clusterIP"].as_str().unwrap_or_default().is_empty() {
        spec["clusterIP"] = old["clusterIP"].clone();
    }
    let has_addresses = spec["clusterIPs"].as_array().is_some_and(|addresses| !addresses.is_empty());
    if !has_addresses && spec["clusterIP"] == old["clusterIP"] && !old["clusterIPs"].is_null() {
        spec["clusterIPs"] = old["clusterIPs"].clone();
    }
}

/// What the server does to an object about to be changed.
pub(crate) fn on_update(target: &Target<'_>, value: &mut Value, old: &Value) {
    match (&*target.served.resource.group, &*target.served.resource.kind) {
        ("", "Namespace") if target.subresource != Some("finalize") => {
            value["spec"]["finalizers"] = old["spec"]["finalizers"].clone();
        }
        ("", "Service") => keep_address(value, old),
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => drop_empty_rules(value),
        ("apiextensions.k8s.io", "CustomResourceDefinition") if target.subresource.is_none() => {
            crd::on_update(value)
        }
        _ => {}
    }
}

/// What a user should know who writes an object of this type: what does not happen here.
pub(crate) fn warning(target: &Target<'_>) -> Option<String> {
    match (&*target.served.resource.group, &*target.served.resource.kind) {
        ("admissionregistration.k8s.io", kind) if kind.contains("Policy") => {
            Some(format!("the dev cluster stores a {kind} and admits or refuses nothing by it"))
        }
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
        (group, kind) => rules::validate_create(group, kind, value),
    }
}

/// What is wrong with a changed object of a built-in type.
pub(crate) fn validate_update(target: &Target<'_>, value: &Value, old: &Value) -> Vec<Cause> {
    match (&*target.served.resource.group, &*target.served.resource.kind) {
        ("apiextensions.k8s.io", "CustomResourceDefinition") if value["spec"] != old["spec"] => {
            crd::validate::validate(value)
        }
        ("", "Event") => crate::events::validate(target, value),
        // Who writes the status need not answer for the rest of the object.
        _ if target.subresource == Some("status") => Vec::new(),
        (group, kind) => rules::validate_update(group, kind, value, old),
    }
}
