//! Namespaces, nodes, events, access rules, definitions and what else a cluster is run with.

use jiff::Timestamp;
use serde_json::Value;

use super::{
    AGE, CREATED_AT, Cell, Column, NAME, age, boolean, column, integer, name_format, string, text, wide,
};

pub(super) fn columns(group: &str, plural: &str) -> Option<&'static [Column]> {
    Some(match (group, plural) {
        ("", "namespaces") => const { &[NAME, string("Status", Cell::Text("/status/phase", "")), AGE] },
        ("", "nodes") => NODES,
        ("", "serviceaccounts") => const { &[NAME, AGE] },
        ("" | "events.k8s.io", "events") => EVENTS,
        ("", "componentstatuses") => COMPONENT_STATUSES,
        ("", "limitranges") => const { &[NAME, CREATED_AT] },
        ("", "resourcequotas") => RESOURCE_QUOTAS,
        ("coordination.k8s.io", "leases") => {
            const { &[NAME, string("Holder", Cell::Text("/spec/holderIdentity", "")), AGE] }
        }
        ("rbac.authorization.k8s.io", "roles" | "clusterroles") => const { &[NAME, CREATED_AT] },
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => BINDINGS,
        ("apiextensions.k8s.io", "customresourcedefinitions") => DEFINITIONS,
        ("apiregistration.k8s.io", "apiservices") => API_SERVICES,
        (
            "admissionregistration.k8s.io",
            "mutatingwebhookconfigurations" | "validatingwebhookconfigurations",
        ) => const { &[NAME, integer("Webhooks", Cell::Count(&["/webhooks"])), AGE] },
        ("admissionregistration.k8s.io", "validatingadmissionpolicies") => {
            const {
                &[
                    NAME,
                    integer("Validations", Cell::Count(&["/spec/validations"])),
                    string("ParamKind", Cell::Derived(param_kind)),
                    AGE,
                ]
            }
        }
        ("admissionregistration.k8s.io", "mutatingadmissionpolicies") => {
            const {
                &[
                    NAME,
                    integer("Mutations", Cell::Count(&["/spec/mutations"])),
                    string("ParamKind", Cell::Derived(param_kind)),
                    AGE,
                ]
            }
        }
        (
            "admissionregistration.k8s.io",
            "validatingadmissionpolicybindings" | "mutatingadmissionpolicybindings",
        ) => {
            const {
                &[
                    NAME,
                    string("PolicyName", Cell::Text("/spec/policyName", "")),
                    string("ParamRef", Cell::Derived(param_ref)),
                    AGE,
                ]
            }
        }
        ("certificates.k8s.io", "certificatesigningrequests") => SIGNING_REQUESTS,
        ("certificates.k8s.io", "clustertrustbundles") => {
            const { &[NAME, string("SignerName", Cell::Text("/spec/signerName", ""))] }
        }
        ("certificates.k8s.io", "podcertificaterequests") => POD_CERTIFICATE_REQUESTS,
        ("flowcontrol.apiserver.k8s.io", "flowschemas") => FLOW_SCHEMAS,
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations") => PRIORITY_LEVELS,
        ("node.k8s.io", "runtimeclasses") => {
            const { &[NAME, string("Handler", Cell::Text("/handler", "")), AGE] }
        }
        ("scheduling.k8s.io", "priorityclasses") => {
            const {
                &[
                    NAME,
                    integer("Value", Cell::Integer("/value")),
                    boolean("Global-Default", Cell::Flag("/globalDefault")),
                    AGE,
                    string("PreemptionPolicy", Cell::Text("/preemptionPolicy", "PreemptLowerPriority")),
                ]
            }
        }
        ("resource.k8s.io", "resourceclaims") => {
            const { &[NAME, string("State", Cell::Derived(claim_state)), AGE] }
        }
        ("resource.k8s.io", "resourceslices") => {
            const {
                &[
                    NAME,
                    string("Node", Cell::Text("/spec/nodeName", "<unset>")),
                    string("Driver", Cell::Text("/spec/driver", "")),
                    string("Pool", Cell::Text("/spec/pool/name", "")),
                    AGE,
                ]
            }
        }
        ("resource.k8s.io", "devicetaintrules") => {
            const {
                &[
                    NAME,
                    string("Key", Cell::Text("/spec/taint/key", "")),
                    string("Value", Cell::Text("/spec/taint/value", "")),
                    string("Effect", Cell::Text("/spec/taint/effect", "")),
                    string("TimeAdded", Cell::Since("/spec/taint/timeAdded", "<unset>")),
                    AGE,
                ]
            }
        }
        ("storagemigration.k8s.io", "storageversionmigrations") => {
            const {
                &[
                    string("Name", Cell::Name),
                    string("Resource", Cell::Derived(migrated_resource)),
                    string("Status", Cell::Derived(migration_status)),
                ]
            }
        }
        _ => return None,
    })
}

