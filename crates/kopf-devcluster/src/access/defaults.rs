//! The roles and bindings of a new cluster with RBAC.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::server::Shared;
use crate::server::write::{Target, WriteOptions, create};

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];

/// Creates them.
pub(crate) fn create_all(shared: &Arc<Shared>) {
    let urls = |urls: &[&str]| json!([{"verbs": ["get"], "nonResourceURLs": urls}]);
    let all = json!([
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, {"verbs": ["*"], "nonResourceURLs": ["*"]},
    ]);
    let own_reviews = json!([
        {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"],
         "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]},
        {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
    ]);
    let public = ["/healthz", "/livez", "/readyz", "/version", "/version/"];
    let discovery = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"];
    let discovery: Vec<&str> = discovery.into_iter().chain(public).collect();
    role(shared, "cluster-admin", &all, &["system:masters"]);
    role(shared, "system:discovery", &urls(&discovery), &["system:authenticated"]);
    role(shared, "system:basic-user", &own_reviews, &["system:authenticated"]);
    role(
        shared,
        "system:public-info-viewer",
        &urls(&public),
        &["system:authenticated", "system:unauthenticated"],
    );
    let is_secret = |plural: &str| plural == "secrets";
    let is_role = |plural: &str| matches!(plural, "roles" | "rolebindings");
    let read_write: Vec<&str> = READ.iter().chain(WRITE).copied().collect();
    role(shared, "view", &namespaced(shared, READ, |plural| !is_secret(plural) && !is_role(plural)), &[]);
    role(shared, "edit", &namespaced(shared, &read_write, |plural| !is_role(plural)), &[]);
    role(shared, "admin", &namespaced(shared, &read_write, |_| true), &[]);
}

/// A rule for each group with its built-in resources in namespaces.
fn namespaced(shared: &Shared, verbs: &[&str], is_included: impl Fn(&str) -> bool) -> Value {
    let registry = shared.registry();
    let rules = registry.groups().into_iter().filter_map(|(group, _)| {
        let resources = registry
            .resources()
            .iter()
            .filter(|r| r.group == group && r.namespaced && is_included(&r.plural));
        let plurals: Vec<&str> = resources.map(|resource| resource.plural.as_str()).collect();
        (!plurals.is_empty()).then(|| json!({"verbs": verbs, "apiGroups": [group], "resources": plurals}))
    });
    rules.collect()
}

fn role(shared: &Arc<Shared>, name: &str, rules: &Value, groups: &[&str]) {
    create_object(shared, "clusterroles", json!({"metadata": {"name": name}, "rules": rules}));
    if groups.is_empty() {
        return;
    }
    let group = "rbac.authorization.k8s.io";
    let subjects: Vec<Value> =
        groups.iter().map(|name| json!({"kind": "Group", "apiGroup": group, "name": name})).collect();
    let reference = json!({"apiGroup": group, "kind": "ClusterRole", "name": name});
    let binding = json!({"metadata": {"name": name}, "roleRef": reference, "subjects": subjects});
    create_object(shared, "clusterrolebindings", binding);
}

fn create_object(shared: &Arc<Shared>, plural: &str, value: Value) {
    let Some(served) = shared.registry().find("rbac.authorization.k8s.io", "v1", plural) else { return };
    let options = WriteOptions { manager: "kube-apiserver".to_owned(), ..WriteOptions::default() };
    let target = Target { shared, served: &served, namespace: "", subresource: None, options: &options };
    if let Err(error) = create::create_unasked(&target, value) {
        tracing::debug!(%error, plural, "not created");
    }
}
