//! Panics at the border: they become `RuntimeError`, never PyO3's `PanicException`, which is a `BaseException` (DEC-11).

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::{exceptions::PyRuntimeError, prelude::*};

/// Runs an entry point. What it works on is behind locks that survive a panic, and a report that is dropped on the way says
/// "cancelled": so the engine is consistent when the error is raised.
pub(crate) fn guarded<T>(body: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            let text = text.unwrap_or_else(|| "unknown".into());
            Err(PyRuntimeError::new_err(format!("the engine has failed, which is a defect of it: {text}")))
        }
    }
}