const NODES: &[Column] = &[
    NAME,
    string("Status", Cell::Derived(node_status)),
    string("Roles", Cell::Derived(node_roles)),
    AGE,
    string("Version", Cell::Text("/status/nodeInfo/kubeletVersion", "")),
    wide(string("Internal-IP", Cell::Derived(|node| node_address(node, "InternalIP")))),
    wide(string("External-IP", Cell::Derived(|node| node_address(node, "ExternalIP")))),
    wide(string("OS-Image", Cell::Text("/status/nodeInfo/osImage", "<unknown>"))),
    wide(string("Kernel-Version", Cell::Text("/status/nodeInfo/kernelVersion", "<unknown>"))),
    wide(string("Container-Runtime", Cell::Text("/status/nodeInfo/containerRuntimeVersion", "<unknown>"))),
];
const EVENTS: &[Column] = &[
    string("Last Seen", Cell::Timed(last_seen)),
    string("Type", Cell::Text("/type", "")),
    string("Reason", Cell::Text("/reason", "")),
    string("Object", Cell::Derived(event_object)),
    wide(string("Subobject", Cell::Text("/involvedObject/fieldPath", ""))),
    wide(string("Source", Cell::Derived(event_source))),
    string("Message", Cell::Derived(|event| text::or(event, "/message", "").trim().into())),
    wide(string("First Seen", Cell::Timed(first_seen))),
    wide(string("Count", Cell::Derived(event_count))),
    wide(name_format(string("Name", Cell::Name))),
];
const COMPONENT_STATUSES: &[Column] = &[
    NAME,
    string("Status", Cell::Derived(component_status)),
    string("Message", Cell::Text("/conditions/0/message", "")),
    string("Error", Cell::Text("/conditions/0/error", "")),
];
const RESOURCE_QUOTAS: &[Column] = &[
    NAME,
    string("Request", Cell::Derived(|quota| quota_usage(quota, false))),
    string("Limit", Cell::Derived(|quota| quota_usage(quota, true))),
    AGE,
];
const BINDINGS: &[Column] = &[
    NAME,
    string("Role", Cell::Derived(role)),
    AGE,
    wide(string("Users", Cell::Derived(|binding| subjects(binding, "User")))),
    wide(string("Groups", Cell::Derived(|binding| subjects(binding, "Group")))),
    wide(string("ServiceAccounts", Cell::Derived(|binding| subjects(binding, "ServiceAccount")))),
];
const DEFINITIONS: &[Column] = &[
    NAME,
    string("Scope", Cell::Text("/spec/scope", "")),
    string("Versions", Cell::Derived(definition_versions)),
    column("Created At", "date", Cell::CreatedAt),
    wide(string("Group", Cell::Text("/spec/group", ""))),
    wide(string("Kind", Cell::Text("/spec/names/kind", ""))),
    wide(string(
        "ShortNames",
        Cell::Derived(|object| text::joined_or(object, "/spec/names/shortNames", ",", "").into()),
    )),
    wide(boolean(
        "Established",
        Cell::Derived(|object| (text::condition(object, "Established") == Some("True")).into()),
    )),
];
const API_SERVICES: &[Column] = &[
    NAME,
    string("Service", Cell::Derived(api_service)),
    string("Available", Cell::Derived(api_service_available)),
    AGE,
];
const SIGNING_REQUESTS: &[Column] = &[
    NAME,
    AGE,
    string("SignerName", Cell::Text("/spec/signerName", "<none>")),
    string("Requestor", Cell::Text("/spec/username", "")),
    string("RequestedDuration", Cell::Derived(requested_duration)),
    string("Condition", Cell::Derived(signing_condition)),
];
const POD_CERTIFICATE_REQUESTS: &[Column] = &[
    NAME,
    string("PodName", Cell::Text("/spec/podName", "")),
    string("ServiceAccountName", Cell::Text("/spec/serviceAccountName", "")),
    string("NodeName", Cell::Text("/spec/nodeName", "")),
    string("SignerName", Cell::Text("/spec/signerName", "")),
    string("State", Cell::Derived(pod_certificate_state)),
    string(
        "UnverifiedUserAnnotations",
        Cell::Derived(|object| text::labels(object, "/spec/unverifiedUserAnnotations").into()),
    ),
];
const FLOW_SCHEMAS: &[Column] = &[
    NAME,
    string("PriorityLevel", Cell::Text("/spec/priorityLevelConfiguration/name", "")),
    string("MatchingPrecedence", Cell::Integer("/spec/matchingPrecedence")),
    string("DistinguisherMethod", Cell::Text("/spec/distinguisherMethod/type", "<none>")),
    AGE,
    string("MissingPL", Cell::Derived(|object| text::condition(object, "Dangling").unwrap_or("?").into())),
];
const PRIORITY_LEVELS: &[Column] = &[
    NAME,
    string("Type", Cell::Text("/spec/type", "")),
    string("NominalConcurrencyShares", Cell::Derived(concurrency_shares)),
    string("Queues", Cell::Text("/spec/limited/limitResponse/queuing/queues", "<none>")),
    string("HandSize", Cell::Text("/spec/limited/limitResponse/queuing/handSize", "<none>")),
    string("QueueLengthLimit", Cell::Text("/spec/limited/limitResponse/queuing/queueLengthLimit", "<none>")),
    AGE,
];

