//! The course of a cycle: the cause, the finalizer, and, when state-changing handlers are done, the end.

use std::{mem, sync::Arc};

use serde_json::Value;

use super::{
    Machine, Output, Turn,
    changes::{deliver, essence_of, without_progress},
    consistency::Sign,
    phase::{Cycle, Phase, Progress},
    write::Write,
};
use crate::{
    cause::Cause,
    detect::{Situation, detect},
    diff::{Diff, Scope},
    error::ErrorInfo,
    finalizer::FinalizerChange,
    log::{Level, Line, Log},
    plan::Plan,
    reason::Reason,
    select,
};

impl Machine {
    /// Detects the cause, and decides about the finalizer (W-CAU, W-FIN).
    pub(super) fn detect(&mut self, mut cycle: Box<Cycle>, turn: Turn<'_>) -> Result<Phase, ErrorInfo> {
        for (id, result) in mem::take(&mut cycle.results) {
            deliver(&id, &result, &mut cycle.patch.merge);
        }
        cycle.cause = self.changing_cause(&cycle, turn.plan)?.map(Arc::new);
        if !cycle.is_deleted() {
            self.decide_finalizer(&mut cycle, turn.plan)?;
        }
        let Some(cause) = &cycle.cause else { return Ok(Phase::Closing(cycle)) };
        if cause.reason == Some(Reason::Gone) {
            self.log(Log::new(Level::Debug, Line::Gone));
            return Ok(Phase::Closing(cycle));
        }
        if cycle.finalizer.is_some() || cycle.is_carrying {
            cycle.progress = Progress::Deferred;
            return Ok(Phase::Closing(cycle));
        }
        Ok(self.await_consistency(cycle, turn))
    }

    /// Ends the deciding part: the finalizer is removed if all is done, then everything is written at once.
    pub(super) fn close(&mut self, mut cycle: Box<Cycle>, turn: Turn<'_>) -> Result<Phase, ErrorInfo> {
        if cycle.is_deleted() {
            self.emit(Output::Forget);
            return Ok(Phase::Gone);
        }
        let object = cycle.event.object.clone();
        let finalizer = &turn.plan.settings.persistence.finalizer;
        let is_held = object.is_deleting() && object.has_finalizer(finalizer);
        // Others may hold the object, so that versions from before its release are still to be seen.
        let is_leaving = self.memory.expected.as_ref().is_some_and(|expected| {
            expected.sign == Sign::Release || self.memory.released && expected.until > turn.now
        });
        if is_leaving {
            cycle.finalizer = None;
        } else if is_held && (self.memory.released || cycle.finalizer.is_some()) {
            self.debug(Line::ReleasingObject);
            cycle.finalizer = Some(FinalizerChange::Allow(finalizer.clone()));
        }
        let mut patch = cycle.patch.clone();
        cycle.changes.write(turn.plan, &object, &mut patch)?;
        if patch.is_empty() && cycle.finalizer.is_none() {
            return Ok(self.rest(cycle, turn));
        }
        // A touch has served its purpose with the event that it made (W-TCH-002). With the object itself it goes anyway.
        if !is_held || !patch.is_empty() {
            turn.plan.progress.touch(&object, &mut patch, None)?;
        }
        Ok(Phase::Applying(Box::new(Write::new(cycle, patch, turn))))
    }

    /// Adds the finalizer if something requires it, removes it if nothing does. Either takes a cycle of its own for
    /// state-changing handlers (W-FIN-004, W-FIN-005).
    fn decide_finalizer(&mut self, cycle: &mut Cycle, plan: &Plan) -> Result<(), ErrorInfo> {
        let finalizer = &plan.settings.persistence.finalizer;
        let object = &cycle.event.object;
        let is_required = match &cycle.cause {
            Some(cause) => select::requires_finalizer(&plan.handlers, cause)?,
            None => false,
        };
        let is_blocked = object.has_finalizer(finalizer);
        if is_required && !is_blocked && !object.is_deleting() {
            self.debug(Line::AddingFinalizer);
            cycle.finalizer = Some(FinalizerChange::Block(finalizer.clone()));
        } else if !is_required && is_blocked {
            self.debug(Line::DroppingFinalizer);
            cycle.finalizer = Some(FinalizerChange::Allow(finalizer.clone()));
        }
        Ok(())
    }

    /// The cause for state-changing handlers; none if the object does not concern any of them (W-CYC-009).
    fn changing_cause(&self, cycle: &Cycle, plan: &Plan) -> Result<Option<Cause>, ErrorInfo> {
        if !plan.handlers.iter().any(|handler| handler.trigger.is_changing()) {
            return Ok(None);
        }
        let object = &cycle.event.object;
        let old = plan.diff_base.fetch(object)?.map(|old| without_progress(old, plan)).transpose()?;
        let new = essence_of(object, plan)?;
        let diff = Diff::between(old.as_ref().unwrap_or(&Value::Null), &new, Scope::Full);
        let detected = detect(Situation {
            event_type: cycle.event.event_type,
            object,
            finalizer: &plan.settings.persistence.finalizer,
            is_handled: old.is_some(),
            is_changed: !diff.is_empty(),
            is_initial: self.memory.noticed == Some(None) && !self.memory.fully_handled,
        });
        let cause = Cause {
            reason: Some(detected.reason),
            initial: detected.initial,
            old: old.map(Arc::new),
            new: Some(Arc::new(new)),
            diff: Arc::new(diff),
            ..self.bare_cause(cycle, plan)
        };
        Ok(select::is_concerned(&plan.handlers, &cause)?.then_some(cause))
    }

    /// What there is to say before any state is compared.
    pub(super) fn bare_cause(&self, cycle: &Cycle, plan: &Plan) -> Cause {
        Cause {
            object_id: self.object_id,
            cycle: cycle.number,
            resource: plan.resource.clone(),
            event_type: cycle.event.event_type,
            object: cycle.event.object.clone(),
            reason: None,
            initial: false,
            old: None,
            new: None,
            diff: Arc::default(),
            waits: self.memory.waits.clone(),
        }
    }
}
