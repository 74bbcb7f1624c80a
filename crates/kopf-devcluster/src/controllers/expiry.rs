//! Events end some time after they were written, as the etcd of a real server lets them (D-230).

use std::sync::Arc;

use crate::clock::Moment;
use crate::server::Shared;
use crate::server::write::delete::{self, DeleteOptions};
use crate::server::write::prepare::meta_text;
use crate::store::Key;

/// Where Events of both groups are stored.
pub(crate) const STORE: &str = "events";

/// An Event that ends.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) key: Key,
    /// It only ends if this is still its version.
    pub(super) resource_version: String,
    pub(super) due: Moment,
}

/// Until the next Event ends; for ever if there is none.
pub(super) async fn due(shared: &Shared) {
    // Not in one expression: the lock must not be held while waiting.
    let next = shared.pending.lock().events.front().map(|event| event.due);
    match next {
        Some(due) => shared.clock.sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Removes the next Event if it is time; whether it was.
pub(super) async fn step(shared: &Arc<Shared>) -> bool {
    let now = shared.clock.moment();
    let ended = {
        let mut lists = shared.pending.lock();
        if lists.events.front().is_none_or(|event| event.due > now) {
            return false;
        }
        lists.events.pop_front()
    };
    let Some(event) = ended else { return false };
    let stored = shared.store.get(STORE, &event.key);
    let is_last =
        stored.is_some_and(|stored| meta_text(&stored.value, "resourceVersion") == event.resource_version);
    if let Some(served) = shared.registry().find("", "v1", STORE).filter(|_| is_last) {
        delete::by_controller(shared, &served, &event.key, &DeleteOptions::default()).await;
    }
    true
}
