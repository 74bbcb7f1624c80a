//! Kubernetes Events about the object.

use std::fmt;

use kopf_core::{handler::Needs, object::Object};
use kopf_engine::{OperatorHandle, posting::ExplicitEvent};
use serde_json::{Map, Value};

use super::FromCause;
use crate::{
    cause::{Cause, Kind},
    error::Result,
};

/// Python's numbers of levels, as in `settings.posting.level`.
const INFO: u8 = 20;
const WARNING: u8 = 30;

/// Posts Kubernetes Events about the object, for those who look at it with `kubectl describe`.
///
/// They are posted in the background, in order: nothing here delays or fails the handler. The progress of handling is posted
/// by itself.
///
/// ```
/// use kopf::prelude::*;
///
/// async fn grow(size: Change<u32>, events: Events) {
///     events.normal("Growing", format!("from {:?} to {:?}", size.old, size.new));
/// }
/// # // A test needs no operator: the default posts nowhere.
/// # let _ = grow(Change { old: None, new: None }, Events::default());
/// ```
///
/// The default posts nowhere: for tests of handlers as plain functions.
#[derive(Clone, Default)]
pub struct Events(Option<Target>);

#[derive(Clone)]
struct Target {
    handle: OperatorHandle,
    reference: Map<String, Value>,
}

impl Events {
    /// The normal course of things. The reason is one word in CamelCase.
    pub fn normal(&self, reason: impl Into<String>, message: impl Into<String>) {
        self.post("Normal", INFO, reason.into(), message.into());
    }

    /// Somebody should have a look. The reason is one word in CamelCase.
    pub fn warning(&self, reason: impl Into<String>, message: impl Into<String>) {
        self.post("Warning", WARNING, reason.into(), message.into());
    }

    fn post(&self, kind: &str, level: u8, reason: String, message: String) {
        let Some(Target { handle, reference }) = &self.0 else { return };
        // A-EVT-004.
        if handle.settings().load().posting.level > level {
            return;
        }
        let (kind, reference) = (kind.to_owned(), reference.clone());
        if let Err(error) = handle.post(ExplicitEvent { reference, kind, reason, message, backoffs: None }) {
            tracing::warn!(target: "kopf", "{error}");
        }
    }
}

impl<K: Kind> FromCause<K> for Events {
    const NEEDS: Needs = Needs::METADATA;

    fn from_cause(cause: &Cause<K>) -> Result<Self> {
        let handle = cause.environment().handle().cloned();
        Ok(Self(handle.map(|handle| Target { handle, reference: reference(cause.object()) })))
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Events").field(&self.0.as_ref().map(|target| &target.reference)).finish()
    }
}

/// What an Event says of its object (A-EVT-002).
fn reference(object: &Object) -> Map<String, Value> {
    let fields = [
        ("apiVersion", Some(object.api_version())),
        ("kind", Some(object.kind())),
        ("name", Some(object.name())),
        ("uid", object.uid()),
        ("namespace", object.namespace()),
    ];
    fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))).collect()
}
