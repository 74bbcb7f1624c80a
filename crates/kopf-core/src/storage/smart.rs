//! The default storage of progress: in annotations, with what old versions have left in the status.

use serde_json::Value;

use crate::{
    error::ErrorInfo,
    handler::HandlerId,
    object::Object,
    patch::Patch,
    storage::{AnnotationsProgressStorage, ProgressStorage, RawRecord, StatusProgressStorage},
};

/// Writes annotations; reads, if there is none, the status; purges both (W-PRG-003).
#[derive(Clone, Debug, Default)]
pub struct SmartProgressStorage {
    /// Where records are.
    pub annotations: AnnotationsProgressStorage,
    /// Where records may be: never written, never touched.
    pub status: StatusProgressStorage,
}

impl ProgressStorage for SmartProgressStorage {
    fn fetch(&self, id: &HandlerId, object: &Object) -> Result<Option<RawRecord>, ErrorInfo> {
        match self.annotations.fetch(id, object)? {
            Some(record) => Ok(Some(record)),
            None => self.status.fetch(id, object),
        }
    }

    fn store(
        &self,
        id: &HandlerId,
        record: &RawRecord,
        object: &Object,
        patch: &mut Patch,
    ) -> Result<(), ErrorInfo> {
        self.annotations.store(id, record, object, patch)
    }

    fn purge(&self, id: &HandlerId, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        self.annotations.purge(id, object, patch)?;
        self.status.purge(id, object, patch)
    }

    fn touch(&self, object: &Object, patch: &mut Patch, value: Option<&str>) -> Result<(), ErrorInfo> {
        self.annotations.touch(object, patch, value)
    }

    fn clear(&self, essence: Value) -> Result<Value, ErrorInfo> {
        self.status.clear(self.annotations.clear(essence)?)
    }

    fn kept(&self, record: &RawRecord) -> RawRecord {
        self.annotations.kept(record)
    }

    fn fetch_cycle(&self, object: &Object) -> Result<Option<Value>, ErrorInfo> {
        self.annotations.fetch_cycle(object)
    }

    fn store_cycle(&self, essence: &Value, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        self.annotations.store_cycle(essence, object, patch)
    }

    fn purge_cycle(&self, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        self.annotations.purge_cycle(object, patch)
    }

    fn is_plugin(&self) -> bool {
        false
    }
}
