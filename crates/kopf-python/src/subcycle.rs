//! Sub-handlers: one step of them, driven by Python inside their parent's task (DEC-5). What is decided, the core decides.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use kopf_core::{
    handler::Handler,
    lifecycle::Lifecycle,
    log::Log,
    machine::{Call, CallId},
    plan::Plan,
    subcycle::Subcycle as CoreSubcycle,
};
use kopf_engine::door::Record;
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
};

use crate::{
    cause::Cause,
    declared::{Declared, Kind},
    guard::guarded,
    handlers,
    hub::Hub,
    invocation::{Attempt, Invocation, Subject},
    locked, logs, plugins, report,
    report::Ending,
};

/// One step of the sub-handlers of a running handler: iterate, run each invocation, report its end.
#[pyclass(frozen, module = "kopf._native")]
pub(crate) struct Subcycle {
    hub: Arc<Hub>,
    parent: Py<Invocation>,
    cause: Py<Cause>,
    children: HashMap<usize, Arc<Declared>>,
    state: Mutex<State>,
}

enum State {
    /// The core's part, and the call that runs.
    Open(Box<CoreSubcycle>, Option<(CallId, Py<Invocation>)>),
    /// All that could run has run; the delay until the first of the unfinished may.
    Closed(Option<f64>),
    /// Something has been raised on the way.
    Broken,
}

impl Subcycle {
    /// Selects the children that run now.
    ///
    /// # Errors
    /// What a filter, a storage or the lifecycle raises, and `TypeError` if the parent can have no sub-handlers.
    pub(crate) fn open(
        parent: &Bound<'_, Invocation>,
        declarations: &[Bound<'_, PyAny>],
        lifecycle: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let py = parent.py();
        let hub = &parent.get().hub;
        let cause = match &parent.get().subject {
            Subject::Object(cause) if parent.get().declared.kind == Kind::Changing => cause,
            _ => return Err(PyValueError::new_err("only handlers of changes can have sub-handlers")),
        };
        let mut children = HashMap::new();
        let mut selectable = Vec::new();
        for declaration in declarations {
            let handler = Arc::new(handlers::handler(hub, declaration, Kind::Changing)?);
            hub.note_declaration(handler.id.clone(), declaration.clone().unbind());
            let declared = Declared::read(declaration, handler.clone(), hub.index_names())?;
            children.insert(Arc::as_ptr(&handler).addr(), Arc::new(declared));
            selectable.push(handler);
        }
        let lifecycle = lifecycle.map(|lifecycle| plugins::lifecycle(hub, lifecycle)).transpose()?;
        let plan = plan(hub, cause.get(), lifecycle)?;
        let patch = cause.get().scene.get().current_patch(py)?;
        let opened = CoreSubcycle::open(plan, cause.get().cause.clone(), &selectable, patch, hub.now()?);
        let opened = opened.map_err(|error| report::raise(py, &error))?;
        Ok(Self {
            hub: hub.clone(),
            parent: parent.clone().unbind(),
            cause: cause.clone_ref(py),
            children,
            state: Mutex::new(State::Open(Box::new(opened), None)),
        })
    }

    fn invocation(&self, py: Python<'_>, call: &Call) -> PyResult<Py<Invocation>> {
        let declared = self.children.get(&address(&call.handler)).cloned();
        let declared =
            declared.ok_or_else(|| PyRuntimeError::new_err("a sub-handler that was not declared"))?;
        let cause = if Arc::ptr_eq(&self.cause.get().cause, &call.cause) {
            self.cause.clone_ref(py)
        } else {
            Py::new(py, Cause::new(self.cause.get().scene.clone_ref(py), call.cause.clone()))?
        };
        let attempt = Attempt { retry: call.retry, started: call.started, runtime: call.runtime };
        Py::new(py, Invocation::new(self.hub.clone(), declared, Subject::Object(cause), attempt))
    }

    /// Takes the state out: what is done with it may run Python code, and come back here.
    fn take(&self) -> State {
        std::mem::replace(&mut *locked(&self.state), State::Broken)
    }

    fn put(&self, state: State) {
        let replaced = std::mem::replace(&mut *locked(&self.state), state);
        drop(replaced);
    }

    fn log(&self, py: Python<'_>, lines: impl IntoIterator<Item = Log>) -> PyResult<()> {
        let object = &self.cause.get().cause.object;
        for log in lines {
            if self.hub.wants(log.level) {
                logs::emit(py, &self.hub, Record::Object { object: object.clone(), log })?;
            }
        }
        Ok(())
    }

    fn close(&self, py: Python<'_>, core: CoreSubcycle) -> PyResult<()> {
        let scene = self.cause.get().scene.get();
        let outcome = core.close(self.hub.now()?).map_err(|error| report::raise(py, &error))?;
        scene.absorb(py, &outcome.patch)?;
        self.parent.get().note_family(|family| {
            family.subrefs.extend(outcome.subrefs);
            if let Some(delay) = outcome.unfinished {
                let sooner = family.unfinished.flatten().map_or(delay, |other| other.min(delay));
                family.unfinished = Some(Some(sooner));
            }
        });
        self.put(State::Closed(outcome.unfinished.map(|delay| delay.as_secs_f64())));
        Ok(())
    }
}

#[pymethods]
impl Subcycle {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<Invocation>>> {
        guarded(|| match self.take() {
            State::Open(mut core, None) => {
                let step = core.next(self.hub.now()?).map_err(|error| report::raise(py, &error))?;
                self.log(py, step.logs)?;
                let Some(call) = step.call else {
                    self.close(py, *core)?;
                    return Ok(None);
                };
                let invocation = self.invocation(py, &call)?;
                self.put(State::Open(core, Some((call.id, invocation.clone_ref(py)))));
                Ok(Some(invocation))
            }
            state @ State::Open(_, Some(_)) => {
                self.put(state);
                Err(PyRuntimeError::new_err("the sub-handler before has not been reported"))
            }
            State::Closed(delay) => {
                self.put(State::Closed(delay));
                Ok(None)
            }
            State::Broken => Ok(None),
        })
    }

