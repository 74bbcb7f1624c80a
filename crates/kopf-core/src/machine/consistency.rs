//! Waiting for the own write to come back by the stream (W-CON, DEC-14).
//!
//! A cycle that saw the object as it was before the own write would run handlers again that have just finished. Versions are
//! opaque: they are compared by equality, and put in order only by the order in which the stream has shown them.

use std::{collections::VecDeque, sync::Arc};

use jiff::Timestamp;

use super::{
    Machine, Turn,
    changes::Changes,
    phase::{Cycle, Phase, Progress},
};
use crate::{error::ErrorInfo, object::Object};

/// Versions are remembered while a write is under way or expected, a few seconds. A queue of events is no longer (DEC-13).
const MOST_VERSIONS: usize = 1024;

/// An own write that the stream has not shown yet.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// The version to be seen; none if the object must be gone by now, so that no version of it matters (W-CON-007).
    pub(super) version: Option<String>,
    /// How long handlers wait for it.
    pub(super) until: Timestamp,
    /// What was written.
    pub(super) changes: Arc<Changes>,
}

/// The versions that the stream has shown, oldest first: the last one, and, while a write is under way or expected, those
/// since it began.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    versions: VecDeque<String>,
    /// The versions are told as they arrive; else they are noted as their events are processed.
    is_told: bool,
}

impl Seen {
    /// Notes a version as it arrives.
    pub(super) fn observe(&mut self, version: &str, keep_all: bool) {
        self.is_told = true;
        self.push(version, keep_all);
    }

    /// Notes a version as its event is processed.
    pub(super) fn process(&mut self, version: &str, keep_all: bool) {
        if !self.is_told {
            self.push(version, keep_all);
        }
    }

    pub(super) fn contains(&self, version: &str) -> bool {
        self.versions.iter().any(|seen| seen == version)
    }

    /// Whether the stream has shown `expected` not later than the version of an event.
    pub(super) fn has_reached(&self, expected: &str, version: &str) -> bool {
        let first = self.versions.iter().position(|seen| seen == expected);
        let last = self.versions.iter().rposition(|seen| seen == version);
        expected == version || first.zip(last).is_some_and(|(first, last)| first <= last)
    }

    fn push(&mut self, version: &str, keep_all: bool) {
        if self.versions.back().is_some_and(|last| last == version) {
            return;
        }
        if !keep_all || self.versions.len() == MOST_VERSIONS {
            let excess = if keep_all { 1 } else { self.versions.len() };
            self.versions.drain(..excess);
        }
        self.versions.push_back(version.to_owned());
    }
}

impl Machine {
    /// Notes the version of an event that is processed now, and whether it meets the expected one (W-CON-003).
    pub(super) fn see(&mut self, object: &Object) {
        let Some(version) = object.resource_version() else { return };
        let keep_all = self.phase.is_writing() || self.memory.expected.is_some();
        let memory = &mut self.memory;
        memory.seen.process(version, keep_all);
        let expected = memory.expected.as_ref().and_then(|expected| expected.version.as_deref());
        if expected.is_some_and(|expected| memory.seen.has_reached(expected, version)) {
            memory.expected = None;
        }
    }

    /// Lets the handlers run, or wait until the object is as it was written.
    pub(super) fn await_consistency(&mut self, mut cycle: Cycle, turn: Turn<'_>) -> Phase {
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
    pub(super) fn wait(&mut self, cycle: Cycle, until: Timestamp) -> Phase {
        self.wake_at(until);
        Phase::Waiting(cycle, until)
    }

    /// Decides about an object after the time to wait for the own write is over. The stream may just be slow: only an object
    /// that shows what was written is taken for what it is now. Into another, the same is written again, which gives its
    /// newest version.
    pub(super) fn recheck(&mut self, mut cycle: Cycle, turn: Turn<'_>) -> Result<Phase, ErrorInfo> {
        let expected = self.memory.expected.as_ref().filter(|expected| expected.until <= turn.now);
        let Some(expected) = expected else { return Ok(resumed(cycle)) };
        if expected.version.is_none() {
            return Ok(Phase::Closing(cycle));
        }
        let changes = expected.changes.clone();
        let is_shown = changes.are_shown_by(turn.plan, &cycle.event.object)?;
        self.memory.expected = None;
        if is_shown {
            return Ok(resumed(cycle));
        }
        cycle.changes = Changes::clone(&changes);
        cycle.progress = Progress::Deferred;
        Ok(Phase::Closing(cycle))
    }
}

/// Where a cycle goes on: at its handlers if they were to run when it had to wait, else at the beginning.
fn resumed(cycle: Cycle) -> Phase {
    if cycle.cause.is_some() { Phase::Consistent(cycle) } else { Phase::Begun(cycle) }
}
