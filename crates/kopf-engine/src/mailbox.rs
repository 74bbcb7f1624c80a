//! What the stream has for the worker of one object.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use kopf_core::object::Object;
use tokio::sync::Notify;

use crate::queue::{Pushed, Queue, Queued};

/// The versions of an object that are remembered while its machine is busy. An own write that is followed by more of others
/// counts as unseen, and is waited for until its deadline.
const OBSERVED: usize = 1_000;

/// The events of an object that is worked on.
#[derive(Default)]
pub(crate) struct Mailbox {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Default)]
struct Waiting {
    queue: Queue,
    /// Versions that the stream has shown and the machine was not told of yet.
    observed: VecDeque<Box<str>>,
}

impl Mailbox {
    /// Puts in an event, and tells the worker.
    pub(crate) fn push(&self, event: Queued, every_event_counts: bool) -> Pushed {
        let mut waiting = self.lock();
        // An event that waits alone is processed next, which tells its version, too.
        if let Some(last) = waiting.queue.last() {
            let versions = [&last.object, &event.object].map(version);
            for version in versions.into_iter().flatten() {
                waiting.observe(version);
            }
        }
        let pushed = waiting.queue.push(event, every_event_counts);
        drop(waiting);
        self.wake.notify_one();
        pushed
    }

    /// The next event, and whether more wait.
    pub(crate) fn pop(&self) -> Option<(Queued, bool)> {
        let mut waiting = self.lock();
        let event = waiting.queue.pop()?;
        Some((event, !waiting.queue.is_empty()))
    }

    /// The versions that the stream has shown since the last time, in its order, whether their events wait or were replaced. Not
    /// those of events that have waited alone.
    pub(crate) fn observed(&self) -> VecDeque<Box<str>> {
        std::mem::take(&mut self.lock().observed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().queue.is_empty()
    }

    /// Ends when something was put in. For one waiter.
    pub(crate) async fn filled(&self) {
        self.wake.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn observe(&mut self, version: Box<str>) {
        if self.observed.back() == Some(&version) {
            return;
        }
        if self.observed.len() >= OBSERVED {
            self.observed.pop_front();
        }
        self.observed.push_back(version);
    }
}

fn version(object: &Object) -> Option<Box<str>> {
    object.resource_version().map(Into::into)
}

#[cfg(test)]
mod tests {
    use kopf_core::reason::EventType;
    use serde_json::json;

    use super::*;

    fn event(version: usize) -> Queued {
        let object = Object::new(json!({"metadata": {"resourceVersion": version.to_string()}}));
        Queued { event_type: Some(EventType::Modified), object }
    }

    /// DEC-13, DEC-14.
    #[test]
    fn the_versions_of_replaced_events_are_told_in_their_order() {
        let mailbox = Mailbox::default();
        for version in 1..=3 {
            mailbox.push(event(version), false);
        }
        assert_eq!(mailbox.pop(), Some((event(3), false)));
        assert_eq!(mailbox.observed(), ["1", "2", "3"].map(Box::from));
        assert!(mailbox.is_empty() && mailbox.observed().is_empty());
    }

    /// DEC-14: also those that were put in before the machine was told, and after.
    #[test]
    fn no_version_between_two_events_is_left_out() {
        let mailbox = Mailbox::default();
        mailbox.push(event(1), true);
        assert!(mailbox.observed().is_empty());
        mailbox.push(event(2), true);
        assert_eq!(mailbox.observed(), ["1", "2"].map(Box::from));
        mailbox.push(event(3), true);
        assert_eq!(mailbox.observed(), ["2", "3"].map(Box::from));
        assert_eq!(mailbox.pop(), Some((event(1), true)));
    }
}
