//! The kwarg `cause`: what happened to an object (A-KW-014..016).

use std::sync::Arc;

use kopf_core::cause::Cause as CoreCause;
use pyo3::{PyTraverseError, PyVisit, prelude::*, types::PyString};

use crate::{
    declared::Kwarg,
    host::Logger,
    scene::Scene,
    slot::Slot,
    values,
    views::{Body, Meta},
};

/// What happened to an object: the same for all handlers of a step but those with `field=`.
#[pyclass(frozen, module = "kopf._native")]
pub(crate) struct Cause {
    pub(crate) scene: Py<Scene>,
    pub(crate) cause: Arc<CoreCause>,
    old: Slot,
    new: Slot,
    diff: Slot,
}

impl Cause {
    /// A cause in its scene.
    pub(crate) fn new(scene: Py<Scene>, cause: Arc<CoreCause>) -> Self {
        Self { scene, cause, old: Slot::default(), new: Slot::default(), diff: Slot::default() }
    }

    /// The kwarg about the object; none if it is not one of those.
    pub(crate) fn kwarg<'py>(
        slf: &Bound<'py, Self>,
        kwarg: Kwarg,
        logger: Logger,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let this = slf.get();
        let scene = this.scene.get();
        Ok(Some(match kwarg {
            Kwarg::Annotations => Meta::annotations(&meta(&scene.body(py)?)?)?,
            Kwarg::Body => scene.body(py)?.into_any(),
            Kwarg::Cause => slf.clone().into_any(),
            Kwarg::Diff => this.diff(py)?,
            Kwarg::Event => scene.event(py)?,
            Kwarg::Labels => Meta::labels(&meta(&scene.body(py)?)?)?,
            Kwarg::Logger => scene.logger(py, logger)?,
            Kwarg::Memo => scene.memo(py)?,
            Kwarg::Meta => Body::meta(&scene.body(py)?)?,
            Kwarg::Name => text(py, this.cause.object.meta("name").and_then(|name| name.as_str())),
            Kwarg::Namespace => text(py, this.cause.object.namespace()),
            Kwarg::New => this.new_value(py)?,
            Kwarg::Old => this.old_value(py)?,
            Kwarg::Patch => scene.patch(py)?,
            Kwarg::Reason => this.reason(py)?,
            Kwarg::Resource => scene.resource(py)?,
            Kwarg::Spec => Body::spec(&scene.body(py)?)?,
            Kwarg::Status => Body::status(&scene.body(py)?)?,
            Kwarg::Type => scene.event_type(py).map_or_else(|| py.None().into_bound(py), Bound::into_any),
            Kwarg::Uid => text(py, this.cause.object.uid()),
            Kwarg::Activity
            | Kwarg::Index(_)
            | Kwarg::Param
            | Kwarg::Retry
            | Kwarg::Runtime
            | Kwarg::Settings
            | Kwarg::Started => return Ok(None),
        }))
    }

    fn attribute<'py>(slf: &Bound<'py, Self>, kwarg: Kwarg) -> PyResult<Bound<'py, PyAny>> {
        // Event handlers have no reason: theirs never posts.
        let logger = if slf.get().cause.reason.is_some() { Logger::Posting } else { Logger::Local };
        Ok(Self::kwarg(slf, kwarg, logger)?.unwrap_or_else(|| slf.py().None().into_bound(slf.py())))
    }

    fn old_value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.old.get_or_make(py, || optional(py, self.cause.old.as_deref()))
    }

    fn new_value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.new.get_or_make(py, || optional(py, self.cause.new.as_deref()))
    }
}

#[pymethods]
impl Cause {
    #[getter]
    fn reason<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.cause.reason {
            Some(reason) => self.scene.get().hub.host.reason(py, reason),
            None => Ok(py.None().into_bound(py)),
        }
    }

    #[getter]
    fn initial(&self) -> bool {
        self.cause.initial
    }

    /// Whether the object is marked for deletion.
    #[getter]
    fn deleted(&self) -> bool {
        self.cause.object.is_deleting()
    }

    #[getter]
    fn diff<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.diff.get_or_make(py, || self.scene.get().hub.host.make_diff(py, &self.cause.diff))
    }

    #[getter]
    fn old<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.old_value(py)
    }

    #[getter]
    #[pyo3(name = "new")]
    fn current<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.new_value(py)
    }

    #[getter]
    fn r#type<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::attribute(slf, Kwarg::Type)
    }

    #[getter]
    fn event<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::attribute(slf, Kwarg::Event)
    }

    #[getter]
    fn body<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::attribute(slf, Kwarg::Body)
    }

    #[getter]
    fn spec<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::attribute(slf, Kwarg::Spec)
    }

    #[getter]
    fn meta<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::attribute(slf, Kwarg::Meta)
    }

    #[getter]
    fn status<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::attribute(slf, Kwarg::Status)
    }

    #[getter]
    fn labels<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::attribute(slf, Kwarg::Labels)
    }

    #[getter]
    fn annotations<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::attribute(slf, Kwarg::Annotations)
    }

    #[getter]
    fn name<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::attribute(slf, Kwarg::Name)
    }

    #[getter]
    fn namespace<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::attribute(slf, Kwarg::Namespace)
    }

    #[getter]
    fn uid<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::attribute(slf, Kwarg::Uid)
    }

    #[getter]
    fn resource<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::attribute(slf, Kwarg::Resource)
    }

    #[getter]
    fn patch<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::attribute(slf, Kwarg::Patch)
    }

    #[getter]
    fn memo<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::attribute(slf, Kwarg::Memo)
    }

    #[getter]
    fn logger<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::attribute(slf, Kwarg::Logger)
    }

    fn __repr__(&self) -> String {
        let reason = self.cause.reason.map_or("event", |reason| reason.as_str());
        format!("<Cause {reason} of {:?}>", self.cause.object)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.scene)?;
        [&self.old, &self.new, &self.diff].into_iter().try_for_each(|slot| slot.traverse(visit))
    }
}

fn meta<'py>(body: &Bound<'py, Body>) -> PyResult<Bound<'py, Meta>> {
    Ok(Body::meta(body)?.cast_into()?)
}

fn text<'py>(py: Python<'py>, text: Option<&str>) -> Bound<'py, PyAny> {
    text.map_or_else(|| py.None().into_bound(py), |text| PyString::new(py, text).into_any())
}

fn optional<'py>(py: Python<'py>, value: Option<&serde_json::Value>) -> PyResult<Bound<'py, PyAny>> {
    value.map_or_else(|| Ok(py.None().into_bound(py)), |value| values::to_python(py, value))
}
