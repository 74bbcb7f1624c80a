//! Pauses: for delayed handlers, ended by a touch of the object, and after unexpected errors (W-TCH, W-THR).

use jiff::{SignedDuration, Timestamp};

use super::{
    Machine, Output, Turn,
    phase::{Cycle, Phase, Progress},
    write::Write,
};
use crate::{
    error::ErrorInfo,
    log::{Level, Line, Log},
    moment::Moment,
    patch::Patch,
};

/// Longer delays are slept for in parts, so that the log shows that the object is not forgotten (A-CAU-064).
const LONGEST_SLEEP: SignedDuration = SignedDuration::from_secs(600);

/// Sleeping for delayed handlers.
#[derive(Clone, Debug)]
pub(super) struct Sleep {
    pub(super) cycle: Box<Cycle>,
    pub(super) until: Timestamp,
}

impl Sleep {
    /// What was not slept yet.
    pub(super) fn left(&self, now: Timestamp) -> SignedDuration {
        self.until.duration_since(now).max(SignedDuration::ZERO)
    }
}

impl Machine {
    /// Ends a cycle that has nothing to write.
    pub(super) fn rest(&mut self, cycle: Box<Cycle>, turn: Turn<'_>) -> Phase {
        self.memory.failures = 0;
        match cycle.progress {
            Progress::Unconcerned => Phase::Idle,
            Progress::Done => {
                self.debug(Line::Finished);
                Phase::Idle
            }
            Progress::Unfinished(until) => self.sleep(cycle, until, turn),
            Progress::Deferred => self.revisit(cycle, turn),
        }
    }

    /// Looks at the same version of the object again, its event handlers apart.
    pub(super) fn revisit(&mut self, cycle: Box<Cycle>, turn: Turn<'_>) -> Phase {
        if cycle.is_pressed {
            return Phase::Idle; // The next event is newer, and comes at once.
        }
        let cycle = self.repetition(cycle);
        match &self.memory.expected {
            Some(expected) if expected.until > turn.now => {
                let until = expected.until;
                self.wait(cycle, until)
            }
            _ => Phase::Begun(cycle),
        }
    }

    /// A new cycle about the same event, which its handlers have seen.
    pub(super) fn repetition(&mut self, cycle: Box<Cycle>) -> Box<Cycle> {
        Cycle::new(self.next_number(), cycle.event, false)
    }

    /// Sleeps for a delay, unless a newer event is there.
    pub(super) fn sleep(&mut self, cycle: Box<Cycle>, until: Timestamp, turn: Turn<'_>) -> Phase {
        let delay = until.duration_since(turn.now);
        if delay <= SignedDuration::ZERO {
            return Phase::Touching(cycle);
        }
        let capped = (delay > LONGEST_SLEEP).then_some(LONGEST_SLEEP);
        self.debug(Line::Sleeping { delay, capped });
        let nap = delay.min(LONGEST_SLEEP);
        if cycle.is_pressed {
            self.debug(Line::SleepInterrupted(nap));
            return Phase::Idle;
        }
        let until = turn.now.checked_add(nap).unwrap_or(Timestamp::MAX);
        self.wake_at(until);
        Phase::Sleeping(Box::new(Sleep { cycle, until }))
    }

    /// Writes a value that is always new, so that the event of it continues the work (W-TCH-013). If the storage has nothing
    /// to write, the work is continued without.
    pub(super) fn touch(&mut self, mut cycle: Box<Cycle>, turn: Turn<'_>) -> Result<Phase, ErrorInfo> {
        if self.memory.stopping {
            return Ok(Phase::Idle);
        }
        let mut patch = Patch::default();
        let value = Moment::utc(turn.now).isoformat();
        turn.plan.progress.touch(&cycle.event.object, &mut patch, Some(&value))?;
        cycle.progress = Progress::Deferred;
        Ok(Phase::Applying(Box::new(Write::new(cycle, patch, turn))))
    }

    /// Pauses after an error that is not a handler's. The pause grows from error to error, until a cycle succeeds.
    pub(super) fn throttle(&mut self, error: ErrorInfo, then: Phase, turn: Turn<'_>) -> Phase {
        let delays = &turn.plan.settings.queueing.error_delays;
        let Some(&delay) = delays.get(self.memory.failures as usize).or(delays.last()) else {
            self.log(Log::local(Level::Error, Line::Unthrottled(error)));
            return if self.memory.stopping { Phase::Idle } else { Phase::Throttled(None, Box::new(then)) };
        };
        self.memory.failures += 1;
        let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
        self.log(Log::local(Level::Error, Line::Throttling { delay, error }));
        if self.memory.stopping {
            return Phase::Idle;
        }
        let until = turn.now.checked_add(delay).unwrap_or(Timestamp::MAX);
        self.wake_at(until);
        Phase::Throttled(Some(until), Box::new(then))
    }

    /// A newer event takes the place of what is to be tried again (W-THR-004), with what is left to be written of it.
    pub(super) fn supersede(
        &mut self,
        until: Option<Timestamp>,
        then: Phase,
        mut cycle: Box<Cycle>,
        turn: Turn<'_>,
    ) -> Phase {
        if cycle.is_deleted() {
            return Phase::Begun(cycle); // Nothing is written to what is gone.
        }
        let then = match then {
            Phase::Applying(write) => self.supersede_write(*write, cycle, turn),
            Phase::Handling(handling) => {
                cycle.inherit(*handling.abandon(turn.plan));
                Phase::Begun(cycle)
            }
            Phase::Watching(watching) => {
                cycle.inherit(*watching.cycle);
                Phase::Begun(cycle)
            }
            Phase::Idle | Phase::Gone | Phase::Sleeping(_) | Phase::Throttled(..) => Phase::Begun(cycle),
            Phase::Begun(old)
            | Phase::Watched(old)
            | Phase::Waiting(old, _)
            | Phase::Overdue(old)
            | Phase::Consistent(old)
            | Phase::Closing(old)
            | Phase::Touching(old) => {
                cycle.inherit(*old);
                Phase::Begun(cycle)
            }
        };
        match until {
            Some(_) => Phase::Throttled(until, Box::new(then)),
            None => then,
        }
    }

    pub(super) fn wake_at(&mut self, time: Timestamp) {
        self.emit(Output::WakeAt(time));
    }
}

impl Cycle {
    /// Takes over what an older cycle has left to be written.
    fn inherit(&mut self, old: Self) {
        self.patch = old.patch;
        self.results = old.results;
        self.changes = old.changes;
        self.children = old.children;
        self.finished_with = old.finished_with;
    }
}
