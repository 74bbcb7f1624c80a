//! Workloads: what runs pods.

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, Cell, Column, NAME, age, boolean, integer, string, text, wide};

const CONTAINERS: Column = wide(string("Containers", Cell::Derived(containers)));
const IMAGES: Column = wide(string("Images", Cell::Derived(images)));
const SELECTOR: Column = wide(string("Selector", Cell::Derived(selector)));

pub(super) fn columns(group: &str, plural: &str) -> Option<&'static [Column]> {
    const DEPLOYMENTS: &[Column] = &[
        NAME,
        string("Ready", Cell::Derived(ready)),
        string("Up-to-date", Cell::Integer("/status/updatedReplicas")),
        string("Available", Cell::Integer("/status/availableReplicas")),
        AGE,
        CONTAINERS,
        IMAGES,
        wide(string("Selector", Cell::Derived(|object| text::selector(object, "/spec/selector", "").into()))),
    ];
    const REPLICA_SETS: &[Column] = &[
        NAME,
        integer("Desired", Cell::Integer("/spec/replicas")),
        integer("Current", Cell::Integer("/status/replicas")),
        integer("Ready", Cell::Integer("/status/readyReplicas")),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ];
    const CONTROLLERS: &[Column] = &[
        NAME,
        integer("Desired", Cell::Integer("/spec/replicas")),
        integer("Current", Cell::Integer("/status/replicas")),
        integer("Ready", Cell::Integer("/status/readyReplicas")),
        AGE,
        CONTAINERS,
        IMAGES,
        wide(string("Selector", Cell::Derived(|object| text::labels(object, "/spec/selector").into()))),
    ];
    const STATEFUL_SETS: &[Column] = &[NAME, string("Ready", Cell::Derived(ready)), AGE, CONTAINERS, IMAGES];
    const DAEMON_SETS: &[Column] = &[
        NAME,
        integer("Desired", Cell::Integer("/status/desiredNumberScheduled")),
        integer("Current", Cell::Integer("/status/currentNumberScheduled")),
        integer("Ready", Cell::Integer("/status/numberReady")),
        integer("Up-to-date", Cell::Integer("/status/updatedNumberScheduled")),
        integer("Available", Cell::Integer("/status/numberAvailable")),
        string("Node Selector", Cell::Derived(node_selector)),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ];
    const JOBS: &[Column] = &[
        NAME,
        string("Status", Cell::Derived(job_status)),
        string("Completions", Cell::Derived(job_completions)),
        string("Duration", Cell::Timed(job_duration)),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ];
    const CRON_JOBS: &[Column] = &[
        NAME,
        string("Schedule", Cell::Text("/spec/schedule", "")),
        string("Timezone", Cell::Text("/spec/timeZone", "<none>")),
        boolean("Suspend", Cell::Derived(suspended)),
        integer("Active", Cell::Count(&["/status/active"])),
        string("Last Schedule", Cell::Since("/status/lastScheduleTime", "<none>")),
        AGE,
        CONTAINERS,
        IMAGES,
        wide(string("Selector", Cell::Derived(cron_selector))),
    ];
    const REVISIONS: &[Column] = &[
        NAME,
        string("Controller", Cell::Derived(controller)),
        string("Revision", Cell::Integer("/revision")),
        AGE,
    ];
    const AUTOSCALERS: &[Column] = &[
        NAME,
        string("Reference", Cell::Derived(scale_target)),
        string("Targets", Cell::Derived(metrics)),
        string("MinPods", Cell::Text("/spec/minReplicas", "<unset>")),
        string("MaxPods", Cell::Integer("/spec/maxReplicas")),
        string("Replicas", Cell::Integer("/status/currentReplicas")),
        AGE,
    ];
    const DISRUPTION_BUDGETS: &[Column] = &[
        NAME,
        string("Min Available", Cell::Text("/spec/minAvailable", "N/A")),
        string("Max Unavailable", Cell::Text("/spec/maxUnavailable", "N/A")),
        integer("Allowed Disruptions", Cell::Integer("/status/disruptionsAllowed")),
        AGE,
    ];
    match (group, plural) {
        ("apps", "deployments") => Some(DEPLOYMENTS),
        ("apps", "replicasets") => Some(REPLICA_SETS),
        ("", "replicationcontrollers") => Some(CONTROLLERS),
        ("apps", "statefulsets") => Some(STATEFUL_SETS),
        ("apps", "daemonsets") => Some(DAEMON_SETS),
        ("apps", "controllerrevisions") => Some(REVISIONS),
        ("batch", "jobs") => Some(JOBS),
        ("batch", "cronjobs") => Some(CRON_JOBS),
        ("autoscaling", "horizontalpodautoscalers") => Some(AUTOSCALERS),
        ("policy", "poddisruptionbudgets") => Some(DISRUPTION_BUDGETS),
        _ => None,
    }
}

