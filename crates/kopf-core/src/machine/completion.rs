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
        let kept = kept_essences(cause, state, cycle, plan)?;
        let known = turn.plan.handlers.iter().filter(|handler| handler.trigger.is_changing());
        cycle.changes.purge(known.map(|handler| handler.id.clone()).chain(state.ids()));
        let Some(present) = &cause.new else { return Ok(()) };
        let other = kept.into_iter().find(|seen| !python_eq(seen, present));
        if other.is_some() {
            // The later handlers have seen this one: if the object returns to the other one, they have to hear of it.
            cycle.changes.cycle = CycleEssence::Stored(present.clone());
        }
        let handled = other.unwrap_or_else(|| present.clone());
        cycle.changes.handled = is_restored(cause, &handled).then_some(handled);
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
        let kept = kept_essences(cause, state, cycle, plan)?;
        if let Some(seen) = cause.new.clone().and_then(|seen| with_seen(kept, seen)) {
            cycle.changes.cycle = CycleEssence::Stored(seen);
        }
        Ok(())
    }
}

/// Gives up the cycle of a change that was reverted before it was handled: its records are removed (FIX-2). If handlers have
/// finished with another essence, they have to hear of the way back: that one becomes the last handled essence, and the object
/// as it is arrives as an update. Gives whether it does.
pub(super) fn give_up_cycle(cycle: &mut Cycle, cause: &Cause, turn: Turn<'_>) -> Result<bool, ErrorInfo> {
    let storage = &*turn.plan.progress;
    let kept = essences(storage.fetch_cycle(&cause.object)?);
    let is_known = !kept.is_empty();
    let unseen = kept.into_iter().find(|essence| is_restored(cause, essence));
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

/// The essences that handlers of the cycle have finished with, as far as they are kept: they count if handlers had finished
/// before, and for the same cause (DEC-2).
fn kept_essences(
    cause: &Cause,
    state: &State,
    cycle: &Cycle,
    plan: &Plan,
) -> Result<Vec<Arc<Value>>, ErrorInfo> {
    if cycle.changes.cycle != CycleEssence::Kept || !state.had_finished() {
        return Ok(Vec::new());
    }
    Ok(essences(plan.progress.fetch_cycle(&cause.object)?))
}

/// Keeps what handlers have seen that have finished in a cycle which was given up for this one.
pub(super) fn note_seen(cycle: &mut Cycle, plan: &Plan) -> Result<(), ErrorInfo> {
    let Some((seen, had_finished)) = cycle.finished_with.take() else { return Ok(()) };
    let kept = if had_finished { plan.progress.fetch_cycle(&cycle.event.object)? } else { None };
    if let Some(seen) = with_seen(essences(kept), seen) {
        cycle.changes.cycle = CycleEssence::Stored(seen);
    }
    Ok(())
}

/// Adds an essence that handlers have finished with; none if nothing is to be written. Two different ones are enough: whatever
/// the object is in the end, one of them is another, and so shows that something is to be handled.
fn with_seen(mut kept: Vec<Arc<Value>>, seen: Arc<Value>) -> Option<Arc<Value>> {
    if kept.len() > 1 || kept.iter().any(|kept| python_eq(kept, &seen)) {
        return None;
    }
    if kept.is_empty() {
        return Some(seen);
    }
    kept.push(seen);
    Some(Arc::new(kept.iter().map(|essence| Value::clone(essence)).collect()))
}

/// The essences in what is kept: one as itself, two as a list.
fn essences(kept: Option<Value>) -> Vec<Arc<Value>> {
    match kept {
        None => Vec::new(),
        Some(Value::Array(essences)) => essences.into_iter().map(Arc::new).collect(),
        Some(essence) => vec![Arc::new(essence)],
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// DEC-2 (c): the first two different essences are kept, and read back.
    #[test]
    fn two_different_essences_are_kept() {
        let [one, two, three] = [1, 2, 3].map(|f| Arc::new(json!({"spec": {"f": f}})));
        let kept = with_seen(Vec::new(), one.clone()).unwrap();
        assert_eq!(essences(Some(Value::clone(&kept))), std::slice::from_ref(&one));
        assert_eq!(with_seen(vec![one.clone()], one.clone()), None);
        let kept = with_seen(vec![one.clone()], two.clone()).unwrap();
        assert_eq!(essences(Some(Value::clone(&kept))), [one.clone(), two.clone()]);
        assert_eq!(with_seen(vec![one, two], three), None);
    }
}
