//! Fields that may not change.

use serde_json::Value;

use super::text;
use crate::machinery::{cause::Cause, json::equal};

const IMMUTABLE: &str = "field is immutable";

/// What is wrong with how an object has changed.
pub(super) fn validate(group: &str, kind: &str, object: &Value, old: &Value) -> Vec<Cause> {
    let fixed = |pointer: &str, fault: &str| immutable(object, old, pointer, fault);
    match (group, kind) {
        ("apps", "Deployment" | "ReplicaSet" | "DaemonSet") => {
            fixed("/spec/selector", IMMUTABLE).into_iter().collect()
        }
        ("apps", "StatefulSet") => stateful_set(object, old).into_iter().collect(),
        ("batch", "Job") => job(object, old),
        ("", "PersistentVolumeClaim") => claim(object, old).into_iter().collect(),
        ("", "Service") => service(object, old).into_iter().collect(),
        ("", "Secret") => {
            let mut causes: Vec<_> = fixed("/type", IMMUTABLE).into_iter().collect();
            causes.extend(sealed(object, old));
            causes
        }
        ("", "ConfigMap") => sealed(object, old),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            fixed("/roleRef", "cannot change roleRef").into_iter().collect()
        }
        ("storage.k8s.io", "StorageClass") => storage_class(object, old),
        ("scheduling.k8s.io", "PriorityClass") if !equal(&object["value"], &old["value"]) => {
            vec![Cause::forbidden("value", "may not be changed in an update.")]
        }
        _ => Vec::new(),
    }
}

fn at<'a>(object: &'a Value, pointer: &str) -> &'a Value {
    object.pointer(pointer).unwrap_or(&Value::Null)
}

fn immutable(object: &Value, old: &Value, pointer: &str, fault: &str) -> Option<Cause> {
    let (new, old) = (at(object, pointer), at(old, pointer));
    let field = pointer.trim_start_matches('/').replace('/', ".");
    (!equal(new, old)).then(|| Cause::invalid(field, new, fault))
}

/// A ConfigMap or Secret that says so may not change any more.
fn sealed(object: &Value, old: &Value) -> Vec<Cause> {
    if old["immutable"] != true {
        return Vec::new();
    }
    let fault = "field is immutable when `immutable` is set";
    let changed =
        ["immutable", "data", "binaryData"].into_iter().filter(|name| !equal(&object[*name], &old[*name]));
    changed.map(|name| Cause::forbidden(name, fault)).collect()
}

fn stateful_set(object: &Value, old: &Value) -> Option<Cause> {
    const MUTABLE: &[&str] = &[
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let rest = |object: &Value| {
        let mut spec = object["spec"].clone();
        if let Value::Object(fields) = &mut spec {
            fields.retain(|name, _| !MUTABLE.contains(&name.as_str()));
        }
        spec
    };
    (!equal(&rest(object), &rest(old))).then(|| {
        Cause::forbidden(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
             'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
             'minReadySeconds' are forbidden",
        )
    })
}

/// The template of a suspended job that never started may change in parts, which is not told apart here.
fn job(object: &Value, old: &Value) -> Vec<Cause> {
    let was_suspended = old["spec"]["suspend"] == true && old["status"]["startTime"].is_null();
    let mut fields = vec![
        "/spec/selector",
        "/spec/completionMode",
        "/spec/podFailurePolicy",
        "/spec/backoffLimitPerIndex",
    ];
    if !was_suspended {
        fields.push("/spec/template");
    }
    if old["spec"]["completionMode"] != "Indexed" {
        fields.push("/spec/completions");
    }
    fields.into_iter().filter_map(|pointer| immutable(object, old, pointer, IMMUTABLE)).collect()
}

/// A volume may be bound and grow.
fn claim(object: &Value, old: &Value) -> Option<Cause> {
    let rest = |claim: &Value| {
        let mut spec = claim["spec"].clone();
        if let Value::Object(fields) = &mut spec {
            fields.shift_remove("volumeAttributesClassName");
            fields.shift_remove("resources");
            if text(&old["spec"], "volumeName").is_empty() {
                fields.shift_remove("volumeName");
            }
        }
        spec
    };
    (!equal(&rest(object), &rest(old))).then(|| {
        Cause::forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
             claims",
        )
    })
}

