//! What handlers share beside the object: the states of the operator, the memos of objects, the client.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use jiff::Timestamp;
use kopf_core::{lifecycle, plan::Plan, resource::Resource};
use kopf_engine::{OperatorHandle, clock::Clock};

use crate::settings;

type Shared = Arc<dyn Any + Send + Sync>;

/// The states given to the operator by [`Operator::with`](crate::Operator::with), one per type.
#[derive(Clone, Default)]
pub(crate) struct States(HashMap<TypeId, Shared>);

impl States {
    pub(crate) fn insert<T: Any + Send + Sync>(&mut self, state: T) {
        self.0.insert(TypeId::of::<T>(), Arc::new(state));
    }

    pub(crate) fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.get(&TypeId::of::<T>())?.clone().downcast().ok()
    }

    pub(crate) fn contains<T: Any>(&self) -> bool {
        self.0.contains_key(&TypeId::of::<T>())
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("States").field("types", &self.0.len()).finish()
    }
}

/// What the handlers of one operator share. Made within a Tokio runtime: its clock starts.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) states: States,
    memos: Mutex<HashMap<u64, HashMap<TypeId, Shared>>>,
    handle: OnceLock<OperatorHandle>,
    clock: Clock,
}

impl Environment {
    pub(crate) fn new(states: States) -> Self {
        Self { states, memos: Mutex::default(), handle: OnceLock::new(), clock: Clock::system() }
    }

    /// Connects it to the operator, once.
    pub(crate) fn connect(&self, handle: OperatorHandle) {
        // A second operator with the same environment cannot be made: the door that holds it is private to one.
        let _ = self.handle.set(handle);
    }

    /// What may be done with the operator; none in tests without one.
    pub(crate) fn handle(&self) -> Option<&OperatorHandle> {
        self.handle.get()
    }

    pub(crate) fn client(&self) -> Option<kube::Client> {
        self.handle.get()?.client()
    }

    /// The time: the engine's, since both follow Tokio's.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What decisions about sub-handlers depend on. They bring their handlers themselves.
    pub(crate) fn plan(&self, resource: &Arc<Resource>) -> Arc<Plan> {
        let handle = self.handle.get();
        let storages =
            handle.map_or_else(|| Arc::new(settings::storages()), |handle| handle.storages().load());
        let settings =
            handle.map_or_else(|| Arc::new(settings::defaults()), |handle| handle.settings().load());
        let lifecycle =
            handle.map_or_else(lifecycle::asap, |handle| handle.lifecycle().load().as_ref().clone());
        Arc::new(Plan {
            resource: resource.clone(),
            handlers: Vec::new(),
            extra_fields: Vec::new(),
            progress: storages.progress.clone(),
            diff_base: storages.diff_base.clone(),
            lifecycle,
            settings,
        })
    }

    /// The memo of an object, made at the first use.
    pub(crate) fn memo<T: Any + Default + Send + Sync>(&self, object_id: u64) -> Arc<T> {
        let mut memos = self.memos.lock().unwrap_or_else(PoisonError::into_inner);
        let memo = memos
            .entry(object_id)
            .or_default()
            .entry(TypeId::of::<T>())
            .or_insert_with(|| Arc::new(T::default()))
            .clone();
        // The key is the type's own, so the downcast cannot fail.
        memo.downcast().unwrap_or_default()
    }

    /// The object is gone.
    pub(crate) fn forget(&self, object_id: u64) {
        self.memos.lock().unwrap_or_else(PoisonError::into_inner).remove(&object_id);
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self::new(States::default())
    }
}
