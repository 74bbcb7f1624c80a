//! A place for a Python object that is made when it is first asked for.

use std::sync::OnceLock;

use pyo3::{PyTraverseError, PyVisit, prelude::*};

/// Filled at most once. Unlike PyO3's own lock it can be shown to the garbage collector.
#[derive(Debug, Default)]
pub(crate) struct Slot(OnceLock<Py<PyAny>>);

impl Slot {
    /// What is there, or is made now. If `make` comes back here itself, the first object to be made wins.
    pub(crate) fn get_or_make<'py>(
        &self,
        py: Python<'py>,
        make: impl FnOnce() -> PyResult<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some(there) = self.0.get() {
            return Ok(there.bind(py).clone());
        }
        let made = make()?.unbind();
        // Without Python code in the closure, so that no thread waits here for another that waits for the interpreter.
        Ok(self.0.get_or_init(|| made).bind(py).clone())
    }

    /// What is there.
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.0.get().map(|there| there.bind(py).clone())
    }

    /// Shows it to the garbage collector.
    pub(crate) fn traverse(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.get().map_or(Ok(()), |there| visit.call(there))
    }
}
