//! The end of a cause: what becomes the last handled essence, and which one a cycle is about (W-CYC-012, DEC-2).

use std::sync::Arc;

use serde_json::Value;

use super::{
    Machine, Turn,
    changes::{Changes, CycleEssence},
    handling::declared,
    phase::{Cycle, FinishedWith},
};
use crate::{
    cause::Cause,
    diff::{Diff, Scope},
    error::ErrorInfo,
    json::{self, python_eq},
    key::suffix,
    patch::Patch,
    plan::Plan,
    reason::Reason,
    select,
    state::State,
};

/// No more essences are kept: each is as large as the object.
const MOST_ESSENCES: usize = 4;

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
            self.memory.released = true;
            return leave_records(cycle, state, turn.plan);
        }
        let plan = turn.plan;
        let mut kept = Kept::read(cause, state, cycle, plan)?;
        let Some(present) = &cause.new else {
            purge(cycle, state, plan);
            return Ok(());
        };
        if let Some(unheard) = kept.take_unheard(cause, present, plan)? {
            // Handlers that have finished in a cycle before have to hear of what has changed since, and only they: the records
            // of the others stay, so that they do not run again.
            kept.see(present);
            cycle.changes.cycle =
                CycleEssence::Stored(kept.to_value(state.finished_since(), Some(&*unheard)));
            cycle.changes.handled = Some(unheard);
            return Ok(());
        }
        purge(cycle, state, plan);
        kept.here.retain(|seen| !python_eq(seen, present));
        let handled = if kept.here.is_empty() { present.clone() } else { kept.here.remove(0) };
        if !Arc::ptr_eq(&handled, present) {
            // The later handlers have seen the others: they have to hear of what has changed since then.
            kept.before.append(&mut kept.here);
            kept.before.retain(|seen| !python_eq(seen, &handled) && !python_eq(seen, present));
            kept.before.push(present.clone());
            cycle.changes.cycle = CycleEssence::Stored(kept.to_value(None, Some(&*handled)));
        }
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
        let mut kept = Kept::read(cause, state, cycle, plan)?;
        if cause.new.as_ref().is_some_and(|seen| kept.see(seen)) {
            let value = kept.to_value(state.finished_since(), cause.old.as_deref());
            cycle.changes.cycle = CycleEssence::Stored(value);
        }
        Ok(())
    }
}

/// Removes the records of all handlers.
fn purge(cycle: &mut Cycle, state: &State, plan: &Plan) {
    let known = plan.handlers.iter().filter(|handler| handler.trigger.is_changing());
    cycle.changes.purge(known.map(|handler| handler.id.clone()).chain(state.ids()));
}

/// At the end of a deletion, leaves the records as they are, if they need not be written (DEC-38). They go with the object. To
/// remove them first would leave it, after a crash between the two requests, as if its deletion had not been handled. So they
/// are written if anything else is, and left as they are if nothing is, or if that would take a request of its own where no
/// record was stored before.
fn leave_records(cycle: &mut Cycle, state: &State, plan: &Plan) -> Result<(), ErrorInfo> {
    if cycle.patch.merge.is_empty() {
        cycle.changes = Changes::default();
        return Ok(());
    }
    let object = &cycle.event.object;
    // Sub-handlers have put theirs into the patch.
    let mut others = cycle.patch.clone();
    for id in state.ids() {
        plan.progress.purge(&id, object, &mut others)?;
    }
    plan.progress.flush()?;
    let is_left = others.merge.is_empty() || {
        let mut all = cycle.patch.clone();
        cycle.changes.write(plan, object, &mut all)?;
        !state.is_any_stored() && requests(&all, plan) > requests(&others, plan)
    };
    if is_left {
        cycle.patch = others;
        cycle.changes = Changes::default();
    }
    Ok(())
}

