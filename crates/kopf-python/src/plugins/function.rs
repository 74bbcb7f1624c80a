//! Functions of patches: `patch.fns` (A-PATCH-020..023).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
};

use kopf_core::{error::ErrorInfo, patch::Transform};
use pyo3::prelude::*;
use serde_json::Value;

use crate::{
    held::{Held, Trash},
    locked, report, values,
};

/// A function that changes a body in place.
#[derive(Debug)]
pub(crate) struct PythonTransform {
    function: Held,
    trash: Arc<Trash>,
}

/// The functions that the engine holds, by their address there: functions that could not be applied come back in the patch
/// of a later cycle (A-PATCH-022), and then have to be in its `fns` again.
#[derive(Default)]
pub(crate) struct Functions(Mutex<HashMap<usize, Weak<PythonTransform>>>);

impl PythonTransform {
    /// Takes a function.
    pub(crate) fn new(function: Py<PyAny>, trash: &Arc<Trash>) -> Self {
        Self { function: Held::new(function, trash), trash: trash.clone() }
    }
}

impl Functions {
    /// Hands a function over to the engine.
    pub(crate) fn add(&self, transform: PythonTransform) -> Arc<dyn Transform> {
        let transform = Arc::new(transform);
        let mut known = locked(&self.0);
        known.retain(|_, transform| transform.strong_count() > 0);
        known.insert(Arc::as_ptr(&transform).addr(), Arc::downgrade(&transform));
        transform
    }

    /// The Python function in it, if it is one.
    pub(crate) fn find<'py>(
        &self,
        py: Python<'py>,
        transform: &Arc<dyn Transform>,
    ) -> Option<Bound<'py, PyAny>> {
        let known = locked(&self.0).get(&Arc::as_ptr(transform).addr())?.upgrade()?;
        Some(known.function.bind(py).clone())
    }
}

impl Transform for PythonTransform {
    fn apply(&self, body: &mut Value) -> Result<(), ErrorInfo> {
        let changed = Python::try_attach(|py| {
            let apply = || {
                let object = values::to_python(py, body)?;
                self.function.bind(py).call1((&object,))?;
                values::from_python(&object)
            };
            apply().map_err(|error| report::error_info_with(py, &self.trash, &error))
        });
        *body = changed.unwrap_or_else(|| Err(ErrorInfo::new("the interpreter has ended")))?;
        Ok(())
    }
}
