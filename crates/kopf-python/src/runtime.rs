//! The threads of the engine: one Tokio runtime per operator, bound to the process that made it.

use std::sync::Mutex;

use pyo3::{exceptions::PyRuntimeError, prelude::*};
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use crate::locked;

/// The threads of an operator. They do little but wait: handlers do not run in them.
const THREADS: usize = 2;

/// A Tokio runtime with the means to stop what runs in it.
pub(crate) struct Runtime {
    tokio: Mutex<Option<tokio::runtime::Runtime>>,
    stop: CancellationToken,
    process: u32,
}

impl Runtime {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the process may not have more of them.
    pub(crate) fn start() -> PyResult<Self> {
        Self::with_threads(THREADS)
    }

    /// As [`Runtime::start`], with so many threads.
    pub(crate) fn with_threads(threads: usize) -> PyResult<Self> {
        let tokio = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("kopf-engine")
            .enable_all()
            .build()?;
        Ok(Self {
            tokio: Mutex::new(Some(tokio)),
            stop: CancellationToken::new(),
            process: std::process::id(),
        })
    }

    /// Refuses what is only possible in the process that started the threads: a forked child has none of them (style of
    /// `multiprocessing`: the child starts its own).
    ///
    /// # Errors
    /// `RuntimeError` in another process.
    pub(crate) fn check_process(&self) -> PyResult<()> {
        let here = std::process::id();
        if here == self.process {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(format!(
            "this operator belongs to the process {}, of which this process {here} is a fork: it has none of its threads. \
             Start a new operator in the child, or use the 'spawn' start method.",
            self.process,
        )))
    }

    /// The handle, to run something in it.
    ///
    /// # Errors
    /// `RuntimeError` after the end, and in a forked child.
    pub(crate) fn handle(&self) -> PyResult<Handle> {
        self.check_process()?;
        let handle = locked(&self.tokio).as_ref().map(|tokio| tokio.handle().clone());
        handle.ok_or_else(|| PyRuntimeError::new_err("the operator has ended"))
    }

    /// The token whose cancellation stops the operator.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Asks the operator to stop.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Lets the threads go, without waiting for them.
    pub(crate) fn shut_down(&self) {
        self.stop.cancel();
        let tokio = locked(&self.tokio).take();
        if let Some(tokio) = tokio {
            if self.check_process().is_ok() {
                tokio.shutdown_background();
            } else {
                // Its threads are not there to be joined.
                std::mem::forget(tokio);
            }
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.shut_down();
    }
}