/// The pod template of a workload, also of one within a job template.
fn pod_spec(object: &Value) -> &Value {
    let pointers = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec"];
    pointers.into_iter().find_map(|pointer| object.pointer(pointer)).unwrap_or(&Value::Null)
}

fn containers(object: &Value) -> Value {
    text::joined(pod_spec(object), "/containers", "name", ",").into()
}

fn images(object: &Value) -> Value {
    text::joined(pod_spec(object), "/containers", "image", ",").into()
}

fn selector(object: &Value) -> Value {
    text::selector(object, "/spec/selector", "<none>").into()
}

fn cron_selector(object: &Value) -> Value {
    text::selector(object, "/spec/jobTemplate/spec/selector", "<none>").into()
}

fn node_selector(object: &Value) -> Value {
    text::labels(object, "/spec/template/spec/nodeSelector").into()
}

fn ready(object: &Value) -> Value {
    let (ready, desired) =
        (text::integer(object, "/status/readyReplicas"), text::integer(object, "/spec/replicas"));
    format!("{ready}/{desired}").into()
}

fn job_status(job: &Value) -> Value {
    let has = |kind: &str| text::condition(job, kind) == Some("True");
    let status = match () {
        () if has("Complete") => "Complete",
        () if has("Failed") => "Failed",
        () if text::is_deleting(job) => "Terminating",
        () if has("Suspended") => "Suspended",
        () if has("FailureTarget") => "FailureTarget",
        () if has("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    };
    status.into()
}

fn job_completions(job: &Value) -> Value {
    let succeeded = text::integer(job, "/status/succeeded");
    match (job["spec"]["completions"].as_i64(), text::integer(job, "/spec/parallelism")) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
    .into()
}

fn job_duration(job: &Value, now: Timestamp) -> Value {
    let moment = |name: &str| job["status"][name].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    match moment("startTime") {
        None => "".into(),
        Some(start) => {
            let end = moment("completionTime").unwrap_or(now);
            age::duration(age::seconds_between(start, end)).into()
        }
    }
}

fn suspended(job: &Value) -> Value {
    match job["spec"]["suspend"].as_bool() {
        Some(true) => "True",
        Some(false) => "False",
        None => "<unset>",
    }
    .into()
}

fn controller(revision: &Value) -> Value {
    let owner = text::items(revision, "/metadata/ownerReferences").find(|owner| owner["controller"] == true);
    let Some(owner) = owner else { return "<none>".into() };
    let part = |name: &str| owner[name].as_str().unwrap_or_default();
    let group = part("apiVersion").split_once('/').map_or("", |(group, _)| group);
    let dot = if group.is_empty() { "" } else { "." };
    format!("{}{dot}{group}/{}", part("kind").to_lowercase(), part("name")).into()
}

fn scale_target(autoscaler: &Value) -> Value {
    let part = |name: &str| autoscaler["spec"]["scaleTargetRef"][name].as_str().unwrap_or_default();
    format!("{}/{}", part("kind"), part("name")).into()
}

/// Current and wanted values of the metrics of an autoscaler; resources in percent.
fn metrics(autoscaler: &Value) -> Value {
    let metric = |(index, metric): (usize, &Value)| {
        let kind = metric["type"].as_str().unwrap_or_default();
        let mut chars = kind.chars();
        let first = chars.next().map(|first| first.to_ascii_lowercase());
        let field: String = first.into_iter().chain(chars).collect();
        let target = &metric[&field]["target"];
        let current = &autoscaler["status"]["currentMetrics"][index][&field]["current"];
        let shown = |side: &Value, unit: &str, names: &[&str]| {
            let value = names.iter().map(|name| &side[*name]).find(|value| !value.is_null());
            match value {
                Some(Value::String(text)) => format!("{text}{unit}"),
                Some(other) => format!("{other}{unit}"),
                None => "<unknown>".to_owned(),
            }
        };
        let (unit, names) = match target["averageUtilization"].is_null() {
            false => ("%", &["averageUtilization"][..]),
            true => ("", &["averageValue", "value"][..]),
        };
        let text = format!("{}/{}", shown(current, unit, names), shown(target, unit, names));
        match metric["resource"]["name"].as_str() {
            Some(name) => format!("{name}: {text}"),
            None => text,
        }
    };
    let texts: Vec<_> = text::items(autoscaler, "/spec/metrics").enumerate().map(metric).collect();
    match texts.len() {
        0 => "<none>".into(),
        1..=2 => texts.join(", ").into(),
        count => format!("{} + {} more...", texts[..2].join(", "), count - 2).into(),
    }
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
    fn workloads_show_replicas_containers_and_selectors() {
        let template = json!({"spec": {
            "containers": [{"name": "c", "image": "i:1"}, {"name": "s", "image": "s:1"}],
            "nodeSelector": {"disk": "ssd"},
        }});
        let metadata = json!({"name": "d", "creationTimestamp": "2020-01-01T00:00:00Z"});
        let selector = json!({"matchLabels": {"a": "d"}, "matchExpressions": [
            {"key": "b", "operator": "In", "values": ["y", "x"]}, {"key": "c", "operator": "DoesNotExist"},
        ]});
        let spec = json!({"replicas": 3, "template": template, "selector": selector});
        let status = json!({"readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2, "replicas": 3});
        let object = json!({"metadata": metadata, "spec": spec, "status": status});
        let selector = "a=d,b in (x,y),!c";
        check(
            "apps",
            "deployments",
            object.clone(),
            json!(["d", "2/3", 1, 2, "10m", "c,s", "i:1,s:1", selector]),
        );
        check(
            "apps",
            "replicasets",
            object.clone(),
            json!(["d", 3, 3, 2, "10m", "c,s", "i:1,s:1", selector]),
        );
        check("apps", "statefulsets", object.clone(), json!(["d", "2/3", "10m", "c,s", "i:1,s:1"]));
        check(
            "apps",
            "daemonsets",
            object,
            json!(["d", 0, 0, 0, 0, 0, "disk=ssd", "10m", "c,s", "i:1,s:1", selector,]),
        );
    }

    /// Appendix C.
    #[test]
    fn autoscalers_show_metrics_as_current_and_wanted() {
        check(
            "autoscaling",
            "horizontalpodautoscalers",
            json!({
                "metadata": {"name": "h"},
                "spec": {
                    "scaleTargetRef": {"kind": "Deployment", "name": "d"}, "minReplicas": 1, "maxReplicas": 3,
                    "metrics": [
                        {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}},
                        {"type": "Pods", "pods": {"target": {"averageValue": "10"}}},
                        {"type": "Ärger"},
                    ],
                },
                "status": {"currentMetrics": [
                    {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 20}}},
                ], "currentReplicas": 2},
            }),
            json!(["h", "Deployment/d", "cpu: 20%/80%, <unknown>/10 + 1 more...", "1", 3, 2, "<unknown>"]),
        );
    }

    /// Appendix C.
    #[test]
    fn jobs_show_status_completions_and_duration() {
        let job =
            |spec: Value, status: Value| json!({"metadata": {"name": "j"}, "spec": spec, "status": status});
        check(
            "batch",
            "jobs",
            job(json!({"completions": 2}), json!({"succeeded": 1, "startTime": "2020-01-01T00:09:00Z"})),
            json!(["j", "Running", "1/2", "60s", "<unknown>", "", "", "<none>"]),
        );
        check(
            "batch",
            "jobs",
            job(
                json!({"parallelism": 3}),
                json!({
                    "succeeded": 1, "startTime": "2020-01-01T00:00:00Z", "completionTime": "2020-01-01T00:00:05Z",
                    "conditions": [{"type": "Complete", "status": "True"}],
                }),
            ),
            json!(["j", "Complete", "1/1 of 3", "5s", "<unknown>", "", "", "<none>"]),
        );
        check(
            "batch",
            "cronjobs",
            job(json!({"schedule": "@daily", "suspend": false}), json!({"active": [{}]})),
            json!(["j", "@daily", "<none>", "False", 1, "<none>", "<unknown>", "", "", "<none>"]),
        );
    }
}
