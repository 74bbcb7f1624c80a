//! Defaults that depend on other fields of the object.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use crate::machinery::types::TypeId;

/// Fills in what a struct derives from its own fields.
pub(super) fn fill_in(object: &mut Value, id: TypeId) {
    match id.name() {
        "Container" | "EphemeralContainer" => image_pull_policy(object),
        "PodSpec" if object["hostNetwork"] == true => host_ports(object),
        "Pod" => requests_from_limits(object),
        "Volume" => empty_dir(object),
        "Secret" => string_data(object),
        "Namespace" => name_label(object),
        "Deployment" => rolling_update(object, "strategy"),
        "StatefulSet" | "DaemonSet" => rolling_update(object, "updateStrategy"),
        "ReplicationController" => controller_selector(object),
        "Job" => job_counts(object),
        "ServiceSpec" => service_policies(object),
        "ServicePort" => target_port(object),
        "NetworkPolicySpec" => policy_types(object),
        "HorizontalPodAutoscaler" => default_metric(object),
        "Subject" => subject_group(object),
        "CertificateSigningRequestSpec" => key_usages(object),
        _ => {}
    }
}

/// Whether a field has no value. Empty texts and zeros of plain fields have been dropped by decoding.
fn is_missing(object: &Value, name: &str) -> bool {
    object.get(name).is_none_or(Value::is_null)
}

fn set(object: &mut Value, name: &str, default: Value) {
    if let (true, Value::Object(fields)) = (is_missing(object, name), object) {
        fields.insert(name.to_owned(), default);
    }
}

/// An image without tag and digest is the latest, and the latest is always pulled.
fn image_pull_policy(container: &mut Value) {
    let image = container["image"].as_str().unwrap_or_default();
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    // A colon before the last slash belongs to a port.
    let last = name.rsplit('/').next().unwrap_or(name);
    let tag = last.split_once(':').map(|(_, tag)| tag);
    let is_latest = tag == Some("latest") || (tag.is_none() && digest.is_none());
    set(container, "imagePullPolicy", if is_latest { "Always" } else { "IfNotPresent" }.into());
}

/// On the host's network a container's port is the host's.
fn host_ports(spec: &mut Value) {
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            for port in container["ports"].as_array_mut().into_iter().flatten() {
                let number = port["containerPort"].clone();
                set(port, "hostPort", number);
            }
        }
    }
}

/// What a container is limited to it also requests, if it says nothing else.
fn requests_from_limits(pod: &mut Value) {
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            let Some(limits) = container["resources"]["limits"].as_object().cloned() else { continue };
            let resources = &mut container["resources"];
            set(resources, "requests", Value::Object(Map::new()));
            for (name, limit) in limits {
                set(&mut resources["requests"], &name, limit);
            }
        }
    }
}

/// `stringData` is only a way of writing `data`.
fn string_data(secret: &mut Value) {
    let Some(Value::Object(texts)) =
        secret.as_object_mut().and_then(|fields| fields.shift_remove("stringData"))
    else {
        return;
    };
    set(secret, "data", Value::Object(Map::new()));
    for (name, text) in texts {
        secret["data"][name] = STANDARD.encode(text.as_str().unwrap_or_default()).into();
    }
}

/// A volume that says not what it is made of is an empty directory.
fn empty_dir(volume: &mut Value) {
    if volume.as_object().is_some_and(|fields| fields.keys().all(|name| name == "name")) {
        set(volume, "emptyDir", json!({}));
    }
}

fn name_label(namespace: &mut Value) {
    let name = namespace["metadata"]["name"].clone();
    if name.is_string() {
        namespace["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
    }
}

fn rolling_update(workload: &mut Value, strategy: &str) {
    let strategy = &mut workload["spec"][strategy];
    if strategy["type"] == "RollingUpdate" {
        set(strategy, "rollingUpdate", json!({}));
    }
}

fn controller_selector(controller: &mut Value) {
    let labels = controller["spec"]["template"]["metadata"]["labels"].clone();
    if labels.is_object() {
        set(&mut controller["spec"], "selector", labels.clone());
        set(&mut controller["metadata"], "labels", labels);
    }
}

fn job_counts(job: &mut Value) {
    let spec = &mut job["spec"];
    if is_missing(spec, "completions") && is_missing(spec, "parallelism") {
        set(spec, "completions", 1.into());
    }
    set(spec, "parallelism", 1.into());
    let replacement = if is_missing(spec, "podFailurePolicy") { "TerminatingOrFailed" } else { "Failed" };
    set(spec, "podReplacementPolicy", replacement.into());
}

fn service_policies(spec: &mut Value) {
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    if spec["sessionAffinity"] == "ClientIP" {
        set(spec, "sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": 10_800}}));
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        set(spec, "externalTrafficPolicy", "Cluster".into());
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", true.into());
    }
    if kind != "ExternalName" {
        set(spec, "internalTrafficPolicy", "Cluster".into());
    }
}

fn target_port(port: &mut Value) {
    if matches!(port["targetPort"].as_i64(), Some(0))
        || is_missing(port, "targetPort")
        || port["targetPort"] == ""
    {
        port["targetPort"] = port["port"].clone();
    }
}

/// A policy is about what comes in, and about what goes out if it has rules for that.
fn policy_types(spec: &mut Value) {
    let has_egress = spec["egress"].as_array().is_some_and(|rules| !rules.is_empty());
    let types = if has_egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    set(spec, "policyTypes", types);
}

/// The newer version scales by the use of processors if nothing is said; the older one has no such field.
fn default_metric(autoscaler: &mut Value) {
    if autoscaler["apiVersion"] == "autoscaling/v2" {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": target}});
        set(&mut autoscaler["spec"], "metrics", json!([metric]));
    }
}

fn subject_group(subject: &mut Value) {
    if matches!(subject["kind"].as_str(), Some("User" | "Group")) {
        set(subject, "apiGroup", "rbac.authorization.k8s.io".into());
    }
}

fn key_usages(spec: &mut Value) {
    set(spec, "usages", json!(["digital signature", "key encipherment"]));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D-065: the policy follows the tag.
    #[test]
    fn the_latest_image_is_always_pulled() {
        for (image, policy) in [
            ("i", "Always"),
            ("i:latest", "Always"),
            ("i:1", "IfNotPresent"),
            ("registry:5000/i", "Always"),
            ("registry:5000/i:1", "IfNotPresent"),
            ("i@sha256:00", "IfNotPresent"),
        ] {
            let mut container = json!({ "image": image });
            image_pull_policy(&mut container);
            assert_eq!(container["imagePullPolicy"], policy, "{image}");
        }
    }

    #[test]
    fn fields_follow_others() {
        let mut spec = json!({"type": "NodePort", "sessionAffinity": "ClientIP"});
        service_policies(&mut spec);
        assert_eq!(spec["externalTrafficPolicy"], "Cluster");
        assert_eq!(spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"], 10_800);
        let mut job = json!({"spec": {"parallelism": 3}});
        job_counts(&mut job);
        assert_eq!(job["spec"], json!({"parallelism": 3, "podReplacementPolicy": "TerminatingOrFailed"}));
        let mut pod = json!({"spec": {"containers": [{"resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}}]}});
        requests_from_limits(&mut pod);
        assert_eq!(
            pod["spec"]["containers"][0]["resources"]["requests"],
            json!({"cpu": "500m", "memory": "1Gi"})
        );
    }
}
