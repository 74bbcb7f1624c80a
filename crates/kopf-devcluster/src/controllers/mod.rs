//! The controllers of the server itself: definitions, namespaces, garbage collection.
//!
//! One task for all, woken by writes and without timers, so that with paused time all is done before time moves on.

mod expiry;
pub(crate) mod garbage;
pub(crate) mod namespaces;

pub(crate) use expiry::STORE as EVENTS;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::clock::Moment;
use crate::crd;
use crate::server::Shared;
use crate::server::write::prepare::{is_being_deleted, meta_text};
use crate::store::{Key, Place};

/// What writes have left for the controllers to look at.
#[derive(Debug, Default)]
pub(crate) struct Pending(Mutex<Lists>);

#[derive(Debug, Default)]
struct Lists {
    /// Namespaces that are being deleted, until they are gone.
    namespaces: BTreeSet<String>,
    /// Definitions that are being deleted, until they are gone.
    definitions: BTreeSet<String>,
    garbage: VecDeque<garbage::Item>,
    /// Events, in the order in which they end.
    events: VecDeque<expiry::Event>,
}

impl Pending {
    /// Notes what a write means to the controllers; little is done here, since every write passes.
    pub(crate) fn note(&self, store: &Arc<str>, key: &Key, before: Option<&Value>, after: Option<&Value>) {
        let mut lists = self.lock();
        if after.is_some_and(is_being_deleted) {
            match &**store {
                "namespaces" => lists.namespaces.insert(key.name.clone()),
                crd::STORE => lists.definitions.insert(key.name.clone()),
                _ => false,
            };
        }
        if after.is_none() {
            lists
                .garbage
                .push_back(garbage::Item::Gone(meta_text(before.unwrap_or(&Value::Null), "uid").to_owned()));
        }
        if after.is_some_and(garbage::concerns) {
            lists.garbage.push_back(garbage::Item::Look((Arc::clone(store), key.clone())));
        }
        for owner in before.into_iter().flat_map(garbage::references) {
            lists.garbage.push_back(garbage::Item::Owner {
                reference: owner.clone(),
                namespace: key.namespace.clone(),
            });
        }
    }

    /// An Event was written, and ends some time later unless it is written again.
    pub(crate) fn expire(&self, key: Key, written: &Value, due: Moment) {
        let resource_version = meta_text(written, "resourceVersion").to_owned();
        self.lock().events.push_back(expiry::Event { key, resource_version, due });
    }

    /// The object has to be looked at again.
    pub(crate) fn look(&self, place: Place) {
        self.lock().garbage.push_back(garbage::Item::Look(place));
    }

    fn lock(&self) -> MutexGuard<'_, Lists> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Works whenever there is something to do, until the cluster stops.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            () = shared.work.notified() => {}
            () = expiry::due(&shared) => {}
        }
        while step(&shared).await {
            if shared.stop.is_cancelled() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Does what is to be done now; whether there may be more.
async fn step(shared: &Arc<Shared>) -> bool {
    let (definitions, namespaces) = {
        let lists = shared.pending.lock();
        (lists.definitions.clone(), lists.namespaces.clone())
    };
    let mut worked = expiry::step(shared).await;
    for name in definitions {
        worked |= crd::controller::finalize(shared, &name).await;
        if shared.store.get(crd::STORE, &Key::new("", name.as_str())).is_none() {
            shared.pending.lock().definitions.remove(&name);
        }
    }
    for name in namespaces {
        worked |= namespaces::finalize(shared, &name).await;
        if shared.namespace(&name).is_none() {
            shared.pending.lock().namespaces.remove(&name);
        }
    }
    if shared.options.garbage_collection {
        // Not in one expression: the lock must be free while the item is worked on.
        let next = shared.pending.lock().garbage.pop_front();
        if let Some(item) = next {
            garbage::collect(shared, item).await;
            worked = true;
        }
    } else {
        shared.pending.lock().garbage.clear();
    }
    worked
}
