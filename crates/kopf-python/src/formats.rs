//! The formats in which progress and the last handled state are kept in objects, for the Python classes of storages.

use std::sync::Arc;

use kopf_core::{
    diff::{Diff, Scope},
    error::ErrorInfo,
    essence,
    field::FieldPath,
    handler::HandlerId,
    json_patch as core_json_patch,
    key::Prefix,
    object::Object,
    patch::{self, Patch},
    storage::{
        AnnotationsDiffBaseStorage, AnnotationsProgressStorage, DiffBaseStorage, MultiDiffBaseStorage,
        MultiProgressStorage, ProgressStorage, SmartProgressStorage, StatusDiffBaseStorage,
        StatusProgressStorage,
    },
};
use pyo3::{
    exceptions::{PyTypeError, PyValueError},
    prelude::*,
    types::{PyDict, PyList, PyTuple},
};
use serde_json::Value;

use crate::{patches, values};

/// A format of progress records.
#[pyclass(frozen, module = "kopf._native")]
pub(crate) struct ProgressFormat(Format);

/// What a format is: the parts are kept apart for the format that is made of two of them.
enum Format {
    Annotations(AnnotationsProgressStorage),
    Status(StatusProgressStorage),
    Other(Arc<dyn ProgressStorage>),
}

/// A format of the last handled essence.
#[pyclass(frozen, module = "kopf._native")]
pub(crate) struct DiffBaseFormat(Arc<dyn DiffBaseStorage>);

impl ProgressFormat {
    /// The engine's storage.
    pub(crate) fn storage(&self) -> Arc<dyn ProgressStorage> {
        match &self.0 {
            Format::Annotations(storage) => Arc::new(storage.clone()),
            Format::Status(storage) => Arc::new(storage.clone()),
            Format::Other(storage) => storage.clone(),
        }
    }

    fn get(&self) -> &dyn ProgressStorage {
        match &self.0 {
            Format::Annotations(storage) => storage,
            Format::Status(storage) => storage,
            Format::Other(storage) => &**storage,
        }
    }
}

impl DiffBaseFormat {
    /// The engine's storage.
    pub(crate) fn storage(&self) -> Arc<dyn DiffBaseStorage> {
        self.0.clone()
    }
}

#[pymethods]
impl ProgressFormat {
    #[staticmethod]
    #[pyo3(signature = (prefix, verbose, touch_key, v1, /))]
    fn annotations(prefix: &str, verbose: bool, touch_key: String, v1: bool) -> PyResult<Self> {
        Ok(Self(Format::Annotations(AnnotationsProgressStorage {
            prefix: self::prefix(prefix)?,
            verbose,
            touch_key,
            v1,
        })))
    }

    #[staticmethod]
    #[pyo3(signature = (field, touch_field, /))]
    fn status(field: Vec<String>, touch_field: Vec<String>) -> Self {
        Self(Format::Status(StatusProgressStorage {
            field: FieldPath(field),
            touch_field: FieldPath(touch_field),
        }))
    }

    /// Writes the first, reads both (A-PUB-089).
    #[staticmethod]
    #[pyo3(signature = (annotations, status, /))]
    fn smart(annotations: &Bound<'_, Self>, status: &Bound<'_, Self>) -> PyResult<Self> {
        let (Format::Annotations(annotations), Format::Status(status)) =
            (&annotations.get().0, &status.get().0)
        else {
            return Err(PyTypeError::new_err("a format of annotations and one of the status are expected"));
        };
        let storage = SmartProgressStorage { annotations: annotations.clone(), status: status.clone() };
        Ok(Self(Format::Other(Arc::new(storage))))
    }

    #[staticmethod]
    #[pyo3(signature = (formats, /))]
    #[expect(clippy::needless_pass_by_value, reason = "extracted from a list of Python")]
    fn multi(formats: Vec<Bound<'_, Self>>) -> Self {
        let all = formats.iter().map(|format| format.get().storage()).collect();
        Self(Format::Other(Arc::new(MultiProgressStorage(all))))
    }

