//! Configuration, secrets and volumes.

use serde_json::Value;

use super::{AGE, CREATED_AT, Cell, Column, NAME, boolean, integer, name_format, string, text, wide};

pub(super) fn columns(group: &str, plural: &str) -> Option<&'static [Column]> {
    const CONFIG_MAPS: &[Column] = &[NAME, string("Data", Cell::Count(&["/data", "/binaryData"])), AGE];
    const SECRETS: &[Column] =
        &[NAME, string("Type", Cell::Text("/type", "")), string("Data", Cell::Count(&["/data"])), AGE];
    const CLAIMS: &[Column] = &[
        NAME,
        string("Status", Cell::Derived(phase)),
        string("Volume", Cell::Text("/spec/volumeName", "")),
        string("Capacity", Cell::Derived(claim_capacity)),
        string("Access Modes", Cell::Derived(claim_access_modes)),
        string("StorageClass", Cell::Derived(storage_class)),
        string("VolumeAttributesClass", Cell::Text("/spec/volumeAttributesClassName", "<unset>")),
        AGE,
        wide(string("VolumeMode", Cell::Text("/spec/volumeMode", "<unset>"))),
    ];
    const VOLUMES: &[Column] = &[
        NAME,
        string("Capacity", Cell::Text("/spec/capacity/storage", "0")),
        string("Access Modes", Cell::Derived(|object| access_modes(object, "/spec/accessModes").into())),
        string("Reclaim Policy", Cell::Text("/spec/persistentVolumeReclaimPolicy", "")),
        string("Status", Cell::Derived(phase)),
        string("Claim", Cell::Derived(claim)),
        string("StorageClass", Cell::Derived(storage_class)),
        string("VolumeAttributesClass", Cell::Text("/spec/volumeAttributesClassName", "<unset>")),
        string("Reason", Cell::Text("/status/reason", "")),
        AGE,
        wide(string("VolumeMode", Cell::Text("/spec/volumeMode", "<unset>"))),
    ];
    const CLASSES: &[Column] = &[
        super::name_format(string("Name", Cell::Derived(class_name))),
        string("Provisioner", Cell::Text("/provisioner", "")),
        string("ReclaimPolicy", Cell::Text("/reclaimPolicy", "Delete")),
        string("VolumeBindingMode", Cell::Text("/volumeBindingMode", "Immediate")),
        string("AllowVolumeExpansion", Cell::Flag("/allowVolumeExpansion")),
        AGE,
    ];
    const DRIVERS: &[Column] = &[
        NAME,
        boolean("AttachRequired", Cell::Derived(|object| (object["spec"]["attachRequired"] != false).into())),
        boolean("PodInfoOnMount", Cell::Flag("/spec/podInfoOnMount")),
        boolean("StorageCapacity", Cell::Flag("/spec/storageCapacity")),
        string(
            "TokenRequests",
            Cell::Derived(|object| match text::joined(object, "/spec/tokenRequests", "audience", ",") {
                audiences if audiences.is_empty() => "<unset>".into(),
                audiences => audiences.into(),
            }),
        ),
        boolean("RequiresRepublish", Cell::Flag("/spec/requiresRepublish")),
        string(
            "Modes",
            Cell::Derived(|object| {
                text::joined_or(object, "/spec/volumeLifecycleModes", ",", "<none>").into()
            }),
        ),
        AGE,
    ];
    const NODES: &[Column] = &[NAME, integer("Drivers", Cell::Count(&["/spec/drivers"])), AGE];
    const CAPACITIES: &[Column] = &[NAME, CREATED_AT];
    const ATTACHMENTS: &[Column] = &[
        NAME,
        name_format(string("Attacher", Cell::Text("/spec/attacher", ""))),
        string("PV", Cell::Text("/spec/source/persistentVolumeName", "")),
        string("Node", Cell::Text("/spec/nodeName", "")),
        boolean("Attached", Cell::Flag("/status/attached")),
        AGE,
    ];
    const ATTRIBUTES_CLASSES: &[Column] = &[NAME, string("DriverName", Cell::Text("/driverName", "")), AGE];
    match (group, plural) {
        ("", "configmaps") => Some(CONFIG_MAPS),
        ("", "secrets") => Some(SECRETS),
        ("", "persistentvolumeclaims") => Some(CLAIMS),
        ("", "persistentvolumes") => Some(VOLUMES),
        ("storage.k8s.io", "storageclasses") => Some(CLASSES),
        ("storage.k8s.io", "csidrivers") => Some(DRIVERS),
        ("storage.k8s.io", "csinodes") => Some(NODES),
        ("storage.k8s.io", "csistoragecapacities") => Some(CAPACITIES),
        ("storage.k8s.io", "volumeattachments") => Some(ATTACHMENTS),
        ("storage.k8s.io", "volumeattributesclasses") => Some(ATTRIBUTES_CLASSES),
        _ => None,
    }
}

fn phase(object: &Value) -> Value {
    match text::is_deleting(object) {
        true => "Terminating".into(),
        false => text::or(object, "/status/phase", "").into(),
    }
}

fn is_bound(claim: &Value) -> bool {
    claim["spec"]["volumeName"].as_str().is_some_and(|name| !name.is_empty())
}

fn claim_capacity(claim: &Value) -> Value {
    match is_bound(claim) {
        true => text::or(claim, "/status/capacity/storage", "0").into(),
        false => "".into(),
    }
}

fn claim_access_modes(claim: &Value) -> Value {
    if is_bound(claim) { access_modes(claim, "/status/accessModes").into() } else { "".into() }
}

/// Abbreviated, each once, in a fixed order.
fn access_modes(object: &Value, pointer: &str) -> String {
    const MODES: &[(&str, &str)] = &[
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let has = |mode: &str| text::items(object, pointer).any(|item| item == mode);
    let modes: Vec<_> = MODES.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect();
    modes.join(",")
}

fn storage_class(object: &Value) -> Value {
    let annotation = text::or(object, "/metadata/annotations/volume.beta.kubernetes.io~1storage-class", "");
    text::or(object, "/spec/storageClassName", &annotation).into()
}

fn claim(volume: &Value) -> Value {
    let claim = &volume["spec"]["claimRef"];
    match claim.is_object() {
        true => format!("{}/{}", text::or(claim, "/namespace", ""), text::or(claim, "/name", "")).into(),
        false => "".into(),
    }
}

fn class_name(class: &Value) -> Value {
    let name = text::or(class, "/metadata/name", "");
    let pointer = "/metadata/annotations/storageclass.kubernetes.io~1is-default-class";
    let is_default = text::or(class, pointer, "") == "true";
    if is_default { format!("{name} (default)").into() } else { name.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Appendix C.
    #[test]
    fn a_claim_shows_its_volume_once_it_has_one() {
        let claim = json!({"spec": {}, "status": {"phase": "Pending", "capacity": {"storage": "1Gi"}}});
        assert_eq!((claim_capacity(&claim), phase(&claim)), (json!(""), json!("Pending")));
        let claim = json!({
            "metadata": {"deletionTimestamp": "t"}, "spec": {"volumeName": "v"},
            "status": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"]},
        });
        assert_eq!(
            (claim_capacity(&claim), claim_access_modes(&claim), phase(&claim)),
            (json!("1Gi"), json!("RWO,RWX"), json!("Terminating"))
        );
    }
}
