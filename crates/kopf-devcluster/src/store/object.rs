//! One version of an object: immutable, shared, and encoded once for each form in which it is served.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde_json::Value;

/// Where an object is in its resource; orders as lists do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    /// Empty for cluster-scoped objects.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// The forms of one version that are remembered; more are made again each time.
const REMEMBERED_FORMS: usize = 4;

/// A version of an object.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) revision: u64,
    pub(crate) value: Value,
    encoded: Mutex<Vec<(u64, Bytes)>>,
}

impl Object {
    pub(crate) fn new(revision: u64, value: Value) -> Self {
        Self { revision, value, encoded: Mutex::default() }
    }

    /// The same content under another resource version.
    pub(crate) fn at(&self, revision: u64) -> Arc<Self> {
        let mut value = self.value.clone();
        value["metadata"]["resourceVersion"] = revision.to_string().into();
        Arc::new(Self::new(revision, value))
    }

    /// The bytes of the form `id`, made by `encode` the first time.
    pub(crate) fn encoded(&self, id: u64, encode: impl FnOnce(&Value) -> Bytes) -> Bytes {
        if let Some(bytes) = self.remembered(id) {
            return bytes;
        }
        let bytes = encode(&self.value);
        let mut encoded = self.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        if encoded.len() < REMEMBERED_FORMS {
            encoded.push((id, bytes.clone()));
        }
        bytes
    }

    fn remembered(&self, id: u64) -> Option<Bytes> {
        let encoded = self.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        encoded.iter().find(|(form, _)| *form == id).map(|(_, bytes)| bytes.clone())
    }
}
