//! The objects of one stream: what is known of each, and which of them are being worked on.
//!
//! An idle object costs its machine and its name, no task. An event for it starts a worker, which ends when there is
//! nothing left to do or to wait for (W-QUE-004).

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use kopf_core::{
    handler::Needs,
    machine::Machine,
    object::Object,
    reason::EventType,
    resource::{Resource, stream_key},
};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    belief::{Belief, Version, comparable},
    client::ApiClient,
    clock::Clock,
    door::{BoxFuture, Door},
    error::RunError,
    log::{Logger, logger},
    mailbox::Mailbox,
    plans::Plans,
    posting::Poster,
    queue::{Pushed, Queued},
    watch::{Consumer, Extent},
    worker::Worker,
};

/// The objects that are worked on before lists wait a little.
const CROWD: usize = 1_000;

/// What workers have in common, whatever their object.
pub(crate) struct Shop {
    pub(crate) door: Arc<dyn Door>,
    pub(crate) api: ApiClient,
    pub(crate) clock: Clock,
    pub(crate) poster: Poster,
    /// Takes what nobody can go on after.
    pub(crate) fatal: mpsc::Sender<RunError>,
    /// The engine's numbers of objects.
    pub(crate) next_object_id: AtomicU64,
}

/// The objects of one stream.
pub(crate) struct Objects {
    pub(crate) shop: Arc<Shop>,
    pub(crate) plans: Arc<Plans>,
    /// Nothing new is begun.
    pub(crate) stop: CancellationToken,
    /// What runs is cancelled.
    pub(crate) kill: CancellationToken,
    /// How many objects are worked on at the same time (W-QUE-005).
    pub(crate) limit: Option<Arc<Semaphore>>,
    resource: Arc<Resource>,
    every_event_counts: bool,
    keeps_managed_fields: bool,
    /// Handlers are selected by labels or annotations: so they are kept, for the end of what vanished.
    keeps_labels: bool,
    workers: TaskTracker,
    /// The workers that only wait for a time or an event.
    sleeping: AtomicUsize,
    /// Told when a worker has ended, or sleeps.
    less: Notify,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    objects: HashMap<Arc<str>, Entry>,
    /// The number of the list that has begun last: what it does not show is gone (W-WAT-016).
    round: u32,
    belief: Belief,
    /// The namespace of the last object.
    last_namespace: Option<Arc<str>>,
}

struct Entry {
    state: State,
    name: Box<str>,
    namespace: Option<Arc<str>>,
    /// The labels and annotations, if handlers are selected by them.
    labels: Option<Box<Labels>>,
    /// The list that has shown the object, or the one after which a watch did.
    round: u32,
    /// The last version that was shown.
    version: Version,
    /// The warning on dropped events was given.
    warned: bool,
}

/// By what of its metadata an object is selected.
struct Labels {
    labels: Option<Value>,
    annotations: Option<Value>,
}

enum State {
    /// Nobody works on it.
    Idle(Box<Life>),
    /// A worker does, and gets its events here.
    Working(Arc<Mailbox>),
}

/// What is kept of an object from its first event to its end.
pub(crate) struct Life {
    pub(crate) object_id: u64,
    pub(crate) machine: Machine,
}

impl Objects {
    pub(crate) fn new(
        shop: Arc<Shop>,
        resource: Arc<Resource>,
        plans: Arc<Plans>,
        stop: &CancellationToken,
        kill: &CancellationToken,
    ) -> Arc<Self> {
        let worker_limit = plans.current().settings.queueing.worker_limit;
        Arc::new(Self {
            every_event_counts: plans.needs_every_event(),
            keeps_labels: plans.filter_by_labels(),
            keeps_managed_fields: plans.needs().contains(Needs::MANAGED_FIELDS),
            limit: worker_limit.map(|limit| Arc::new(Semaphore::new(limit.max(1)))),
            stop: stop.child_token(),
            kill: kill.child_token(),
            shop,
            plans,
            resource,
            workers: TaskTracker::new(),
            sleeping: AtomicUsize::new(0),
            less: Notify::new(),
            table: Mutex::default(),
        })
    }

