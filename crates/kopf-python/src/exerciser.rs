//! The engine's side of the bridge for tests: calls of the door as an engine makes them, without one. Not in release builds.

use std::{
    sync::{Arc, Condvar, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use kopf_core::{
    cause::Cause,
    diff::{Diff, Scope},
    log::{Level, Line, Log},
    machine::{Call, CallId},
    object::Object,
    outcome::Outcome,
    patch::Patch,
    reason::{EventType, Reason},
    resource::Resource,
};
use kopf_engine::door::{Door, Finished, Record};
use pyo3::{
    exceptions::{PyKeyError, PyTimeoutError, PyValueError},
    prelude::*,
    types::PyDict,
};
use serde_json::Value;

use crate::{door::PythonDoor, engine::Engine, hub::Hub, locked, report, values};

/// An engine that does as it is told.
#[pyclass(frozen, module = "kopf._native", name = "_Exerciser")]
pub(crate) struct Exerciser {
    hub: Arc<Hub>,
    door: Arc<PythonDoor>,
    resource: Arc<Resource>,
}

/// The end of something that was begun.
#[pyclass(frozen, module = "kopf._native", name = "_Ticket")]
struct Ticket {
    hub: Arc<Hub>,
    slot: Arc<Place>,
}

type Place = (Mutex<Option<Ended>>, Condvar);

enum Ended {
    Call(Finished),
    Delay(Duration),
    Step,
}

#[pymethods]
impl Exerciser {
    #[new]
    fn new(engine: &Bound<'_, Engine>) -> Self {
        let hub = engine.get().hub.clone();
        let resource = Resource {
            group: "kopf.dev".into(),
            version: "v1".into(),
            plural: "kopfexamples".into(),
            kind: "KopfExample".into(),
            namespaced: true,
            ..Resource::default()
        };
        Self { door: Arc::new(PythonDoor::new(hub.clone())), hub, resource: Arc::new(resource) }
    }

    /// Calls a handler about an object.
    #[pyo3(signature = (id, object, *, object_id = 1, call = 1, cycle = 1, event_type = None, reason = None, old = None, retry = 0, patch = None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn call(
        &self,
        id: &str,
        object: &Bound<'_, PyAny>,
        object_id: u64,
        call: u64,
        cycle: u64,
        event_type: Option<&str>,
        reason: Option<&str>,
        old: Option<&Bound<'_, PyAny>>,
        retry: u32,
        patch: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Ticket> {
        let object = Object::new(values::from_python(object)?);
        let new = object.body().get("spec").cloned().unwrap_or_default();
        let old = old.map(values::from_python).transpose()?;
        let diff = Diff::between(old.as_ref().unwrap_or(&Value::Null), &new, Scope::Full);
        let handler = self.hub.handler_by_id(id).ok_or_else(|| PyKeyError::new_err(id.to_owned()))?;
        let cause = Cause {
            object_id,
            cycle,
            resource: self.resource.clone(),
            event_type: event_type.and_then(EventType::parse),
            object,
            reason: reason.and_then(Reason::parse),
            initial: false,
            old: old.map(Arc::new),
            new: Some(Arc::new(new)),
            diff: Arc::new(diff),
            waits: None,
        };
        let merge =
            patch.map(|patch| values::map_from_python(patch.as_any())).transpose()?.unwrap_or_default();
        let now = self.hub.now()?;
        let call = Call {
            id: CallId(call),
            handler,
            cause: Arc::new(cause),
            retry,
            started: now,
            runtime: jiff::SignedDuration::from_millis(1500),
            patch: Patch { merge, transforms: Vec::new() },
        };
        let called = self.door.call(&self.resource, call);
        self.begin(async move { Ended::Call(called.await) })
    }

    /// Asks a call to end.
    #[pyo3(signature = (object_id = 1, call = 1))]
    fn cancel(&self, object_id: u64, call: u64) {
        self.door.cancel(object_id, CallId(call));
    }

    /// Logs a line about an object.
    fn log(&self, object: &Bound<'_, PyAny>, level: &str, text: String) -> PyResult<()> {
        let level = match level {
            "debug" => Level::Debug,
            "info" => Level::Info,
            "warning" => Level::Warning,
            "error" => Level::Error,
            _ => return Err(PyValueError::new_err("unknown level")),
        };
        let object = Object::new(values::from_python(object)?);
        let log = Log { level, line: Line::Text(text), local: false };
        self.door.log(Record::Object { object, log });
        Ok(())
    }

    /// Calls a handler so many times about as many objects, so many at once, and waits for all.
    fn bench(&self, py: Python<'_>, id: &str, times: u64, at_once: usize) -> PyResult<()> {
        let handler = self.hub.handler_by_id(id).ok_or_else(|| PyKeyError::new_err(id.to_owned()))?;
        let now = self.hub.now()?;
        let (door, resource) = (self.door.clone(), self.resource.clone());
        let object = Object::new(serde_json::json!({"metadata": {"name": "x"}, "spec": {"field": 1}}));
        let bench = async move {
            let slots = Arc::new(tokio::sync::Semaphore::new(at_once));
            for number in 0..times {
                let permit = slots.clone().acquire_owned().await;
                let cause = Cause {
                    object_id: number,
                    cycle: 1,
                    resource: resource.clone(),
                    event_type: Some(EventType::Modified),
                    object: object.clone(),
                    reason: None,
                    initial: false,
                    old: None,
                    new: None,
                    diff: Arc::default(),
                    waits: None,
                };
                let call = Call {
                    id: CallId(number),
                    handler: handler.clone(),
                    cause: Arc::new(cause),
                    retry: 0,
                    started: now,
                    runtime: jiff::SignedDuration::ZERO,
                    patch: Patch::default(),
                };
                let called = door.call(&resource, call);
                tokio::spawn(async move {
                    called.await;
                    drop(permit);
                });
            }
            let _ = slots.acquire_many(u32::try_from(at_once).unwrap_or(u32::MAX)).await;
        };
        let handle = self.hub.runtime.handle()?;
        py.detach(|| {
            handle
                .block_on(async { handle.spawn(bench).await })
                .map_err(|error| PyValueError::new_err(error.to_string()))
        })
    }

    /// The object is gone.
    fn forget(&self, object_id: u64) {
        self.door.forget(object_id);
    }

    /// Runs a timer of the engine's threads that ticks each millisecond for so many seconds: the longest delay of a tick.
    fn tick(&self, seconds: f64) -> PyResult<Ticket> {
        let tokio = self.hub.runtime.handle()?;
        let until = tokio::time::Instant::now() + Duration::from_secs_f64(seconds);
        let ticking = tokio.spawn(async move {
            let mut longest = Duration::ZERO;
            while tokio::time::Instant::now() < until {
                let due = tokio::time::Instant::now() + Duration::from_millis(1);
                tokio::time::sleep_until(due).await;
                longest = longest.max(due.elapsed());
            }
            longest
        });
        self.begin(async move { Ended::Delay(ticking.await.unwrap_or_default()) })
    }

    /// Runs a step that panics.
    fn panic(&self) -> PyResult<Ticket> {
        let step = self.door.step(Box::new(|| panic!("on purpose")));
        self.begin(async move {
            step.await;
            Ended::Step
        })
    }
}

/// Adds it to the module, but not to what the module says that it has.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.setattr("_Exerciser", module.py().get_type::<Exerciser>())
}

impl Exerciser {
    fn begin(&self, work: impl Future<Output = Ended> + Send + 'static) -> PyResult<Ticket> {
        let slot = Arc::new(Place::default());
        let ticket = Ticket { hub: self.hub.clone(), slot: slot.clone() };
        waiting_room()?.spawn(async move {
            let ended = work.await;
            *locked(&slot.0) = Some(ended);
            slot.1.notify_all();
        });
        Ok(ticket)
    }
}

/// Tickets wait in a runtime of their own, so that they outlive those that they wait for.
fn waiting_room() -> PyResult<&'static tokio::runtime::Runtime> {
    static ROOM: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    if let Some(room) = ROOM.get() {
        return Ok(room);
    }
    let room = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    Ok(ROOM.get_or_init(|| room))
}

