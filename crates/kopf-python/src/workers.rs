//! Threads for sync handlers: Python threads whose target is a loop in Rust (DEC-11).
//!
//! They are made when there is work and nobody free, up to the limit, and live as long as the operator. As those of
//! `ThreadPoolExecutor` they are no daemons, and are told to end when the interpreter begins to exit.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, Weak},
};

use pyo3::{
    intern,
    prelude::*,
    types::{PyContext, PyDict},
};

use crate::{
    calls::Running, cpython, guard::guarded, hub::Hub, invocation::Invocation, locked, message::Message,
    report::Ending,
};

/// The threads and their work.
#[derive(Default)]
pub(crate) struct Workers {
    pool: Arc<Pool>,
}

#[derive(Default)]
struct Pool {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// The number of threads; none = the default of `ThreadPoolExecutor`.
    limit: Option<usize>,
    threads: usize,
    idle: usize,
    stopped: bool,
}

/// What a thread is to do.
enum Job {
    /// A handler.
    Handler(Arc<Hub>, Running),
    /// A sub-handler, whose end completes a future of the loop.
    Child { hub: Arc<Hub>, invocation: Py<Invocation>, context: Py<PyContext>, future: Py<PyAny> },
}

impl Workers {
    /// Sets the number of threads: `settings.execution.max_workers`. Threads that are there stay.
    pub(crate) fn set_limit(&self, limit: Option<usize>) {
        locked(&self.pool.state).limit = limit;
    }

    /// Runs a handler in a thread: one of ours, or one of the executor that the user has set.
    pub(crate) fn submit(&self, py: Python<'_>, hub: &Arc<Hub>, running: Running) {
        self.submit_job(py, hub, Job::Handler(hub.clone(), running));
    }

    /// Runs a sub-handler in a thread, and completes the future with its result.
    pub(crate) fn submit_child(
        &self,
        py: Python<'_>,
        hub: &Arc<Hub>,
        invocation: Py<Invocation>,
        context: Py<PyContext>,
        future: Py<PyAny>,
    ) {
        self.submit_job(py, hub, Job::Child { hub: hub.clone(), invocation, context, future });
    }

    /// Lets the threads go: they end after what they do now. What waits is dropped, as cancelled.
    pub(crate) fn stop(&self) {
        self.pool.stop();
    }

    fn submit_job(&self, py: Python<'_>, hub: &Arc<Hub>, job: Job) {
        let executor = hub.host.object(py).call_method1(intern!(py, "executor"), (hub.settings_object(py),));
        match executor {
            Ok(executor) if executor.is_none() => self.submit_own(py, job),
            Ok(executor) => Self::submit_to(py, &executor, job),
            Err(error) => job.fail(py, error),
        }
    }

    fn submit_to(py: Python<'_>, executor: &Bound<'_, PyAny>, job: Job) {
        let wrapped = match Py::new(py, ExecutorJob(Mutex::new(Some(job)))) {
            Ok(wrapped) => wrapped,
            // The job is dropped on the way, which reports it as cancelled.
            Err(error) => return error.write_unraisable(py, Some(executor)),
        };
        if let Err(error) = executor.call_method1(intern!(py, "submit"), (&wrapped,)) {
            let refused = locked(&wrapped.get().0).take();
            if let Some(job) = refused {
                job.fail(py, error);
            }
        }
    }

    fn submit_own(&self, py: Python<'_>, job: Job) {
        let needs_thread = {
            let mut state = locked(&self.pool.state);
            if state.stopped {
                drop(state);
                drop(job);
                return;
            }
            state.jobs.push_back(job);
            let limit = state.limit.unwrap_or_else(default_limit);
            let needed = state.jobs.len() > state.idle && state.threads < limit;
            state.threads += usize::from(needed);
            needed
        };
        self.pool.changed.notify_one();
        if needs_thread && let Err(error) = self.start_thread(py) {
            // The process has no more threads, or begins to exit. Those that are there do the work; without any nobody
            // would.
            let orphans = {
                let mut state = locked(&self.pool.state);
                state.threads -= 1;
                if state.threads == 0 { std::mem::take(&mut state.jobs) } else { VecDeque::new() }
            };
            for job in orphans {
                job.fail(py, error.clone_ref(py));
            }
        }
    }

    fn start_thread(&self, py: Python<'_>) -> PyResult<()> {
        let threading = py.import(intern!(py, "threading"))?;
        let kwargs = PyDict::new(py);
        kwargs.set_item(intern!(py, "target"), Worker(self.pool.clone()))?;
        kwargs.set_item(intern!(py, "name"), "kopf-handler")?;
        kwargs.set_item(intern!(py, "daemon"), false)?;
        if locked(&self.pool.state).threads == 1
            && let Ok(register) = threading.getattr(intern!(py, "_register_atexit"))
        {
            // As `concurrent.futures` does: the interpreter joins threads before it runs what `atexit` has.
            register.call1((StopAtExit(Arc::downgrade(&self.pool)),))?;
        }
        threading
            .getattr(intern!(py, "Thread"))?
            .call((), Some(&kwargs))?
            .call_method0(intern!(py, "start"))?;
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Pool {
    fn stop(&self) {
        let jobs = {
            let mut state = locked(&self.state);
            state.stopped = true;
            std::mem::take(&mut state.jobs)
        };
        self.changed.notify_all();
        drop(jobs);
    }

    fn next(&self) -> Option<Job> {
        let mut state = locked(&self.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.stopped {
                return None;
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

impl Job {
    fn run(self, py: Python<'_>) {
        match self {
            Self::Handler(hub, running) => running.run_sync(py, &hub),
            Self::Child { hub, invocation, context, future } => {
                let result = cpython::in_context(context.bind(py), || Invocation::call(invocation.bind(py)));
                let result = result.map(Bound::unbind);
                hub.inbox.push(Message::Resolve(future, result));
            }
        }
    }

    fn fail(self, py: Python<'_>, error: PyErr) {
        match self {
            Self::Handler(_, running) => running.finish(py, Ending::Raised(error)),
            Self::Child { hub, future, .. } => hub.inbox.push(Message::Resolve(future, Err(error))),
        }
    }
}

/// The target of a thread.
#[pyclass(frozen, module = "kopf._native", name = "_Worker")]
struct Worker(Arc<Pool>);

#[pymethods]
impl Worker {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        // Detached while waiting: whoever submits is attached.
        while let Some(job) = py.detach(|| self.0.next()) {
            let done = guarded(|| {
                job.run(py);
                Ok(())
            });
            if let Err(error) = done {
                error.write_unraisable(py, None);
            }
        }
        Ok(())
    }
}

/// Work for an executor that the user has set.
#[pyclass(frozen, module = "kopf._native", name = "_Job")]
struct ExecutorJob(Mutex<Option<Job>>);

#[pymethods]
impl ExecutorJob {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let job = locked(&self.0).take();
        guarded(|| {
            if let Some(job) = job {
                job.run(py);
            }
            Ok(())
        })
    }
}

/// Called when the interpreter begins to exit.
#[pyclass(frozen, module = "kopf._native", name = "_StopAtExit")]
struct StopAtExit(Weak<Pool>);

#[pymethods]
impl StopAtExit {
    fn __call__(&self) {
        if let Some(pool) = self.0.upgrade() {
            pool.stop();
        }
    }
}

/// The default of `ThreadPoolExecutor`.
fn default_limit() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (processors + 4).min(32)
}
