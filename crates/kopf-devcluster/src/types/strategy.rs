//! What single types do to their objects on writes, beyond the rules of all types.
//!
//! A few lines for each; defaults are data, elsewhere.

use serde_json::{Value, json};

use super::fields::id_of;

use crate::crd;
use crate::machinery::cause::Cause;
use crate::machinery::defaults::{self, pods};
use crate::machinery::selector::label::LabelSelector;
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

/// Gives a Service an address of its own, as far as its type has one.
fn give_address(target: &Target<'_>, service: &mut Value) {
    let has_address = !service["spec"]["clusterIP"].as_str().unwrap_or_default().is_empty();
    if has_address || service["spec"]["type"] == "ExternalName" {
        return;
    }
    let services = target.shared.store.list(&target.served.resource.store, None).objects;
    let taken = |address: &str| services.iter().any(|(_, other)| other.value["spec"]["clusterIP"] == address);
    let mut address = target.shared.random.service_address();
    while taken(&address) {
        address = target.shared.random.service_address();
    }
    let spec = &mut service["spec"];
    spec["clusterIPs"] = json!([address]);
    spec["clusterIP"] = address.into();
    if spec["ipFamilies"].is_null() {
        spec["ipFamilies"] = json!(["IPv4"]);
        spec["ipFamilyPolicy"] = "SingleStack".into();
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
        ("", "Pod") => containers(&value["spec"], "spec"),
        ("apps", "DaemonSet" | "Deployment" | "ReplicaSet" | "StatefulSet") => template(value),
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

/// A workload must select its own pods, and these need containers.
fn template(value: &Value) -> Vec<Cause> {
    let template = &value["spec"]["template"];
    let mut causes = Vec::new();
    if value["spec"]["selector"].is_null() {
        causes.push(Cause::required("spec.selector", ""));
    } else if !LabelSelector::from_spec(&value["spec"]["selector"])
        .is_some_and(|selector| selector.matches(template["metadata"]["labels"].as_object()))
    {
        let labels = &template["metadata"]["labels"];
        let detail = "`selector` does not match template `labels`";
        causes.push(Cause::invalid("spec.template.metadata.labels", labels, detail));
    }
    causes.extend(containers(&template["spec"], "spec.template.spec"));
    causes
}

fn containers(spec: &Value, path: &str) -> Vec<Cause> {
    match spec["containers"].as_array() {
        Some(containers) if !containers.is_empty() => Vec::new(),
        _ => vec![Cause::required(format!("{path}.containers"), "")],
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
