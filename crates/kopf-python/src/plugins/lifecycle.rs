//! Lifecycles (A-LIF): the built-in ones are recognised by identity and run in Rust.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use kopf_core::{
    cause::Cause,
    error::ErrorInfo,
    lifecycle::{Builtin, Candidate, Lifecycle},
};
use pyo3::{
    exceptions::PyValueError,
    intern,
    prelude::*,
    types::{PyDict, PyList},
};

use super::Callback;
use crate::{
    declared::Kind,
    hub::Hub,
    invocation::{datetime, timedelta},
};

/// A lifecycle that is code.
#[derive(Debug)]
struct PythonLifecycle {
    callback: Callback,
    /// It takes `state`.
    takes_state: bool,
}

/// The engine's form of a lifecycle.
///
/// # Errors
/// If it cannot be called.
pub(crate) fn lifecycle(hub: &Arc<Hub>, function: &Bound<'_, PyAny>) -> PyResult<Arc<dyn Lifecycle>> {
    let py = function.py();
    let known: HashMap<String, Bound<'_, PyAny>> =
        hub.host.object(py).getattr(intern!(py, "lifecycles"))?.extract()?;
    for (name, builtin) in known {
        if function.is(&builtin) {
            return Ok(Arc::new(builtin_named(&name)?));
        }
    }
    let named: Option<Vec<String>> =
        hub.host.object(py).call_method1(intern!(py, "wanted"), (function,))?.extract()?;
    let takes_state = named.is_none_or(|named| named.iter().any(|name| name == "state"));
    Ok(Arc::new(PythonLifecycle { callback: Callback::new(hub, function, Kind::Changing)?, takes_state }))
}

fn builtin_named(name: &str) -> PyResult<Builtin> {
    Ok(match name {
        "all_at_once" => Builtin::AllAtOnce,
        "one_by_one" => Builtin::OneByOne,
        "randomized" => Builtin::Randomized,
        "shuffled" => Builtin::Shuffled,
        "asap" => Builtin::Asap,
        _ => return Err(PyValueError::new_err(format!("there is no built-in lifecycle {name:?}"))),
    })
}

impl Lifecycle for PythonLifecycle {
    fn choose(
        &self,
        candidates: &[Candidate],
        cause: &Cause,
        now: Timestamp,
    ) -> Result<Vec<usize>, ErrorInfo> {
        self.callback.attached(|py, hub| {
            let handlers: Vec<_> =
                candidates.iter().map(|candidate| hub.declaration_by_id(py, &candidate.id)).collect();
            let handlers = PyList::new(py, handlers)?;
            let state = PyDict::new(py);
            for candidate in candidates {
                let runtime = now.duration_since(candidate.started);
                let entry = (candidate.retries, datetime(py, candidate.started)?, timedelta(py, runtime)?);
                let record = hub.host.object(py).call_method1(intern!(py, "handler_state"), entry)?;
                state.set_item(candidate.id.as_str(), record)?;
            }
            let argument = handlers.clone().into_any();
            let chosen = if self.takes_state {
                self.callback.call_with(hub, cause, argument, ("state", state.into_any()))?
            } else {
                self.callback.call(py, hub, cause, Some(argument))?
            };
            positions(&handlers, &chosen)
        })
    }
}

fn positions(handlers: &Bound<'_, PyList>, chosen: &Bound<'_, PyAny>) -> PyResult<Vec<usize>> {
    let position = |handler: PyResult<Bound<'_, PyAny>>| {
        let handler = handler?;
        let found = handlers.iter().position(|known| known.is(&handler));
        found.ok_or_else(|| {
            PyValueError::new_err("the lifecycle has returned a handler that it was not given")
        })
    };
    chosen.try_iter()?.map(position).collect()
}
