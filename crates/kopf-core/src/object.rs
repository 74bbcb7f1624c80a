//! A Kubernetes object as it was received: shared, immutable, decoded as far as somebody reads it.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use serde_json::{Map, Value};

/// One version of one object. Cloning it shares the body.
///
/// Nothing is assumed about the body's shape but that it may be anything: absent, null and non-mapping parts read as
/// absent (FIX-20), so that a malformed object stops neither the engine nor its own deletion.
#[derive(Clone)]
pub struct Object(Arc<Inner>);

struct Inner {
    /// What it is decoded from when it is first read; none if it was made of a value.
    received: Option<Received>,
    body: OnceLock<Arc<Value>>,
}

/// An object that was received and not decoded, but known to be JSON.
pub struct Received {
    /// The text of the object, or one that it is a part of.
    pub text: Box<str>,
    /// Decodes the object in the text. It succeeds if [`text`](Self::text) was checked in the same way before.
    pub decode: fn(&str) -> Option<Value>,
    /// What was seen on the way.
    pub head: Head,
}

/// What is known of an object before it is decoded: enough to tell it from others, and to see that nothing concerns it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head {
    /// `apiVersion`, if it is a text.
    pub api_version: Option<Span>,
    /// `kind`, if it is a text.
    pub kind: Option<Span>,
    /// `metadata.name`, if it is a text.
    pub name: Option<Span>,
    /// `metadata.namespace`, if it is a text.
    pub namespace: Option<Span>,
    /// `metadata.uid`, if it is a text.
    pub uid: Option<Span>,
    /// `metadata.resourceVersion`, if it is a text.
    pub resource_version: Option<Span>,
    /// `metadata.deletionTimestamp` is there and not null.
    pub is_deleting: bool,
    /// `metadata.finalizers` is there.
    pub has_finalizers: bool,
}

/// A part of a text: its begin and its end, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub u32, pub u32);

impl Object {
    /// Wraps a body as it came from the API.
    #[must_use]
    pub fn new(body: Value) -> Self {
        Self(Arc::new(Inner { received: None, body: OnceLock::from(Arc::new(body)) }))
    }

    /// Wraps an object that is decoded when it is first read.
    #[must_use]
    pub fn received(received: Received) -> Self {
        Self(Arc::new(Inner { received: Some(received), body: OnceLock::new() }))
    }

    /// The body as received.
    #[must_use]
    pub fn body(&self) -> &Value {
        self.decoded()
    }

    /// The shared body.
    #[must_use]
    pub fn shared(&self) -> Arc<Value> {
        self.decoded().clone()
    }

    /// Whether both are the same one, not only equal.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// `apiVersion`, empty if absent.
    #[must_use]
    pub fn api_version(&self) -> &str {
        self.known(|head| head.api_version, |body| body.get("apiVersion")).unwrap_or_default()
    }

    /// `kind`, empty if absent.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.known(|head| head.kind, |body| body.get("kind")).unwrap_or_default()
    }

    /// `metadata.name`, empty if absent.
    #[must_use]
    pub fn name(&self) -> &str {
        self.known(|head| head.name, |body| meta(body, "name")).unwrap_or_default()
    }

    /// `metadata.namespace`; none for cluster-scoped objects.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.known(|head| head.namespace, |body| meta(body, "namespace"))
    }

    /// `metadata.uid`.
    #[must_use]
    pub fn uid(&self) -> Option<&str> {
        self.known(|head| head.uid, |body| meta(body, "uid"))
    }

    /// `metadata.resourceVersion`: opaque text, compared by equality only.
    #[must_use]
    pub fn resource_version(&self) -> Option<&str> {
        self.known(|head| head.resource_version, |body| meta(body, "resourceVersion"))
    }

    /// Whether the object is marked for deletion: `metadata.deletionTimestamp` is present and not null (W-FIN-002).
    #[must_use]
    pub fn is_deleting(&self) -> bool {
        match &self.0.received {
            Some(received) => received.head.is_deleting,
            None => self.meta("deletionTimestamp").is_some_and(|value| !value.is_null()),
        }
    }

    /// Whether `finalizer` is among `metadata.finalizers`.
    #[must_use]
    pub fn has_finalizer(&self, finalizer: &str) -> bool {
        if self.0.received.as_ref().is_some_and(|received| !received.head.has_finalizers) {
            return false;
        }
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
        meta(self.body(), key)
    }

    fn decoded(&self) -> &Arc<Value> {
        let inner = &*self.0;
        inner.body.get_or_init(|| {
            let decode = |received: &Received| (received.decode)(&received.text);
            // Checked when it was received: there is something.
            Arc::new(inner.received.as_ref().and_then(decode).unwrap_or_default())
        })
    }

    /// A text that is in the head, too.
    fn known(
        &self,
        span: impl Fn(&Head) -> Option<Span>,
        field: impl Fn(&Value) -> Option<&Value>,
    ) -> Option<&str> {
        match &self.0.received {
            Some(received) => {
                let Span(begin, end) = span(&received.head)?;
                received.text.get(begin as usize..end as usize)
            }
            None => field(self.body())?.as_str(),
        }
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || self.body() == other.body()
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind(), self.namespace().unwrap_or_default(), self.name())
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn meta<'a>(body: &'a Value, key: &str) -> Option<&'a Value> {
    body.get("metadata")?.get(key)
}
