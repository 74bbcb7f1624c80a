//! A Kubernetes object as it was received: shared, immutable.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value};

/// One version of one object. Cloning it shares the body.
///
/// Nothing is assumed about the body's shape but that it may be anything: absent, null and non-mapping parts read as
/// absent (FIX-20), so that a malformed object stops neither the engine nor its own deletion.
#[derive(Clone, PartialEq)]
pub struct Object(Arc<Value>);

impl Object {
    /// Wraps a body as it came from the API.
    #[must_use]
    pub fn new(body: Value) -> Self {
        Self(Arc::new(body))
    }

    /// The body as received.
    #[must_use]
    pub fn body(&self) -> &Value {
        &self.0
    }

    /// The shared body.
    #[must_use]
    pub fn shared(&self) -> Arc<Value> {
        self.0.clone()
    }

    /// `apiVersion`, empty if absent.
    #[must_use]
    pub fn api_version(&self) -> &str {
        text(self.0.get("apiVersion")).unwrap_or_default()
    }

    /// `kind`, empty if absent.
    #[must_use]
    pub fn kind(&self) -> &str {
        text(self.0.get("kind")).unwrap_or_default()
    }

    /// `metadata.name`, empty if absent.
    #[must_use]
    pub fn name(&self) -> &str {
        self.meta_text("name").unwrap_or_default()
    }

    /// `metadata.namespace`; none for cluster-scoped objects.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.meta_text("namespace")
    }

    /// `metadata.uid`.
    #[must_use]
    pub fn uid(&self) -> Option<&str> {
        self.meta_text("uid")
    }

    /// `metadata.resourceVersion`: opaque text, compared by equality only.
    #[must_use]
    pub fn resource_version(&self) -> Option<&str> {
        self.meta_text("resourceVersion")
    }

    /// Whether the object is marked for deletion: `metadata.deletionTimestamp` is present and not null (W-FIN-002).
    #[must_use]
    pub fn is_deleting(&self) -> bool {
        self.meta("deletionTimestamp").is_some_and(|value| !value.is_null())
    }

    /// Whether `finalizer` is among `metadata.finalizers`.
    #[must_use]
    pub fn has_finalizer(&self, finalizer: &str) -> bool {
        self.meta("finalizers")
            .and_then(Value::as_array)
            .is_some_and(|all| all.iter().any(|f| f == finalizer))
    }

    /// `metadata.labels`, none if absent or no mapping.
    #[must_use]
    pub fn labels(&self) -> Option<&Map<String, Value>> {
        self.meta("labels").and_then(Value::as_object)
    }

    /// `metadata.annotations`, none if absent or no mapping.
    #[must_use]
    pub fn annotations(&self) -> Option<&Map<String, Value>> {
        self.meta("annotations").and_then(Value::as_object)
    }

    /// One field of `metadata`.
    #[must_use]
    pub fn meta(&self, key: &str) -> Option<&Value> {
        self.0.get("metadata")?.get(key)
    }

    fn meta_text(&self, key: &str) -> Option<&str> {
        text(self.meta(key))
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind(), self.namespace().unwrap_or_default(), self.name())
    }
}

fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str)
}
