//! Configuration, services, claims, access rules and the like.

use serde_json::Value;

use super::{items, text};
use crate::machinery::{cause::Cause, json::sorted, names};

/// The most bytes that a ConfigMap or Secret may have.
const MAX_DATA_BYTES: u64 = 1024 * 1024;

/// What is wrong with the data of a ConfigMap or Secret.
pub(super) fn validate_data(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut bytes = 0;
    for list in ["data", "binaryData"] {
        for (name, value) in object[list].as_object().map(sorted).unwrap_or_default() {
            let field = format!("{list}[{name}]");
            for fault in config_key(name) {
                causes.push(Cause::invalid(field.as_str(), &name.as_str().into(), &fault));
            }
            if list == "binaryData" && object["data"].get(name).is_some() {
                let fault = "duplicate of key present in data";
                causes.push(Cause::invalid(field, &name.as_str().into(), fault));
            }
            bytes += value.as_str().map_or(0, str::len) as u64;
        }
    }
    if bytes > MAX_DATA_BYTES {
        causes.push(Cause::too_long(if object["kind"] == "Secret" { "data" } else { "" }, MAX_DATA_BYTES));
    }
    causes
}

fn config_key(name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if name.len() > 253 {
        faults.push("must be no more than 253 characters".to_owned());
    }
    let is_fine =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if !is_fine {
        faults.push(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                .to_owned(),
        );
    }
    match name {
        "." => faults.push("must not be '.'".to_owned()),
        ".." => faults.push("must not be '..'".to_owned()),
        _ => {}
    }
    faults
}

/// What is wrong with a Service.
pub(super) fn validate_service(service: &Value) -> Vec<Cause> {
    let spec = &service["spec"];
    let mut causes = Vec::new();
    let kind = text(spec, "type");
    let kinds = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
    if !kinds.contains(&kind) {
        causes.push(Cause::not_supported("spec.type", &kind.into(), &kinds));
    }
    if kind == "ExternalName" && text(spec, "externalName").is_empty() {
        causes.push(Cause::required("spec.externalName", ""));
    }
    let is_headless = text(spec, "clusterIP") == "None";
    let ports: Vec<_> = items(spec, "ports").collect();
    if ports.is_empty() && !is_headless && kind != "ExternalName" {
        causes.push(Cause::required("spec.ports", ""));
    }
    for (index, port) in &ports {
        let field = format!("spec.ports[{index}]");
        if ports.len() > 1 && text(port, "name").is_empty() {
            causes.push(Cause::required(format!("{field}.name"), ""));
        }
        for name in ["port", "targetPort"] {
            // A target may be a name.
            if port[name].as_i64().is_some_and(|number| !(1..=65_535).contains(&number)) {
                let fault = "must be between 1 and 65535, inclusive";
                causes.push(Cause::invalid(format!("{field}.{name}"), &port[name], fault));
            }
        }
    }
    causes
}

/// What is wrong with a PersistentVolumeClaim.
pub(super) fn validate_claim(claim: &Value) -> Vec<Cause> {
    let spec = &claim["spec"];
    let mut causes = Vec::new();
    if items(spec, "accessModes").next().is_none() {
        causes.push(Cause::required("spec.accessModes", "at least 1 access mode is required"));
    }
    if spec["resources"]["requests"]["storage"].is_null() {
        causes.push(Cause::required("spec.resources[storage]", ""));
    }
    causes
}

