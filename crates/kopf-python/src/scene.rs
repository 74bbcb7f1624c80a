//! What the handlers of one cycle of an object share: its body, its patch, its loggers, its memo.

use std::sync::{Arc, Mutex};

use kopf_core::{cause::Cause as CoreCause, patch::Patch, resource::Resource};
use pyo3::{
    PyTraverseError, PyVisit, intern,
    prelude::*,
    types::{PyDict, PyString},
};

use crate::{
    host::Logger,
    hub::Hub,
    locked, patches,
    slot::Slot,
    values,
    views::{Body, Document, MappingView, Place},
};

/// One cycle of an object, as Python sees it. Everything is made when it is first asked for.
#[pyclass(frozen, module = "kopf._native", name = "_Scene")]
pub(crate) struct Scene {
    pub(crate) hub: Arc<Hub>,
    pub(crate) resource: Arc<Resource>,
    /// The cause that the cycle began with; its fields about the object are the same in all causes of the cycle.
    pub(crate) first: Arc<CoreCause>,
    document: Py<Document>,
    /// The patch as the engine has it, of which the Python one is made.
    engine_patch: Mutex<Patch>,
    body: Slot,
    patch: Slot,
    event: Slot,
    resource_object: Slot,
    memo: Slot,
    loggers: [Slot; 3],
}

impl Scene {
    /// A scene with nothing made yet.
    pub(crate) fn new(
        py: Python<'_>,
        hub: &Arc<Hub>,
        resource: &Arc<Resource>,
        cause: &Arc<CoreCause>,
        patch: Patch,
    ) -> PyResult<Self> {
        Ok(Self {
            hub: hub.clone(),
            resource: resource.clone(),
            document: Py::new(py, Document::new(cause.object.clone()))?,
            first: cause.clone(),
            engine_patch: Mutex::new(patch),
            body: Slot::default(),
            patch: Slot::default(),
            event: Slot::default(),
            resource_object: Slot::default(),
            memo: Slot::default(),
            loggers: Default::default(),
        })
    }

    /// Whether a call belongs to the same cycle, about the same version of the object.
    pub(crate) fn is_of(&self, cause: &CoreCause) -> bool {
        self.first.cycle == cause.cycle
            && self.first.object.is(&cause.object)
            && self.first.event_type == cause.event_type
    }

    /// The kwarg `body`.
    pub(crate) fn body<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Body>> {
        let body = self.body.get_or_make(py, || MappingView::make(self.document.bind(py), Place::Root))?;
        Ok(body.cast_into()?)
    }

    /// The kwarg `event` (A-KW-010..013).
    pub(crate) fn event<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.event.get_or_make(py, || {
            let event = PyDict::new(py);
            event.set_item(intern!(py, "type"), self.event_type(py))?;
            let object = self.document.get().mapping(py, &[])?;
            event.set_item(intern!(py, "object"), object.unwrap_or_else(|| PyDict::new(py).into_any()))?;
            Ok(event.into_any())
        })
    }

    /// The kwarg `type`.
    pub(crate) fn event_type<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        self.first.event_type.map(|event_type| PyString::intern(py, event_type.as_str()))
    }

    /// The kwarg `resource`.
    pub(crate) fn resource<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.resource_object.get_or_make(py, || self.hub.resource_object(py, &self.resource))
    }

    /// The kwarg `memo`.
    pub(crate) fn memo<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.memo.get_or_make(py, || self.hub.memo_of(py, self.first.object_id))
    }

    /// The kwarg `logger`.
    pub(crate) fn logger<'py>(&self, py: Python<'py>, kind: Logger) -> PyResult<Bound<'py, PyAny>> {
        self.loggers[kind as usize].get_or_make(py, || {
            self.hub.host.make_logger(kind, self.body(py)?.into_any(), self.hub.settings_object(py))
        })
    }

    /// The kwarg `patch`.
    pub(crate) fn patch<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.patch.get_or_make(py, || {
            let patch = locked(&self.engine_patch).clone();
            let merge = values::map_to_python(py, &patch.merge)?;
            let functions = self.hub.functions_of(py, &patch);
            self.hub.host.make_patch(merge, self.body(py)?.into_any(), functions)
        })
    }

    /// Puts into the patch what the engine has added since it was made: results of the handlers before.
    pub(crate) fn adopt(&self, py: Python<'_>, patch: &Patch) -> PyResult<()> {
        match self.patch.get(py) {
            Some(object) => patches::adopt_missing(object.cast()?, &patch.merge),
            None => {
                *locked(&self.engine_patch) = patch.clone();
                Ok(())
            }
        }
    }

    /// The patch as the handlers have left it by now.
    ///
    /// # Errors
    /// If it holds what JSON cannot say.
    pub(crate) fn current_patch(&self, py: Python<'_>) -> PyResult<Patch> {
        let before = locked(&self.engine_patch).clone();
        match self.patch.get(py) {
            Some(object) => patches::from_python(&self.hub, &object, &before),
            None => Ok(before),
        }
    }

    /// The same without what JSON cannot say.
    pub(crate) fn readable_patch(&self, py: Python<'_>) -> PyResult<Patch> {
        let before = locked(&self.engine_patch).clone();
        patches::readable_part(&self.hub, &self.patch(py)?, &before)
    }

    /// Puts into the patch what the engine has changed in it since [`current_patch`](Self::current_patch): records and
    /// results of sub-handlers.
    pub(crate) fn absorb(&self, py: Python<'_>, changed: &Patch) -> PyResult<()> {
        match self.patch.get(py) {
            Some(object) => {
                let object = object.cast::<PyDict>()?;
                patches::update(object, &values::map_from_python(object.as_any())?, &changed.merge)
            }
            None => {
                *locked(&self.engine_patch) = changed.clone();
                Ok(())
            }
        }
    }
}

#[pymethods]
impl Scene {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.document)?;
        let slots = [&self.body, &self.patch, &self.event, &self.resource_object, &self.memo];
        slots.into_iter().chain(&self.loggers).try_for_each(|slot| slot.traverse(visit))
    }
}