    #[pyo3(signature = (invocation, result, error, /))]
    fn finished(
        &self,
        py: Python<'_>,
        invocation: &Bound<'_, Invocation>,
        result: Bound<'_, PyAny>,
        error: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        guarded(|| {
            let State::Open(mut core, Some((call, running))) = self.take() else {
                return Err(PyRuntimeError::new_err("no sub-handler is running"));
            };
            if !running.is(invocation) {
                self.put(State::Open(core, Some((call, running))));
                return Err(PyRuntimeError::new_err("another sub-handler is running"));
            }
            let ending = match error {
                Some(error) => Ending::Raised(PyErr::from_value(error)),
                None => Ending::Returned(result),
            };
            let outcome = report::classify(&self.hub, invocation, ending);
            let (outcome, patch) = report::take_patch(py, invocation.get(), outcome)?;
            let lines =
                core.finished(call, outcome, patch, invocation.get().family().subrefs, self.hub.now()?);
            self.put(State::Open(core, None));
            self.log(py, lines)
        })
    }

    /// Whether all sub-handlers are finished.
    #[getter]
    fn done(&self) -> bool {
        matches!(&*locked(&self.state), State::Closed(None))
    }

    /// The time until the first unfinished one may run, in seconds.
    #[getter]
    fn delay(&self) -> Option<f64> {
        match &*locked(&self.state) {
            State::Closed(delay) => *delay,
            State::Open(..) | State::Broken => None,
        }
    }
}

/// What decisions about the sub-handlers depend on: as for the object itself, but with no handlers of its own.
fn plan(hub: &Arc<Hub>, cause: &Cause, lifecycle: Option<Arc<dyn Lifecycle>>) -> PyResult<Arc<Plan>> {
    let handle = hub.handle()?;
    let storages = handle.storages().load();
    Ok(Arc::new(Plan {
        resource: cause.scene.get().resource.clone(),
        handlers: Vec::new(),
        extra_fields: Vec::new(),
        progress: storages.progress.clone(),
        diff_base: storages.diff_base.clone(),
        lifecycle: lifecycle.unwrap_or_else(|| Arc::clone(&handle.lifecycle().load())),
        settings: handle.settings().load(),
    }))
}

fn address(handler: &Arc<Handler>) -> usize {
    Arc::as_ptr(handler).addr()
}
