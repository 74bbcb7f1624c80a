//! What is declared for one resource: the read-only input of every step of its objects.

use std::sync::Arc;

use crate::{
    field::FieldPath,
    handler::Handler,
    lifecycle::Lifecycle,
    resource::Resource,
    settings::Settings,
    storage::{DiffBaseStorage, ProgressStorage},
};

/// The handlers of a resource with everything that decisions about its objects depend on.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The resource.
    pub resource: Arc<Resource>,
    /// Its handlers, in the order of declaration.
    pub handlers: Vec<Arc<Handler>>,
    /// The fields of all handlers, which belong to the essence (W-DIF-007).
    pub extra_fields: Vec<FieldPath>,
    /// Where progress is kept.
    pub progress: Arc<dyn ProgressStorage>,
    /// Where the last handled essence is kept.
    pub diff_base: Arc<dyn DiffBaseStorage>,
    /// Which handlers run at a step.
    pub lifecycle: Arc<dyn Lifecycle>,
    /// A snapshot of the settings.
    pub settings: Arc<Settings>,
}

impl Plan {
    /// Whether a step may call the door's code: filters, storages or the lifecycle (DEC-6). Functions in a pending
    /// patch are told by [`Machine::has_plugins`](crate::machine::Machine::has_plugins).
    #[must_use]
    pub fn has_plugins(&self) -> bool {
        self.progress.is_plugin()
            || self.diff_base.is_plugin()
            || self.lifecycle.is_plugin()
            || self.handlers.iter().any(|handler| handler.filters.has_callbacks())
    }
}
