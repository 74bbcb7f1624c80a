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
            // Told of the one list only.
            if list == "data" && object["binaryData"].get(name).is_some() {
                let fault = "duplicate of key present in binaryData";
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

/// What a Secret of a type of Kubernetes' own must have.
pub(super) fn validate_secret(secret: &Value) -> Vec<Cause> {
    let mut causes = validate_data(secret);
    let has = |key: &str| secret["data"].get(key).is_some();
    let missing = |keys: &[&str]| -> Vec<Cause> {
        let keys = keys.iter().filter(|key| !has(key));
        keys.map(|key| Cause::required(format!("data[{key}]"), "")).collect()
    };
    causes.extend(match text(secret, "type") {
        "kubernetes.io/tls" => missing(&["tls.crt", "tls.key"]),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            missing(&["username", "password"])
        }
        "kubernetes.io/ssh-auth" => missing(&["ssh-privatekey"]),
        "kubernetes.io/dockercfg" => missing(&[".dockercfg"]),
        "kubernetes.io/dockerconfigjson" => missing(&[".dockerconfigjson"]),
        "kubernetes.io/service-account-token" => {
            let name = "kubernetes.io/service-account.name";
            let is_there = !text(&secret["metadata"]["annotations"], name).is_empty();
            let field = format!("metadata.annotations[{name}]");
            (!is_there).then(|| Cause::required(field, "")).into_iter().collect()
        }
        _ => Vec::new(),
    });
    causes
}

/// What is wrong with a Lease.
pub(super) fn validate_lease(lease: &Value) -> Vec<Cause> {
    let spec = &lease["spec"];
    let mut causes = Vec::new();
    if spec["leaseDurationSeconds"].as_i64().is_some_and(|seconds| seconds <= 0) {
        let fault = "must be greater than 0";
        causes.push(Cause::invalid("spec.leaseDurationSeconds", &spec["leaseDurationSeconds"], fault));
    }
    if spec["leaseTransitions"].as_i64().is_some_and(|count| count < 0) {
        let fault = "must be greater than or equal to 0";
        causes.push(Cause::invalid("spec.leaseTransitions", &spec["leaseTransitions"], fault));
    }
    causes
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
    if kind == "ExternalName" {
        let name = text(spec, "externalName");
        match name {
            "" => causes.push(Cause::required("spec.externalName", "")),
            _ => causes.extend(
                names::dns_1123_subdomain(name)
                    .iter()
                    .map(|fault| Cause::invalid("spec.externalName", &name.into(), fault)),
            ),
        }
    }
    causes.extend(validate_address(spec, kind));
    let is_headless = text(spec, "clusterIP") == "None";
    let ports: Vec<_> = items(spec, "ports").collect();
    if ports.is_empty() && !is_headless && kind != "ExternalName" {
        causes.push(Cause::required("spec.ports", ""));
    }
    let mut taken = Vec::new();
    for (index, port) in &ports {
        validate_service_port(port, &format!("spec.ports[{index}]"), ports.len() > 1, &mut causes);
        let name = text(port, "name");
        if !name.is_empty() && taken.contains(&name) {
            causes.push(Cause::duplicate(format!("spec.ports[{index}].name"), &name.into()));
        }
        taken.push(name);
        let key = |port: &Value| (text(port, "protocol").to_owned(), port["port"].clone());
        if ports[..*index].iter().any(|(_, other)| key(other) == key(port)) {
            let shown = serde_json::json!({
                "Name": "", "Protocol": port["protocol"], "AppProtocol": null, "Port": port["port"],
                "TargetPort": 0, "NodePort": 0,
            });
            causes.push(Cause::duplicate(format!("spec.ports[{index}]"), &shown));
        }
    }
    for (name, value) in spec["selector"].as_object().map(sorted).unwrap_or_default() {
        let value = value.as_str().unwrap_or_default();
        for (text, faults) in
            [(name.as_str(), names::qualified_name(name)), (value, names::label_value(value))]
        {
            causes.extend(faults.iter().map(|fault| Cause::invalid("spec.selector", &text.into(), fault)));
        }
    }
    let affinity = text(spec, "sessionAffinity");
    if !["", "ClientIP", "None"].contains(&affinity) {
        causes.push(Cause::not_supported("spec.sessionAffinity", &affinity.into(), &["ClientIP", "None"]));
    }
    causes
}

fn validate_address(spec: &Value, kind: &str) -> Option<Cause> {
    let address = text(spec, "clusterIP");
    let field = "spec.clusterIPs[0]";
    match address {
        "" => None,
        "None" if matches!(kind, "LoadBalancer" | "NodePort") => {
            let fault = format!("may not be set to 'None' for {kind} services");
            Some(Cause::invalid(field, &address.into(), &fault))
        }
        "None" => None,
        _ if address.parse::<std::net::IpAddr>().is_ok() => None,
        _ => {
            let fault = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            Some(Cause::invalid(field, &address.into(), fault))
        }
    }
}

fn validate_service_port(port: &Value, field: &str, needs_name: bool, causes: &mut Vec<Cause>) {
    let name = text(port, "name");
    if needs_name && name.is_empty() {
        causes.push(Cause::required(format!("{field}.name"), ""));
    } else if !name.is_empty() {
        let faults = names::dns_1123_label(name);
        causes
            .extend(faults.iter().map(|fault| Cause::invalid(format!("{field}.name"), &name.into(), fault)));
    }
    let protocols = ["SCTP", "TCP", "UDP"];
    let protocol = text(port, "protocol");
    if !protocols.contains(&protocol) {
        causes.push(Cause::not_supported(format!("{field}.protocol"), &protocol.into(), &protocols));
    }
    for number in ["port", "targetPort"] {
        if port[number].as_i64().is_some_and(|number| !(1..=65_535).contains(&number)) {
            let fault = "must be between 1 and 65535, inclusive";
            causes.push(Cause::invalid(format!("{field}.{number}"), &port[number], fault));
        }
    }
    if let Some(target) = port["targetPort"].as_str() {
        let faults = names::port(target);
        causes.extend(
            faults
                .into_iter()
                .map(|fault| Cause::invalid(format!("{field}.targetPort"), &target.into(), fault)),
        );
    }
    if let Some(protocol) = port["appProtocol"].as_str() {
        let faults = names::qualified_name(protocol);
        causes.extend(
            faults
                .iter()
                .map(|fault| Cause::invalid(format!("{field}.appProtocol"), &protocol.into(), fault)),
        );
    }
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
            causes.push(Cause::required(format!("{field}.verbs"), ""));
        }
        if has("nonResourceURLs") {
            if text(role, "kind") == "Role" {
                let fault = "namespaced rules cannot apply to non-resource URLs";
                causes.push(Cause::invalid(
                    format!("{field}.nonResourceURLs"),
                    &rule["nonResourceURLs"],
                    fault,
                ));
            }
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
        causes.push(Cause::invalid(
            "spec",
            &Value::Null,
            "either `defaultBackend` or `rules` must be specified",
        ));
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
