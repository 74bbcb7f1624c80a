//! Running handlers: async ones as tasks of the loop, sync ones in threads, each in its own copy of the operator's context.

use std::sync::{Arc, Mutex};

use kopf_core::{machine::Call, resource::Resource};
use kopf_engine::door::ActivityCall;
use pyo3::{
    PyTraverseError, PyVisit, intern,
    prelude::*,
    sync::PyOnceLock,
    types::{PyContext, PyType},
};

use crate::{
    cpython,
    declared::Kind,
    guard::guarded,
    hub::Hub,
    invocation::{Attempt, Invocation, Subject},
    locked,
    report::{Ending, Report},
};

/// A call that has begun and is to be reported.
pub(crate) struct Running {
    pub(crate) invocation: Py<Invocation>,
    pub(crate) context: Py<PyContext>,
    pub(crate) report: Report,
}

/// Begins a call about an object.
pub(crate) fn begin(py: Python<'_>, hub: &Arc<Hub>, resource: &Arc<Resource>, call: &Call, report: Report) {
    let prepared = hub.declared(&call.handler).and_then(|declared| {
        let cause = hub.objects.enter(py, hub, resource, call)?;
        let attempt = Attempt { retry: call.retry, started: call.started, runtime: call.runtime };
        Ok((declared, Subject::Object(cause), attempt))
    });
    match prepared {
        Ok((declared, subject, attempt)) => {
            start(py, Invocation::new(hub.clone(), declared, subject, attempt), report)
        }
        Err(error) => report.refuse(py, hub, &error),
    }
}

/// Begins a call of an activity.
pub(crate) fn begin_activity(py: Python<'_>, hub: &Arc<Hub>, call: &ActivityCall, report: Report) {
    let attempt = Attempt { retry: call.retry, started: call.started, runtime: call.runtime };
    match hub.declared(&call.handler) {
        Ok(declared) => {
            let subject = Subject::Activity(call.activity);
            start(py, Invocation::new(hub.clone(), declared, subject, attempt), report);
        }
        Err(error) => report.refuse(py, hub, &error),
    }
}

fn start(py: Python<'_>, invocation: Invocation, report: Report) {
    let hub = invocation.hub.clone();
    let is_async = invocation.declared.is_async;
    let prepared = Py::new(py, invocation).and_then(|invocation| {
        let context = hub.event_loop()?.new_context(py)?;
        cpython::in_context(&context, || Invocation::enter_context(invocation.bind(py)))?;
        Ok((invocation, context.unbind()))
    });
    match prepared {
        Ok((invocation, context)) => {
            let running = Running { invocation, context, report };
            if is_async { running.start_task(py) } else { hub.workers.submit(py, &hub, running) }
        }
        Err(error) => report.refuse(py, &hub, &error),
    }
}

impl Running {
    /// Tells the end.
    pub(crate) fn finish(self, py: Python<'_>, ending: Ending<'_>) {
        self.report.finish(self.invocation.bind(py), ending);
    }

    /// Calls the function here and now, in its context, and tells the end, unless there is something to be awaited after it:
    /// sub-handlers, or its result (FIX-28). In a thread.
    pub(crate) fn run_sync(self, py: Python<'_>, hub: &Hub) {
        let result =
            cpython::in_context(self.context.bind(py), || Invocation::call(self.invocation.bind(py)));
        match result {
            Err(error) => self.finish(py, Ending::Raised(error)),
            Ok(result) if self.invocation.get().has_children(py) || is_awaitable(&result) => {
                hub.inbox.push(crate::message::Message::Continue(self, result.unbind()));
            }
            Ok(result) => self.finish(py, Ending::Returned(result)),
        }
    }

    /// Continues in the loop what [`run_sync`](Self::run_sync) has begun.
    pub(crate) fn continue_sync(self, py: Python<'_>, result: Bound<'_, PyAny>) {
        self.drive(py, result);
    }

    fn start_task(self, py: Python<'_>) {
        let invocation = self.invocation.bind(py);
        let called = if invocation.get().declared.is_coroutine_function {
            // Makes the coroutine, and runs nothing of it yet.
            Invocation::call(invocation)
        } else {
            cpython::in_context(self.context.bind(py), || Invocation::call(invocation))
        };
        match called {
            Ok(result) => self.drive(py, result),
            Err(error) => self.finish(py, Ending::Raised(error)),
        }
    }

    /// Awaits what a function has returned, and then its sub-handlers, in one task.
    fn drive(self, py: Python<'_>, result: Bound<'_, PyAny>) {
        let invocation = self.invocation.bind(py);
        let hub = &invocation.get().hub;
        // Event handlers have no sub-handlers: their coroutine is the task's.
        let coroutine = if invocation.get().declared.kind == Kind::Changing || !is_coroutine(&result) {
            let method =
                if is_awaitable(&result) { intern!(py, "run_parent") } else { intern!(py, "run_children") };
            hub.host.object(py).call_method1(method, (invocation, result))
        } else {
            Ok(result)
        };
        let task =
            coroutine.and_then(|coroutine| hub.event_loop()?.new_task(coroutine, self.context.bind(py)));
        match task {
            Err(error) => self.finish(py, Ending::Raised(error)),
            Ok(task) => match self.watch(py, &task) {
                Ok(()) => {}
                Err(error) => error.write_unraisable(py, Some(&task)),
            },
        }
    }

    fn watch(self, py: Python<'_>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        if task.call_method0(intern!(py, "done"))?.is_truthy()? {
            // Eager tasks (DEC-9) that had nothing to wait for.
            self.finish_task(py, task);
            return Ok(());
        }
        if let Some(key) = self.report.key() {
            self.invocation.get().hub.note_running(key, task.clone().unbind());
        }
        task.call_method1(intern!(py, "add_done_callback"), (Done(Mutex::new(Some(self))),))?;
        Ok(())
    }

    fn finish_task(self, py: Python<'_>, task: &Bound<'_, PyAny>) {
        match task.call_method0(intern!(py, "result")) {
            Ok(result) => self.finish(py, Ending::Returned(result)),
            Err(error) => self.finish(py, Ending::Raised(error)),
        }
    }
}

/// The done-callback of a task.
#[pyclass(frozen, module = "kopf._native", name = "_Done")]
struct Done(Mutex<Option<Running>>);

#[pymethods]
impl Done {
    fn __call__(&self, py: Python<'_>, task: &Bound<'_, PyAny>) -> PyResult<()> {
        let running = locked(&self.0).take();
        guarded(|| {
            if let Some(running) = running {
                running.finish_task(py, task);
            }
            Ok(())
        })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock().as_deref() {
            Ok(Some(running)) => {
                visit.call(&running.invocation)?;
                visit.call(&running.context)
            }
            _ => Ok(()),
        }
    }
}

/// Whether it can be awaited.
pub(crate) fn is_awaitable(object: &Bound<'_, PyAny>) -> bool {
    is_coroutine(object) || object.get_type().hasattr(intern!(object.py(), "__await__")).unwrap_or(false)
}

fn is_coroutine(object: &Bound<'_, PyAny>) -> bool {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(object.py(), "types", "CoroutineType").is_ok_and(|class| object.get_type().is(class))
}
