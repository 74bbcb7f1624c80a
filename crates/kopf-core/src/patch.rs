//! What is to be changed in an object: a merge patch, and functions for what a merge patch cannot say.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value};

use crate::error::ErrorInfo;

/// A function that changes a copy of the freshest body; the difference is sent as a JSON patch (W-PAT-004).
/// It may be applied several times, so it must be idempotent (A-PATCH-022).
pub trait Transform: fmt::Debug + Send + Sync {
    /// Changes the body in place.
    ///
    /// # Errors
    /// What the code raises: the step fails, and the object is throttled.
    fn apply(&self, body: &mut Value) -> Result<(), ErrorInfo>;

    /// Whether it is the door's code, so that the step has to run where the door wants it (DEC-6).
    fn is_plugin(&self) -> bool {
        true
    }
}

/// The changes of one cycle.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// A merge patch (RFC 7386): null deletes, mappings merge, all else replaces.
    pub merge: Map<String, Value>,
    /// Functions, in order.
    pub transforms: Vec<Arc<dyn Transform>>,
}

impl Patch {
    /// Whether nothing is to be changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.merge.is_empty() && self.transforms.is_empty()
    }
}
