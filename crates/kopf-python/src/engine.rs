//! One operator, as Python starts and stops it.

use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use kopf_engine::{
    Operator, OperatorHandle,
    client::{Connection, ConnectionInfo},
    clock::Clock,
    error::RunError,
    namespaces::Scope,
    posting::ExplicitEvent,
    registry::Registry,
};
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    intern,
    prelude::*,
    types::PyDict,
};

use crate::{
    declared::Kind,
    door::PythonDoor,
    event_loop::EventLoop,
    guard::guarded,
    handlers,
    held::Trash,
    host::Host,
    hub::{Hub, Parts},
    locked,
    message::Message,
    plugins,
    runtime::Runtime,
    values,
};

/// One operator.
#[pyclass(frozen, weakref, module = "kopf._native")]
pub(crate) struct Engine {
    pub(crate) hub: Arc<Hub>,
    plan: Mutex<Option<Plan>>,
}

/// What an operator is started with.
struct Plan {
    registry: Registry,
    scope: Scope,
    connection: Connection,
    lifecycle: Option<Py<PyAny>>,
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (
        host, declarations, settings, *, memo = None, lifecycle = None, clusterwide = false, namespaces = None,
        identity = None, credentials = None, on_ready = None,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        host: &Bound<'_, PyAny>,
        declarations: &Bound<'_, PyAny>,
        settings: &Bound<'_, PyAny>,
        memo: Option<Py<PyAny>>,
        lifecycle: Option<Py<PyAny>>,
        clusterwide: bool,
        namespaces: Option<&Bound<'_, PyAny>>,
        identity: Option<String>,
        credentials: Option<&Bound<'_, PyAny>>,
        on_ready: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        // The identity is for peering, which the engine has not.
        drop(identity);
        let declarations: Vec<_> = declarations.try_iter()?.collect::<PyResult<_>>()?;
        let parts = Host::new(host)?;
        let memo = match memo {
            Some(memo) => memo,
            None => parts.memo_class(py).call0()?.unbind(),
        };
        let hub = Arc::new(Hub::new(Parts {
            host: parts,
            settings: settings.clone().unbind(),
            memo,
            indices: Vec::new(),
            index_names: Vec::new(),
            on_ready,
            runtime: Runtime::start()?,
            trash: Arc::new(Trash::default()),
        })?);
        let (registry, declared) = handlers::read(&hub, &without_needless_fallbacks(&declarations)?)?;
        hub.set_handlers(py, declared);
        let scope = match namespaces {
            Some(patterns) if !clusterwide && patterns.len()? > 0 => {
                Scope::Namespaces(plugins::namespaces(&hub, patterns)?)
            }
            _ => Scope::Cluster,
        };
        let connection = connection(&hub, credentials)?;
        Ok(Self { hub, plan: Mutex::new(Some(Plan { registry, scope, connection, lifecycle })) })
    }

    fn start<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        guarded(|| {
            let py = slf.py();
            let hub = &slf.get().hub;
            let tokio = hub.runtime.handle()?;
            let plan = locked(&slf.get().plan).take();
            let plan = plan.ok_or_else(|| PyRuntimeError::new_err("an operator is started only once"))?;
            let event_loop = EventLoop::running(py)?;
            let finished = event_loop.finished().bind(py).clone();
            hub.set_event_loop(event_loop, slf.clone().unbind())?;

            let settings = hub.settings_object(py);
            let storages = plugins::storages(hub, settings)?;
            let (mut operator, clock) = {
                // Clocks start within the runtime.
                let _entered = tokio.enter();
                (Operator::new(Arc::new(PythonDoor::new(hub.clone())), storages), Clock::system())
            };
            operator.registry = plan.registry;
            operator.scope = plan.scope;
            operator.connection = plan.connection;
            // What users look for in the logs of their API servers (W-API-002), and what the log begins with (W-PRC-004).
            operator.user_agent = concat!("kopf/", env!("CARGO_PKG_VERSION")).into();
            if let Some(lifecycle) = &plan.lifecycle {
                operator.handle().lifecycle().store(plugins::lifecycle(hub, lifecycle.bind(py))?);
            }
            hub.set_handle(operator.handle(), clock);
            hub.push_settings(settings)?;
            hub.event_loop()?.attach(py, hub)?;

            let stop = hub.runtime.stop_token();
            let inbox = hub.clone();
            let running = tokio.spawn(operator.run(stop));
            tokio.spawn(async move {
                // A panic ends the engine, too, and whoever waits for the end must hear of it.
                let result = running.await.unwrap_or_else(|error| Err(RunError::Worker(error.to_string())));
                inbox.inbox.push(Message::Ended(result));
            });
            Ok(finished)
        })
    }

    fn stop(&self) -> PyResult<()> {
        self.hub.runtime.check_process()?;
        self.hub.runtime.stop();
        Ok(())
    }

    #[pyo3(signature = (settings, /))]
    fn push_settings(&self, settings: &Bound<'_, PyAny>) -> PyResult<()> {
        guarded(|| self.hub.push_settings(settings))
    }

    #[pyo3(signature = (reference, r#type, reason, message, backoffs = None, /))]
    fn post(
        &self,
        reference: &Bound<'_, PyAny>,
        r#type: String,
        reason: String,
        message: String,
        backoffs: Option<Vec<f64>>,
    ) -> PyResult<()> {
        let reference =
            values::map_from_python(reference)?.into_iter().filter(|(_, value)| !value.is_null()).collect();
        let backoffs =
            backoffs.map(|all| all.into_iter().map(pause).collect::<PyResult<Vec<_>>>()).transpose()?;
        let event = ExplicitEvent { reference, kind: r#type, reason, message, backoffs };
        self.hub.handle()?.post(event).map_err(|error| PyRuntimeError::new_err(error.to_string()))
    }
}

