//! Where the progress of handlers and the last handled essence are kept: in the object itself.

mod annotations;
mod multi;
mod smart;
mod status;

use std::fmt;

use serde_json::{Map, Value};

use crate::{error::ErrorInfo, field::FieldPath, handler::HandlerId, object::Object, patch::Patch};

pub use annotations::{AnnotationsDiffBaseStorage, AnnotationsProgressStorage};
pub use multi::{MultiDiffBaseStorage, MultiProgressStorage};
pub use smart::SmartProgressStorage;
pub use status::{StatusDiffBaseStorage, StatusProgressStorage, named_field};

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

    /// The record in the form in which the storage keeps it: without nulls, unless it keeps them. A record has to be
    /// written if this differs from what [`fetch`](Self::fetch) gives, by value (W-REC-015, W-REC-016, DEC-3).
    fn kept(&self, record: &RawRecord) -> RawRecord {
        without_nulls(record)
    }

    /// The essence that the running cycle is about; none if none is kept (DEC-2). It counts only while records exist.
    /// A storage without it, as users write them, ends a cycle with the latest essence, as upstream does.
    fn fetch_cycle(&self, object: &Object) -> Result<Option<Value>, ErrorInfo> {
        let _ = object;
        Ok(None)
    }

    /// Puts the essence that the running cycle is about into the patch.
    fn store_cycle(&self, essence: &Value, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        let _ = (essence, object, patch);
        Ok(())
    }

    /// Removes that essence by the patch, as [`purge`](Self::purge) does with a record.
    fn purge_cycle(&self, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        let _ = (object, patch);
        Ok(())
    }

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

fn without_nulls(record: &RawRecord) -> RawRecord {
    let known = record.iter().filter(|(_, value)| !value.is_null());
    known.map(|(key, value)| (key.clone(), value.clone())).collect()
}
