//! Rules on built-in objects beyond their types (D-066).
//!
//! What operators' authors run into: required fields, selectors that do not fit their templates, fields that may
//! not change. The thousand other rules of pods are left out. Metadata is checked in [`super::metadata`].

mod changes;
mod others;
mod pods;
mod webhooks;
mod workloads;

use serde_json::Value;

use super::cause::Cause;

/// What is wrong with a new object, its defaults filled in.
pub(crate) fn validate_create(group: &str, kind: &str, object: &Value) -> Vec<Cause> {
    match (group, kind) {
        ("", "Pod") => pods::validate_spec(&object["spec"], "spec"),
        ("", "PodTemplate") => pods::validate_template(&object["template"], "template"),
        ("apps", "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet") => {
            workloads::validate(kind, object)
        }
        ("", "ReplicationController") => workloads::validate(kind, object),
        ("batch", "Job") => workloads::validate_job(&object["spec"], "spec"),
        ("batch", "CronJob") => workloads::validate_cron_job(object),
        ("", "ConfigMap") => others::validate_data(object),
        ("", "Secret") => others::validate_secret(object),
        ("coordination.k8s.io", "Lease") => others::validate_lease(object),
        ("", "Service") => others::validate_service(object),
        ("", "PersistentVolumeClaim") => others::validate_claim(object),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => {
            others::validate_binding(object)
        }
        ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => others::validate_role(object),
        ("networking.k8s.io", "Ingress") => others::validate_ingress(object),
        (
            "admissionregistration.k8s.io",
            "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration",
        ) => webhooks::validate(object),
        ("autoscaling", "HorizontalPodAutoscaler") => others::validate_autoscaler(object),
        _ => Vec::new(),
    }
}

/// What is wrong with a changed object: the rules of a new one, and what may not change.
pub(crate) fn validate_update(group: &str, kind: &str, object: &Value, old: &Value) -> Vec<Cause> {
    let (changed, new) = (changes::validate(group, kind, object, old), validate_create(group, kind, object));
    // In the order of the real server.
    match group {
        "apps" | "batch" | "rbac.authorization.k8s.io" => [new, changed].concat(),
        _ => [changed, new].concat(),
    }
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_default()
}

