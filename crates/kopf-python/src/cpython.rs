//! The parts of CPython's C API that PyO3 has no safe form of: contexts, context variables, calls by name without a dictionary.
//!
//! Together with `Held` this is all that is unsafe.
#![expect(unsafe_code, reason = "each block says why it is sound")]

use std::ffi::CStr;

use pyo3::{
    ffi,
    prelude::*,
    types::{PyContext, PyTuple},
};

/// A copy of the current context.
pub(crate) fn current_context(py: Python<'_>) -> PyResult<Bound<'_, PyContext>> {
    // SAFETY: the thread is attached, which `py` proves. The result is a new reference, or null with an exception set.
    let context = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyContext_CopyCurrent()) }?;
    Ok(context.cast_into()?)
}

/// A copy of a context.
pub(crate) fn copy_context<'py>(context: &Bound<'py, PyContext>) -> PyResult<Bound<'py, PyContext>> {
    // SAFETY: attached, as `Bound` proves, and the argument is an exact `Context`, as its type proves. The result is a new
    // reference, or null with an exception set.
    let copy = unsafe { Bound::from_owned_ptr_or_err(context.py(), ffi::PyContext_Copy(context.as_ptr())) }?;
    Ok(copy.cast_into()?)
}

/// Runs `body` in a context, as `Context.run` does.
///
/// # Errors
/// If the context is entered already, and what `body` returns.
pub(crate) fn in_context<T>(
    context: &Bound<'_, PyContext>,
    body: impl FnOnce() -> PyResult<T>,
) -> PyResult<T> {
    struct Entered<'a, 'py>(&'a Bound<'py, PyContext>);
    impl Drop for Entered<'_, '_> {
        fn drop(&mut self) {
            // An exception may be set by nobody here: `body` returns its errors as values.
            // SAFETY: attached, an exact `Context`, and entered by this thread below, at the same depth: guards of nested
            // calls are dropped before, in reverse order.
            unsafe { ffi::PyContext_Exit(self.0.as_ptr()) };
        }
    }

    // SAFETY: attached, as `Bound` proves, and an exact `Context`, as its type proves.
    if unsafe { ffi::PyContext_Enter(context.as_ptr()) } < 0 {
        return Err(PyErr::fetch(context.py()));
    }
    let _entered = Entered(context);
    body()
}

/// A context variable.
pub(crate) struct ContextVar(Py<PyAny>);

impl ContextVar {
    /// A new one without a default.
    pub(crate) fn new(py: Python<'_>, name: &CStr) -> PyResult<Self> {
        // SAFETY: attached; the name is a C string, copied by the callee; no default is null. The result is a new reference,
        // or null with an exception set.
        let var = unsafe {
            Bound::from_owned_ptr_or_err(py, ffi::PyContextVar_New(name.as_ptr(), std::ptr::null_mut()))
        }?;
        Ok(Self(var.unbind()))
    }

    /// Its value in the current context.
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut value = std::ptr::null_mut();
        // SAFETY: attached; the object is a `ContextVar`, made by `new`; the place for the result is ours. On success it
        // gets a new reference, or null for "no value".
        unsafe {
            if ffi::PyContextVar_Get(self.0.as_ptr(), std::ptr::null_mut(), &mut value) < 0 {
                return Err(PyErr::fetch(py));
            }
            Ok(Bound::from_owned_ptr_or_opt(py, value))
        }
    }

    /// Sets it in the current context, and gives the token of the former value.
    pub(crate) fn set<'py>(&self, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        // SAFETY: attached, as `Bound` proves; the object is a `ContextVar`; the value is borrowed for the call. The result
        // is a new reference, or null with an exception set.
        unsafe {
            Bound::from_owned_ptr_or_err(value.py(), ffi::PyContextVar_Set(self.0.as_ptr(), value.as_ptr()))
        }
    }

    /// Undoes a `set` in the same context.
    pub(crate) fn reset(&self, token: &Bound<'_, PyAny>) -> PyResult<()> {
        // SAFETY: attached, as `Bound` proves; a wrong token is an error of the callee, not undefined.
        if unsafe { ffi::PyContextVar_Reset(self.0.as_ptr(), token.as_ptr()) } < 0 {
            return Err(PyErr::fetch(token.py()));
        }
        Ok(())
    }
}

/// Calls a function with positional arguments, followed by one keyword argument for each of `names`, without a dictionary
/// and without copying: `values` are all of them in order.
pub(crate) fn call_by_names<'py>(
    function: &Bound<'py, PyAny>,
    values: &[Bound<'py, PyAny>],
    names: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    let positional = values.len().checked_sub(names.len());
    let Some(positional) = positional else {
        return Err(pyo3::exceptions::PySystemError::new_err("more names than values in a call"));
    };
    // SAFETY: attached, as `Bound` proves. `Bound` is a transparent wrapper of a non-null `PyObject` pointer (and of
    // zero-sized proofs), so that the slice is an array of pointers of the length that the callee reads: `positional` plus
    // the length of the tuple, checked above. The array is borrowed for the call only; without the flag
    // PY_VECTORCALL_ARGUMENTS_OFFSET the callee does not write before it. The names are a tuple of `str`: made so by
    // the callers. The result is a new reference, or null with an exception set.
    unsafe {
        let result = ffi::PyObject_Vectorcall(
            function.as_ptr(),
            values.as_ptr().cast::<*mut ffi::PyObject>(),
            positional,
            if names.is_empty() { std::ptr::null_mut() } else { names.as_ptr() },
        );
        Bound::from_owned_ptr_or_err(function.py(), result)
    }
}
