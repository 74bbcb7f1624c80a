//! What an input means for the state. Nothing here can fail: what was told is kept, whatever follows from it.

use std::mem;

use super::{
    Answer, CallId, Input, Machine, Turn,
    phase::{Cycle, Event, Phase},
};
use crate::{
    handler::HandlerId,
    log::{Level, Line, Log},
    outcome::Outcome,
    patch::Patch,
};

/// The report of a call.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) call: CallId,
    pub(super) outcome: Outcome,
    pub(super) patch: Patch,
    pub(super) subrefs: Vec<HandlerId>,
}

impl Machine {
    pub(super) fn take_in(&mut self, input: Input, turn: Turn<'_>) {
        let phase = mem::take(&mut self.phase);
        self.phase = match input {
            Input::Event { event_type, object, more_queued } => {
                let event = Event { event_type, object, is_watched: false };
                self.take_event(phase, event, more_queued, turn)
            }
            Input::Tick => self.take_tick(phase, turn),
            Input::Finished { call, outcome, patch, subrefs } => {
                self.take_finished(phase, Finished { call, outcome, patch, subrefs }, turn)
            }
            Input::Answered { request, answer } => self.take_answer(phase, request, answer, turn),
            Input::Stop => self.take_stop(phase),
        };
    }

    fn take_event(&mut self, phase: Phase, event: Event, is_pressed: bool, turn: Turn<'_>) -> Phase {
        if self.memory.stopping || matches!(phase, Phase::Gone) {
            return phase;
        }
        self.memory.noticed.get_or_insert(event.event_type);
        self.see(&event.object);
        let cycle = Cycle::new(self.next_number(), event, is_pressed);
        match phase {
            Phase::Sleeping(sleep) => {
                self.debug(Line::SleepInterrupted(sleep.left(turn.now)));
                Phase::Begun(cycle)
            }
            Phase::Throttled(until, then) => self.supersede(until, *then, cycle, turn),
            _ => Phase::Begun(cycle),
        }
    }

    fn take_tick(&mut self, phase: Phase, turn: Turn<'_>) -> Phase {
        match phase {
            Phase::Waiting(cycle, until) if until <= turn.now => Phase::Overdue(cycle),
            Phase::Sleeping(sleep) if sleep.until <= turn.now => Phase::Touching(sleep.cycle),
            Phase::Throttled(Some(until), then) if until <= turn.now => {
                self.log(Log::local(Level::Info, Line::ThrottlingOver));
                *then
            }
            // Clocks are rounded: a moment too early is no reason to forget.
            Phase::Waiting(_, until) | Phase::Throttled(Some(until), _) => {
                self.wake_at(until);
                phase
            }
            Phase::Sleeping(ref sleep) => {
                self.wake_at(sleep.until);
                phase
            }
            waiting => waiting,
        }
    }

    fn take_finished(&mut self, phase: Phase, finished: Finished, turn: Turn<'_>) -> Phase {
        match phase {
            Phase::Watching(watching) => self.end_watching(watching, finished, turn),
            Phase::Handling(handling) => self.end_handling(handling, finished, turn),
            other => other,
        }
    }

    fn take_answer(
        &mut self,
        phase: Phase,
        request: super::RequestId,
        answer: Answer,
        turn: Turn<'_>,
    ) -> Phase {
        match phase {
            Phase::Applying(write) if write.awaits(request) => self.end_request(*write, answer, turn),
            other => other,
        }
    }

    /// Nothing new is begun. What handlers have done is still written, with one attempt.
    fn take_stop(&mut self, phase: Phase) -> Phase {
        self.memory.stopping = true;
        match phase {
            Phase::Waiting(..) | Phase::Sleeping(_) => Phase::Idle,
            Phase::Throttled(_, then) if then.is_writing() => *then,
            Phase::Throttled(..) => Phase::Idle,
            running => running,
        }
    }
}
