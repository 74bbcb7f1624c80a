//! Writing a patch: up to four requests, each after the answer to the one before (W-PAT), and what to do if one fails (DEC-7).

use std::{collections::VecDeque, mem, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{
    Answer, Machine, Output, PatchBody, Request, RequestId, Turn,
    changes::Changes,
    consistency::Expected,
    phase::{Cycle, Phase, Progress},
};
use crate::{
    diff::{Diff, Scope},
    error::ErrorInfo,
    json_patch,
    log::{Level, Line, Log},
    object::Object,
    patch::{Patch, Transform, merge},
    plan::Plan,
    resource::Resource,
};

/// The status that the server answers to a JSON patch whose `test` fails, and to a change that it does not accept.
const UNPROCESSABLE: u16 = 422;

/// The answers to what is wrong with a patch itself: bad, too large, not accepted. Others may change, as permissions do.
const FINAL: [u16; 3] = [400, 413, UNPROCESSABLE];

/// A write that is under way.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) cycle: Box<Cycle>,
    /// The requests to be sent, in order.
    parts: VecDeque<Part>,
    /// The request that is under way.
    sent: Option<(RequestId, Part)>,
    /// The newest known version of the object, and whether it is an answer to this write.
    freshest: Object,
    is_answered: bool,
    /// Merge patches that were accepted, as one.
    accepted: Map<String, Value>,
    /// The versions that this write has made.
    versions: Vec<String>,
    /// The server refuses the handlers' part for good.
    refusal: Option<ErrorInfo>,
    /// Functions have met a newer version, and are to be applied again.
    is_left_over: bool,
    is_gone: bool,
    /// An event of this very write, to be processed after it.
    postponed: Option<Box<Cycle>>,
}

/// One request, or what becomes one or two.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Merge {
        is_status: bool,
        body: Map<String, Value>,
    },
    /// All functions, applied to the newest version when their turn has come.
    Functions,
    Json {
        is_status: bool,
        operations: Vec<Value>,
    },
}

impl Write {
    /// The write of a patch at the end of a cycle.
    pub(super) fn new(cycle: Box<Cycle>, patch: Patch, resource: &Resource) -> Self {
        let has_functions = !cycle.patch.transforms.is_empty() || cycle.finalizer.is_some();
        let mut parts = merge_parts(patch.merge, resource);
        parts.extend(has_functions.then_some(Part::Functions));
        Self {
            freshest: cycle.event.object.clone(),
            cycle,
            parts,
            sent: None,
            is_answered: false,
            accepted: Map::new(),
            versions: Vec::new(),
            refusal: None,
            is_left_over: false,
            is_gone: false,
            postponed: None,
        }
    }

    /// Whether no request is under way.
    pub(super) fn is_ready(&self) -> bool {
        self.sent.is_none()
    }

    pub(super) fn awaits(&self, request: RequestId) -> bool {
        self.sent.as_ref().is_some_and(|(sent, _)| *sent == request)
    }

    /// The operations of all functions for the newest version: those on the object, and those on its status (W-PAT-004).
    fn operations(&self, resource: &Resource) -> Result<[Vec<Value>; 2], ErrorInfo> {
        let mut body = self.freshest.body().clone();
        for transform in &self.cycle.patch.transforms {
            transform.apply(&mut body)?;
        }
        if let Some(change) = &self.cycle.finalizer {
            change.apply(&mut body)?;
        }
        let operations = json_patch::between(self.freshest.body(), &body);
        let is_separate = resource.has_subresource("status");
        let (on_status, on_object) =
            operations.into_iter().partition(|operation| is_separate && is_on_status(operation));
        Ok([on_object, on_status])
    }

    /// Puts the refused part back, to be sent again.
    fn again(mut self, part: Part) -> Phase {
        self.parts.push_front(part);
        Phase::Applying(Box::new(self))
    }

    fn accept(&mut self, part: &Part, object: Object) {
        if let Part::Merge { body, .. } = part {
            self.accepted.extend(body.clone());
        }
        self.versions.extend(object.resource_version().map(str::to_owned));
        self.freshest = object;
        self.is_answered = true;
    }

    /// The merge patches that are not accepted yet.
    fn pending_merges(&self) -> impl Iterator<Item = &Map<String, Value>> {
        self.parts.iter().filter_map(|part| match part {
            Part::Merge { body, .. } => Some(body),
            Part::Functions | Part::Json { .. } => None,
        })
    }

    /// Accepts the next merge patches that an object shows: they were applied, and their answers lost. Gives whether any was.
    fn accept_shown(&mut self, object: &Object) -> bool {
        let mut is_any_shown = false;
        while let Some(Part::Merge { body, .. }) = self.parts.front() {
            let mut merged = object.body().clone();
            merge(&mut merged, &Value::Object(body.clone()));
            if merged != *object.body() {
                break;
            }
            self.parts.pop_front();
            is_any_shown = true;
        }
        // An answer is newer than what the stream shows.
        if is_any_shown && !self.is_answered {
            self.freshest = object.clone();
        }
        is_any_shown
    }
}