    /// A worker has nothing left to do. Gives the object back if an event has come meanwhile.
    pub(crate) fn retire(
        &self,
        key: &str,
        mailbox: &Mailbox,
        life: Option<Box<Life>>,
    ) -> Result<(), Option<Box<Life>>> {
        // Events are put in under this lock: none comes between the look and the end.
        let mut table = self.lock();
        if !mailbox.is_empty() && !self.stop.is_cancelled() {
            return Err(life);
        }
        match (table.objects.get_mut(key), life) {
            (Some(entry), Some(life)) => entry.state = State::Idle(life),
            (_, None) => drop(table.objects.remove(key)),
            (None, Some(_)) => {}
        }
        Ok(())
    }

    /// A new life, with a number that no other has.
    pub(crate) fn begin_life(&self) -> Box<Life> {
        let object_id = self.shop.next_object_id.fetch_add(1, Ordering::Relaxed);
        Box::new(Life { object_id, machine: Machine::new(object_id) })
    }

    /// Begins to stop: nothing new is begun. Ends when no worker is left.
    pub(crate) async fn drained(&self) {
        self.stop.cancel();
        self.workers.close();
        self.workers.wait().await;
    }

    /// The objects that are still worked on, as upstream names their streams.
    pub(crate) fn unfinished(&self) -> Vec<Arc<str>> {
        let table = self.lock();
        let working = table.objects.iter().filter(|(_, entry)| matches!(entry.state, State::Working(_)));
        working.map(|(key, _)| key.clone()).collect()
    }

    /// Tells the door that nothing is known of the objects any more. After [`drained`](Self::drained).
    pub(crate) fn forget_all(&self) {
        let mut table = self.lock();
        for (_, entry) in table.objects.drain() {
            if let State::Idle(life) = entry.state {
                self.shop.door.forget(life.object_id);
            }
        }
    }

    /// Ends when not too many objects are worked on.
    async fn room(&self) {
        loop {
            let less = self.less.notified();
            tokio::pin!(less);
            // Before looking, so that no end is missed.
            less.as_mut().enable();
            if self.workers.len().saturating_sub(self.sleeping.load(Ordering::Relaxed)) <= CROWD {
                return;
            }
            less.await;
        }
    }

    /// A worker has ended.
    pub(crate) fn ended(&self) {
        self.less.notify_waiters();
    }