/// How many requests a merge patch takes: the status may be a resource of its own.
fn requests(patch: &Patch, plan: &Plan) -> usize {
    let is_of_status = |key: &String| plan.resource.has_subresource("status") && key == "status";
    let [status, object] =
        [true, false].map(|wanted| patch.merge.keys().any(|key| is_of_status(key) == wanted));
    usize::from(status) + usize::from(object)
}

/// Gives up the cycle of a change that was reverted before it was handled: its records are removed (FIX-2). If handlers have
/// finished with another essence, they have to hear of the way back: that one becomes the last handled essence, and the object
/// as it is arrives as an update. Gives whether it does.
pub(super) fn give_up_cycle(cycle: &mut Cycle, cause: &Cause, turn: Turn<'_>) -> Result<bool, ErrorInfo> {
    let storage = &*turn.plan.progress;
    let stored = storage.fetch_cycle(&cause.object)?;
    if stored.is_none() && cause.reason != Some(Reason::Noop) {
        return Ok(false);
    }
    let state = State::read(storage, &cause.object, &declared(turn.plan), &[], Reason::Noop, turn.now)?;
    let is_known = stored.is_some();
    let Kept { before, here } = Kept::parse(stored, &state, cause.old.as_deref());
    let unseen = here.into_iter().chain(before).find(|essence| is_restored(cause, essence));
    let is_update = unseen.is_some();
    if is_update || cause.reason == Some(Reason::Noop) {
        let ids = state.ids();
        if is_known || !ids.is_empty() {
            cycle.changes.purge(ids);
        }
        if let (Some(unseen), Some(present)) = (unseen, &cause.new) {
            // In exchange: if the object changes again before the update is handled, the others have to hear of that.
            let kept = Kept { before: vec![present.clone()], here: Vec::new() };
            cycle.changes.cycle = CycleEssence::Stored(kept.to_value(None, Some(&*unseen)));
            cycle.changes.handled = Some(unseen);
        }
    }
    Ok(is_update)
}

/// Keeps what handlers have seen that have finished in a cycle which was given up for this one.
pub(super) fn note_seen(cycle: &mut Cycle, plan: &Plan) -> Result<(), ErrorInfo> {
    let Some(FinishedWith { seen, old, state }) = cycle.finished_with.take() else { return Ok(()) };
    let mut kept = Kept::parse(plan.progress.fetch_cycle(&cycle.event.object)?, &state, old.as_deref());
    if kept.see(&seen) {
        cycle.changes.cycle = CycleEssence::Stored(kept.to_value(state.finished_since(), old.as_deref()));
    }
    Ok(())
}

/// The essences that handlers have finished with, oldest first (DEC-2).
#[derive(Clone, Debug, Default, PartialEq)]
struct Kept {
    /// In cycles before, where others have finished with another one: these handlers have not heard of what has changed since.
    before: Vec<Arc<Value>>,
    /// In this cycle, whose finished handlers are known by their records.
    here: Vec<Arc<Value>>,
}

impl Kept {
    /// What is kept in the object, if nothing else became of it in this cycle.
    fn read(cause: &Cause, state: &State, cycle: &Cycle, plan: &Plan) -> Result<Self, ErrorInfo> {
        if cycle.changes.cycle != CycleEssence::Kept {
            return Ok(Self::default());
        }
        Ok(Self::parse(plan.progress.fetch_cycle(&cause.object)?, state, cause.old.as_deref()))
    }

    /// Reads what is kept. Upstream ends cycles without removing it, so it names what it belongs to: all of it to the last handled
    /// essence, what is of this cycle to the record of a finished handler.
    fn parse(stored: Option<Value>, state: &State, handled: Option<&Value>) -> Self {
        let Some(stored) = stored else { return Self::default() };
        let text = |key: &str| stored.get(key).and_then(Value::as_str);
        if text("beside") != handled.map(digest).as_deref() {
            return Self::default();
        }
        let list = |key: &str| {
            let essences = stored.get(key).and_then(Value::as_array);
            essences.into_iter().flatten().cloned().map(Arc::new).collect()
        };
        let is_running = text("started").is_some_and(|started| state.has_finished_since(started));
        Self { before: list("before"), here: if is_running { list("seen") } else { Vec::new() } }
    }