fn node_status(node: &Value) -> Value {
    let ready = match text::condition(node, "Ready") {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    let is_unschedulable = node["spec"]["unschedulable"] == true;
    if is_unschedulable { format!("{ready},SchedulingDisabled").into() } else { ready.into() }
}

fn node_roles(node: &Value) -> Value {
    let labels = node["metadata"]["labels"].as_object();
    let role = |(key, value): (&String, &Value)| match key.strip_prefix("node-role.kubernetes.io/") {
        Some(role) => Some(role.to_owned()),
        None if key == "kubernetes.io/role" => value.as_str().map(str::to_owned),
        None => None,
    };
    let mut roles: Vec<_> =
        labels.into_iter().flatten().filter_map(role).filter(|role| !role.is_empty()).collect();
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { "<none>".into() } else { roles.join(",").into() }
}

fn node_address(node: &Value, kind: &str) -> Value {
    let address = text::items(node, "/status/addresses").find(|address| address["type"] == kind);
    address.and_then(|address| address["address"].as_str()).unwrap_or("<none>").into()
}

/// Events that use the newer API have a time of their own and perhaps a series.
fn first_seen(event: &Value, now: Timestamp) -> Value {
    let first = &event["firstTimestamp"];
    age::since(if first.is_string() { first } else { &event["eventTime"] }, now).into()
}

fn last_seen(event: &Value, now: Timestamp) -> Value {
    let moments = [&event["series"]["lastObservedTime"], &event["lastTimestamp"]];
    match moments.into_iter().find(|moment| moment.is_string()) {
        Some(moment) => age::since(moment, now).into(),
        None => first_seen(event, now),
    }
}

fn event_count(event: &Value) -> Value {
    let count = event["series"]["count"].as_i64().unwrap_or_else(|| text::integer(event, "/count").max(1));
    count.into()
}

fn event_object(event: &Value) -> Value {
    let kind = text::or(event, "/involvedObject/kind", "").to_lowercase();
    match text::or(event, "/involvedObject/name", "").as_str() {
        "" => kind.into(),
        name => format!("{kind}/{name}").into(),
    }
}

fn event_source(event: &Value) -> Value {
    let component = text::or(event, "/source/component", &text::or(event, "/reportingComponent", ""));
    let instance = text::or(event, "/source/host", &text::or(event, "/reportingInstance", ""));
    if instance.is_empty() { component.into() } else { format!("{component}, {instance}").into() }
}

fn component_status(status: &Value) -> Value {
    match text::items(status, "/conditions").find(|condition| condition["type"] == "Healthy") {
        Some(condition) if condition["status"] == "True" => "Healthy".into(),
        Some(_) => "Unhealthy".into(),
        None => "Unknown".into(),
    }
}

fn quota_usage(quota: &Value, are_limits: bool) -> Value {
    let hard = quota["status"]["hard"].as_object();
    let mut texts: Vec<_> = hard
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.starts_with("limits") == are_limits)
        .map(|(name, hard)| {
            let used = quota["status"]["used"][name].as_str().unwrap_or("0");
            format!("{name}: {used}/{}", hard.as_str().unwrap_or_default())
        })
        .collect();
    texts.sort_unstable();
    texts.join(", ").into()
}

