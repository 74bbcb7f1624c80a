//! The fields that built-in types have at their top and in their metadata (D-068).
//!
//! What lies deeper is kept as it is sent: that needs the types' schemas.

use serde_json::Value;

use super::Shape;
use super::registry::Served;
use crate::machinery::object_meta;
use crate::server::decode::go_type;

/// The top fields of a type, beside apiVersion, kind and metadata; most have spec and status.
fn top_fields(group: &str, kind: &str) -> &'static [&'static str] {
    match (group, kind) {
        ("", "ConfigMap") => &["binaryData", "data", "immutable"],
        ("", "Secret") => &["data", "immutable", "stringData", "type"],
        ("", "Endpoints") => &["subsets"],
        ("", "ServiceAccount") => &["automountServiceAccountToken", "imagePullSecrets", "secrets"],
        ("", "PodTemplate") => &["template"],
        ("", "Binding") => &["target"],
        ("", "ComponentStatus") => &["conditions"],
        ("", "Event") => &[
            "action",
            "count",
            "eventTime",
            "firstTimestamp",
            "involvedObject",
            "lastTimestamp",
            "message",
            "reason",
            "related",
            "reportingComponent",
            "reportingInstance",
            "series",
            "source",
            "type",
        ],
        ("apps", "ControllerRevision") => &["data", "revision"],
        ("discovery.k8s.io", "EndpointSlice") => &["addressType", "endpoints", "ports"],
        ("scheduling.k8s.io", "PriorityClass") => {
            &["description", "globalDefault", "preemptionPolicy", "value"]
        }
        ("node.k8s.io", "RuntimeClass") => &["handler", "overhead", "scheduling"],
        ("rbac.authorization.k8s.io", "Role") => &["rules"],
        ("rbac.authorization.k8s.io", "ClusterRole") => &["aggregationRule", "rules"],
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => &["roleRef", "subjects"],
        ("storage.k8s.io", "StorageClass") => &[
            "allowVolumeExpansion",
            "allowedTopologies",
            "mountOptions",
            "parameters",
            "provisioner",
            "reclaimPolicy",
            "volumeBindingMode",
        ],
        ("storage.k8s.io", "CSIStorageCapacity") => {
            &["capacity", "maximumVolumeSize", "nodeTopology", "storageClassName"]
        }
        ("storage.k8s.io", "VolumeAttributesClass") => &["driverName", "parameters"],
        (
            "admissionregistration.k8s.io",
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration",
        ) => &["webhooks"],
        _ => &["spec", "status"],
    }
}

const EVENTS_V1: &[&str] = &[
    "action",
    "deprecatedCount",
    "deprecatedFirstTimestamp",
    "deprecatedLastTimestamp",
    "deprecatedSource",
    "eventTime",
    "note",
    "reason",
    "regarding",
    "related",
    "reportingController",
    "reportingInstance",
    "series",
    "type",
];

/// Brings the metadata of an object into its type and removes unknown fields; gives their paths.
///
/// # Errors
///
/// What has the wrong type, in Go's words.
pub(crate) fn decode(served: &Served, value: &mut Value) -> Result<Vec<String>, String> {
    let known = match served.version().view.shape {
        Shape::EventsV1 => EVENTS_V1,
        Shape::BuiltIn | Shape::Custom => top_fields(&served.resource.group, &served.resource.kind),
    };
    let decoded = object_meta::decode(&value["metadata"], "metadata")?;
    let mut unknown = decoded.unknown;
    value["metadata"] = decoded.metadata;
    let Value::Object(fields) = value else { return Ok(unknown) };
    fields.retain(|key, _| {
        let is_known =
            matches!(key.as_str(), "apiVersion" | "kind" | "metadata") || known.contains(&key.as_str());
        if !is_known {
            unknown.push(key.clone());
        }
        is_known
    });
    let structs = ["spec", "status", "data", "binaryData", "stringData"];
    for (field, value) in fields.iter().filter(|(field, _)| structs.contains(&field.as_str())) {
        // Only ControllerRevisions carry any value as their data.
        if !value.is_object() && !value.is_null() && served.resource.kind != "ControllerRevision" {
            let (kind, found) = (&served.resource.kind, go_type(value));
            return Err(format!(
                "json: cannot unmarshal {found} into Go struct field {kind}.{field} of type object"
            ));
        }
    }
    fields.retain(|_, value| !value.is_null());
    Ok(unknown)
}
