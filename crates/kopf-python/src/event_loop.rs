//! The loop in which the operator was awaited: its tasks, its context, and the draining of the inbox.

use std::{sync::Arc, time::Duration};

use pyo3::{
    exceptions::{PyNotImplementedError, PyRuntimeError},
    intern,
    prelude::*,
    types::{PyContext, PyDict, PyString, PyTuple},
};
use tokio::time::Instant;

use crate::{calls, cpython, guard::guarded, hub::Hub, logs, message::Message};

/// Messages of one drain, at most: then the loop has its turn.
const BATCH: usize = 64;

/// The time of one drain, at most.
const BATCH_TIME: Duration = Duration::from_millis(2);

/// The loop of an operator.
pub(crate) struct EventLoop {
    object: Py<PyAny>,
    context: Py<PyContext>,
    task_class: Py<PyAny>,
    task_names: Py<PyTuple>,
    is_eager: bool,
    finished: Py<PyAny>,
}

impl EventLoop {
    /// The running loop and the current context.
    ///
    /// # Errors
    /// `RuntimeError` if no loop runs in this thread.
    pub(crate) fn running(py: Python<'_>) -> PyResult<Self> {
        let asyncio = py.import(intern!(py, "asyncio"))?;
        let object = asyncio.call_method0(intern!(py, "get_running_loop"))?;
        let is_eager = py.version_info() >= (3, 12);
        let names: &[&str] =
            if is_eager { &["loop", "context", "eager_start"] } else { &["loop", "context"] };
        let names: Vec<_> = names.iter().map(|name| PyString::intern(py, name)).collect();
        Ok(Self {
            finished: object.call_method0(intern!(py, "create_future"))?.unbind(),
            object: object.unbind(),
            context: cpython::current_context(py)?.unbind(),
            task_class: asyncio.getattr(intern!(py, "Task"))?.unbind(),
            task_names: PyTuple::new(py, names)?.unbind(),
            is_eager,
        })
    }

    /// The future of the operator's end.
    pub(crate) fn finished(&self) -> &Py<PyAny> {
        &self.finished
    }

    /// A copy of the operator's context.
    pub(crate) fn new_context<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyContext>> {
        cpython::copy_context(self.context.bind(py))
    }

    /// A future of the loop.
    pub(crate) fn new_future<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.object.bind(py).call_method0(intern!(py, "create_future"))
    }

    /// A task of the loop, begun at once where Python can do that; never by the user's task factory (DEC-9).
    pub(crate) fn new_task<'py>(
        &self,
        coroutine: Bound<'py, PyAny>,
        context: &Bound<'py, PyContext>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = coroutine.py();
        let mut values = vec![coroutine, self.object.bind(py).clone(), context.clone().into_any()];
        if self.is_eager {
            values.push(true.into_pyobject(py)?.to_owned().into_any());
        }
        cpython::call_by_names(self.task_class.bind(py), &values, self.task_names.bind(py))
    }

    /// Lets the loop drain the inbox whenever something is in it, from now on.
    pub(crate) fn attach(&self, py: Python<'_>, hub: &Arc<Hub>) -> PyResult<()> {
        let drain = Bound::new(py, Drain(hub.clone()))?;
        match self.object.bind(py).call_method1(intern!(py, "add_reader"), (hub.inbox.fd(), &drain)) {
            Ok(_) => Ok(()),
            // Proactor loops: a thread waits, and calls over.
            Err(error) if error.is_instance_of::<PyNotImplementedError>(py) => self.attach_pump(&drain),
            Err(error) => Err(error),
        }
    }

    fn attach_pump(&self, drain: &Bound<'_, Drain>) -> PyResult<()> {
        let py = drain.py();
        let pump = Pump {
            hub: drain.get().0.clone(),
            event_loop: self.object.clone_ref(py),
            drain: drain.clone().unbind(),
        };
        drain.get().0.inbox.use_pump();
        let kwargs = PyDict::new(py);
        kwargs.set_item("target", Bound::new(py, pump)?)?;
        kwargs.set_item("name", "kopf-inbox")?;
        kwargs.set_item("daemon", true)?;
        py.import("threading")?.getattr("Thread")?.call((), Some(&kwargs))?.call_method0("start")?;
        Ok(())
    }

    fn detach(&self, py: Python<'_>, hub: &Hub) {
        // A loop without readers has none to remove; a closed one neither.
        let _ = self.object.bind(py).call_method1(intern!(py, "remove_reader"), (hub.inbox.fd(),));
    }
}

/// What the loop calls when the inbox has something. If the loop is closed and forgets it, the operator has nobody to call
/// its handlers any more, and ends.
#[pyclass(frozen, module = "kopf._native", name = "_Drain")]
struct Drain(Arc<Hub>);

