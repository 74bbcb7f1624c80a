//! The views: `Body`, `Spec`, `Meta`, `Status`, labels and annotations (A-VIEW-001..008).

use pyo3::{
    PyTraverseError, PyTypeInfo, PyVisit,
    basic::CompareOp,
    exceptions::{PyKeyError, PyTypeError},
    intern,
    prelude::*,
    sync::PyOnceLock,
    types::{PyDict, PyIterator, PyMapping, PyString, PyTuple, PyType},
};
use serde_json::Value;

use super::Document;
use crate::{slot::Slot, values};

/// Which part of an object a view shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Root,
    Spec,
    Status,
    Meta,
    Labels,
    Annotations,
}

impl Place {
    const fn path(self) -> &'static [&'static str] {
        match self {
            Self::Root => &[],
            Self::Spec => &["spec"],
            Self::Status => &["status"],
            Self::Meta => &["metadata"],
            Self::Labels => &["metadata", "labels"],
            Self::Annotations => &["metadata", "annotations"],
        }
    }
}

/// A read-only view of a mapping somewhere in an object; empty if it is absent or no mapping (FIX-20).
#[pyclass(frozen, mapping, subclass, weakref, module = "kopf._native")]
pub(crate) struct MappingView {
    document: Py<Document>,
    place: Place,
}

/// A view of the whole object. Its parts are made once: `body.meta is body.metadata` (A-VIEW-003).
#[pyclass(frozen, mapping, subclass, extends = MappingView, module = "kopf._native")]
#[derive(Default)]
pub(crate) struct Body {
    meta: Slot,
    spec: Slot,
    status: Slot,
}

/// A view of the spec.
#[pyclass(frozen, mapping, subclass, extends = MappingView, module = "kopf._native")]
pub(crate) struct Spec;

/// A view of the metadata.
#[pyclass(frozen, mapping, subclass, extends = MappingView, module = "kopf._native")]
#[derive(Default)]
pub(crate) struct Meta {
    labels: Slot,
    annotations: Slot,
}

/// A view of the status.
#[pyclass(frozen, mapping, subclass, extends = MappingView, module = "kopf._native")]
pub(crate) struct Status;

impl MappingView {
    /// A view of a part of a document, of the class for that part.
    pub(crate) fn make<'py>(document: &Bound<'py, Document>, place: Place) -> PyResult<Bound<'py, PyAny>> {
        let py = document.py();
        let view = Self { document: document.clone().unbind(), place };
        let base = PyClassInitializer::from(view);
        Ok(match place {
            Place::Root => Bound::new(py, base.add_subclass(Body::default()))?.into_any(),
            Place::Spec => Bound::new(py, base.add_subclass(Spec))?.into_any(),
            Place::Meta => Bound::new(py, base.add_subclass(Meta::default()))?.into_any(),
            Place::Status => Bound::new(py, base.add_subclass(Status))?.into_any(),
            Place::Labels | Place::Annotations => Bound::new(py, base)?.into_any(),
        })
    }

    /// What the view shows, as a value.
    pub(crate) fn to_value(&self, py: Python<'_>) -> PyResult<Value> {
        self.document.get().value(py, self.place.path())
    }

    /// The document behind a view of a whole object.
    pub(crate) fn whole(&self) -> Option<&Py<Document>> {
        (self.place == Place::Root).then_some(&self.document)
    }

    fn of(source: &Bound<'_, PyAny>, place: Place) -> PyResult<Self> {
        let py = source.py();
        if let Ok(view) = source.cast::<Self>()
            && let Some(document) = view.get().whole()
        {
            return Ok(Self { document: document.clone_ref(py), place });
        }
        if source.cast::<PyMapping>().is_err() {
            return Err(PyTypeError::new_err(format!(
                "a mapping is expected, not {}",
                values::type_name(source)
            )));
        }
        Ok(Self { document: Py::new(py, Document::of_mapping(source.clone().unbind()))?, place })
    }

    /// The view of another part of the same object, made once and kept in `slot`.
    fn sibling<'py>(&self, py: Python<'py>, slot: &Slot, place: Place) -> PyResult<Bound<'py, PyAny>> {
        slot.get_or_make(py, || Self::make(self.document.bind(py), place))
    }

    fn field<'py>(&self, py: Python<'py>, key: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.document.get().field(py, self.place.path(), key)
    }

    /// A new `dict` of what the view shows; what is nested is shared with the view.
    fn dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        if let Some(mapping) = self.document.get().mapping(py, self.place.path())? {
            dict.update(mapping.cast::<PyMapping>()?)?;
        }
        Ok(dict)
    }

    fn of_class<'py>(slf: &Bound<'py, Self>, source: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let document = Py::new(slf.py(), Document::of_mapping(source.unbind()))?;
        Self::make(document.bind(slf.py()), slf.get().place)
    }
}

