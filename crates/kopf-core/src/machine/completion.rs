//! The end of a cause: what becomes the last handled essence, and which one a cycle is about (W-CYC-012, DEC-2).

use std::sync::Arc;

use serde_json::Value;

use super::{
    Machine, Turn,
    changes::{Changes, CycleEssence},
    handling::declared,
    phase::Cycle,
};
use crate::{cause::Cause, error::ErrorInfo, json::python_eq, plan::Plan, reason::Reason, state::State};

impl Machine {
    /// The cause is handled: no progress is needed any more, and the essence becomes the last handled one.
    pub(super) fn complete(
        &mut self,
        cycle: &mut Cycle,
        cause: &Cause,
        state: &State,
        turn: Turn<'_>,
    ) -> Result<(), ErrorInfo> {
        self.memory.fully_handled = true;
        self.memory.waits = None;
        if cause.reason == Some(Reason::Delete) {
            // The records go with the object. To remove them first would leave it, after a crash between the two requests, as
            // if its deletion had not been handled. So they are written if anything is, and left as they are if nothing is.
            self.memory.released = true;
            if cycle.patch.merge.is_empty() {
                cycle.changes = Changes::default();
            }
            return Ok(());
        }
        let plan = turn.plan;
        let kept = kept_essence(cause, state, cycle, plan)?;
        let known = turn.plan.handlers.iter().filter(|handler| handler.trigger.is_changing());
        cycle.changes.purge(known.map(|handler| handler.id.clone()).chain(state.ids()));
        if let (Some(kept), Some(seen)) = (&kept, &cause.new)
            && !python_eq(kept, seen)
        {
            // The later handlers have seen this one: if the object returns to the kept one, they have to hear of it.
            cycle.changes.cycle = CycleEssence::Stored(seen.clone());
        }
        let handled = kept.or_else(|| cause.new.clone());
        cycle.changes.handled = handled.filter(|essence| is_restored(cause, essence));
        Ok(())
    }

    /// Keeps the essence that the cycle is about, as soon as a handler has finished and others are left (DEC-2): what changes
    /// from now on, the finished one has not seen.
    pub(super) fn keep_essence(
        &mut self,
        cycle: &mut Cycle,
        cause: &Cause,
        state: &State,
        has_finished: bool,
        plan: &Plan,
    ) -> Result<(), ErrorInfo> {
        if !has_finished || !ends_with_essence(cause.reason) {
            return Ok(());
        }
        let is_kept = kept_essence(cause, state, cycle, plan)?.is_some();
        if let Some(essence) = cause.new.clone().filter(|_| !is_kept) {
            cycle.changes.cycle = CycleEssence::Stored(essence);
        }
        Ok(())
    }
}

/// Gives up the cycle of a change that was reverted before it was handled: its records are removed (FIX-2). If handlers have
/// finished with another essence, they have to hear of the way back: that one becomes the last handled essence, and the object
/// as it is arrives as an update. Gives whether it does.
pub(super) fn give_up_cycle(cycle: &mut Cycle, cause: &Cause, turn: Turn<'_>) -> Result<bool, ErrorInfo> {
    let storage = &*turn.plan.progress;
    let kept = storage.fetch_cycle(&cause.object)?.map(Arc::new);
    let is_known = kept.is_some();
    let unseen = kept.filter(|essence| is_restored(cause, essence));
    let is_update = unseen.is_some();
    if is_update || cause.reason == Some(Reason::Noop) {
        let state = State::read(storage, &cause.object, &declared(turn.plan), &[], Reason::Noop, turn.now)?;
        let ids = state.ids();
        if is_known || !ids.is_empty() {
            cycle.changes.purge(ids);
        }
        if let (Some(unseen), Some(present)) = (unseen, &cause.new) {
            // In exchange: if the object changes again before the update is handled, the others have to hear of that.
            cycle.changes.cycle = CycleEssence::Stored(present.clone());
            cycle.changes.handled = Some(unseen);
        }
    }
    Ok(is_update)
}

/// The essence that a finished cycle was about, if it was kept: it counts if it is about handlers that had finished before,
/// and for the same cause (DEC-2).
fn kept_essence(
    cause: &Cause,
    state: &State,
    cycle: &Cycle,
    plan: &Plan,
) -> Result<Option<Arc<Value>>, ErrorInfo> {
    if cycle.changes.cycle != CycleEssence::Kept || !state.had_finished() {
        return Ok(None);
    }
    Ok(plan.progress.fetch_cycle(&cause.object)?.map(Arc::new))
}

/// Whether the essence differs from what is stored as handled: also where a diff shows nothing (W-DFF-003).
fn is_restored(cause: &Cause, essence: &Value) -> bool {
    cause.old.as_ref().is_none_or(|old| !python_eq(old, essence))
}

/// Whether a cause ends with a new essence to be handled from then on. A deletion ends with the object, a resumption with what
/// was there before.
pub(super) fn ends_with_essence(reason: Option<Reason>) -> bool {
    matches!(reason, Some(Reason::Create | Reason::Update))
}
