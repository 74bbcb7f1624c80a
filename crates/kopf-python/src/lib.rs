//! Placeholder.
use pyo3::prelude::*;
/// The native module.
#[pymodule]
fn _native(_m: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
