//! Storages of progress and of the last handled essence that are Python classes (A-PUB-084, A-PUB-085). The built-in ones
//! are recognised by exact type, and run in Rust.

use std::sync::{Arc, Weak};

use kopf_core::{
    error::ErrorInfo,
    field::FieldPath,
    handler::HandlerId,
    object::Object,
    patch::Patch,
    storage::{DiffBaseStorage, ProgressStorage, RawRecord},
};
use kopf_engine::shared::Storages;
use pyo3::{
    intern,
    prelude::*,
    types::{PyDict, PyTuple},
};
use serde_json::Value;

use super::attached;
use crate::{
    formats::{DiffBaseFormat, ProgressFormat},
    held::Held,
    hub::Hub,
    patches, values,
    views::{Document, MappingView, Place},
};

/// The storages of the settings.
///
/// # Errors
/// If there are none.
pub(crate) fn storages(hub: &Arc<Hub>, settings: &Bound<'_, PyAny>) -> PyResult<Storages> {
    let py = settings.py();
    let persistence = settings.getattr(intern!(py, "persistence"))?;
    let progress = persistence.getattr(intern!(py, "progress_storage"))?;
    let diff_base = persistence.getattr(intern!(py, "diffbase_storage"))?;
    Ok(Storages {
        progress: match native(hub, &progress)? {
            Some(format) => format.cast::<ProgressFormat>()?.get().storage(),
            None => Arc::new(PythonStorage::new(hub, progress)),
        },
        diff_base: match native(hub, &diff_base)? {
            Some(format) => format.cast::<DiffBaseFormat>()?.get().storage(),
            None => Arc::new(PythonStorage::new(hub, diff_base)),
        },
    })
}

/// What a built-in storage delegates to; none if it is of a class of the user, which may have overridden anything. A
/// multi-storage is as built-in as its parts.
fn native<'py>(hub: &Arc<Hub>, storage: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = storage.py();
    let builtin = hub.host.object(py).getattr(intern!(py, "storages"))?.cast_into::<PyTuple>()?;
    if !builtin.iter().any(|class| class.is(storage.get_type())) {
        return Ok(None);
    }
    let format = storage.getattr(intern!(py, "_native"))?;
    Ok(Some(format).filter(|format| !format.is_none()))
}

/// A storage that is an object of Python.
#[derive(Debug)]
struct PythonStorage {
    object: Held,
    hub: Weak<Hub>,
}

impl PythonStorage {
    fn new(hub: &Arc<Hub>, object: Bound<'_, PyAny>) -> Self {
        Self { object: Held::new(object.unbind(), &hub.trash), hub: Arc::downgrade(hub) }
    }

    /// Calls a method with keyword arguments, as the contract of subclasses has it.
    fn call<T>(
        &self,
        method: &str,
        arguments: impl for<'py> FnOnce(&Call<'py>) -> PyResult<()>,
        result: impl for<'py> FnOnce(Bound<'py, PyAny>) -> PyResult<T>,
    ) -> Result<T, ErrorInfo> {
        let hub = self.hub.upgrade().ok_or_else(|| ErrorInfo::new("the operator has ended"))?;
        attached(&hub, |py| {
            let call = Call { kwargs: PyDict::new(py) };
            arguments(&call)?;
            result(self.object.bind(py).call_method(method, (), Some(&call.kwargs))?)
        })
    }

    /// Calls a method that changes a patch.
    fn change(
        &self,
        method: &str,
        patch: &mut Patch,
        object: &Object,
        arguments: impl for<'py> FnOnce(&Call<'py>) -> PyResult<()>,
    ) -> Result<(), ErrorInfo> {
        let hub = self.hub.upgrade().ok_or_else(|| ErrorInfo::new("the operator has ended"))?;
        let changed = attached(&hub, |py| {
            let call = Call { kwargs: PyDict::new(py) };
            let body = call.body(object)?;
            let merge = values::map_to_python(py, &patch.merge)?;
            let python_patch = hub.host.make_patch(merge, body, hub.functions_of(py, patch))?;
            call.kwargs.set_item(intern!(py, "patch"), &python_patch)?;
            arguments(&call)?;
            self.object.bind(py).call_method(method, (), Some(&call.kwargs))?;
            patches::from_python(&hub, &python_patch, patch)
        })?;
        *patch = changed;
        Ok(())
    }
}

/// The keyword arguments of a call.
struct Call<'py> {
    kwargs: Bound<'py, PyDict>,
}

impl<'py> Call<'py> {
    fn body(&self, object: &Object) -> PyResult<Bound<'py, PyAny>> {
        let py = self.kwargs.py();
        let document = Bound::new(py, Document::new(object.clone()))?;
        let body = MappingView::make(&document, Place::Root)?;
        self.kwargs.set_item(intern!(py, "body"), &body)?;
        Ok(body)
    }

    fn value(&self, name: &str, value: &Value) -> PyResult<()> {
        self.kwargs.set_item(name, values::to_python(self.kwargs.py(), value)?)
    }

    fn record(&self, record: &RawRecord) -> PyResult<()> {
        self.kwargs.set_item("record", values::map_to_python(self.kwargs.py(), record)?)
    }

    fn key(&self, id: &HandlerId) -> PyResult<()> {
        self.kwargs.set_item("key", id.as_str())
    }
}

impl ProgressStorage for PythonStorage {
    fn fetch(&self, id: &HandlerId, object: &Object) -> Result<Option<RawRecord>, ErrorInfo> {
        self.call(
            "fetch",
            |call| call.key(id).and_then(|()| call.body(object)).map(drop),
            |result| {
                if result.is_none() { Ok(None) } else { values::map_from_python(&result).map(Some) }
            },
        )
    }

    fn store(
        &self,
        id: &HandlerId,
        record: &RawRecord,
        object: &Object,
        patch: &mut Patch,
    ) -> Result<(), ErrorInfo> {
        self.change("store", patch, object, |call| call.key(id).and_then(|()| call.record(record)))
    }

    fn purge(&self, id: &HandlerId, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        self.change("purge", patch, object, |call| call.key(id))
    }

    fn touch(&self, object: &Object, patch: &mut Patch, value: Option<&str>) -> Result<(), ErrorInfo> {
        self.change("touch", patch, object, |call| call.kwargs.set_item("value", value))
    }

    fn clear(&self, essence: Value) -> Result<Value, ErrorInfo> {
        self.call("clear", |call| call.value("essence", &essence), |result| values::from_python(&result))
    }

    fn flush(&self) -> Result<(), ErrorInfo> {
        self.call("flush", |_| Ok(()), |_| Ok(()))
    }
}

impl DiffBaseStorage for PythonStorage {
    fn build(&self, object: &Object, extra_fields: &[FieldPath]) -> Result<Value, ErrorInfo> {
        let arguments = |call: &Call<'_>| {
            let py = call.kwargs.py();
            let fields: Vec<_> =
                extra_fields.iter().map(|field| PyTuple::new(py, &field.0)).collect::<PyResult<_>>()?;
            call.kwargs.set_item("extra_fields", fields)?;
            call.body(object).map(drop)
        };
        self.call("build", arguments, |result| values::from_python(&result))
    }

    fn fetch(&self, object: &Object) -> Result<Option<Value>, ErrorInfo> {
        self.call(
            "fetch",
            |call| call.body(object).map(drop),
            |result| {
                if result.is_none() { Ok(None) } else { values::from_python(&result).map(Some) }
            },
        )
    }

    fn store(&self, essence: &Value, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        self.change("store", patch, object, |call| call.value("essence", essence))
    }
}
