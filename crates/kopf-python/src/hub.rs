//! Everything of one operator that the engine's side and Python's side share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
};

use jiff::Timestamp;
use kopf_core::{
    handler::{Handler, HandlerId},
    log::Level,
    machine::CallId,
    patch::Patch,
    resource::Resource,
};
use kopf_engine::{OperatorHandle, clock::Clock};
use pyo3::{exceptions::PyRuntimeError, prelude::*};

use crate::{
    declared::Declared,
    engine::{Engine, Started},
    event_loop::EventLoop,
    held::Trash,
    host::Host,
    inbox::Inbox,
    locked,
    objects::Objects,
    plugins::{self, Functions},
    runtime::Runtime,
    settings,
    workers::Workers,
};

/// What the two sides share. Locks are held for moments only, and never while Python code runs.
pub(crate) struct Hub {
    pub(crate) inbox: Inbox,
    pub(crate) trash: Arc<Trash>,
    pub(crate) host: Host,
    pub(crate) workers: Workers,
    pub(crate) runtime: Runtime,
    pub(crate) objects: Objects,
    pub(crate) functions: Functions,
    pub(crate) indices: Vec<Py<PyAny>>,
    index_names: Vec<String>,
    /// The memo of the operator.
    pub(crate) memo: Py<PyAny>,
    on_ready: Option<Py<PyAny>>,
    started: Started,
    /// Declarations by id, sub-handlers included: what lifecycles get.
    declarations: Mutex<HashMap<HandlerId, Py<PyAny>>>,
    settings: Py<PyAny>,
    /// By the address of the engine's handler, which the engine passes around but never copies.
    handlers: OnceLock<HashMap<usize, Arc<Declared>>>,
    running: Mutex<HashMap<(u64, CallId), Py<PyAny>>>,
    resources: Mutex<Resources>,
    event_loop: OnceLock<EventLoop>,
    engine: Mutex<Option<Py<Engine>>>,
    failure: Mutex<Option<PyErr>>,
    /// The lowest level of lines about objects that is wanted, in Python's numbers.
    level: AtomicU8,
}

/// The `kopf.Resource` of each resource, with the version of it that it was made of.
type Resources = HashMap<Arc<Resource>, (Arc<Resource>, Py<PyAny>)>;

/// What a hub is made of.
pub(crate) struct Parts {
    pub(crate) host: Host,
    pub(crate) settings: Py<PyAny>,
    pub(crate) memo: Py<PyAny>,
    pub(crate) indices: Vec<Py<PyAny>>,
    pub(crate) index_names: Vec<String>,
    pub(crate) on_ready: Option<Py<PyAny>>,
    pub(crate) runtime: Runtime,
    pub(crate) trash: Arc<Trash>,
}

impl Hub {
    /// A hub of an operator that has not started.
    ///
    /// # Errors
    /// If the process may not open more files.
    pub(crate) fn new(parts: Parts) -> PyResult<Self> {
        Ok(Self {
            inbox: Inbox::new()?,
            trash: parts.trash,
            host: parts.host,
            workers: Workers::default(),
            runtime: parts.runtime,
            objects: Objects::default(),
            functions: Functions::default(),
            indices: parts.indices,
            index_names: parts.index_names,
            memo: parts.memo,
            on_ready: parts.on_ready,
            started: Started::default(),
            declarations: Mutex::default(),
            settings: parts.settings,
            handlers: OnceLock::new(),
            running: Mutex::default(),
            resources: Mutex::default(),
            event_loop: OnceLock::new(),
            engine: Mutex::default(),
            failure: Mutex::default(),
            level: AtomicU8::new(0),
        })
    }

    /// Sets what is declared. Once, before the start.
    pub(crate) fn set_handlers(&self, py: Python<'_>, handlers: Vec<Arc<Declared>>) {
        for declared in &handlers {
            self.note_declaration(declared.id.clone(), declared.declaration.clone_ref(py));
        }
        let handlers = handlers.into_iter();
        let by_address = handlers.map(|declared| (address(&declared.handler), declared));
        let _ = self.handlers.set(by_address.collect());
    }

    /// The names of the indices, in the order of `indices`.
    pub(crate) fn index_names(&self) -> &[String] {
        &self.index_names
    }

    /// Sets the engine's handle and clock. Once, at the start.
    pub(crate) fn set_handle(&self, handle: OperatorHandle, clock: Clock) {
        self.started.set(handle, clock);
    }

    /// The time.
    pub(crate) fn now(&self) -> PyResult<Timestamp> {
        Ok(self.started.clock()?.now())
    }

    /// The engine's handle.
    pub(crate) fn handle(&self) -> PyResult<&OperatorHandle> {
        self.started.handle()
    }

    /// Gives the engine a snapshot of the settings. Before the start there is nobody to take it: the start takes its own.
    pub(crate) fn push_settings(self: &Arc<Self>, settings: &Bound<'_, PyAny>) -> PyResult<()> {
        self.runtime.check_process()?;
        let Ok(handle) = self.handle() else { return Ok(()) };
        let snapshot = settings::snapshot(self, settings)?;
        self.workers.set_limit(snapshot.execution.max_workers);
        handle.storages().store(plugins::storages(self, settings)?);
        handle.settings().store(snapshot);
        Ok(())
    }

    /// The startup activities have succeeded.
    pub(crate) fn ready(&self, py: Python<'_>) -> PyResult<()> {
        self.on_ready.as_ref().map_or(Ok(()), |on_ready| on_ready.call0(py).map(drop))
    }

    /// Notes a declaration, to be found by its id.
    pub(crate) fn note_declaration(&self, id: HandlerId, declaration: Py<PyAny>) {
        let replaced = locked(&self.declarations).insert(id, declaration);
        drop(replaced);
    }

