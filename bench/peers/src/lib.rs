//! What the peers share: the resource, and the work.
//!
//! The work is the same for all: each object that is not handled yet gets one PATCH with a result in its status, and a mark.

pub use bench_tally::{called, now, report};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// All objects, in all namespaces.
pub const ALL: &str = "/apis/bench.dev/v1/widgets";
/// Where the load makes its objects.
pub const NAMESPACE: &str = "/apis/bench.dev/v1/namespaces/default/widgets";

#[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
#[kube(group = "bench.dev", version = "v1", kind = "Widget", namespaced, status = "WidgetStatus")]
pub struct WidgetSpec {
    pub n: u64,
    pub field: String,
    pub items: Vec<String>,
    /// When the object was written, in microseconds of Unix time; none: nobody cares.
    pub at: Option<u64>,
}

#[derive(Deserialize, Serialize, Clone, Debug, JsonSchema)]
pub struct WidgetStatus {
    pub create: Option<Handled>,
}

#[derive(Deserialize, Serialize, Clone, Debug, JsonSchema)]
pub struct Handled {
    pub n: u64,
}

/// What the load writes.
pub fn widget(n: usize, at: Option<u64>) -> Value {
    let mut object = json!({
        "apiVersion": "bench.dev/v1",
        "kind": "Widget",
        "metadata": {"name": format!("widget-{n}"), "labels": {"app": "bench"}},
        "spec": {"n": n, "field": "value", "items": ["one", "two"]},
    });
    if let Some(at) = at {
        object["spec"]["at"] = at.into();
    }
    object
}

/// What the peers write: the result, and the mark that Kopf's storages leave, in one request.
pub fn result(n: u64) -> Value {
    json!({"metadata": {"annotations": {"bench.dev/handled": "yes"}}, "status": {"create": {"n": n}}})
}
