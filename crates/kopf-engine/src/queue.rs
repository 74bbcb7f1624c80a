//! The events of one object that wait to be processed (DEC-13).
//!
//! The watch is never held: where only the newest state counts, a queue holds one event; where every event counts it holds
//! up to a limit, and then leaves out the oldest that says least.

use std::collections::VecDeque;

use kopf_core::{object::Object, reason::EventType};

/// The events that wait where every event counts.
pub(crate) const LIMIT: usize = 1_000;

/// An event that waits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Queued {
    pub(crate) event_type: Option<EventType>,
    pub(crate) object: Object,
}

/// The events of one object, in order.
#[derive(Debug, Default)]
pub(crate) struct Queue(VecDeque<Queued>);

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits; so does everything before it, or the newest of it.
    Kept,
    /// It waits, and an older one had to go.
    Dropped,
}

impl Queue {
    /// Takes an event.
    pub(crate) fn push(&mut self, event: Queued, every_event_counts: bool) -> Pushed {
        if !every_event_counts {
            match self.0.back_mut() {
                Some(last) if last.is_replaced_by(&event) => last.replace(event),
                _ => self.0.push_back(event),
            }
            return Pushed::Kept;
        }
        self.0.push_back(event);
        if self.0.len() <= LIMIT {
            return Pushed::Kept;
        }
        let oldest_modified = self.0.iter().position(|e| e.event_type == Some(EventType::Modified));
        // Without one there are more than a thousand lives and deaths: the oldest says least.
        self.0.remove(oldest_modified.unwrap_or(0));
        Pushed::Dropped
    }

    /// Gives the oldest event.
    pub(crate) fn pop(&mut self) -> Option<Queued> {
        let event = self.0.pop_front();
        if self.0.is_empty() {
            // Idle objects keep no buffer.
            self.0 = VecDeque::new();
        }
        event
    }

    /// The newest event.
    pub(crate) fn last(&self) -> Option<&Queued> {
        self.0.back()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Queued {
    /// The end of a life is never replaced, nor is what comes after it mixed with what was before.
    fn is_replaced_by(&self, newer: &Self) -> bool {
        self.event_type != Some(EventType::Deleted) && newer.event_type != Some(EventType::Deleted)
    }

    /// The state is the newer one; how the object was noticed stays: that decides on resuming (W-CYC-002).
    fn replace(&mut self, newer: Self) {
        self.object = newer.object;
    }
}

#[cfg(test)]
mod tests {
    use EventType::{Added, Deleted, Modified};
    use serde_json::json;

    use super::*;

    fn event(event_type: impl Into<Option<EventType>>, version: usize) -> Queued {
        let object = json!({"metadata": {"resourceVersion": version.to_string()}});
        Queued { event_type: event_type.into(), object: Object::new(object) }
    }

    fn drain(mut queue: Queue) -> Vec<Queued> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    fn check(pushed: &[Queued], kept: &[Queued]) {
        let mut queue = Queue::default();
        for event in pushed {
            assert_eq!(queue.push(event.clone(), false), Pushed::Kept);
        }
        assert_eq!(drain(queue), kept);
    }

    /// DEC-13.
    #[test]
    fn only_the_newest_state_waits_where_only_states_count() {
        check(&[event(Modified, 1), event(Modified, 2), event(Modified, 3)], &[event(Modified, 3)]);
        check(&[event(None, 1), event(Modified, 2)], &[event(None, 2)]);
        check(&[event(Added, 1), event(None, 2)], &[event(Added, 2)]);
    }

    /// DEC-13.
    #[test]
    fn the_end_of_an_object_is_never_left_out() {
        check(&[event(Modified, 1), event(Deleted, 2)], &[event(Modified, 1), event(Deleted, 2)]);
        check(
            &[event(Deleted, 1), event(Added, 2), event(Modified, 3)],
            &[event(Deleted, 1), event(Added, 3)],
        );
    }

    /// DEC-13.
    #[test]
    fn the_oldest_modification_goes_when_too_many_events_wait() {
        let mut queue = Queue::default();
        queue.push(event(Added, 0), true);
        for version in 1..LIMIT {
            assert_eq!(queue.push(event(Modified, version), true), Pushed::Kept);
        }
        assert_eq!(queue.push(event(Modified, LIMIT), true), Pushed::Dropped);
        assert_eq!(queue.push(event(Deleted, LIMIT + 1), true), Pushed::Dropped);
        let left = drain(queue);
        assert_eq!(left.len(), LIMIT);
        assert_eq!(left[..2], [event(Added, 0), event(Modified, 3)]);
        assert_eq!(left[LIMIT - 1], event(Deleted, LIMIT + 1));
    }
}