#[pymethods]
impl Drain {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let hub = &self.0;
        if let Err(error) = hub.runtime.check_process() {
            // A forked child that runs on with a copy of the loop.
            hub.event_loop()?.detach(py, hub);
            return Err(error);
        }
        let drained = guarded(|| drain(py, hub));
        // Also after a panic: what is behind the message that has caused it is still to be processed.
        hub.inbox.rearm();
        drained
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        if self.0.runtime.check_process().is_ok() {
            // While the interpreter ends there is nothing to be done any more.
            let _ = Python::try_attach(|py| self.0.close(py));
        }
    }
}

fn drain(py: Python<'_>, hub: &Arc<Hub>) -> PyResult<()> {
    hub.inbox.disarm();
    hub.trash.release(py);
    logs::publish_level(py, hub);
    let until = Instant::now() + BATCH_TIME;
    for _ in 0..BATCH {
        let Some(message) = hub.inbox.pop() else { break };
        if let Message::Ended(result) = message {
            end(py, hub, result);
            return Ok(());
        }
        process(py, hub, message);
        if Instant::now() >= until {
            break;
        }
    }
    logs::tell_dropped(py, hub);
    Ok(())
}

fn process(py: Python<'_>, hub: &Arc<Hub>, message: Message) {
    let done = match message {
        Message::Call { resource, call, report } => {
            calls::begin(py, hub, &resource, &call, report);
            Ok(())
        }
        Message::Activity { call, report } => {
            calls::begin_activity(py, hub, &call, report);
            Ok(())
        }
        Message::Continue(running, result) => {
            running.continue_sync(py, result.into_bound(py));
            Ok(())
        }
        Message::Resolve(future, result) => resolve(py, &future, result),
        Message::Cancel(object_id, call) => hub.cancel(py, (object_id, call)),
        Message::Step(step, done) => {
            step();
            // Nobody waits if the engine has given up on it.
            let _ = done.send(());
            Ok(())
        }
        Message::Log(record) => logs::emit(py, hub, record),
        Message::Forget(object_id) => {
            hub.objects.forget(object_id);
            Ok(())
        }
        Message::Ready => hub.ready(py),
        Message::Ended(_) => Ok(()),
    };
    if let Err(error) = done {
        // A defect of ours or of a hook, but none of the handler's, and no reason to lose what comes behind it.
        error.write_unraisable(py, None);
    }
}

fn resolve(py: Python<'_>, future: &Py<PyAny>, result: PyResult<Py<PyAny>>) -> PyResult<()> {
    let future = future.bind(py);
    if future.call_method0(intern!(py, "done"))?.is_truthy()? {
        return Ok(());
    }
    match result {
        Ok(result) => future.call_method1(intern!(py, "set_result"), (result,)),
        Err(error) => future.call_method1(intern!(py, "set_exception"), (error.into_value(py),)),
    }
    .map(drop)
}

fn end(py: Python<'_>, hub: &Arc<Hub>, result: Result<(), kopf_engine::RunError>) {
    let outcome = match (hub.take_failure(), result) {
        (Some(failure), _) => Err(failure),
        (None, Ok(())) => Ok(py.None()),
        (None, Err(error)) => Err(run_error(py, hub, &error)),
    };
    if let Ok(event_loop) = hub.event_loop() {
        event_loop.detach(py, hub);
        if let Err(error) = resolve(py, event_loop.finished(), outcome) {
            error.write_unraisable(py, None);
        }
    }
    hub.close(py);
}

/// The error of the engine as an exception: made by the host, which knows the classes.
fn run_error(py: Python<'_>, hub: &Hub, error: &kopf_engine::RunError) -> PyErr {
    use kopf_engine::RunError;
    let (kind, origin) = match error {
        RunError::Activity { first, .. } => ("activity", crate::report::origin(py, first)),
        RunError::Login(_) => ("login", None),
        RunError::Plugin(error) => ("plugin", crate::report::origin(py, error)),
        _ => ("api", None),
    };
    let text = logs::chain(error);
    match hub.host.object(py).call_method1(intern!(py, "failure"), (kind, &text, origin)) {
        Ok(exception) => PyErr::from_value(exception),
        Err(_) => PyRuntimeError::new_err(text),
    }
}

/// For loops without `add_reader`: waits for wake-ups and calls over to the loop, one call at a time (DEC-11).
#[pyclass(frozen, module = "kopf._native", name = "_Pump")]
struct Pump {
    hub: Arc<Hub>,
    event_loop: Py<PyAny>,
    drain: Py<Drain>,
}

#[pymethods]
impl Pump {
    fn __call__(&self, py: Python<'_>) {
        while py.detach(|| self.hub.inbox.wait()) {
            let called =
                self.event_loop.call_method1(py, intern!(py, "call_soon_threadsafe"), (&self.drain,));
            if called.is_err() {
                // The loop is closed.
                return self.hub.close(py);
            }
        }
    }
}
