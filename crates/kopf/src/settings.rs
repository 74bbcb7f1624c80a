//! Where the defaults of Rust operators come from.

use std::sync::Arc;

use kopf_core::{
    settings::Settings,
    storage::{AnnotationsDiffBaseStorage, SmartProgressStorage},
};
use kopf_engine::shared::Storages;

/// Kopf's settings, but for lists, which are read in pages: on a large cluster a whole list is too much memory at once.
pub(crate) fn defaults() -> Settings {
    let mut settings = Settings::default();
    settings.watching.chunk_size = Some(500);
    settings
}

/// Kopf's storages, so that Python and Rust can take over each other's objects.
pub(crate) fn storages() -> Storages {
    Storages {
        progress: Arc::new(SmartProgressStorage::default()),
        diff_base: Arc::new(AnnotationsDiffBaseStorage::default()),
    }
}
