//! Several storages at once, for the transition from one to another.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    error::ErrorInfo,
    essence,
    field::FieldPath,
    handler::HandlerId,
    object::Object,
    patch::Patch,
    storage::{DiffBaseStorage, ProgressStorage, RawRecord},
};

/// Writes, touches and purges all; reads the first that has a record (W-PRG-004).
#[derive(Clone, Debug, Default)]
pub struct MultiProgressStorage(pub Vec<Arc<dyn ProgressStorage>>);

/// Writes all; reads the first that has an essence; an essence is what all leave of it (W-DIF-003).
#[derive(Clone, Debug, Default)]
pub struct MultiDiffBaseStorage(pub Vec<Arc<dyn DiffBaseStorage>>);

impl ProgressStorage for MultiProgressStorage {
    fn fetch(&self, id: &HandlerId, object: &Object) -> Result<Option<RawRecord>, ErrorInfo> {
        first(self.0.iter().map(|storage| storage.fetch(id, object)))
    }

    fn store(
        &self,
        id: &HandlerId,
        record: &RawRecord,
        object: &Object,
        patch: &mut Patch,
    ) -> Result<(), ErrorInfo> {
        self.0.iter().try_for_each(|storage| storage.store(id, record, object, patch))
    }

    fn purge(&self, id: &HandlerId, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        self.0.iter().try_for_each(|storage| storage.purge(id, object, patch))
    }

    fn touch(&self, object: &Object, patch: &mut Patch, value: Option<&str>) -> Result<(), ErrorInfo> {
        self.0.iter().try_for_each(|storage| storage.touch(object, patch, value))
    }

    fn clear(&self, essence: Value) -> Result<Value, ErrorInfo> {
        self.0.iter().try_fold(essence, |essence, storage| storage.clear(essence))
    }

    fn flush(&self) -> Result<(), ErrorInfo> {
        self.0.iter().try_for_each(|storage| storage.flush())
    }

    /// As in the first storage, which is the one that is read.
    fn kept(&self, record: &RawRecord) -> RawRecord {
        self.0.first().map_or_else(|| super::without_nulls(record), |storage| storage.kept(record))
    }

    fn fetch_cycle(&self, object: &Object) -> Result<Option<Value>, ErrorInfo> {
        first(self.0.iter().map(|storage| storage.fetch_cycle(object)))
    }

    fn store_cycle(&self, essence: &Value, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        self.0.iter().try_for_each(|storage| storage.store_cycle(essence, object, patch))
    }

    fn purge_cycle(&self, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        self.0.iter().try_for_each(|storage| storage.purge_cycle(object, patch))
    }

    fn is_plugin(&self) -> bool {
        self.0.iter().any(|storage| storage.is_plugin())
    }
}

impl DiffBaseStorage for MultiDiffBaseStorage {
    fn build(&self, object: &Object, extra_fields: &[FieldPath]) -> Result<Value, ErrorInfo> {
        let essence = essence::build(object, extra_fields).into();
        self.0.iter().try_fold(essence, |essence, storage| storage.build(&Object::new(essence), extra_fields))
    }

    fn fetch(&self, object: &Object) -> Result<Option<Value>, ErrorInfo> {
        first(self.0.iter().map(|storage| storage.fetch(object)))
    }

    fn store(&self, essence: &Value, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        self.0.iter().try_for_each(|storage| storage.store(essence, object, patch))
    }

    fn is_plugin(&self) -> bool {
        self.0.iter().any(|storage| storage.is_plugin())
    }
}

/// The first that has something; an error before it counts.
fn first<T>(all: impl Iterator<Item = Result<Option<T>, ErrorInfo>>) -> Result<Option<T>, ErrorInfo> {
    all.filter_map(Result::transpose).next().transpose()
}
