//! Writes that fail (DEC-7): what handlers have finished is kept until the server has accepted it; what they wanted to be
//! changed is given up only if it has to be, and then it is told.

use std::{mem, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::{
    Machine, Turn,
    phase::{Cycle, Phase},
    write::Write,
};
use crate::{
    error::ErrorInfo,
    handler::HandlerId,
    log::{Level, Line, Log},
    patch::Patch,
    plan::Plan,
};

impl Machine {
    /// Whether functions were refused for this very version before: then it is not for a newer one.
    pub(super) fn is_refused_again(&mut self, write: &Write) -> bool {
        let version = write.freshest.resource_version();
        let left_over = self.memory.left_over.get_or_insert_default();
        let is_again = version.is_some() && left_over.refused.as_deref() == version;
        left_over.refused = version.filter(|_| !is_again).map(str::to_owned);
        is_again && !write.cycle.patch.transforms.is_empty()
    }

    /// The server refuses what handlers want to be changed, and would do so again. The engine's own part is sent alone, so that
    /// the handlers do not run again; the loss is told (DEC-7).
    pub(super) fn drop_refused(
        &mut self,
        write: Write,
        error: ErrorInfo,
        turn: Turn<'_>,
    ) -> Result<Phase, ErrorInfo> {
        let Write { mut cycle, since, freshest, postponed, .. } = write;
        let mut own = Patch::default();
        cycle.changes.write(turn.plan, &freshest, &mut own)?;
        let dropped = mem::take(&mut cycle.patch);
        let mut fields = fields_beside(&dropped.merge, &own.merge);
        if !dropped.transforms.is_empty() {
            fields.push(format!("{} functions", dropped.transforms.len()));
        }
        let line = Line::PatchRejected { fields, error };
        self.post(true, "PatchRejected", &line, turn.plan);
        self.log(Log::new(Level::Error, line));
        let write = Write { since, freshest, postponed, ..Write::new(cycle, own, turn) };
        Ok(Phase::Applying(Box::new(write)))
    }

    /// Functions of handlers have failed, and would do so again: they would hold up the object for ever. The rest is written.
    pub(super) fn drop_functions(&mut self, write: &mut Write, error: &ErrorInfo, turn: Turn<'_>) {
        let dropped = mem::take(&mut write.cycle.patch.transforms);
        if !dropped.is_empty() {
            let line = Line::PatchFailed { functions: dropped.len(), error: error.clone() };
            self.post(true, "PatchFailed", &line, turn.plan);
            self.log(Log::new(Level::Error, line));
        }
    }

    /// Applies functions again that have met a newer version: when its event comes, or after a pause if none does.
    pub(super) fn retry_functions(&mut self, cycle: Box<Cycle>, turn: Turn<'_>) -> Phase {
        if cycle.is_pressed {
            return Phase::Idle;
        }
        let delays = &turn.plan.settings.queueing.error_delays;
        let delay = delays
            .get(self.memory.failures as usize)
            .or(delays.last())
            .copied()
            .unwrap_or(Duration::from_secs(1));
        let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
        self.memory.failures += 1;
        let cycle = self.repetition(cycle);
        self.wait(cycle, turn.now.checked_add(delay).unwrap_or(Timestamp::MAX))
    }

    /// A newer event comes while a write waits to be sent again.
    pub(super) fn supersede_write(
        &mut self,
        mut write: Write,
        mut cycle: Box<Cycle>,
        turn: Turn<'_>,
    ) -> Phase {
        let object = cycle.event.object.clone();
        let version = object.resource_version().unwrap_or_default();
        if write.versions.iter().any(|own| own == version) || write.accept_shown(&object) {
            write.postponed = Some(cycle);
            return Phase::Applying(Box::new(write));
        }
        // Another writer was faster. What handlers have finished stays finished, what they wanted to change is theirs to redo.
        let old = write.cycle.clone();
        let lost: Vec<_> =
            write.pending_merges().flat_map(|body| lost_fields(body, &old, turn.plan)).collect();
        if !lost.is_empty() && !cycle.is_deleted() {
            let line = Line::PatchOutdated { fields: lost };
            self.post(true, "PatchOutdated", &line, turn.plan);
            self.log(Log::new(Level::Error, line));
        }
        cycle.patch.merge = results_of(&old);
        cycle.patch.transforms = old.patch.transforms;
        cycle.changes = old.changes;
        Phase::Begun(cycle)
    }
}

/// The fields of a merge patch, dotted, that another one does not have: the handlers' part beside the engine's.
fn fields_beside(patch: &Map<String, Value>, own: &Map<String, Value>) -> Vec<String> {
    let mut fields = Vec::new();
    collect_fields(patch, Some(own), "", &mut fields);
    fields
}

fn collect_fields(
    patch: &Map<String, Value>,
    own: Option<&Map<String, Value>>,
    prefix: &str,
    fields: &mut Vec<String>,
) {
    for (key, value) in patch {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match (value, own.and_then(|own| own.get(key))) {
            (Value::Object(inner), own) if !inner.is_empty() => {
                collect_fields(inner, own.and_then(Value::as_object), &path, fields);
            }
            (_, Some(_)) => {}
            (_, None) => fields.push(path),
        }
    }
}

/// The fields of a pending request that are the handlers', and neither results nor records.
fn lost_fields(body: &Value, cycle: &Cycle, plan: &Plan) -> Vec<String> {
    let mut kept = Patch { merge: results_of(cycle), transforms: Vec::new() };
    // A storage that fails here only makes the message longer.
    let _ = cycle.changes.write(plan, &cycle.event.object, &mut kept);
    let _ = plan.progress.touch(&cycle.event.object, &mut kept, None);
    body.as_object().map(|body| fields_beside(body, &kept.merge)).unwrap_or_default()
}

/// The results of finished handlers in a patch: nobody else writes them.
fn results_of(cycle: &Cycle) -> Map<String, Value> {
    let status = cycle.patch.merge.get("status").and_then(Value::as_object);
    let is_result = |key: &str| cycle.changes.records.contains_key(&HandlerId::from(key));
    let results: Map<_, _> = status
        .into_iter()
        .flatten()
        .filter(|(key, _)| is_result(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if results.is_empty() {
        Map::new()
    } else {
        Map::from_iter([("status".to_owned(), Value::Object(results))])
    }
}
