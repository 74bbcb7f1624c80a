//! What the real server's admission and preparation add to new pods.

use serde_json::{Value, json};

/// Adds the tolerations of lost nodes and the priority that pods get when nothing is said.
pub(crate) fn admit(pod: &mut Value) {
    const SECONDS: i64 = 300;
    let spec = &mut pod["spec"];
    let mut tolerations = spec["tolerations"].as_array().cloned().unwrap_or_default();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerates = |toleration: &Value| {
            let (of, effect) = (&toleration["key"], toleration["effect"].as_str().unwrap_or_default());
            (*of == key || of.is_null()) && matches!(effect, "" | "NoExecute")
        };
        if !tolerations.iter().any(tolerates) {
            tolerations.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS,
            }));
        }
    }
    let Value::Object(fields) = spec else { return };
    fields.shift_remove("tolerations");
    // Where the type has them, so that the order of fields is that of the real server.
    let at = |fields: &serde_json::Map<String, Value>, before: &[&str]| {
        let position = fields.keys().position(|name| before.contains(&name.as_str()));
        position.unwrap_or(fields.len())
    };
    let late = [
        "hostAliases",
        "priorityClassName",
        "priority",
        "dnsConfig",
        "readinessGates",
        "runtimeClassName",
        "enableServiceLinks",
        "preemptionPolicy",
        "overhead",
        "topologySpreadConstraints",
        "setHostnameAsFQDN",
        "os",
        "hostUsers",
        "schedulingGates",
        "resourceClaims",
    ];
    fields.shift_insert(at(fields, &late), "tolerations".to_owned(), Value::Array(tolerations));
    if !fields.contains_key("priority") {
        fields.shift_insert(at(fields, &late[3..]), "priority".to_owned(), 0.into());
    }
    if !fields.contains_key("preemptionPolicy") {
        fields.shift_insert(
            at(fields, &late[8..]),
            "preemptionPolicy".to_owned(),
            "PreemptLowerPriority".into(),
        );
    }
}

/// The `qosClass` of a pod's status: how much of what it requests it is also limited to.
pub(crate) fn qos_class(pod: &Value) -> &'static str {
    const COUNTED: [&str; 2] = ["cpu", "memory"];
    let containers = ["containers", "initContainers"].into_iter();
    let containers: Vec<_> = containers.flat_map(|list| pod["spec"][list].as_array()).flatten().collect();
    let amount = |container: &Value, side: &str, name: &str| {
        container["resources"][side][name].as_str().filter(|amount| *amount != "0").map(str::to_owned)
    };
    let counts = |container: &&Value| {
        COUNTED
            .iter()
            .any(|name| ["requests", "limits"].iter().any(|side| amount(container, side, name).is_some()))
    };
    let is_guaranteed = |container: &&Value| {
        COUNTED.iter().all(|name| {
            let limit = amount(container, "limits", name);
            limit.is_some() && limit == amount(container, "requests", name).or(limit.clone())
        })
    };
    match () {
        () if !containers.iter().any(counts) => "BestEffort",
        () if containers.iter().all(is_guaranteed) => "Guaranteed",
        () => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_of_a_pod_follows_from_its_resources() {
        let check = |resources: Value, class: &str| {
            let pod = json!({"spec": {"containers": [{"resources": resources}]}});
            assert_eq!(qos_class(&pod), class, "{pod}");
        };
        check(json!({}), "BestEffort");
        check(json!({"requests": {"cpu": "1"}}), "Burstable");
        check(json!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed");
        check(json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}), "Burstable");
    }

    #[test]
    fn a_toleration_of_its_own_stays() {
        let own =
            json!({"key": "node.kubernetes.io/not-ready", "operator": "Exists", "tolerationSeconds": 5});
        let mut pod = json!({"spec": {"tolerations": [own], "priority": 7}});
        admit(&mut pod);
        let tolerations = pod["spec"]["tolerations"].as_array().unwrap();
        assert_eq!((tolerations.len(), &tolerations[0], &pod["spec"]["priority"]), (2, &own, &json!(7)));
    }
}
