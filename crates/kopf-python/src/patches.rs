//! `kopf.Patch`, a `dict` with functions, as the engine's patch, and back.

use std::sync::Arc;

use kopf_core::patch::{Patch, Transform};
use pyo3::{
    intern,
    prelude::*,
    types::{PyDict, PyString},
};
use serde_json::{Map, Value};

use crate::{hub::Hub, plugins::PythonTransform, values};

/// A `kopf.Patch` as the engine's. Functions that are in `before` keep their identity.
///
/// # Errors
/// If it holds what JSON cannot say.
pub(crate) fn from_python(hub: &Arc<Hub>, object: &Bound<'_, PyAny>, before: &Patch) -> PyResult<Patch> {
    Ok(Patch { merge: values::map_from_python(object)?, transforms: functions(hub, object, before)? })
}

/// The same without what JSON cannot say.
pub(crate) fn readable_part(hub: &Arc<Hub>, object: &Bound<'_, PyAny>, before: &Patch) -> PyResult<Patch> {
    Ok(Patch { merge: prune(object.cast()?), transforms: functions(hub, object, before)? })
}

/// Puts into a `dict` what differs between two states of the same patch, and leaves alone what does not: the user may hold
/// on to parts.
pub(crate) fn update(
    target: &Bound<'_, PyDict>,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> PyResult<()> {
    let py = target.py();
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        target.del_item(key)?;
    }
    for (key, value) in after {
        if let (Some(Value::Object(before)), Value::Object(after)) = (before.get(key), value)
            && let Some(inner) = target.get_item(key)?
            && let Ok(inner) = inner.cast::<PyDict>()
        {
            update(inner, before, after)?;
        } else if before.get(key) != Some(value) {
            target.set_item(PyString::new(py, key), values::to_python(py, value)?)?;
        }
    }
    Ok(())
}

/// Puts into a `dict` what is missing there.
pub(crate) fn adopt_missing(target: &Bound<'_, PyDict>, added: &Map<String, Value>) -> PyResult<()> {
    let py = target.py();
    for (key, value) in added {
        match (target.get_item(key)?, value) {
            (None, value) => target.set_item(PyString::new(py, key), values::to_python(py, value)?)?,
            (Some(there), Value::Object(fields)) => {
                if let Ok(there) = there.cast::<PyDict>() {
                    adopt_missing(there, fields)?;
                }
            }
            (Some(_), _) => {}
        }
    }
    Ok(())
}

fn functions(hub: &Arc<Hub>, object: &Bound<'_, PyAny>, before: &Patch) -> PyResult<Vec<Arc<dyn Transform>>> {
    let py = object.py();
    let mut transforms = Vec::new();
    for function in object.getattr(intern!(py, "fns"))?.try_iter()? {
        let function = function?;
        let is_it =
            |known: &&Arc<dyn Transform>| hub.functions.find(py, known).is_some_and(|its| its.is(&function));
        transforms.push(match before.transforms.iter().find(is_it) {
            Some(known) => known.clone(),
            None => hub.functions.add(PythonTransform::new(function.unbind(), &hub.trash)),
        });
    }
    Ok(transforms)
}

fn prune(dict: &Bound<'_, PyDict>) -> Map<String, Value> {
    let mut fields = Map::new();
    for (key, item) in dict.iter() {
        let Ok(key) = key.extract::<String>() else { continue };
        if let Ok(value) = values::from_python(&item) {
            fields.insert(key, value);
        } else if let Ok(inner) = item.cast::<PyDict>() {
            fields.insert(key, Value::Object(prune(inner)));
        }
    }
    fields
}
