//! The plan of a resource, made anew whenever something that it depends on was replaced.

use std::sync::{Arc, Mutex, PoisonError};

use kopf_core::{
    field::FieldPath, handler::Handler, handler::Needs, lifecycle::Lifecycle, plan::Plan, resource::Resource,
    settings::Settings,
};

use crate::{operator::OperatorHandle, shared::Storages};

/// Gives the plan as it is now.
#[derive(Debug)]
pub(crate) struct Plans {
    handlers: Vec<Arc<Handler>>,
    extra_fields: Vec<FieldPath>,
    handle: OperatorHandle,
    current: Mutex<Current>,
}

/// What the last plan was made of.
#[derive(Debug)]
struct Current {
    resource: Arc<Resource>,
    settings: Arc<Settings>,
    storages: Arc<Storages>,
    lifecycle: Arc<Arc<dyn Lifecycle>>,
    plan: Arc<Plan>,
}

impl Plans {
    pub(crate) fn new(resource: Arc<Resource>, handlers: Vec<Arc<Handler>>, handle: OperatorHandle) -> Self {
        let mut extra_fields: Vec<FieldPath> = Vec::new();
        for field in handlers.iter().filter_map(|handler| handler.field()) {
            if !extra_fields.contains(field) {
                extra_fields.push(field.clone());
            }
        }
        let current = Current::new(resource, &handlers, &extra_fields, &handle);
        Self { handlers, extra_fields, handle, current: Mutex::new(current) }
    }

    /// The plan now.
    pub(crate) fn current(&self) -> Arc<Plan> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if !current.is_valid(&self.handle) {
            *current =
                Current::new(current.resource.clone(), &self.handlers, &self.extra_fields, &self.handle);
        }
        current.plan.clone()
    }

    /// Takes what discovery says now: of the same resource, so that only subresources and the like may differ.
    pub(crate) fn set_resource(&self, resource: Arc<Resource>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Current::new(resource, &self.handlers, &self.extra_fields, &self.handle);
    }

    /// Whether these are the handlers, one by one.
    pub(crate) fn has_handlers(&self, handlers: &[Arc<Handler>]) -> bool {
        let same = |(ours, theirs): (&Arc<Handler>, &Arc<Handler>)| Arc::ptr_eq(ours, theirs);
        self.handlers.len() == handlers.len() && self.handlers.iter().zip(handlers).all(same)
    }

    /// Whether every event counts, so that none may be left out (DEC-13).
    pub(crate) fn needs_every_event(&self) -> bool {
        self.handlers.iter().any(|handler| !handler.trigger.is_changing())
    }

    /// Whether handlers are selected by labels or annotations.
    pub(crate) fn filter_by_labels(&self) -> bool {
        let mut filters = self.handlers.iter().map(|handler| &handler.filters);
        filters.any(|filters| !filters.labels.is_empty() || !filters.annotations.is_empty())
    }

    /// What the handlers read.
    pub(crate) fn needs(&self) -> Needs {
        self.handlers.iter().fold(Needs::default(), |all, handler| all.union(handler.needs))
    }
}

impl Current {
    fn new(
        resource: Arc<Resource>,
        handlers: &[Arc<Handler>],
        extra_fields: &[FieldPath],
        handle: &OperatorHandle,
    ) -> Self {
        let settings = handle.settings().load();
        let storages = handle.storages().load();
        let lifecycle = handle.lifecycle().load();
        let plan = Plan {
            resource: resource.clone(),
            handlers: handlers.to_vec(),
            extra_fields: extra_fields.to_vec(),
            progress: storages.progress.clone(),
            diff_base: storages.diff_base.clone(),
            lifecycle: Arc::clone(&lifecycle),
            settings: settings.clone(),
        };
        Self { resource, settings, storages, lifecycle, plan: Arc::new(plan) }
    }

    fn is_valid(&self, handle: &OperatorHandle) -> bool {
        Arc::ptr_eq(&self.settings, &handle.settings().load())
            && Arc::ptr_eq(&self.storages, &handle.storages().load())
            && Arc::ptr_eq(&self.lifecycle, &handle.lifecycle().load())
    }
}
