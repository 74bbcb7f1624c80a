//! Pods, whose status is derived from those of their containers.

use jiff::Timestamp;
use serde_json::Value;

use super::{AGE, Cell, Column, NAME, age, string, text, wide};

pub(super) fn columns(group: &str, plural: &str) -> Option<&'static [Column]> {
    const PODS: &[Column] = &[
        NAME,
        string("Ready", Cell::Derived(ready)),
        string("Status", Cell::Derived(status)),
        string("Restarts", Cell::Timed(restarts)),
        AGE,
        wide(string("IP", Cell::Derived(ip))),
        wide(string("Node", Cell::Text("/spec/nodeName", "<none>"))),
        wide(string("Nominated Node", Cell::Text("/status/nominatedNodeName", "<none>"))),
        wide(string("Readiness Gates", Cell::Derived(readiness_gates))),
    ];
    const TEMPLATES: &[Column] = &[
        NAME,
        string(
            "Containers",
            Cell::Derived(|object| text::joined(object, "/template/spec/containers", "name", ",").into()),
        ),
        string(
            "Images",
            Cell::Derived(|object| text::joined(object, "/template/spec/containers", "image", ",").into()),
        ),
        string(
            "Pod Labels",
            Cell::Derived(|object| text::labels(object, "/template/metadata/labels").into()),
        ),
    ];
    match (group, plural) {
        ("", "pods") => Some(PODS),
        ("", "podtemplates") => Some(TEMPLATES),
        _ => None,
    }
}

/// What the statuses of containers say about a pod.
#[derive(Debug, Default)]
struct Summary {
    status: String,
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<Timestamp>,
}

impl Summary {
    fn of(pod: &Value) -> Self {
        let sidecars =
            text::items(pod, "/spec/initContainers").filter(|container| is_sidecar(container)).count();
        let mut summary = Self {
            status: phase(pod),
            total: text::count(pod, "/spec/containers") + sidecars,
            ..Self::default()
        };
        let is_initialized = summary.add_init_containers(pod);
        if is_initialized || text::condition(pod, "Initialized") == Some("True") {
            summary.add_containers(pod);
        }
        let is_over = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        if text::is_deleting(pod) {
            if pod["status"]["reason"] == "NodeLost" {
                summary.status = "Unknown".to_owned();
            } else if !is_over {
                summary.status = "Terminating".to_owned();
            }
        }
        summary
    }

    /// Gives whether all of them are done (or running beside the others).
    fn add_init_containers(&mut self, pod: &Value) -> bool {
        let (mut sidecar_restarts, mut last_sidecar_restart) = (0, None);
        for (index, container) in text::items(pod, "/status/initContainerStatuses").enumerate() {
            self.add_restarts(container);
            let name = &container["name"];
            let mut specs = text::items(pod, "/spec/initContainers");
            let is_sidecar = specs.any(|spec| spec["name"] == *name && is_sidecar(spec));
            if is_sidecar {
                sidecar_restarts += text::integer(container, "/restartCount");
                last_sidecar_restart = last_sidecar_restart.max(ended(container));
            }
            let terminated = &container["state"]["terminated"];
            let waiting = text::or(container, "/state/waiting/reason", "");
            if terminated.is_object() && text::integer(terminated, "/exitCode") == 0 {
                continue;
            }
            if is_sidecar && container["started"] == Value::Bool(true) {
                self.ready += usize::from(container["ready"] == Value::Bool(true));
                continue;
            }
            self.status = if terminated.is_object() {
                format!("Init:{}", ended_reason(terminated))
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{index}/{}", text::count(pod, "/spec/initContainers"))
            };
            return false;
        }
        self.restarts = sidecar_restarts;
        self.last_restart = last_sidecar_restart;
        true
    }

    fn add_containers(&mut self, pod: &Value) {
        let mut is_any_running = false;
        for container in text::items(pod, "/status/containerStatuses").rev() {
            self.add_restarts(container);
            let waiting = text::or(container, "/state/waiting/reason", "");
            let terminated = &container["state"]["terminated"];
            if !waiting.is_empty() {
                self.status = waiting;
            } else if terminated.is_object() {
                self.status = ended_reason(terminated);
            } else if container["ready"] == Value::Bool(true) && container["state"]["running"].is_object() {
                is_any_running = true;
                self.ready += 1;
            }
        }
        if self.status == "Completed" && is_any_running {
            let is_ready = text::condition(pod, "Ready") == Some("True");
            self.status = if is_ready { "Running" } else { "NotReady" }.to_owned();
        }
    }

    fn add_restarts(&mut self, container: &Value) {
        self.restarts += text::integer(container, "/restartCount");
        self.last_restart = self.last_restart.max(ended(container));
    }
}