    /// What is stored: when a handler has begun that has finished in this cycle, and the last handled essence.
    fn to_value(&self, started: Option<String>, handled: Option<&Value>) -> Arc<Value> {
        let list = |essences: &[Arc<Value>]| essences.iter().map(|one| Value::clone(one)).collect();
        let parts = [
            ("started", started.map(Value::from)),
            ("beside", handled.map(|handled| digest(handled).into())),
            ("before", (!self.before.is_empty()).then(|| list(&self.before))),
            ("seen", (!self.here.is_empty()).then(|| list(&self.here))),
        ];
        let parts = parts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Arc::new(Value::Object(parts.collect()))
    }

    /// Adds what handlers of this cycle have finished with; gives whether it is new.
    fn see(&mut self, seen: &Arc<Value>) -> bool {
        let is_new = self.here.len() < MOST_ESSENCES && !self.here.iter().any(|kept| python_eq(kept, seen));
        if is_new {
            self.before.retain(|kept| !python_eq(kept, seen));
            self.here.push(seen.clone());
        }
        is_new
    }

    /// Takes out the first essence of a cycle before from which the way to the present one concerns handlers that this update
    /// has not: they have finished with it, and have not heard of the way back. Those before it concern nobody.
    fn take_unheard(
        &mut self,
        cause: &Cause,
        present: &Arc<Value>,
        plan: &Plan,
    ) -> Result<Option<Arc<Value>>, ErrorInfo> {
        if cause.reason != Some(Reason::Update) {
            self.before.clear();
        }
        self.before.retain(|seen| !python_eq(seen, present));
        if self.before.is_empty() {
            return Ok(None);
        }
        let told = select::changing(&plan.handlers, cause)?;
        while !self.before.is_empty() {
            let seen = self.before.remove(0);
            let diff = Arc::new(Diff::between(&seen, present, Scope::Full));
            let way = Cause { old: Some(seen.clone()), diff, ..cause.clone() };
            let concerned = select::changing(&plan.handlers, &way)?;
            if concerned.iter().any(|handler| told.iter().all(|other| other.id != handler.id)) {
                return Ok(Some(seen));
            }
        }
        Ok(None)
    }
}

/// A short text for an essence.
pub(super) fn digest(essence: &Value) -> String {
    suffix(&json::compact(essence))
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
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::{object::Object, storage::SmartProgressStorage};

    /// DEC-2 (c): essences are kept once, and only those of this cycle beside the present last handled essence are read back.
    #[test]
    fn what_is_kept_is_read_back() {
        let [one, two, three] = [1, 2, 3].map(|f| Arc::new(json!({"spec": {"f": f}})));
        let storage = SmartProgressStorage::default();
        let state =
            State::read(&storage, &Object::new(json!({})), &[], &[], Reason::Update, Timestamp::UNIX_EPOCH)
                .unwrap();
        let mut kept = Kept { before: vec![one.clone()], here: Vec::new() };
        assert!(kept.see(&two) && !kept.see(&two));
        let stored = Value::clone(&kept.to_value(Some("then".to_owned()), Some(&*three)));
        let beside = digest(&three);
        assert_eq!(stored, json!({"started": "then", "beside": beside, "before": [*one], "seen": [*two]}));

        let before = Kept { before: vec![one.clone()], here: Vec::new() };
        assert_eq!(
            Kept::parse(Some(stored.clone()), &state, Some(&*three)),
            before,
            "no record is of that cycle"
        );
        assert_eq!(Kept::parse(Some(stored.clone()), &state, Some(&*two)), Kept::default());
        assert_eq!(Kept::parse(Some(stored), &state, None), Kept::default());
    }
}
