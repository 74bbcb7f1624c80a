//! Plug-ins written in Python, as the core's traits (DEC-6): filters, selectors, lifecycles, storages, functions of patches.
//!
//! The engine runs the steps that need them on the loop's thread ([`Door::step`](kopf_engine::door::Door::step)), which is
//! attached already: attaching here only proves it. What they raise is a failed step, never a failed handler (A-FLT-041).

mod filter;
mod function;
mod lifecycle;
mod selector;
mod storage;

use std::sync::{Arc, Weak};

use kopf_core::{cause::Cause as CoreCause, error::ErrorInfo};
use pyo3::{prelude::*, types::PyTuple};

use crate::{
    cause::Cause,
    cpython,
    declared::{Kind, Kwarg, Wanted},
    held::Held,
    hub::Hub,
    report,
};

pub(crate) use filter::filters;
pub(crate) use function::{Functions, PythonTransform};
pub(crate) use lifecycle::lifecycle;
pub(crate) use selector::{namespaces, selector};
pub(crate) use storage::storages;

/// A Python callable that the engine may call about an object.
#[derive(Debug)]
pub(crate) struct Callback {
    function: Held,
    kind: Kind,
    wanted: Wanted,
    hub: Weak<Hub>,
}

impl Callback {
    /// A callable, with the kwargs that it takes.
    pub(crate) fn new(hub: &Arc<Hub>, function: &Bound<'_, PyAny>, kind: Kind) -> PyResult<Self> {
        let py = function.py();
        let named: Option<Vec<String>> =
            hub.host.object(py).call_method1("wanted", (function,))?.extract()?;
        let wanted = Wanted::of_callback(py, kind, named.as_deref(), hub.index_names())?;
        Ok(Self {
            function: Held::new(function.clone().unbind(), &hub.trash),
            kind,
            wanted,
            hub: Arc::downgrade(hub),
        })
    }

    /// Calls it with the argument, if any, followed by the kwargs about the object.
    pub(crate) fn call<'py>(
        &self,
        py: Python<'py>,
        hub: &Arc<Hub>,
        cause: &CoreCause,
        argument: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut values: Vec<_> = argument.into_iter().collect();
        self.push_kwargs(py, hub, cause, &mut values)?;
        cpython::call_by_names(self.function.bind(py), &values, self.wanted.names.bind(py))
    }

    /// The same with one more kwarg.
    pub(crate) fn call_with<'py>(
        &self,
        hub: &Arc<Hub>,
        cause: &CoreCause,
        argument: Bound<'py, PyAny>,
        (name, value): (&str, Bound<'py, PyAny>),
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = value.py();
        let mut values = vec![argument];
        self.push_kwargs(py, hub, cause, &mut values)?;
        values.push(value);
        let names =
            self.wanted.names.bind(py).as_sequence().concat(PyTuple::new(py, [name])?.as_sequence())?;
        cpython::call_by_names(self.function.bind(py), &values, names.cast()?)
    }

    fn push_kwargs<'py>(
        &self,
        py: Python<'py>,
        hub: &Arc<Hub>,
        cause: &CoreCause,
        values: &mut Vec<Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let cause = hub.objects.cause_for_callbacks(py, hub, cause)?;
        for kwarg in &self.wanted.kwargs {
            values.push(match kwarg {
                Kwarg::Index(position) => hub.indices[*position].bind(py).clone(),
                _ => Cause::kwarg(&cause, *kwarg, self.kind.logger())?
                    .unwrap_or_else(|| py.None().into_bound(py)),
            });
        }
        Ok(())
    }

    /// Attaches, and makes an error of what `body` raises.
    pub(crate) fn attached<T>(
        &self,
        body: impl FnOnce(Python<'_>, &Arc<Hub>) -> PyResult<T>,
    ) -> Result<T, ErrorInfo> {
        let hub = self.hub.upgrade().ok_or_else(gone)?;
        attached(&hub, |py| body(py, &hub))
    }
}

/// Attaches, and makes an error of what `body` raises.
pub(crate) fn attached<T>(
    hub: &Arc<Hub>,
    body: impl FnOnce(Python<'_>) -> PyResult<T>,
) -> Result<T, ErrorInfo> {
    let done = Python::try_attach(|py| body(py).map_err(|error| report::error_info(py, hub, &error)));
    done.unwrap_or_else(|| Err(gone()))
}

fn gone() -> ErrorInfo {
    ErrorInfo::new("the operator has ended: its Python code cannot be called any more")
}