fn phase(pod: &Value) -> String {
    let is_gated = text::items(pod, "/status/conditions")
        .any(|condition| condition["type"] == "PodScheduled" && condition["reason"] == "SchedulingGated");
    match is_gated {
        true => "SchedulingGated".to_owned(),
        false => text::or(pod, "/status/reason", &text::or(pod, "/status/phase", "")),
    }
}

/// Whether an init container goes on running beside the others.
fn is_sidecar(container: &Value) -> bool {
    container["restartPolicy"] == "Always"
}

/// When a container ended before it was restarted.
fn ended(container: &Value) -> Option<Timestamp> {
    container.pointer("/lastState/terminated/finishedAt")?.as_str()?.parse().ok()
}

fn ended_reason(terminated: &Value) -> String {
    let reason = text::or(terminated, "/reason", "");
    match (reason.is_empty(), text::integer(terminated, "/signal")) {
        (false, _) => reason,
        (true, 0) => format!("ExitCode:{}", text::integer(terminated, "/exitCode")),
        (true, signal) => format!("Signal:{signal}"),
    }
}

fn ready(pod: &Value) -> Value {
    let Summary { ready, total, .. } = Summary::of(pod);
    format!("{ready}/{total}").into()
}

fn status(pod: &Value) -> Value {
    Summary::of(pod).status.into()
}

fn restarts(pod: &Value, now: Timestamp) -> Value {
    let summary = Summary::of(pod);
    match summary.last_restart.filter(|_| summary.restarts != 0) {
        Some(last) => {
            let ago = age::duration(age::seconds_between(last, now));
            format!("{} ({ago} ago)", summary.restarts).into()
        }
        None => summary.restarts.to_string().into(),
    }
}

fn ip(pod: &Value) -> Value {
    text::or(pod, "/status/podIPs/0/ip", &text::or(pod, "/status/podIP", "<none>")).into()
}

fn readiness_gates(pod: &Value) -> Value {
    let gates: Vec<_> = text::items(pod, "/spec/readinessGates").collect();
    if gates.is_empty() {
        return "<none>".into();
    }
    let is_open = |gate: &&&Value| {
        let kind = gate["conditionType"].as_str().unwrap_or_default();
        text::condition(pod, kind) == Some("True")
    };
    format!("{}/{}", gates.iter().filter(is_open).count(), gates.len()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(pod: Value, expected: [&str; 3]) {
        let now = "2020-01-01T01:00:00Z".parse().unwrap();
        let cells = [ready(&pod), status(&pod), restarts(&pod, now)];
        assert_eq!(cells.each_ref().map(|cell| cell.as_str().unwrap()), expected);
    }

    /// Appendix C: the status is derived.
    #[test]
    fn the_status_of_a_pod_tells_what_its_containers_do() {
        let spec = json!({"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]});
        check(json!({"spec": spec, "status": {"phase": "Pending"}}), ["0/2", "Pending", "0"]);
        check(
            json!({"spec": spec, "status": {"phase": "Pending", "initContainerStatuses": [
                {"name": "i", "restartCount": 1, "state": {"running": {}}},
            ]}}),
            ["0/2", "Init:0/1", "1"],
        );
        check(
            json!({"spec": spec, "status": {"phase": "Pending", "initContainerStatuses": [
                {"name": "i", "restartCount": 0, "state": {"terminated": {"exitCode": 2}}},
            ]}}),
            ["0/2", "Init:ExitCode:2", "0"],
        );
        let done = json!({"name": "i", "restartCount": 1, "state": {"terminated": {"exitCode": 0}}});
        let running = json!({"name": "a", "ready": true, "restartCount": 2, "state": {"running": {}}, "lastState": {
            "terminated": {"finishedAt": "2020-01-01T00:30:00Z"},
        }});
        check(
            json!({"spec": spec, "status": {
                "phase": "Running", "initContainerStatuses": [done],
                "containerStatuses": [running, {"name": "b", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
            }}),
            ["1/2", "CrashLoopBackOff", "2 (30m ago)"],
        );
        check(
            json!({"spec": spec, "status": {"phase": "Running", "containerStatuses": [
                running, {"name": "b", "state": {"terminated": {"reason": "Completed"}}},
            ]}}),
            ["1/2", "NotReady", "2 (30m ago)"],
        );
        check(
            json!({"metadata": {"deletionTimestamp": "t"}, "spec": spec, "status": {"phase": "Running"}}),
            ["0/2", "Terminating", "0"],
        );
    }

    #[test]
    fn gates_and_addresses_are_shown_wide() {
        let pod = json!({
            "spec": {"readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]},
            "status": {"conditions": [{"type": "a", "status": "True"}], "podIP": "10.0.0.1"},
        });
        assert_eq!((ip(&pod), readiness_gates(&pod)), (json!("10.0.0.1"), json!("1/2")));
        assert_eq!((ip(&json!({})), readiness_gates(&json!({}))), (json!("<none>"), json!("<none>")));
    }
}
