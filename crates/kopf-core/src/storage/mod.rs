//! Where the progress of handlers and the last handled essence are kept: in the object itself.

use std::fmt;

use serde_json::{Map, Value};

use crate::{error::ErrorInfo, field::FieldPath, handler::HandlerId, object::Object, patch::Patch};

/// A progress record as it is stored: a JSON object of W-REC-001.
pub type RawRecord = Map<String, Value>;

/// Keeps the records of handlers between their attempts (A-PUB-084).
///
/// # Errors
/// All methods: broken stored data, or what a plug-in raises; the step fails, and the object is throttled.
pub trait ProgressStorage: fmt::Debug + Send + Sync {
    /// The record of a handler; none if there is none.
    fn fetch(&self, id: &HandlerId, object: &Object) -> Result<Option<RawRecord>, ErrorInfo>;

    /// Puts a record into the patch.
    fn store(
        &self,
        id: &HandlerId,
        record: &RawRecord,
        object: &Object,
        patch: &mut Patch,
    ) -> Result<(), ErrorInfo>;

    /// Removes a record by the patch, if the object or the patch has one (W-PRG-005).
    fn purge(&self, id: &HandlerId, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo>;

    /// Sets the touch to a new value, or removes it (W-TCH-001).
    fn touch(&self, object: &Object, patch: &mut Patch, value: Option<&str>) -> Result<(), ErrorInfo>;

    /// Drops from an essence what the storage itself keeps in objects (W-PRG-007).
    fn clear(&self, essence: Value) -> Result<Value, ErrorInfo>;

    /// Called after each batch of stores, and after each purge.
    fn flush(&self) -> Result<(), ErrorInfo> {
        Ok(())
    }

    /// The record as text, if the storage keeps texts: two records are the same if their texts are (W-REC-015, DEC-3).
    fn stored_text(&self, record: &RawRecord) -> String;

    /// Whether it is the door's code (DEC-6).
    fn is_plugin(&self) -> bool {
        true
    }
}

/// Keeps the essence that was handled last (A-PUB-085).
///
/// # Errors
/// As of [`ProgressStorage`].
pub trait DiffBaseStorage: fmt::Debug + Send + Sync {
    /// The essence of an object, with the fields that handlers are about (W-DIF-004..008).
    fn build(&self, object: &Object, extra_fields: &[FieldPath]) -> Result<Value, ErrorInfo>;

    /// The essence that was handled last; none if the object has never been handled (W-DIF-012).
    fn fetch(&self, object: &Object) -> Result<Option<Value>, ErrorInfo>;

    /// Puts an essence into the patch.
    fn store(&self, essence: &Value, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo>;

    /// Whether it is the door's code (DEC-6).
    fn is_plugin(&self) -> bool {
        true
    }
}