#[pymethods]
impl Ticket {
    /// Whether it has ended.
    fn done(&self) -> bool {
        locked(&self.slot.0).is_some()
    }

    /// Waits for the end: of a call a dict, of a timer a number.
    #[pyo3(signature = (timeout = 10.0))]
    fn wait<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Bound<'py, PyAny>> {
        py.detach(|| {
            let slot = locked(&self.slot.0);
            let wait = self
                .slot
                .1
                .wait_timeout_while(slot, Duration::from_secs_f64(timeout), |ended| ended.is_none());
            drop(wait.unwrap_or_else(PoisonError::into_inner));
        });
        let ended = locked(&self.slot.0).take();
        match ended.ok_or_else(|| PyTimeoutError::new_err("it has not ended in time"))? {
            Ended::Call(finished) => self.told(py, finished),
            Ended::Delay(delay) => Ok(delay.as_secs_f64().into_pyobject(py)?.into_any()),
            Ended::Step => Ok(py.None().into_bound(py)),
        }
    }
}

impl Ticket {
    fn told<'py>(&self, py: Python<'py>, finished: Finished) -> PyResult<Bound<'py, PyAny>> {
        let told = PyDict::new(py);
        let (outcome, error, delay) = match finished.outcome {
            Outcome::Succeeded(result) => {
                told.set_item("result", values::to_python(py, &result.unwrap_or_default())?)?;
                ("succeeded", None, None)
            }
            Outcome::Temporary { error, delay } => ("temporary", Some(error), delay),
            Outcome::Permanent(error) => ("permanent", Some(error), None),
            Outcome::Arbitrary(error) => ("arbitrary", Some(error), None),
            Outcome::Unfinished(delay) => ("unfinished", None, delay),
            Outcome::Cancelled => ("cancelled", None, None),
        };
        told.set_item("outcome", outcome)?;
        told.set_item("delay", delay.map(|delay| delay.as_secs_f64()))?;
        if let Some(error) = error {
            told.set_item("text", &error.text)?;
            told.set_item("repr", &error.repr)?;
            told.set_item("origin", report::origin(py, &error))?;
        }
        told.set_item("patch", values::map_to_python(py, &finished.patch.merge)?)?;
        told.set_item("fns", self.hub.functions_of(py, &finished.patch))?;
        let subrefs: Vec<&str> = finished.subrefs.iter().map(|id| id.as_str()).collect();
        told.set_item("subrefs", subrefs)?;
        Ok(told.into_any())
    }
}