#[pymethods]
impl MappingView {
    fn __getitem__<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let found = match key.cast::<PyString>() {
            Ok(text) => self.field(py, text.to_str()?)?,
            Err(_) => None,
        };
        found.ok_or_else(|| PyKeyError::new_err(key.clone().unbind()))
    }

    fn __contains__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        match key.cast::<PyString>() {
            Ok(text) => self.document.get().contains(py, self.place.path(), text.to_str()?),
            Err(_) => Ok(false),
        }
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.document.get().keys(py, self.place.path())?.try_iter()
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.document.get().len(py, self.place.path())
    }

    #[pyo3(signature = (key, default = None, /))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let found = match key.cast::<PyString>() {
            Ok(text) => self.field(py, text.to_str()?)?,
            Err(_) => None,
        };
        Ok(found.or(default).unwrap_or_else(|| py.None().into_bound(py)))
    }

    fn keys<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        CLASS.import(slf.py(), "collections.abc", "KeysView")?.call1((slf,))
    }

    fn values<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        CLASS.import(slf.py(), "collections.abc", "ValuesView")?.call1((slf,))
    }

    fn items<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        CLASS.import(slf.py(), "collections.abc", "ItemsView")?.call1((slf,))
    }

    fn __richcmp__<'py>(
        &self,
        py: Python<'py>,
        other: &Bound<'py, PyAny>,
        op: CompareOp,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mapping = match other.cast::<PyMapping>() {
            Ok(mapping) if matches!(op, CompareOp::Eq | CompareOp::Ne) => mapping,
            _ => return Ok(py.NotImplemented().into_bound(py)),
        };
        let theirs = PyDict::new(py);
        theirs.update(mapping)?;
        self.dict(py)?.as_any().rich_compare(theirs, op)
    }

    /// The text of the equal `dict` (A-VIEW-007).
    fn __repr__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        self.dict(py)?.as_any().repr()
    }

    fn __copy__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let source = slf.get().wrapped(slf.py(), slf.get().dict(slf.py())?)?;
        Self::of_class(slf, source)
    }

    fn __deepcopy__<'py>(slf: &Bound<'py, Self>, memo: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Some(object) = slf.get().document.get().untouched() {
            return Self::make(&Bound::new(py, Document::new(object))?, slf.get().place);
        }
        let copy = py.import("copy")?.getattr("deepcopy")?.call1((slf.get().dict(py)?, memo))?;
        let source = slf.get().wrapped(py, copy.cast_into()?)?;
        Self::of_class(slf, source)
    }

    /// Pickled as a `dict` of everything that the class needs to show the same.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        let source = slf.get().wrapped(py, slf.get().dict(py)?)?;
        let restore = py.import(intern!(py, "kopf._native"))?.getattr(intern!(py, "_restore_view"))?;
        let place = slf.get().place as u8;
        (restore, (place, source)).into_pyobject(py)
    }

    #[classattr]
    const __hash__: Option<Py<PyAny>> = None;

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.document)
    }
}

impl MappingView {
    /// An object that has `content` where this view looks.
    fn wrapped<'py>(&self, py: Python<'py>, content: Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
        let mut object = content;
        for key in self.place.path().iter().rev() {
            let parent = PyDict::new(py);
            parent.set_item(*key, object)?;
            object = parent;
        }
        Ok(object.into_any())
    }
}

#[pymethods]
impl Body {
    #[new]
    #[pyo3(signature = (source, /))]
    fn new(source: &Bound<'_, PyAny>) -> PyResult<PyClassInitializer<Self>> {
        Ok(PyClassInitializer::from(MappingView::of(source, Place::Root)?).add_subclass(Self::default()))
    }

