//! What a handler is called about: everything that its arguments are made of.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use jiff::Timestamp;
use kopf_core::{
    cause::Cause as CoreCause, handler::Handler, machine::Call, object::Object, resource::Resource,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{EventType, Patch, Reason, environment::Environment, error::ParseError, subhandlers::Children};

/// The types of objects that handlers can be about: what `#[derive(CustomResource)]` makes, and those of `k8s-openapi`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a kind of Kubernetes objects",
    label = "not a kind",
    note = "derive it by `#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, JsonSchema)]` on the spec, \
            or use a type of `k8s_openapi::api`"
)]
pub trait Kind: kube::Resource<DynamicType = ()> + DeserializeOwned + Send + Sync + 'static {}

impl<K: kube::Resource<DynamicType = ()> + DeserializeOwned + Send + Sync + 'static> Kind for K {}

/// What a handler is called about. Cloning shares it.
///
/// Handlers name the parts that they need by type ([`FromCause`](crate::FromCause)); this is the whole.
pub struct Cause<K> {
    inner: Arc<Inner>,
    typed: Arc<OnceLock<Result<Arc<K>, ParseError>>>,
    children: Arc<Children<K>>,
}

struct Inner {
    call: Call,
    resource: Arc<Resource>,
    patch: Patch,
    environment: Arc<Environment>,
}

impl<K> Cause<K> {
    pub(crate) fn new(
        call: Call,
        resource: Arc<Resource>,
        patch: &Patch,
        environment: Arc<Environment>,
    ) -> Self {
        let inner = Inner { call, resource, patch: patch.of_call(), environment };
        Self { inner: Arc::new(inner), typed: Arc::default(), children: Arc::default() }
    }

    /// The same for a call of a sub-handler, which shares the patch and the parsed object.
    pub(crate) fn of_child(&self, call: Call) -> Self {
        let Inner { resource, patch, environment, .. } = &*self.inner;
        let child = Self::new(call, resource.clone(), patch, environment.clone());
        Self { typed: self.typed.clone(), ..child }
    }

    /// The object as it was received.
    #[must_use]
    pub fn raw(&self) -> &Value {
        self.object().body()
    }

    /// The object as its Rust type; parsed at the first call, once for all arguments and sub-handlers.
    ///
    /// # Errors
    /// If it does not fit the type.
    pub fn typed(&self) -> Result<Arc<K>, ParseError>
    where
        K: Kind,
    {
        let parsed = self.typed.get_or_init(|| {
            let kind = K::kind(&());
            parse(&format!("{kind} {}", self.title()), self.raw()).map(Arc::new)
        });
        parsed.clone()
    }

    /// Why state-changing handlers run; none for event handlers.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.core().reason
    }

    /// The type of the watch event that is handled; none for an object of the initial listing.
    #[must_use]
    pub fn event_type(&self) -> Option<EventType> {
        self.core().event_type
    }

    /// Whether this process sees the object for the first time, in a listing.
    #[must_use]
    pub fn is_initial(&self) -> bool {
        self.core().initial
    }

    /// Whether the object is marked for deletion.
    #[must_use]
    pub fn is_deleting(&self) -> bool {
        self.object().is_deleting()
    }

    /// The full id of the handler that is called.
    #[must_use]
    pub fn handler_id(&self) -> &str {
        self.inner.call.handler.id.as_str()
    }

    /// The attempts of this handler before this one, in this cycle.
    #[must_use]
    pub fn retry(&self) -> u32 {
        self.inner.call.retry
    }

    /// When the handler was first selected in this cycle.
    #[must_use]
    pub fn started(&self) -> Timestamp {
        self.inner.call.started
    }

    /// The time since [`started`](Self::started).
    #[must_use]
    pub fn runtime(&self) -> Duration {
        Duration::try_from(self.inner.call.runtime).unwrap_or_default()
    }

    /// The patch of the cycle.
    #[must_use]
    pub fn patch(&self) -> &Patch {
        &self.inner.patch
    }

    /// The last handled essence, or the handler's field in it.
    #[must_use]
    pub fn old(&self) -> Option<&Value> {
        self.core().old.as_deref()
    }

    /// The current essence, or the handler's field in it.
    #[must_use]
    pub fn new_state(&self) -> Option<&Value> {
        self.core().new.as_deref()
    }

    /// From the last handled essence to the current one, or from the handler's field to its new value.
    #[must_use]
    pub fn diff(&self) -> &Arc<kopf_core::diff::Diff> {
        &self.core().diff
    }

    /// A client of the cluster the operator is connected to; none in tests without an operator.
    #[must_use]
    pub fn client(&self) -> Option<kube::Client> {
        self.inner.environment.client()
    }

    pub(crate) fn object(&self) -> &Object {
        &self.core().object
    }

    pub(crate) fn core(&self) -> &Arc<CoreCause> {
        &self.inner.call.cause
    }

    pub(crate) fn handler(&self) -> &Arc<Handler> {
        &self.inner.call.handler
    }

    pub(crate) fn resource(&self) -> &Arc<Resource> {
        &self.inner.resource
    }

    pub(crate) fn environment(&self) -> &Arc<Environment> {
        &self.inner.environment
    }

    /// The sub-handlers of this call.
    pub(crate) fn children(&self) -> &Children<K> {
        &self.children
    }

    /// `namespace/name`, or `name`.
    pub(crate) fn title(&self) -> String {
        let object = self.object();
        match object.namespace() {
            Some(namespace) => format!("{namespace}/{}", object.name()),
            None => object.name().to_owned(),
        }
    }
}

impl<K> Clone for Cause<K> {
    fn clone(&self) -> Self {
        let Self { inner, typed, children } = self;
        Self { inner: inner.clone(), typed: typed.clone(), children: children.clone() }
    }
}

impl<K> fmt::Debug for Cause<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cause")
            .field("handler", &self.handler_id())
            .field("object", self.object())
            .field("reason", &self.reason())
            .field("retry", &self.retry())
            .finish_non_exhaustive()
    }
}

/// Parses a part of an object; the path of a problem is looked for only if there is one.
pub(crate) fn parse<T: DeserializeOwned>(part: &str, value: &Value) -> Result<T, ParseError> {
    T::deserialize(value).or_else(|_| {
        serde_path_to_error::deserialize(value).map_err(|error| ParseError {
            part: part.to_owned(),
            path: match error.path().to_string() {
                whole if whole == "." => String::new(),
                path => path,
            },
            problem: error.inner().to_string(),
        })
    })
}