fn role(binding: &Value) -> Value {
    format!("{}/{}", text::or(binding, "/roleRef/kind", ""), text::or(binding, "/roleRef/name", "")).into()
}

fn subjects(binding: &Value, kind: &str) -> Value {
    let name = |subject: &Value| match kind {
        "ServiceAccount" => {
            format!("{}/{}", text::or(subject, "/namespace", ""), text::or(subject, "/name", ""))
        }
        _ => text::or(subject, "/name", ""),
    };
    let subjects = text::items(binding, "/subjects").filter(|subject| subject["kind"] == kind);
    let names: Vec<_> = subjects.map(name).collect();
    names.join(", ").into()
}

/// `v1(storage),v1alpha1`; versions that are not served are left out.
fn definition_versions(definition: &Value) -> Value {
    let versions = text::items(definition, "/spec/versions").filter(|version| version["served"] == true);
    let shown: Vec<_> = versions
        .map(|version| {
            let storage = if version["storage"] == true { "(storage)" } else { "" };
            format!("{}{storage}", text::or(version, "/name", ""))
        })
        .collect();
    shown.join(",").into()
}

fn api_service(service: &Value) -> Value {
    let reference = &service["spec"]["service"];
    match reference.is_object() {
        true => {
            format!("{}/{}", text::or(reference, "/namespace", ""), text::or(reference, "/name", "")).into()
        }
        false => "Local".into(),
    }
}

fn api_service_available(service: &Value) -> Value {
    let condition =
        text::items(service, "/status/conditions").find(|condition| condition["type"] == "Available");
    match condition {
        Some(condition) if condition["status"] == "True" => "True".into(),
        Some(condition) => {
            format!("{} ({})", text::or(condition, "/status", ""), text::or(condition, "/reason", "")).into()
        }
        None => "Unknown".into(),
    }
}

fn param_kind(policy: &Value) -> Value {
    let kind = &policy["spec"]["paramKind"];
    match kind.is_object() {
        true => format!("{}/{}", text::or(kind, "/apiVersion", ""), text::or(kind, "/kind", "")).into(),
        false => "<unset>".into(),
    }
}

fn param_ref(binding: &Value) -> Value {
    let reference = &binding["spec"]["paramRef"];
    if !reference.is_object() {
        return "<unset>".into();
    }
    let name = text::or(reference, "/name", &text::selector(reference, "/selector", "*"));
    match text::or(reference, "/namespace", "").as_str() {
        "" => name.into(),
        namespace => format!("{namespace}/{name}").into(),
    }
}

fn requested_duration(request: &Value) -> Value {
    match request["spec"]["expirationSeconds"].as_i64() {
        Some(seconds) => age::duration(seconds).into(),
        None => "<none>".into(),
    }
}

fn signing_condition(request: &Value) -> Value {
    let has =
        |kind: &str| text::items(request, "/status/conditions").any(|condition| condition["type"] == kind);
    let mut parts: Vec<&str> = match () {
        () if has("Denied") => vec!["Denied"],
        () if has("Approved") => vec!["Approved"],
        () if has("Failed") => Vec::new(),
        () => vec!["Pending"],
    };
    if has("Failed") {
        parts.push("Failed");
    }
    if !text::or(request, "/status/certificate", "").is_empty() {
        parts.push("Issued");
    }
    parts.join(",").into()
}

fn pod_certificate_state(request: &Value) -> Value {
    let known = ["Issued", "Denied", "Failed"];
    let state = known.into_iter().find(|kind| text::condition(request, kind) == Some("True"));
    state.unwrap_or("Pending").into()
}

fn concurrency_shares(level: &Value) -> Value {
    let shares = ["limited", "exempt"].map(|kind| &level["spec"][kind]["nominalConcurrencyShares"]);
    shares
        .into_iter()
        .find(|shares| !shares.is_null())
        .map_or("<none>".into(), |shares| shares.to_string().into())
}

fn claim_state(claim: &Value) -> Value {
    let mut states = Vec::new();
    if text::is_deleting(claim) {
        states.push("deleted");
    }
    match claim["status"]["allocation"].is_object() {
        false => states.push("pending"),
        true if text::count(claim, "/status/reservedFor") > 0 => states.extend(["allocated", "reserved"]),
        true => states.push("allocated"),
    }
    states.join(",").into()
}

fn migrated_resource(migration: &Value) -> Value {
    let (resource, group) =
        (text::or(migration, "/spec/resource/resource", ""), text::or(migration, "/spec/resource/group", ""));
    if group.is_empty() { resource.into() } else { format!("{resource}.{group}").into() }
}

