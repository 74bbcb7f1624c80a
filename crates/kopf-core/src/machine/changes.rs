//! What a cycle writes for the engine itself: records, and the essence that was handled.
//!
//! Kept as values until the server has accepted them, apart from what handlers write: after a refused or lost write they
//! are put into a patch anew, if need be for a newer version of the object (DEC-7).

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use crate::{
    error::ErrorInfo,
    essence::drop_empty_stanzas,
    handler::HandlerId,
    json::python_eq,
    object::Object,
    patch::{Patch, merge},
    plan::Plan,
    storage::RawRecord,
};

/// The engine's own part of a patch.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// Records by handler; none = it is removed.
    pub(super) records: BTreeMap<HandlerId, Option<RawRecord>>,
    /// What becomes of the essence that the running cycle is about (DEC-2).
    pub(super) cycle: CycleEssence,
    /// The essence that is handled from now on.
    pub(super) handled: Option<Arc<Value>>,
}

/// A change of the essence that the running cycle is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum CycleEssence {
    /// None.
    #[default]
    Kept,
    /// It is this one.
    Stored(Arc<Value>),
    /// The cycle is over.
    Purged,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds later changes.
    pub(super) fn extend(&mut self, later: &Self) {
        self.records.extend(later.records.iter().map(|(id, record)| (id.clone(), record.clone())));
        if later.cycle != CycleEssence::Kept {
            self.cycle = later.cycle.clone();
        }
        if later.handled.is_some() {
            self.handled.clone_from(&later.handled);
        }
    }

    /// Removes the records of these handlers, and with them the essence of the cycle.
    pub(super) fn purge(&mut self, ids: impl IntoIterator<Item = HandlerId>) {
        self.records.extend(ids.into_iter().map(|id| (id, None)));
        self.cycle = CycleEssence::Purged;
    }

    /// Puts the changes into a patch of the object. What handlers have put there is overwritten (W-CYC-008).
    pub(super) fn write(&self, plan: &Plan, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        let storage = &*plan.progress;
        let seen = self.seen_with(plan, object, patch)?;
        let (stored, purged): (Vec<_>, Vec<_>) =
            self.records.iter().partition(|(_, record)| record.is_some());
        for (id, _) in &purged {
            storage.purge(id, object, patch)?;
        }
        if !purged.is_empty() {
            storage.flush()?;
        }
        for (id, record) in &stored {
            if let Some(record) = record {
                storage.store(id, record, object, patch)?;
            }
        }
        if !stored.is_empty() {
            storage.flush()?;
        }
        match &self.cycle {
            CycleEssence::Kept | CycleEssence::Stored(_) => {
                seen.iter().try_for_each(|seen| storage.store_cycle(seen, object, patch))?;
            }
            CycleEssence::Purged => storage.purge_cycle(object, patch)?,
        }
        self.handled.iter().try_for_each(|essence| plan.diff_base.store(essence, object, patch))
    }

    /// What is to be kept as seen by the handlers of the cycle, if anything has to be written: with that which the patch itself
    /// changes. Our own changes are no news, unless they come at the end of a cycle (DEC-2, W-DIF-013).
    fn seen_with(&self, plan: &Plan, object: &Object, patch: &Patch) -> Result<Option<Value>, ErrorInfo> {
        let stored = match &self.cycle {
            CycleEssence::Purged => return Ok(None),
            CycleEssence::Stored(seen) => Value::clone(seen),
            CycleEssence::Kept if patch.is_empty() => return Ok(None),
            CycleEssence::Kept => match plan.progress.fetch_cycle(object)? {
                Some(seen) => seen,
                None => return Ok(None),
            },
        };
        let seen = if patch.is_empty() { stored.clone() } else { with_patch(&stored, plan, object, patch)? };
        Ok((matches!(self.cycle, CycleEssence::Stored(_)) || seen != stored).then_some(seen))
    }

    /// Whether the object shows the changes: they were written before this version of it.
    pub(super) fn are_shown_by(&self, plan: &Plan, object: &Object) -> Result<bool, ErrorInfo> {
        for (id, record) in &self.records {
            let record = record.as_ref().map(|record| plan.progress.kept(record));
            if plan.progress.fetch(id, object)? != record {
                return Ok(false);
            }
        }
        let Some(essence) = &self.handled else { return Ok(true) };
        Ok(plan.diff_base.fetch(object)?.is_some_and(|stored| python_eq(&stored, essence)))
    }
}

/// What is kept of a cycle, with its essences as they are after a patch of the object.
fn with_patch(kept: &Value, plan: &Plan, object: &Object, patch: &Patch) -> Result<Value, ErrorInfo> {
    let mut kept = kept.clone();
    for key in ["before", "seen"] {
        for seen in kept.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
            *seen = patched(seen, plan, object, patch)?;
        }
    }
    Ok(kept)
}

/// An essence after a patch of the object.
fn patched(seen: &Value, plan: &Plan, object: &Object, patch: &Patch) -> Result<Value, ErrorInfo> {
    if !python_eq(seen, &essence_of(object, plan)?) {
        // Somebody else has changed the object since, and functions are for what it is now.
        let mut body = seen.clone();
        merge_onto(&mut body, &patch.merge);
        return essence_of(&Object::new(body), plan);
    }
    let mut body = object.body().clone();
    merge_onto(&mut body, &patch.merge);
    let mut transformed = body.clone();
    // Those that fail change nothing, and are told of when they are to be sent.
    if patch.transforms.iter().try_for_each(|transform| transform.apply(&mut transformed)).is_ok() {
        body = transformed;
    }
    essence_of(&Object::new(body), plan)
}

/// Applies a merge patch.
fn merge_onto(body: &mut Value, patch: &Map<String, Value>) {
    merge(body, &Value::Object(patch.clone()));
}

/// The essence of an object, as the storages see it.
pub(super) fn essence_of(object: &Object, plan: &Plan) -> Result<Value, ErrorInfo> {
    without_progress(plan.diff_base.build(object, &plan.extra_fields)?, plan)
}

/// An essence without what is kept of the progress. A stanza that a storage of users leaves empty is none: else an object would
/// differ from itself whenever it has records, and be handled for ever.
pub(super) fn without_progress(essence: Value, plan: &Plan) -> Result<Value, ErrorInfo> {
    let mut essence = plan.progress.clear(essence)?;
    if let Value::Object(stanzas) = &mut essence {
        drop_empty_stanzas(stanzas);
    }
    Ok(essence)
}

/// Puts the result of a handler into the patch (W-RST-001).
pub(crate) fn deliver(id: &HandlerId, result: &Value, merge: &mut Map<String, Value>) {
    if result.is_null() {
        return;
    }
    let status = mapping(merge.entry("status").or_insert(Value::Null));
    match result {
        Value::Object(fields) => {
            mapping(status.entry(id.as_str()).or_insert(Value::Null)).extend(fields.clone())
        }
        _ => {
            status.insert(id.as_str().to_owned(), result.clone());
        }
    }
}

/// The mapping in the slot; what else was there gives way.
fn mapping(slot: &mut Value) -> &mut Map<String, Value> {
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    slot.as_object_mut().expect("it was made a mapping just now")
}
