//! What is served: the legacy documents, one per group-version, and the aggregated one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::types::registry::Served;
use crate::types::{Registry, Subresource, api_version};

/// `GET /api`.
pub(crate) fn core_versions(server_address: &str) -> Value {
    json!({
        "kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
    })
}

/// `GET /apis`.
pub(crate) fn groups(registry: &Registry) -> Value {
    let groups: Vec<Value> = registry
        .groups()
        .into_iter()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, versions)| group_value(name, &versions))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `GET /apis/{group}`.
pub(crate) fn group(registry: &Registry, name: &str) -> Option<Value> {
    let groups = registry.groups();
    let (_, versions) = groups.iter().find(|(group, _)| *group == name && !name.is_empty())?;
    let mut value = json!({"kind": "APIGroup", "apiVersion": "v1"});
    if let (Value::Object(value), Value::Object(group)) = (&mut value, group_value(name, versions)) {
        value.extend(group);
    }
    Some(value)
}

fn group_value(name: &str, versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": api_version(name, version), "version": version}))
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

/// `GET /api/v1` and `GET /apis/{group}/{version}`.
pub(crate) fn resources(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let served = registry.of_group_version(group, version);
    if served.is_empty() {
        return None;
    }
    let resources: Vec<Value> = served.iter().flat_map(resource_entries).collect();
    let mut list = Map::new();
    list.insert("kind".to_owned(), "APIResourceList".into());
    if !group.is_empty() {
        list.insert("apiVersion".to_owned(), "v1".into());
    }
    list.insert("groupVersion".to_owned(), api_version(group, version).into());
    list.insert("resources".to_owned(), resources.into());
    Some(list.into())
}

fn resource_entries(served: &Served) -> Vec<Value> {
    let resource = &served.resource;
    let mut entry = json!({
        "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
        "kind": resource.kind, "verbs": resource.verbs,
    });
    for (field, texts) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
        if !texts.is_empty() {
            entry[field] = texts.clone().into();
        }
    }
    if resource.verbs.contains(&"delete") {
        entry["storageVersionHash"] = storage_version_hash(served).into();
    }
    let subresources = served.version().subresources.iter().map(|subresource| {
        let mut entry = json!({
            "name": format!("{}/{}", resource.plural, subresource.name), "singularName": "",
            "namespaced": resource.namespaced,
        });
        if let Some((group, version)) = subresource.group_version {
            entry["group"] = group.into();
            entry["version"] = version.into();
        }
        entry["kind"] = kind_of(served, subresource).into();
        entry["verbs"] = subresource.verbs.into();
        entry
    });
    std::iter::once(entry).chain(subresources).collect()
}

/// The kind of a subresource; where it is not said, the resource's own.
fn kind_of<'a>(served: &'a Served, subresource: &Subresource) -> &'a str {
    if subresource.kind.is_empty() { &served.resource.kind } else { subresource.kind }
}

/// The real server stores these types in an older version than the one it serves, which shows in their hashes.
const STORED_AS_BETA: &[(&str, &str)] = &[
    ("customresourcedefinitions", "v1beta1"),
    ("clustertrustbundles", "v1beta1"),
    ("podcertificaterequests", "v1beta1"),
    ("devicetaintrules", "v1beta2"),
    ("storageversionmigrations", "v1beta1"),
];

/// The first 8 bytes of the hash of the version in which objects are stored (DEC-36).
fn storage_version_hash(served: &Served) -> String {
    let resource = &served.resource;
    let beta =
        STORED_AS_BETA.iter().find(|(plural, _)| *plural == resource.plural && resource.custom.is_none());
    let stored = match beta {
        Some((_, version)) => api_version(&resource.group, version),
        None => resource.storage_version.clone(),
    };
    let stored = if stored.contains('/') { stored } else { format!("/{stored}") };
    let digest = Sha256::digest(format!("{stored}/{}", resource.kind));
    STANDARD.encode(&digest[..8])
}

