//! Waiting for the own write to come back by the stream (W-CON, DEC-14).
//!
//! A cycle that saw the object as it was before the own write would run handlers again that have just finished. Versions are
//! opaque: they are compared by equality, and put in order only by the order in which the stream has shown them.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    Machine, Turn,
    changes::Changes,
    phase::{Cycle, Phase, Progress},
};
use crate::{error::ErrorInfo, object::Object};

/// A queue of events is no longer (DEC-13).
const MOST_VERSIONS: usize = 1024;

/// An own write that the stream has not shown yet.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// What is to be seen.
    pub(super) sign: Sign,
    /// How long handlers wait for it.
    pub(super) until: Timestamp,
    /// What was written, by this and the writes before that were not seen either.
    pub(super) changes: Arc<Changes>,
}

/// By what it is known that the stream shows an own write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// This version.
    Version(String),
    /// The end: nothing holds the object any more, so no version of it matters (W-CON-007).
    Release,
    /// The end: a later request has not found the object. Unlike after a release, it may have been an error.
    Gone,
}

/// The versions that the stream has shown: that of the last processed event, and those after it, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    processed: Option<Box<str>>,
    newer: Vec<Box<str>>,
}

impl Expected {
    fn version(&self) -> Option<&str> {
        match &self.sign {
            Sign::Version(version) => Some(version),
            Sign::Release | Sign::Gone => None,
        }
    }
}

impl Seen {
    /// Notes a version as it arrives.
    pub(super) fn observe(&mut self, version: &str) {
        if self.newer.last().is_some_and(|last| **last == *version) {
            return;
        }
        if self.newer.len() == MOST_VERSIONS {
            self.newer.remove(0);
        }
        self.newer.push(version.into());
    }

    /// Notes a version as its event is processed; gives whether an expected one was shown not later.
    pub(super) fn process(&mut self, version: &str, expected: Option<&str>) -> bool {
        let count = match self.newer.iter().position(|seen| **seen == *version) {
            Some(position) => position + 1,
            // Not told of: if others are, this one is older than all of them.
            None => 0,
        };
        let is_reached = expected.is_some_and(|expected| {
            expected == version || self.newer[..count].iter().any(|seen| **seen == *expected)
        });
        self.newer.drain(..count);
        self.processed = Some(version.into());
        is_reached
    }

    /// Whether this is the version of the last processed event.
    pub(super) fn is_last(&self, version: &str) -> bool {
        self.processed.as_deref() == Some(version)
    }
}

impl Machine {
    /// Notes the version of an event that is processed now, and whether it meets the expected one (W-CON-003).
    pub(super) fn see(&mut self, object: &Object) {
        let Some(version) = object.resource_version() else { return };
        let expected = self.memory.expected.as_ref().and_then(|expected| expected.version());
        if self.memory.seen.process(version, expected) {
            self.memory.expected = None;
        }
    }

    /// Expects the last version to be seen in the stream; gives whether it was not seen already (W-CON-001, DEC-14).
    pub(super) fn expect(&mut self, object: &Object, cycle: &Cycle, turn: Turn<'_>) -> bool {
        let Some(version) = object.resource_version() else { return false };
        if self.memory.seen.is_last(version) {
            self.memory.expected = None;
            return false;
        }
        let sign = if is_released(object) { Sign::Release } else { Sign::Version(version.to_owned()) };
        self.expect_sign(sign, &cycle.changes, turn);
        true
    }

    /// Expects a sign of a write, and of those before that were not seen either.
    pub(super) fn expect_sign(&mut self, sign: Sign, changes: &Changes, turn: Turn<'_>) {
        let timeout = turn.plan.settings.persistence.consistency_timeout;
        let mut unseen = self.memory.expected.take().map(|expected| expected.changes).unwrap_or_default();
        if timeout.is_zero() {
            return;
        }
        Arc::make_mut(&mut unseen).extend(changes);
        let timeout = SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX);
        let until = turn.now.checked_add(timeout).unwrap_or(Timestamp::MAX);
        self.memory.expected = Some(Box::new(Expected { sign, until, changes: unseen }));
    }

    /// Lets the handlers run, or wait until the object is as it was written.
    pub(super) fn await_consistency(&mut self, mut cycle: Box<Cycle>, turn: Turn<'_>) -> Phase {
        let expected = self.memory.expected.as_ref();
        let Some(until) = expected.map(|expected| expected.until) else { return Phase::Consistent(cycle) };
        if until <= turn.now {
            return Phase::Overdue(cycle);
        }
        // With something to write, and with more events to come, there is no time to wait; but the handlers are not forgotten.
        if !cycle.patch.is_empty() || cycle.finalizer.is_some() || cycle.is_pressed {
            cycle.progress = Progress::Deferred;
            return Phase::Closing(cycle);
        }
        self.wait(cycle, until)
    }

    /// Waits for the own write to be seen, but not for ever.
    pub(super) fn wait(&mut self, cycle: Box<Cycle>, until: Timestamp) -> Phase {
        self.wake_at(until);
        Phase::Waiting(cycle, until)
    }

    /// Decides about an object after the time to wait for the own write is over. The stream may just be slow: only an object
    /// that shows what was written is taken for what it is now. Into another, the same is written again, which gives its
    /// newest version.
    pub(super) fn recheck(&mut self, mut cycle: Box<Cycle>, turn: Turn<'_>) -> Result<Phase, ErrorInfo> {
        let expected = self.memory.expected.as_ref().filter(|expected| expected.until <= turn.now);
        let Some(expected) = expected else { return Ok(resumed(cycle)) };
        if expected.sign == Sign::Release {
            return Ok(Phase::Closing(cycle));
        }
        let changes = expected.changes.clone();
        // What the server has answered is taken as well, but does not end the wait: older versions may still arrive.
        if expected.version().is_some_and(|version| cycle.event.object.resource_version() == Some(version)) {
            return Ok(resumed(cycle));
        }
        if changes.are_shown_by(turn.plan, &cycle.event.object)? {
            self.memory.expected = None;
            return Ok(resumed(cycle));
        }
        cycle.changes = Changes::clone(&changes);
        cycle.progress = Progress::Deferred;
        Ok(Phase::Closing(cycle))
    }
}

/// Where a cycle goes on: at its handlers if they were to run when it had to wait, else at the beginning.
fn resumed(cycle: Box<Cycle>) -> Phase {
    if cycle.cause.is_some() { Phase::Consistent(cycle) } else { Phase::Begun(cycle) }
}

/// Whether nothing holds the object any more: it is gone already, whatever versions are still to be seen (W-CON-007).
fn is_released(object: &Object) -> bool {
    let finalizers = object.meta("finalizers").and_then(Value::as_array);
    object.is_deleting() && finalizers.is_none_or(Vec::is_empty)
}