fn items<'a>(object: &'a Value, name: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    object[name].as_array().into_iter().flatten().enumerate()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machinery::{
        cause, defaults, testing,
        types::{self, decode},
    };
    use serde_json::json;

    pub(super) fn complete(group: &str, kind: &str, object: &Value) -> Value {
        let id = types::of_kind(group, "v1", kind).unwrap();
        let mut object = decode::decode(object, id, "").unwrap().value;
        defaults::apply(&mut object, id);
        object
    }

    fn check(group: &str, kind: &str, object: Value, expected: &[&str]) {
        let causes = validate_create(group, kind, &complete(group, kind, &object));
        let found: Vec<_> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        assert_eq!(found, expected);
    }

    /// D-066, DT-154.
    #[test]
    fn bad_workloads_are_refused_as_by_the_real_server() {
        let scenarios = testing::scenarios();
        for (step, group, kind) in [(0, "apps", "Deployment"), (1, "", "Pod")] {
            let object = testing::scenario_step(&scenarios, "DT-154", step)["b"].clone();
            let causes = validate_create(group, kind, &complete(group, kind, &object));
            let answer = testing::golden_step("DT-154", step);
            let message = answer["body"]["message"].as_str().unwrap();
            assert_eq!(cause::join(&causes), message.split_once(" is invalid: ").unwrap().1);
        }
    }

    /// Nothing that the real server has accepted is refused.
    #[test]
    fn the_objects_in_the_real_answers_are_fine() {
        let answers = testing::contract_json("golden/apiserver-1.37.2.json");
        let mut checked = 0;
        for step in
            answers["scenarios"].as_object().unwrap().values().flat_map(|steps| steps.as_array().unwrap())
        {
            let body = &step["body"];
            let Some(api_version) = body["apiVersion"].as_str().filter(|_| step["status"] == 201) else {
                continue;
            };
            let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
            let kind = body["kind"].as_str().unwrap();
            assert_eq!(validate_create(group, kind, body), [], "{body}");
            assert_eq!(validate_update(group, kind, body, body), [], "{body}");
            checked += 1;
        }
        assert!(checked > 50, "{checked}");
    }

    #[test]
    fn required_fields_are_asked_for() {
        check(
            "",
            "Pod",
            json!({"spec": {"containers": [{"name": "a"}, {"name": "a", "image": "i"}, {"image": "i"}]}}),
            &[
                "spec.containers[0].image: Required value",
                "spec.containers[1].name: Duplicate value: \"a\"",
                "spec.containers[2].name: Required value",
            ],
        );
        check(
            "apps",
            "StatefulSet",
            json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "i"}]}}}}),
            &[
                "spec.selector: Required value",
                "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`",
            ],
        );
        check(
            "batch",
            "Job",
            json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "i"}]}}}}),
            &["spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""],
        );
        check("", "Service", json!({"spec": {"ports": []}}), &["spec.ports: Required value"]);
        check(
            "",
            "Service",
            json!({"spec": {"ports": [{"port": 1}, {"port": 70000, "name": "a"}]}}),
            &[
                "spec.ports[0].name: Required value",
                "spec.ports[1].port: Invalid value: 70000: must be between 1 and 65535, inclusive",
                "spec.ports[1].targetPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ],
        );
        check("", "Service", json!({"spec": {"clusterIP": "None"}}), &[]);
        check(
            "",
            "PersistentVolumeClaim",
            json!({"spec": {}}),
            &[
                "spec.accessModes: Required value: at least 1 access mode is required",
                "spec.resources[storage]: Required value",
            ],
        );
        check(
            "rbac.authorization.k8s.io",
            "RoleBinding",
            json!({"roleRef": {}, "subjects": [{"kind": "User"}]}),
            &[
                "roleRef.kind: Unsupported value: \"\": supported values: \"Role\", \"ClusterRole\"",
                "roleRef.name: Required value",
                "subjects[0].name: Required value",
            ],
        );
        check(
            "",
            "ConfigMap",
            json!({"data": {"bad key": "x", "k": "y"}, "binaryData": {"k": ""}}),
            &[
                "data[bad key]: Invalid value: \"bad key\": a valid config key must consist of alphanumeric characters, \
             '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
             '[-._a-zA-Z0-9]+')",
                "data[k]: Invalid value: \"k\": duplicate of key present in binaryData",
            ],
        );
    }
    /// D-213: texts of a real server.
    #[test]
    fn webhooks_that_no_server_could_ask_are_refused() {
        let hooks = |hook: Value| json!({"webhooks": [hook]});
        let rest = |client: Value| {
            json!({
                "name": "a.test.dev",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "clientConfig": client,
            })
        };
        let refused = |hook: Value, expected: &[&str]| {
            check("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", hooks(hook), expected);
        };
        refused(rest(json!({"url": "https://x:1/p"})), &[]);
        refused(rest(json!({"url": "http://127.0.0.1:1/p"})), &[]);
        refused(
            rest(json!({"url": "http://x?y#z"})),
            &[
                "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; \
                 desired format: https://host[/path]",
                "webhooks[0].clientConfig.url: Invalid value: \"z\": fragments are not permitted in the URL",
                "webhooks[0].clientConfig.url: Invalid value: \"y\": query parameters are not permitted in the URL",
            ],
        );
        let neither = "webhooks[0].clientConfig: Required value: exactly one of url or service is required";
        refused(rest(json!({})), &[neither]);
        refused(
            json!({"name": "a", "clientConfig": {"url": "https://x"}, "timeoutSeconds": 31, "rules": [{
                "apiGroups": ["*"], "apiVersions": [], "resources": ["*", "pods"], "operations": ["PATCH"],
            }]}),
            &[
                "webhooks[0].name: Invalid value: \"a\": should be a domain with at least three segments separated \
                 by dots",
                "webhooks[0].rules[0].operations[0]: Unsupported value: \"PATCH\": supported values: \"*\", \
                 \"CONNECT\", \"CREATE\", \"DELETE\", \"UPDATE\"",
                "webhooks[0].rules[0].apiVersions: Required value",
                "webhooks[0].rules[0].resources: Invalid value: [\"*\",\"pods\"]: if '*' is present, must not specify \
                 other resources without subresources",
                "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
                "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
                "webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1",
            ],
        );
    }
}