    #[getter]
    pub(crate) fn metadata<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.as_super().get().sibling(slf.py(), &slf.get().meta, Place::Meta)
    }

    #[getter]
    pub(crate) fn meta<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.as_super().get().sibling(slf.py(), &slf.get().meta, Place::Meta)
    }

    #[getter]
    pub(crate) fn spec<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.as_super().get().sibling(slf.py(), &slf.get().spec, Place::Spec)
    }

    #[getter]
    pub(crate) fn status<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.as_super().get().sibling(slf.py(), &slf.get().status, Place::Status)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        [&self.meta, &self.spec, &self.status].into_iter().try_for_each(|slot| slot.traverse(visit))
    }
}

#[pymethods]
impl Spec {
    #[new]
    #[pyo3(signature = (source, /))]
    fn new(source: &Bound<'_, PyAny>) -> PyResult<PyClassInitializer<Self>> {
        Ok(PyClassInitializer::from(MappingView::of(source, Place::Spec)?).add_subclass(Self))
    }
}

#[pymethods]
impl Status {
    #[new]
    #[pyo3(signature = (source, /))]
    fn new(source: &Bound<'_, PyAny>) -> PyResult<PyClassInitializer<Self>> {
        Ok(PyClassInitializer::from(MappingView::of(source, Place::Status)?).add_subclass(Self))
    }
}

#[pymethods]
impl Meta {
    #[new]
    #[pyo3(signature = (source, /))]
    fn new(source: &Bound<'_, PyAny>) -> PyResult<PyClassInitializer<Self>> {
        Ok(PyClassInitializer::from(MappingView::of(source, Place::Meta)?).add_subclass(Self::default()))
    }

    #[getter]
    fn name<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        slf.as_super().get().field(slf.py(), "name")
    }

    #[getter]
    fn namespace<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        slf.as_super().get().field(slf.py(), "namespace")
    }

    #[getter]
    fn uid<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        slf.as_super().get().field(slf.py(), "uid")
    }

    #[getter]
    fn creation_timestamp<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        slf.as_super().get().field(slf.py(), "creationTimestamp")
    }

    #[getter]
    fn deletion_timestamp<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        slf.as_super().get().field(slf.py(), "deletionTimestamp")
    }

    #[getter]
    pub(crate) fn labels<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.as_super().get().sibling(slf.py(), &slf.get().labels, Place::Labels)
    }

    #[getter]
    pub(crate) fn annotations<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.as_super().get().sibling(slf.py(), &slf.get().annotations, Place::Annotations)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        [&self.labels, &self.annotations].into_iter().try_for_each(|slot| slot.traverse(visit))
    }
}

/// What pickles of views call.
#[pyfunction(name = "_restore_view")]
#[pyo3(signature = (place, source, /))]
fn restore_view<'py>(py: Python<'py>, place: u8, source: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let all = [Place::Root, Place::Spec, Place::Status, Place::Meta, Place::Labels, Place::Annotations];
    let place = all.into_iter().find(|known| *known as u8 == place);
    let place =
        place.ok_or_else(|| PyTypeError::new_err("the pickle is of another version of the package"))?;
    MappingView::make(&Bound::new(py, Document::of_mapping(source.unbind()))?, place)
}

/// Adds the classes to the module, and makes them `Mapping` for everyone who asks: pydantic, `isinstance`, `match`.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<MappingView>()?;
    module.add_class::<Body>()?;
    module.add_class::<Spec>()?;
    module.add_class::<Meta>()?;
    module.add_class::<Status>()?;
    module.setattr("_restore_view", wrap_pyfunction!(restore_view, module)?)?;
    PyMapping::register::<MappingView>(module.py())?;
    // Registered by themselves too, so that `isinstance` finds them without a walk.
    for class in [
        Body::type_object(module.py()),
        Spec::type_object(module.py()),
        Meta::type_object(module.py()),
        Status::type_object(module.py()),
    ] {
        module.py().import("collections.abc")?.getattr("Mapping")?.call_method1("register", (class,))?;
    }
    Ok(())
}
