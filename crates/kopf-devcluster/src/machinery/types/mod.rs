//! The built-in types: which fields they have, of what type, and how these are merged.
//!
//! One table of facts serves everything that needs to know Kubernetes' own types: decoding (D-067, D-068),
//! strategic merge patches (D-155), server-side apply (D-159) and protobuf bodies (D-023). There is nothing
//! about defaults and rules in it.

pub(crate) mod decode;
mod table;

pub(crate) use table::{Field, ListKeys, Merge, Shape, TypeId};

/// The type of a built-in kind. `None` for kinds that the tables do not have, which are taken as they come.
pub(crate) fn of_kind(group: &str, version: &str, kind: &str) -> Option<TypeId> {
    table::TABLE.find(scope(group, version)?, kind)
}

/// A type of the tables, by the table (e.g. `core`) and its name. For data that speaks of types.
pub(super) fn find(scope: &str, name: &str) -> Option<TypeId> {
    table::TABLE.find(scope, name)
}

/// The type of `metadata`.
pub(crate) fn object_meta() -> TypeId {
    table::TABLE.find("meta", "ObjectMeta").expect("the tables have it, as a test shows")
}

/// The type of the body of a DELETE request.
pub(crate) fn delete_options() -> TypeId {
    table::TABLE.find("meta", "DeleteOptions").expect("the tables have it, as a test shows")
}

/// The table that has the types of a group and version.
fn scope(group: &str, version: &str) -> Option<&'static str> {
    Some(match (group, version) {
        ("", "v1") => "core",
        ("apps", "v1") => "apps",
        ("batch", "v1") => "batch",
        ("policy", "v1") => "policy",
        ("autoscaling", "v1") => "autoscaling",
        ("autoscaling", "v2") => "autoscaling-v2",
        ("admissionregistration.k8s.io", "v1") => "admissionregistration",
        ("apiextensions.k8s.io", "v1") => "apiextensions",
        ("apiregistration.k8s.io", "v1") => "apiregistration",
        ("authentication.k8s.io", "v1") => "authentication",
        ("authorization.k8s.io", "v1") => "authorization",
        ("certificates.k8s.io", "v1") => "certificates",
        ("coordination.k8s.io", "v1") => "coordination",
        ("discovery.k8s.io", "v1") => "discovery",
        ("events.k8s.io", "v1") => "events",
        ("networking.k8s.io", "v1") => "networking",
        ("node.k8s.io", "v1") => "node",
        ("rbac.authorization.k8s.io", "v1") => "rbac",
        ("scheduling.k8s.io", "v1") => "scheduling",
        ("storage.k8s.io", "v1") => "storage",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machinery::testing;

    /// D-061: all kinds of the groups with tables; the P2 groups are plain storage.
    #[test]
    fn every_kind_in_discovery_has_a_type() {
        let discovery = testing::contract_json("golden/discovery-1.37.2.json");
        let mut missing = Vec::new();
        let mut found = 0;
        for (group, version, kind) in kinds(&discovery) {
            match (scope(&group, &version), of_kind(&group, &version, &kind)) {
                (None, _) => {}
                (Some(_), Some(_)) => found += 1,
                (Some(scope), None) => missing.push(format!("{scope} {kind}")),
            }
        }
        assert_eq!(missing, ["core ComponentStatus"]);
        assert!(found > 60, "{found}");
        assert_eq!((object_meta().name(), delete_options().name()), ("ObjectMeta", "DeleteOptions"));
    }

    /// Group, version and kind of all top-level resources in the aggregated discovery.
    fn kinds(discovery: &serde_json::Value) -> Vec<(String, String, String)> {
        let mut kinds = Vec::new();
        for document in ["/api", "/apis"] {
            for group in discovery["aggregated"][document]["items"].as_array().unwrap() {
                let name = group["metadata"]["name"].as_str().unwrap_or_default();
                for version in group["versions"].as_array().unwrap() {
                    for resource in version["resources"].as_array().unwrap() {
                        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
                        let kind = text(&resource["responseKind"]["kind"]);
                        kinds.push((name.to_owned(), text(&version["version"]), kind));
                    }
                }
            }
        }
        kinds
    }
}