    #[pyo3(signature = (key, body, /))]
    fn fetch<'py>(&self, key: &str, body: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let record = self.get().fetch(&key.into(), &object(body)?).map_err(|error| raise(&error))?;
        record.map(|record| values::map_to_python(body.py(), &record)).transpose()
    }

    #[pyo3(signature = (key, record, body, patch, /))]
    fn store(
        &self,
        key: &str,
        record: &Bound<'_, PyAny>,
        body: &Bound<'_, PyAny>,
        patch: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        let record = values::map_from_python(record)?;
        let (id, object) = (HandlerId::from(key), object(body)?);
        change(patch, |patch| self.get().store(&id, &record, &object, patch))
    }

    #[pyo3(signature = (key, body, patch, /))]
    fn purge(&self, key: &str, body: &Bound<'_, PyAny>, patch: &Bound<'_, PyDict>) -> PyResult<()> {
        let (id, object) = (HandlerId::from(key), object(body)?);
        change(patch, |patch| self.get().purge(&id, &object, patch))
    }

    #[pyo3(signature = (body, patch, value, /))]
    fn touch(&self, body: &Bound<'_, PyAny>, patch: &Bound<'_, PyDict>, value: Option<&str>) -> PyResult<()> {
        let object = object(body)?;
        change(patch, |patch| self.get().touch(&object, patch, value))
    }

    #[pyo3(signature = (essence, /))]
    fn clear<'py>(&self, essence: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let cleared = self.get().clear(values::from_python(essence)?).map_err(|error| raise(&error))?;
        values::to_python(essence.py(), &cleared)
    }
}

#[pymethods]
impl DiffBaseFormat {
    #[staticmethod]
    #[pyo3(signature = (prefix, key, ignored_fields, v1, /))]
    fn annotations(prefix: &str, key: String, ignored_fields: Vec<Vec<String>>, v1: bool) -> PyResult<Self> {
        let ignored_fields = fields(ignored_fields);
        Ok(Self(Arc::new(AnnotationsDiffBaseStorage {
            prefix: self::prefix(prefix)?,
            key,
            ignored_fields,
            v1,
        })))
    }

    #[staticmethod]
    #[pyo3(signature = (field, ignored_fields, /))]
    fn status(field: Vec<String>, ignored_fields: Vec<Vec<String>>) -> Self {
        Self(Arc::new(StatusDiffBaseStorage {
            field: FieldPath(field),
            ignored_fields: fields(ignored_fields),
        }))
    }

    #[staticmethod]
    #[pyo3(signature = (formats, /))]
    #[expect(clippy::needless_pass_by_value, reason = "extracted from a list of Python")]
    fn multi(formats: Vec<Bound<'_, Self>>) -> Self {
        Self(Arc::new(MultiDiffBaseStorage(formats.iter().map(|format| format.get().storage()).collect())))
    }

    /// Only builds essences, for storages of the user's own: it keeps nothing in the object that would have to be left out.
    #[staticmethod]
    #[pyo3(signature = (ignored_fields, /))]
    fn plain(ignored_fields: Vec<Vec<String>>) -> Self {
        Self(Arc::new(Plain(fields(ignored_fields))))
    }

    #[pyo3(signature = (body, extra_fields = None, /))]
    fn build<'py>(
        &self,
        body: &Bound<'py, PyAny>,
        extra_fields: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let extra = match extra_fields {
            Some(extra) => {
                extra.try_iter()?.map(|field| field?.extract().map(FieldPath)).collect::<PyResult<_>>()?
            }
            None => Vec::new(),
        };
        let essence = self.0.build(&object(body)?, &extra).map_err(|error| raise(&error))?;
        values::to_python(body.py(), &essence)
    }

    #[pyo3(signature = (body, /))]
    fn fetch<'py>(&self, body: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let essence = self.0.fetch(&object(body)?).map_err(|error| raise(&error))?;
        essence.map(|essence| values::to_python(body.py(), &essence)).transpose()
    }

    #[pyo3(signature = (body, patch, essence, /))]
    fn store(
        &self,
        body: &Bound<'_, PyAny>,
        patch: &Bound<'_, PyDict>,
        essence: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let (essence, object) = (values::from_python(essence)?, object(body)?);
        change(patch, |patch| self.0.store(&essence, &object, patch))
    }
}