/// What there is of the engine's operator once it was started.
#[derive(Default)]
pub(crate) struct Started(OnceLock<(OperatorHandle, Clock)>);

impl Started {
    /// Sets it. Once.
    pub(crate) fn set(&self, handle: OperatorHandle, clock: Clock) {
        let _ = self.0.set((handle, clock));
    }

    /// The handle.
    ///
    /// # Errors
    /// `RuntimeError` before the start.
    pub(crate) fn handle(&self) -> PyResult<&OperatorHandle> {
        self.get().map(|(handle, _)| handle)
    }

    /// The clock.
    ///
    /// # Errors
    /// `RuntimeError` before the start.
    pub(crate) fn clock(&self) -> PyResult<&Clock> {
        self.get().map(|(_, clock)| clock)
    }

    fn get(&self) -> PyResult<&(OperatorHandle, Clock)> {
        self.0.get().ok_or_else(|| PyRuntimeError::new_err("the operator was not started"))
    }
}

/// Fallback handlers of an activity run only if it has no others (A-ACT-021).
fn without_needless_fallbacks<'py>(declarations: &[Bound<'py, PyAny>]) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let mut kept = Vec::new();
    for declaration in declarations {
        if !is_fallback(declaration)? || !has_others(declaration, declarations)? {
            kept.push(declaration.clone());
        }
    }
    Ok(kept)
}

fn is_fallback(declaration: &Bound<'_, PyAny>) -> PyResult<bool> {
    let is_activity = crate::declared::kind_of(declaration)? == Kind::Activity;
    Ok(is_activity && declaration.getattr(intern!(declaration.py(), "is_fallback"))?.is_truthy()?)
}

fn has_others(fallback: &Bound<'_, PyAny>, declarations: &[Bound<'_, PyAny>]) -> PyResult<bool> {
    let activity = fallback.getattr("activity")?;
    for other in declarations {
        let same =
            crate::declared::kind_of(other)? == Kind::Activity && other.getattr("activity")?.eq(&activity)?;
        if same && !is_fallback(other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first of the credentials that the embedding application has; else what the login activities say.
fn connection(hub: &Hub, credentials: Option<&Bound<'_, PyAny>>) -> PyResult<Connection> {
    let Some(credentials) = credentials else { return Ok(Connection::Infer) };
    let mut best: Option<ConnectionInfo> = None;
    for item in credentials.try_iter()? {
        let info = hub.host.object(credentials.py()).call_method1("credentials", (item?,))?;
        let info = connection_info(&info)?;
        if best.as_ref().is_none_or(|best| info.priority > best.priority) {
            best = Some(info);
        }
    }
    Ok(best.map_or(Connection::Infer, |info| Connection::Info(Box::new(info))))
}

fn connection_info(info: &Bound<'_, PyAny>) -> PyResult<ConnectionInfo> {
    let info = info.cast::<PyDict>()?;
    serde_json::from_value(values::from_python(info.as_any())?)
        .map_err(|error| PyValueError::new_err(format!("the credentials cannot be used: {error}")))
}

fn pause(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds.max(0.0))
        .map_err(|_| PyValueError::new_err(format!("a backoff of {seconds} seconds is no duration")))
}