/// An address of the cluster stays while the type of the service needs one.
fn service(object: &Value, old: &Value) -> Option<Cause> {
    let needs_address = |service: &Value| text(&service["spec"], "type") != "ExternalName";
    let address = text(&old["spec"], "clusterIP");
    if address.is_empty()
        || !needs_address(object)
        || !needs_address(old)
        || text(&object["spec"], "clusterIP") == address
    {
        return None;
    }
    Some(Cause::invalid("spec.clusterIPs[0]", &object["spec"]["clusterIPs"], "may not change once set"))
}

fn storage_class(object: &Value, old: &Value) -> Vec<Cause> {
    let fields = ["parameters", "provisioner", "reclaimPolicy"];
    let changed = fields.into_iter().filter(|name| !equal(&object[*name], &old[*name]));
    let mut causes: Vec<_> =
        changed.map(|name| Cause::forbidden(name, &format!("updates to {name} are forbidden."))).collect();
    causes.extend(immutable(object, old, "/volumeBindingMode", IMMUTABLE));
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(group: &str, kind: &str, old: Value, new: Value, expected: &[&str]) {
        let causes = validate(group, kind, &new, &old);
        let found: Vec<_> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        assert_eq!(found, expected);
    }

    /// D-066, DT-154: the text about sealed data is in the real answer.
    #[test]
    fn what_may_not_change_is_refused() {
        check(
            "apps",
            "Deployment",
            json!({"spec": {"selector": {"matchLabels": {"a": "1"}}, "replicas": 1}}),
            json!({"spec": {"selector": {"matchLabels": {"a": "2"}}, "replicas": 2}}),
            &["spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"2\"}}: field is immutable"],
        );
        check("apps", "StatefulSet", json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": 2}}), &[]);
        let causes =
            validate("apps", "StatefulSet", &json!({"spec": {"serviceName": "b"}}), &json!({"spec": {}}));
        assert!(
            causes[0].message.starts_with("Forbidden: updates to statefulset spec for fields other than")
        );
        check(
            "batch",
            "Job",
            json!({"spec": {"completions": 1, "parallelism": 1}}),
            json!({"spec": {"completions": 2, "parallelism": 2}}),
            &["spec.completions: Invalid value: 2: field is immutable"],
        );
        check(
            "",
            "ConfigMap",
            json!({"immutable": true, "data": {"k": "1"}}),
            json!({"immutable": true, "data": {"k": "2"}}),
            &["data: Forbidden: field is immutable when `immutable` is set"],
        );
        check(
            "",
            "ConfigMap",
            json!({"data": {"k": "1"}}),
            json!({"data": {"k": "2"}, "immutable": true}),
            &[],
        );
        check(
            "",
            "Secret",
            json!({"type": "Opaque"}),
            json!({"type": "x"}),
            &["type: Invalid value: \"x\": field is immutable"],
        );
        check("", "PersistentVolumeClaim", json!({"spec": {}}), json!({"spec": {"volumeName": "v"}}), &[]);
        check(
            "",
            "PersistentVolumeClaim",
            json!({"spec": {}}),
            json!({"spec": {"accessModes": ["x"]}}),
            &["spec: Forbidden: spec is immutable after creation except resources.requests and \
             volumeAttributesClassName for bound claims"],
        );
        check(
            "",
            "Service",
            json!({"spec": {"clusterIP": "10.0.0.1", "type": "ClusterIP"}}),
            json!({"spec": {"clusterIP": "10.0.0.2", "clusterIPs": ["10.0.0.2"], "type": "ClusterIP"}}),
            &["spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"],
        );
    }
}
