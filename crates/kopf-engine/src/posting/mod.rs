//! Kubernetes Events about objects: explicit ones, and the progress of handling.

use std::time::Duration;

use kopf_core::object::Object;
use serde_json::{Map, Value};

/// A Kubernetes Event that the operator's code wants posted (A-EVT-001): in the background, in order for each object.
#[derive(Clone, Debug)]
pub struct ExplicitEvent {
    /// What it is about: `apiVersion`, `kind`, `name`, `uid`, `namespace`.
    pub reference: Map<String, Value>,
    /// `Normal`, `Warning`, or what the code says (A-EVT-006).
    pub kind: String,
    /// The reason.
    pub reason: String,
    /// The message; longer ones are cut in the middle (W-EVT-005).
    pub message: String,
    /// The pauses between attempts; none = `posting.default_backoffs`.
    pub backoffs: Option<Vec<Duration>>,
}

/// The reference to an object as explicit Events have it: without what is empty (W-EVT-004).
#[must_use]
pub fn reference(object: &Object) -> Map<String, Value> {
    let top = ["apiVersion", "kind"].map(|key| (key, object.body().get(key)));
    let meta = ["name", "uid", "namespace"].map(|key| (key, object.meta(key)));
    let present = top.into_iter().chain(meta).filter_map(|(key, value)| Some((key, value?)));
    present
        .filter(|(_, value)| !is_empty(value))
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect()
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}
