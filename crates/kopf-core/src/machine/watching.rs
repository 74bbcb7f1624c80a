//! Event handlers: each event is told to all of them, once (W-CYC-007).

use std::{collections::VecDeque, mem, sync::Arc};

use jiff::SignedDuration;

use super::{
    Call, CallId, Machine, Output, Turn,
    completion::note_seen,
    handling::changing_rules,
    intake::Finished,
    phase::{Cycle, Phase, Running},
};
use crate::{
    attempt::{Children, Rules},
    cause::Cause,
    error::ErrorInfo,
    handler::{ErrorsMode, Handler},
    log::Ending,
    plan::Plan,
    record::ProgressRecord,
    select,
};

/// The run of the event handlers of a cycle.
#[derive(Clone, Debug)]
pub(super) struct Watching {
    pub(super) cycle: Box<Cycle>,
    cause: Arc<Cause>,
    /// Handlers that are still to run. They do also if the operator stops meanwhile: nobody tells them later.
    queue: VecDeque<Arc<Handler>>,
    running: Option<Running>,
}

impl Watching {
    /// Whether no call is under way.
    pub(super) fn is_ready(&self) -> bool {
        self.running.is_none()
    }
}

impl Machine {
    /// Selects the event handlers for an event that they were not told of yet.
    pub(super) fn open_watching(
        &mut self,
        mut cycle: Box<Cycle>,
        turn: Turn<'_>,
    ) -> Result<Phase, ErrorInfo> {
        if let Some(left_over) = &mut self.memory.left_over {
            cycle.patch.transforms.append(&mut left_over.transforms);
        }
        self.note_children(&mut cycle, turn)?;
        note_seen(&mut cycle, turn.plan)?;
        cycle.is_carrying |= !cycle.patch.is_empty() || !cycle.changes.is_empty();
        if mem::replace(&mut cycle.event.is_watched, true) {
            return Ok(Phase::Watched(cycle));
        }
        let cause = Arc::new(self.bare_cause(&cycle, turn.plan));
        let queue = VecDeque::from(select::watching(&turn.plan.handlers, &cause)?);
        if queue.is_empty() {
            return Ok(Phase::Watched(cycle));
        }
        Ok(Phase::Watching(Box::new(Watching { cycle, cause, queue, running: None })))
    }

    /// Runs the next event handler, with the patch as the one before has left it (W-CYC-008).
    pub(super) fn watch(&mut self, mut watching: Box<Watching>, turn: Turn<'_>) -> Phase {
        let Some(handler) = watching.queue.pop_front() else { return Phase::Watched(watching.cycle) };
        let call = Call {
            id: CallId(self.next_number()),
            handler: handler.clone(),
            cause: watching.cause.clone(),
            retry: 0,
            started: turn.now,
            runtime: SignedDuration::ZERO,
            patch: watching.cycle.patch.clone(),
        };
        self.log(rules(&handler, turn.plan).invoked().unposted());
        watching.running = Some(Running { call: call.id, handler });
        self.emit(Output::Call(call));
        Phase::Watching(watching)
    }

    /// Finishes a call of an event handler. Whatever happened, it is not tried again (A-ERR-010).
    pub(super) fn end_watching(
        &mut self,
        mut watching: Box<Watching>,
        finished: Finished,
        turn: Turn<'_>,
    ) -> Phase {
        let Some(running) = watching.running.take_if(|running| running.call == finished.call) else {
            return Phase::Watching(watching);
        };
        let handler = running.handler;
        let rules = rules(&handler, turn.plan);
        let record = ProgressRecord::new(None, turn.now);
        watching.cycle.patch = finished.patch;
        match rules.judge(finished.outcome, &record, turn.now) {
            Some(judgement) => {
                self.log(rules.ended(judgement.ending).unposted());
                watching.cycle.results.extend(judgement.result.map(|result| (handler.id.clone(), result)));
            }
            None => self.log(rules.ended(Ending::Cancelled).unposted()),
        }
        Phase::Watching(watching)
    }
}

fn rules<'a>(handler: &'a Handler, plan: &Plan) -> Rules<'a> {
    Rules { default_errors: ErrorsMode::Ignored, ..changing_rules(handler, Children::default(), plan) }
}