/// What is wrong with a RoleBinding or ClusterRoleBinding.
pub(super) fn validate_binding(binding: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let reference = &binding["roleRef"];
    let kinds: &[&str] = match text(binding, "kind") {
        "ClusterRoleBinding" => &["ClusterRole"],
        _ => &["Role", "ClusterRole"],
    };
    if !kinds.contains(&text(reference, "kind")) {
        causes.push(Cause::not_supported("roleRef.kind", &text(reference, "kind").into(), kinds));
    }
    match text(reference, "name") {
        "" => causes.push(Cause::required("roleRef.name", "")),
        name => {
            let faults = names::path_segment(name).into_iter();
            causes.extend(faults.map(|fault| Cause::invalid("roleRef.name", &name.into(), &fault)));
        }
    }
    for (index, subject) in items(binding, "subjects") {
        let field = format!("subjects[{index}]");
        if text(subject, "name").is_empty() {
            causes.push(Cause::required(format!("{field}.name"), ""));
        }
        let kinds = ["ServiceAccount", "User", "Group"];
        match text(subject, "kind") {
            "ServiceAccount" if text(subject, "namespace").is_empty() => {
                causes.push(Cause::required(format!("{field}.namespace"), ""));
            }
            kind if !kinds.contains(&kind) => {
                causes.push(Cause::not_supported(format!("{field}.kind"), &kind.into(), &kinds));
            }
            _ => {}
        }
    }
    causes
}

/// What is wrong with the rules of a Role or ClusterRole.
pub(super) fn validate_role(role: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (index, rule) in items(role, "rules") {
        let field = format!("rules[{index}]");
        let has = |name: &str| items(rule, name).next().is_some();
        if !has("verbs") {
            causes.push(Cause::required(format!("{field}.verbs"), "verbs must contain at least one value"));
        }
        if has("nonResourceURLs") {
            if has("apiGroups") || has("resources") || has("resourceNames") {
                let fault = "rules cannot apply to both regular resources and non-resource URLs";
                causes.push(Cause::invalid(
                    format!("{field}.nonResourceURLs"),
                    &rule["nonResourceURLs"],
                    fault,
                ));
            }
            continue;
        }
        if !has("apiGroups") {
            let fault = "resource rules must supply at least one api group";
            causes.push(Cause::required(format!("{field}.apiGroups"), fault));
        }
        if !has("resources") {
            let fault = "resource rules must supply at least one resource";
            causes.push(Cause::required(format!("{field}.resources"), fault));
        }
    }
    causes
}

/// What is wrong with an Ingress.
pub(super) fn validate_ingress(ingress: &Value) -> Vec<Cause> {
    let spec = &ingress["spec"];
    let mut causes = Vec::new();
    if items(spec, "rules").next().is_none() && spec["defaultBackend"].is_null() {
        causes.push(Cause::invalid("spec", spec, "either `defaultBackend` or `rules` must be specified"));
    }
    for (index, rule) in items(spec, "rules") {
        for (position, path) in items(&rule["http"], "paths") {
            let field = format!("spec.rules[{index}].http.paths[{position}].pathType");
            let kinds = ["Exact", "ImplementationSpecific", "Prefix"];
            match text(path, "pathType") {
                "" => causes.push(Cause::required(field, "pathType must be specified")),
                kind if !kinds.contains(&kind) => {
                    causes.push(Cause::not_supported(field, &kind.into(), &kinds));
                }
                _ => {}
            }
        }
    }
    causes
}

/// What is wrong with a HorizontalPodAutoscaler.
pub(super) fn validate_autoscaler(autoscaler: &Value) -> Vec<Cause> {
    let spec = &autoscaler["spec"];
    let mut causes = Vec::new();
    for name in ["kind", "name"] {
        if text(&spec["scaleTargetRef"], name).is_empty() {
            causes.push(Cause::required(format!("spec.scaleTargetRef.{name}"), ""));
        }
    }
    let number = |name: &str| spec[name].as_i64().unwrap_or_default();
    if number("maxReplicas") < 1 {
        causes.push(Cause::invalid("spec.maxReplicas", &spec["maxReplicas"], "must be greater than 0"));
    }
    if number("maxReplicas") < number("minReplicas") {
        let fault = "must be greater than or equal to `minReplicas`";
        causes.push(Cause::invalid("spec.maxReplicas", &spec["maxReplicas"], fault));
    }
    causes
}