impl Machine {
    /// Sends the next request, or ends the write.
    pub(super) fn apply(&mut self, mut write: Box<Write>, turn: Turn<'_>) -> Result<Phase, ErrorInfo> {
        if let Some(error) = write.refusal.take() {
            return self.drop_refused(*write, error, turn);
        }
        let resource = &*turn.plan.resource;
        while let Some(part) = write.parts.pop_front() {
            match part {
                Part::Functions => {
                    let [on_object, on_status] = write.operations(resource)?;
                    let parts = [(true, on_status), (false, on_object)];
                    for (is_status, operations) in
                        parts.into_iter().filter(|(_, operations)| !operations.is_empty())
                    {
                        write.parts.push_front(Part::Json { is_status, operations });
                    }
                }
                part => {
                    let body = self.announce(&part, &write.freshest);
                    let request = Request {
                        id: RequestId(self.next_number()),
                        subresource: part.is_for_subresource(resource).then_some("status"),
                        body,
                    };
                    write.sent = Some((request.id, part));
                    self.emit(Output::Request(request));
                    return Ok(Phase::Applying(write));
                }
            }
        }
        Ok(self.settle(*write, turn))
    }

    /// Logs a request before it is sent, and makes its body.
    fn announce(&mut self, part: &Part, freshest: &Object) -> PatchBody {
        match part {
            Part::Merge { is_status, body } => {
                let body = Value::Object(body.clone());
                self.debug(Line::MergePatching { status: *is_status, body: body.clone() });
                PatchBody::Merge(body)
            }
            Part::Functions => PatchBody::Json(Vec::new()),
            Part::Json { is_status, operations } => {
                self.debug(Line::JsonPatching { status: *is_status, operations: operations.clone() });
                let test = freshest.resource_version().map(
                    |version| json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}),
                );
                PatchBody::Json(test.into_iter().chain(operations.iter().cloned()).collect())
            }
        }
    }

    /// Notes the answer to a request.
    pub(super) fn end_request(&mut self, mut write: Write, answer: Answer, turn: Turn<'_>) -> Phase {
        let Some((_, part)) = write.sent.take() else { return Phase::Applying(Box::new(write)) };
        let is_json = matches!(part, Part::Json { .. });
        match answer {
            Answer::Object(object) => write.accept(&part, object),
            Answer::Gone => {
                self.debug(Line::PatchSkipped);
                write.parts.clear();
                write.is_gone = true;
            }
            Answer::Conflict(error) | Answer::Unknown(error) => {
                return self.throttle(error, write.again(part), turn);
            }
            Answer::Rejected { status: UNPROCESSABLE, .. } if is_json && !self.is_refused_again(&write) => {
                self.debug(Line::PatchConflict { remaining: write.cycle.patch.transforms.len() });
                write.parts.clear();
                write.is_left_over = true;
            }
            Answer::Rejected { status, error }
                if FINAL.contains(&status) && !write.cycle.patch.is_empty() =>
            {
                write.refusal = Some(error);
            }
            Answer::Rejected { error, .. } => return self.throttle(error, write.again(part), turn),
        }
        Phase::Applying(Box::new(write))
    }

    /// Whether functions were refused for this very version before: then it is not for a newer one.
    fn is_refused_again(&mut self, write: &Write) -> bool {
        let version = write.freshest.resource_version();
        let left_over = self.memory.left_over.get_or_insert_default();
        let is_again = version.is_some() && left_over.refused.as_deref() == version;
        left_over.refused = version.filter(|_| !is_again).map(str::to_owned);
        is_again && !write.cycle.patch.transforms.is_empty()
    }

    /// The server refuses what handlers want to be changed, and would do so again. The engine's own part is sent alone, so that
    /// the handlers do not run again; the loss is told (DEC-7).
    fn drop_refused(&mut self, write: Write, error: ErrorInfo, turn: Turn<'_>) -> Result<Phase, ErrorInfo> {
        let Write { mut cycle, freshest, postponed, .. } = write;
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
        let write = Write { freshest, postponed, ..Write::new(cycle, own, &turn.plan.resource) };
        Ok(Phase::Applying(Box::new(write)))
    }

    /// Ends a write: what was accepted is expected to be seen; what is left is continued.
    fn settle(&mut self, write: Write, turn: Turn<'_>) -> Phase {
        let Write { mut cycle, freshest, is_answered, accepted, is_left_over, is_gone, postponed, .. } =
            write;
        if !is_left_over {
            self.memory.failures = 0;
        }
        if is_gone {
            return Phase::Idle;
        }
        let missing = Diff::between(
            &Value::Object(without_fulfilled(&accepted, freshest.body())),
            freshest.body(),
            Scope::Left,
        );
        if is_answered && !missing.is_empty() {
            self.log(Log::local(Level::Warning, Line::PatchInconsistent(Arc::new(missing))));
        }
        let is_coming = is_answered && self.expect(&freshest, &cycle, turn);
        let transforms = mem::take(&mut cycle.patch.transforms);
        let progress = cycle.progress;
        if let Progress::Unfinished(until) = progress {
            let left = until.duration_since(turn.now);
            if left > SignedDuration::ZERO {
                self.debug(Line::SleepSkipped(left));
            }
        }
        if self.memory.stopping {
            return Phase::Idle;
        }
        cycle.event.object = freshest;
        match &mut self.memory.left_over {
            Some(left_over) if is_left_over => left_over.transforms = transforms,
            left_over => *left_over = None,
        }
        if let Some(cycle) = postponed {
            return Phase::Begun(cycle);
        }
        if is_left_over {
            return self.retry_functions(cycle, turn);
        }
        match progress {
            Progress::Unconcerned | Progress::Done => Phase::Idle,
            // Where consistency is not waited for, the event is relied upon.
            Progress::Unfinished(_) | Progress::Deferred if is_coming && self.memory.expected.is_none() => {
                Phase::Idle
            }
            Progress::Unfinished(_) | Progress::Deferred => self.revisit(cycle, turn),
        }
    }

    /// Expects the last version to be seen in the stream; gives whether it was not seen already (W-CON-001, DEC-14).
    fn expect(&mut self, object: &Object, cycle: &Cycle, turn: Turn<'_>) -> bool {
        let timeout = turn.plan.settings.persistence.consistency_timeout;
        let Some(version) = object.resource_version() else { return false };
        let mut changes =
            self.memory.expected.take().map(|unseen| Changes::clone(&unseen.changes)).unwrap_or_default();
        if self.memory.seen.is_last(version) {
            return false;
        }
        changes.extend(&cycle.changes);
        if timeout.is_zero() {
            return true;
        }
        let timeout = SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX);
        self.memory.expected = Some(Box::new(Expected {
            version: (!is_released(object)).then(|| version.to_owned()),
            until: turn.now.checked_add(timeout).unwrap_or(Timestamp::MAX),
            changes: Arc::new(changes),
        }));
        true
    }

    /// Applies functions again that have met a newer version: when its event comes, or after a pause if none does.
    fn retry_functions(&mut self, cycle: Box<Cycle>, turn: Turn<'_>) -> Phase {
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

impl Part {
    fn is_for_subresource(&self, resource: &Resource) -> bool {
        match self {
            Self::Merge { is_status, .. } | Self::Json { is_status, .. } => {
                *is_status && resource.has_subresource("status")
            }
            Self::Functions => false,
        }
    }
}

/// One merge patch, or two if the status is a resource of its own (W-PAT-001, W-PAT-002).
fn merge_parts(mut patch: Map<String, Value>, resource: &Resource) -> VecDeque<Part> {
    let status = if resource.has_subresource("status") { patch.shift_remove_entry("status") } else { None };
    let on_object = (!patch.is_empty()).then_some(Part::Merge { is_status: false, body: patch });
    let on_status = status.map(|entry| Part::Merge { is_status: true, body: Map::from_iter([entry]) });
    on_object.into_iter().chain(on_status).collect()
}

fn is_on_status(operation: &Value) -> bool {
    let path = operation.get("path").and_then(Value::as_str).unwrap_or_default();
    path == "/status" || path.starts_with("/status/")
}

/// Whether nothing holds the object any more: it is gone already, whatever versions are still to be seen (W-CON-007).
fn is_released(object: &Object) -> bool {
    let finalizers = object.meta("finalizers").and_then(Value::as_array);
    object.is_deleting() && finalizers.is_none_or(Vec::is_empty)
}

/// A merge patch without the removals of what is not there (W-PAT-021).
fn without_fulfilled(patch: &Map<String, Value>, object: &Value) -> Map<String, Value> {
    let pending = patch.iter().filter_map(|(key, value)| {
        let actual = object.get(key).unwrap_or(&Value::Null);
        let pending = match value {
            Value::Null if actual.is_null() => return None,
            Value::Object(inner) if !inner.is_empty() => Value::Object(without_fulfilled(inner, actual)),
            _ => return Some((key.clone(), value.clone())),
        };
        (pending != json!({})).then(|| (key.clone(), pending))
    });
    pending.collect()
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
fn lost_fields(body: &Map<String, Value>, cycle: &Cycle, plan: &Plan) -> Vec<String> {
    let mut kept = Patch { merge: results_of(cycle), transforms: Vec::new() };
    // A storage that fails here only makes the message longer.
    let _ = cycle.changes.write(plan, &cycle.event.object, &mut kept);
    let _ = plan.progress.touch(&cycle.event.object, &mut kept, None);
    fields_beside(body, &kept.merge)
}

/// The results of finished handlers in a patch: nobody else writes them.
fn results_of(cycle: &Cycle) -> Map<String, Value> {
    let status = cycle.patch.merge.get("status").and_then(Value::as_object);
    let is_result = |key: &str| cycle.changes.records.contains_key(&crate::handler::HandlerId::from(key));
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