/// Aggregated discovery: of the core group (`GET /api`) or of all named ones (`GET /apis`).
pub(crate) fn aggregated(registry: &Registry, core: bool) -> Value {
    let items: Vec<Value> = registry
        .groups()
        .into_iter()
        .filter(|(name, _)| name.is_empty() == core)
        .map(|(name, versions)| {
            let metadata = if core { json!({}) } else { json!({"name": name}) };
            let versions: Vec<Value> =
                versions.iter().map(|version| aggregated_version(registry, name, version)).collect();
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    })
}

fn aggregated_version(registry: &Registry, group: &str, version: &str) -> Value {
    let resources: Vec<Value> =
        registry.of_group_version(group, version).iter().map(aggregated_resource).collect();
    json!({"version": version, "resources": resources, "freshness": "Current"})
}

fn aggregated_resource(served: &Served) -> Value {
    let resource = &served.resource;
    // Custom resources say their group and version here, built-in ones do not.
    let own = if resource.custom.is_some() { (&*resource.group, &*served.version().name) } else { ("", "") };
    let kind =
        |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": kind(own.0, own.1, &resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    for (field, texts) in [("shortNames", &resource.short_names), ("categories", &resource.categories)] {
        if !texts.is_empty() {
            entry[field] = texts.clone().into();
        }
    }
    let subresources: Vec<Value> = served
        .version()
        .subresources
        .iter()
        .map(|subresource| {
            let (group, version) = subresource.group_version.unwrap_or(own);
            json!({
                "subresource": subresource.name,
                "responseKind": kind(group, version, kind_of(served, subresource)),
                "verbs": subresource.verbs,
            })
        })
        .collect();
    if !subresources.is_empty() {
        entry["subresources"] = subresources.into();
    }
    entry
}

/// A document's `ETag`.
pub(crate) fn etag(document: &[u8]) -> String {
    let digest = Sha256::digest(document);
    let hex: String = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("\"{hex}\"")
}

/// `GET /version` (DEC-36). `version` is as `v1.37.2`.
pub(crate) fn version(version: &str) -> Value {
    let mut numbers = version.trim_start_matches('v').split('.');
    let major = numbers.next().unwrap_or_default();
    let minor: String = numbers.next().unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
    let before =
        minor.parse::<u32>().map_or_else(|_| minor.clone(), |minor| minor.saturating_sub(1).to_string());
    json!({
        "major": major, "minor": minor, "emulationMajor": major, "emulationMinor": minor,
        "minCompatibilityMajor": major, "minCompatibilityMinor": before, "gitVersion": version,
        "gitCommit": concat!("kopf-devcluster-", env!("CARGO_PKG_VERSION")), "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "none", "compiler": "rustc", "platform": "linux/amd64",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::builtin;
    use crate::types::table::BUILT_INS;

    fn real() -> Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../contract/golden/discovery-1.37.2.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    fn registry() -> Registry {
        Registry::new(builtin::resources(BUILT_INS))
    }

    /// D-041, D-060, DEC-36: every row as the real server's.
    #[test]
    fn legacy_discovery_is_the_real_servers() {
        let (real, registry) = (real(), registry());
        assert_eq!(groups(&registry), real["legacy"]["/apis"]);
        let documents = real["legacy"].as_object().unwrap();
        let lists = documents.iter().filter(|(_, document)| document["kind"] == "APIResourceList");
        let mut count = 0;
        for (path, expected) in lists {
            let (group, version) = match path.strip_prefix("/apis/") {
                Some(rest) => rest.split_once('/').unwrap(),
                None => ("", "v1"),
            };
            let mut actual = resources(&registry, group, version).unwrap();
            actual.as_object_mut().unwrap().shift_remove("apiVersion");
            let mut expected = expected.clone();
            expected.as_object_mut().unwrap().shift_remove("apiVersion");
            assert_eq!(actual, expected, "{path}");
            count += 1;
        }
        assert_eq!(count, 23);
    }

    /// D-042.
    #[test]
    fn aggregated_discovery_is_the_real_servers() {
        let (real, registry) = (real(), registry());
        assert_eq!(aggregated(&registry, true), real["aggregated"]["/api"]);
        assert_eq!(aggregated(&registry, false), real["aggregated"]["/apis"]);
    }
}