/// Builds essences, and keeps nothing.
#[derive(Debug)]
struct Plain(Vec<FieldPath>);

impl DiffBaseStorage for Plain {
    fn build(&self, object: &Object, extra_fields: &[FieldPath]) -> Result<Value, ErrorInfo> {
        let mut essence = essence::build(object, extra_fields);
        essence::drop_empty_stanzas(&mut essence);
        for field in &self.0 {
            field.remove(&mut essence);
        }
        Ok(essence.into())
    }

    fn fetch(&self, _object: &Object) -> Result<Option<Value>, ErrorInfo> {
        Ok(None)
    }

    fn store(&self, _essence: &Value, _object: &Object, _patch: &mut Patch) -> Result<(), ErrorInfo> {
        Ok(())
    }
}

/// The name of the annotation of a handler, as Kopf before 1.29 made it (W-KEY-014).
#[pyfunction]
#[pyo3(signature = (prefix, key, /))]
pub(crate) fn make_v1_key(prefix: &str, key: &str) -> PyResult<String> {
    Ok(self::prefix(prefix)?.v1_key(key))
}

/// The name of the annotation of a handler (W-KEY-013).
#[pyfunction]
#[pyo3(signature = (prefix, key, /))]
pub(crate) fn make_v2_key(prefix: &str, key: &str) -> PyResult<String> {
    Ok(self::prefix(prefix)?.v2_key(key))
}

/// The differences of two values: tuples of the operation, the path, and the values before and after (A-DIF).
#[pyfunction]
#[pyo3(signature = (old, new, /))]
pub(crate) fn diff<'py>(old: &Bound<'py, PyAny>, new: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    let py = old.py();
    let diff = Diff::between(&values::from_python(old)?, &values::from_python(new)?, Scope::Full);
    let items = PyList::empty(py);
    for item in &diff.0 {
        let path = PyTuple::new(py, &item.path.0)?;
        items.append((
            item.op.as_str(),
            path,
            values::to_python(py, &item.old)?,
            values::to_python(py, &item.new)?,
        ))?;
    }
    Ok(items)
}

/// The operations (RFC 6902) that turn one value into the other.
#[pyfunction]
#[pyo3(signature = (old, new, /))]
pub(crate) fn json_patch<'py>(
    old: &Bound<'py, PyAny>,
    new: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let operations = core_json_patch::between(&values::from_python(old)?, &values::from_python(new)?);
    values::to_python(old.py(), &Value::Array(operations))
}

/// A copy of the value with a merge patch (RFC 7386) applied.
#[pyfunction]
#[pyo3(signature = (value, patch, /))]
pub(crate) fn merge_patch<'py>(
    value: &Bound<'py, PyAny>,
    patch: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut merged = values::from_python(value)?;
    patch::merge(&mut merged, &values::from_python(patch)?);
    values::to_python(value.py(), &merged)
}

fn object(body: &Bound<'_, PyAny>) -> PyResult<Object> {
    Ok(Object::new(values::from_python(body)?))
}

fn prefix(prefix: &str) -> PyResult<Prefix> {
    Prefix::new(prefix).map_err(|error| PyValueError::new_err(error.to_string()))
}

fn fields(fields: Vec<Vec<String>>) -> Vec<FieldPath> {
    fields.into_iter().map(FieldPath).collect()
}

fn raise(error: &ErrorInfo) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// Lets the engine change a copy of a patch, and puts what has changed into the patch itself, in which the user may hold on
/// to parts.
fn change(
    patch: &Bound<'_, PyDict>,
    change: impl FnOnce(&mut Patch) -> Result<(), ErrorInfo>,
) -> PyResult<()> {
    let before = values::map_from_python(patch.as_any())?;
    let mut after = Patch { merge: before.clone(), transforms: Vec::new() };
    change(&mut after).map_err(|error| raise(&error))?;
    patches::update(patch, &before, &after.merge)
}