    /// A worker sleeps for as long as this is held.
    pub(crate) fn sleep(&self) -> Sleeping<'_> {
        self.sleeping.fetch_add(1, Ordering::Relaxed);
        self.less.notify_waiters();
        Sleeping(&self.sleeping)
    }

    fn take(self: &Arc<Self>, event_type: Option<EventType>, object: Object) {
        if self.stop.is_cancelled() {
            return;
        }
        let mut guard = self.lock();
        let table = &mut *guard;
        let version = comparable(object.resource_version());
        if event_type.is_some() {
            table.belief.watched(version);
        }
        let key = stream_key(&object);
        let key: Arc<str> = match table.objects.get_key_value(key.as_ref()) {
            Some((key, _)) => key.clone(),
            None => key.as_ref().into(),
        };
        let namespace = table.intern(object.namespace());
        let round = table.round;
        let entry = table.objects.entry(key.clone()).or_insert_with(|| Entry {
            state: State::Idle(self.begin_life()),
            name: object.name().into(),
            namespace,
            labels: None,
            round,
            version,
            warned: false,
        });
        entry.round = round;
        entry.version = version;
        if self.keeps_labels {
            entry.labels = Some(Box::new(Labels::of(&object)));
        }
        let mailbox = match &entry.state {
            State::Working(mailbox) => mailbox,
            State::Idle(_) => self.start(&key, entry),
        };
        let pushed = mailbox.push(Queued { event_type, object }, self.every_event_counts);
        let warn = pushed == Pushed::Dropped && !std::mem::replace(&mut entry.warned, true);
        drop(guard);
        if warn {
            Logger::new(&self.shop.door, logger::QUEUEING).warning(format_args!(
                "Too many events wait for {} {key}: the oldest modifications are skipped from now on.",
                self.resource
            ));
        }
    }

    /// Starts a worker. It looks at the object when the table is free again.
    fn start<'a>(self: &Arc<Self>, key: &Arc<str>, entry: &'a mut Entry) -> &'a Mailbox {
        let before = std::mem::replace(&mut entry.state, State::Working(Arc::default()));
        let State::Working(mailbox) = &entry.state else { unreachable!("it was put there just now") };
        if let State::Idle(life) = before {
            let worker = Worker::new(self.clone(), key.clone(), life, mailbox.clone());
            self.workers.spawn(worker.run());
        }
        mailbox
    }

    /// What the last list has not shown: the end of it was missed.
    fn vanished(&self) -> Vec<Object> {
        let table = self.lock();
        let gone = table.objects.iter().filter(|(_, entry)| entry.round != table.round);
        gone.map(|(key, entry)| entry.last_known(key, &self.resource)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker that sleeps.
pub(crate) struct Sleeping<'a>(&'a AtomicUsize);

impl Drop for Sleeping<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The stream's end of the queues.
pub(crate) struct Intake(pub(crate) Arc<Objects>);

impl Consumer for Intake {
    fn listing(&self) {
        let mut table = self.0.lock();
        table.round = table.round.wrapping_add(1);
        table.belief.listing();
    }

    fn extent(&self) -> Extent {
        if self.0.keeps_managed_fields { Extent::Whole } else { Extent::Used }
    }

    fn event(&self, event_type: Option<EventType>, object: Object) {
        let object = if event_type.is_none() { self.0.lock().listed(object) } else { Some(object) };
        if let Some(object) = object {
            self.0.take(event_type, object);
        }
    }

    fn room(&self) -> BoxFuture<()> {
        let objects = self.0.clone();
        Box::pin(async move { objects.room().await })
    }

    fn listed(&self, version: Option<&str>) -> bool {
        let Some(past) = self.0.lock().belief.believe(comparable(version)) else { return false };
        for object in past {
            self.0.take(None, object);
        }
        for object in self.0.vanished() {
            self.0.take(Some(EventType::Deleted), object);
        }
        true
    }
}

impl Table {
    /// Takes an object of a list; gives it back unless it is held back.
    fn listed(&mut self, object: Object) -> Option<Object> {
        let known = self.objects.get(stream_key(&object).as_ref()).map(|entry| entry.version);
        self.belief.listed(object, known)
    }

    /// The text of a namespace, which many objects share.
    fn intern(&mut self, namespace: Option<&str>) -> Option<Arc<str>> {
        let namespace = namespace?;
        if self.last_namespace.as_deref() != Some(namespace) {
            self.last_namespace = Some(namespace.into());
        }
        self.last_namespace.clone()
    }
}

impl Labels {
    fn of(object: &Object) -> Self {
        Self { labels: object.meta("labels").cloned(), annotations: object.meta("annotations").cloned() }
    }
}

impl Entry {
    /// The object as far as it is remembered: bodies are not, for all the memory that would take.
    fn last_known(&self, key: &str, resource: &Resource) -> Object {
        let api_version = match resource.group.as_str() {
            "" => resource.version.clone(),
            group => format!("{group}/{}", resource.version),
        };
        let mut metadata = json!({"name": self.name});
        if let Some(namespace) = &self.namespace {
            metadata["namespace"] = json!(**namespace);
        }
        if let Some(labels) = &self.labels {
            metadata["labels"] = labels.labels.clone().unwrap_or_default();
            metadata["annotations"] = labels.annotations.clone().unwrap_or_default();
        }
        // Keys of objects without a uid are made of their names.
        if !key.contains("//") {
            metadata["uid"] = json!(key);
        }
        Object::new(json!({"apiVersion": api_version, "kind": resource.kind, "metadata": metadata}))
    }
}