fn migration_status(migration: &Value) -> Value {
    let known = ["Succeeded", "Failed", "Running"];
    known
        .into_iter()
        .find(|kind| text::condition(migration, kind) == Some("True"))
        .unwrap_or("Pending")
        .into()
}

#[cfg(test)]
mod tests {
    use super::super::super::Printer;
    use serde_json::{Value, json};

    fn check(group: &str, plural: &str, object: Value, expected: Value) {
        let now = "2020-01-01T00:10:00Z".parse().unwrap();
        assert_eq!(Value::from(Printer::of_built_in(group, plural).cells(&object, now)), expected);
    }

    /// Appendix C.
    #[test]
    fn events_of_both_kinds_show_when_and_about_what() {
        check(
            "",
            "events",
            json!({
                "metadata": {"name": "e"}, "type": "Normal", "reason": "R", "message": " m\n", "count": 3,
                "involvedObject": {"kind": "Pod", "name": "p"}, "source": {"component": "c", "host": "h"},
                "firstTimestamp": "2020-01-01T00:00:00Z", "lastTimestamp": "2020-01-01T00:09:00Z",
            }),
            json!(["60s", "Normal", "R", "pod/p", "", "c, h", "m", "10m", 3, "e"]),
        );
        check(
            "events.k8s.io",
            "events",
            json!({
                "metadata": {"name": "e"}, "type": "Normal", "reason": "R", "message": "m",
                "involvedObject": {"kind": "Widget", "name": "w"}, "reportingComponent": "kopf",
                "firstTimestamp": null, "lastTimestamp": null, "eventTime": "2020-01-01T00:09:30.000000Z",
            }),
            json!(["30s", "Normal", "R", "widget/w", "", "kopf", "m", "30s", 1, "e"]),
        );
    }

    /// Appendix C.
    #[test]
    fn nodes_bindings_and_quotas_show_what_matters() {
        check(
            "",
            "nodes",
            json!({
                "metadata": {"name": "n", "labels": {"node-role.kubernetes.io/worker": "", "kubernetes.io/role": "edge"}},
                "spec": {"unschedulable": true},
                "status": {
                    "conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1"},
                    "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
                },
            }),
            json!([
                "n",
                "Ready,SchedulingDisabled",
                "edge,worker",
                "<unknown>",
                "v1",
                "10.0.0.1",
                "<none>",
                "<unknown>",
                "<unknown>",
                "<unknown>",
            ]),
        );
        check(
            "rbac.authorization.k8s.io",
            "rolebindings",
            json!({"metadata": {"name": "b"}, "roleRef": {"kind": "Role", "name": "r"}, "subjects": [
                {"kind": "User", "name": "u"}, {"kind": "User", "name": "v"},
                {"kind": "ServiceAccount", "namespace": "ns", "name": "s"},
            ]}),
            json!(["b", "Role/r", "<unknown>", "u, v", "", "ns/s"]),
        );
        check(
            "",
            "resourcequotas",
            json!({"metadata": {"name": "q"}, "status": {
                "hard": {"pods": "2", "limits.cpu": "1"}, "used": {"pods": "1"},
            }}),
            json!(["q", "pods: 1/2", "limits.cpu: 0/1", "<unknown>"]),
        );
    }

    #[test]
    fn simple_types_show_a_field_or_two() {
        let metadata = json!({"name": "a", "creationTimestamp": "2020-01-01T00:00:00Z"});
        check(
            "",
            "configmaps",
            json!({"metadata": metadata, "data": {"a": "", "b": ""}}),
            json!(["a", 2, "10m"]),
        );
        check(
            "",
            "secrets",
            json!({"metadata": metadata, "type": "Opaque"}),
            json!(["a", "Opaque", 0, "10m"]),
        );
        check(
            "",
            "namespaces",
            json!({"metadata": metadata, "status": {"phase": "Active"}}),
            json!(["a", "Active", "10m"]),
        );
        check("", "serviceaccounts", json!({"metadata": metadata}), json!(["a", "10m"]));
        check(
            "coordination.k8s.io",
            "leases",
            json!({"metadata": metadata, "spec": {"holderIdentity": "h"}}),
            json!(["a", "h", "10m"]),
        );
        check(
            "rbac.authorization.k8s.io",
            "roles",
            json!({"metadata": metadata}),
            json!(["a", "2020-01-01T00:00:00Z"]),
        );
    }
}