    /// The declaration with an id; `None` if there is none.
    pub(crate) fn declaration_by_id<'py>(&self, py: Python<'py>, id: &HandlerId) -> Bound<'py, PyAny> {
        let found = locked(&self.declarations).get(id).map(|declaration| declaration.clone_ref(py));
        found.unwrap_or_else(|| py.None()).into_bound(py)
    }

    /// The declaration of a handler of the engine.
    pub(crate) fn declared(&self, handler: &Arc<Handler>) -> PyResult<Arc<Declared>> {
        let found = self.handlers.get().and_then(|handlers| handlers.get(&address(handler)));
        found.cloned().ok_or_else(|| {
            PyRuntimeError::new_err(format!("the handler {:?} was not declared here", handler.id.as_str()))
        })
    }

    /// The engine's handler with an id.
    #[cfg(debug_assertions)]
    pub(crate) fn handler_by_id(&self, id: &str) -> Option<Arc<Handler>> {
        let mut declared = self.handlers.get()?.values();
        declared.find(|declared| declared.id.as_str() == id).map(|declared| declared.handler.clone())
    }

    /// The operator's settings object.
    pub(crate) fn settings_object<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.settings.bind(py)
    }

    /// The `kopf.Resource` of a resource, made anew if discovery has told more.
    pub(crate) fn resource_object<'py>(
        &self,
        py: Python<'py>,
        resource: &Arc<Resource>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some((its, object)) = locked(&self.resources).get(resource)
            && Arc::ptr_eq(its, resource)
        {
            return Ok(object.bind(py).clone());
        }
        let object = self.host.make_resource(py, resource)?;
        let entry = (resource.clone(), object.clone().unbind());
        let replaced = locked(&self.resources).insert(resource.clone(), entry);
        drop(replaced);
        Ok(object)
    }

    /// The memo of an object (A-MEM-004).
    pub(crate) fn memo_of<'py>(&self, py: Python<'py>, object_id: u64) -> PyResult<Bound<'py, PyAny>> {
        self.objects.memo(py, object_id, &self.memo, self.host.memo_class(py))
    }

    /// The Python functions of a patch.
    pub(crate) fn functions_of<'py>(&self, py: Python<'py>, patch: &Patch) -> Vec<Bound<'py, PyAny>> {
        patch.transforms.iter().filter_map(|transform| self.functions.find(py, transform)).collect()
    }

    /// Sets the loop. Once, at the start.
    pub(crate) fn set_event_loop(&self, event_loop: EventLoop, engine: Py<Engine>) -> PyResult<()> {
        *locked(&self.engine) = Some(engine);
        self.event_loop
            .set(event_loop)
            .map_err(|_| PyRuntimeError::new_err("the operator was started already"))
    }

    /// The loop.
    pub(crate) fn event_loop(&self) -> PyResult<&EventLoop> {
        self.event_loop.get().ok_or_else(|| PyRuntimeError::new_err("the operator was not started"))
    }

    /// The engine's Python object, while it runs.
    pub(crate) fn engine(&self, py: Python<'_>) -> PyResult<Py<Engine>> {
        let engine = locked(&self.engine).as_ref().map(|engine| engine.clone_ref(py));
        engine.ok_or_else(|| PyRuntimeError::new_err("the operator does not run"))
    }

    /// Notes a task, to be able to cancel it.
    pub(crate) fn note_running(&self, key: (u64, CallId), task: Py<PyAny>) {
        let replaced = locked(&self.running).insert(key, task);
        drop(replaced);
    }

    /// Forgets a task.
    pub(crate) fn forget_running(&self, key: (u64, CallId)) -> Option<Py<PyAny>> {
        locked(&self.running).remove(&key)
    }

    /// Cancels a task, if the call is one, and still runs.
    pub(crate) fn cancel(&self, py: Python<'_>, key: (u64, CallId)) -> PyResult<()> {
        let task = locked(&self.running).get(&key).map(|task| task.clone_ref(py));
        task.map_or(Ok(()), |task| task.call_method0(py, "cancel").map(drop))
    }

    /// Notes the error of a handler that stops the operator, and stops it.
    pub(crate) fn fail(&self, error: PyErr) {
        locked(&self.failure).get_or_insert(error);
        self.runtime.stop();
    }

    /// The error noted by [`fail`](Self::fail).
    pub(crate) fn take_failure(&self) -> Option<PyErr> {
        locked(&self.failure).take()
    }

    /// Whether lines of this level about objects were wanted at the last drain (DEC-17).
    pub(crate) fn wants(&self, level: Level) -> bool {
        python_level(level) >= self.level.load(Ordering::Relaxed)
    }

    /// Publishes which lines about objects are wanted.
    pub(crate) fn publish_level(&self, level: u8) {
        self.level.store(level, Ordering::Relaxed);
    }

    /// The end: nothing is called any more, threads are let go. Attached.
    pub(crate) fn close(&self, py: Python<'_>) {
        self.inbox.close();
        self.workers.stop();
        self.runtime.shut_down();
        let engine = locked(&self.engine).take();
        let running = std::mem::take(&mut *locked(&self.running));
        let resources = std::mem::take(&mut *locked(&self.resources));
        let declarations = std::mem::take(&mut *locked(&self.declarations));
        drop((engine, running, resources, declarations));
        self.objects.clear();
        self.trash.release(py);
    }
}

/// Python's number of a level.
pub(crate) const fn python_level(level: Level) -> u8 {
    match level {
        Level::Debug => 10,
        Level::Info => 20,
        Level::Warning => 30,
        Level::Error => 40,
    }
}

fn address(handler: &Arc<Handler>) -> usize {
    Arc::as_ptr(handler).addr()
}
