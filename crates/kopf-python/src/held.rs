//! Python objects in the hands of the engine.
//!
//! The engine's threads never attach to the interpreter, so they cannot release an object. What they let go is collected,
//! and released by the event loop's thread at its next turn: there, too, run the destructors that the release may cause.

use std::{fmt, mem::ManuallyDrop, sync::Arc};

use crossbeam_queue::SegQueue;
use pyo3::prelude::*;

/// Objects that are to be released.
#[derive(Debug, Default)]
pub(crate) struct Trash(SegQueue<Py<PyAny>>);

impl Trash {
    /// Releases what is there.
    pub(crate) fn release(&self, py: Python<'_>) {
        while let Some(object) = self.0.pop() {
            object.drop_ref(py);
        }
    }
}

/// A reference to a Python object that may be dropped on any thread.
pub(crate) struct Held {
    object: ManuallyDrop<Py<PyAny>>,
    trash: Arc<Trash>,
}

impl Held {
    /// Takes an object.
    pub(crate) fn new(object: Py<PyAny>, trash: &Arc<Trash>) -> Self {
        Self { object: ManuallyDrop::new(object), trash: trash.clone() }
    }

    /// The object.
    pub(crate) fn bind<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, PyAny> {
        self.object.bind(py)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A clone would need the interpreter; so the object is moved out.
        #[expect(unsafe_code, reason = "moves out of a field that is not used again")]
        // SAFETY: taken once, here; `self` is not used afterwards, and `ManuallyDrop` does not drop it again.
        let object = unsafe { ManuallyDrop::take(&mut self.object) };
        self.trash.0.push(object);
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<Python object at {:p}>", self.object.as_ptr())
    }
}
