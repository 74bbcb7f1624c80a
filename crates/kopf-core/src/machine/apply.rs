//! Writing a patch: one request after the other, and what follows from the answers (W-PAT).

use std::{mem, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{
    Answer, Machine, Output, PatchBody, Request, RequestId, Turn,
    consistency::Sign,
    phase::{Phase, Progress},
    write::{Part, Write},
};
use crate::{
    diff::{Diff, Scope},
    error::ErrorInfo,
    log::{Level, Line, Log},
    object::Object,
};

/// The status that the server answers to a JSON patch whose `test` fails, and to a change that it does not accept.
const UNPROCESSABLE: u16 = 422;

/// The answers to what is wrong with a patch itself: bad, too large, not accepted. Others may change, as permissions do.
const FINAL: [u16; 3] = [400, 413, UNPROCESSABLE];

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
                        write.parts.push_front(Part::Json { is_status, operations: Arc::new(operations) });
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
                self.debug(Line::MergePatching { status: *is_status, body: body.clone() });
                PatchBody::Merge(body.clone())
            }
            Part::Functions => PatchBody::Json(Arc::default()),
            Part::Json { is_status, operations } => {
                let test = freshest.resource_version().map(
                    |version| json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}),
                );
                let guarded =
                    Arc::new(test.into_iter().chain(operations.iter().cloned()).collect::<Vec<_>>());
                self.debug(Line::JsonPatching { status: *is_status, operations: guarded.clone() });
                PatchBody::Json(guarded)
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
                // The one for the finalizer, too.
                let remaining =
                    write.cycle.patch.transforms.len() + usize::from(write.cycle.finalizer.is_some());
                self.debug(Line::PatchConflict { remaining });
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
        if write.is_over() { self.settle(write, turn) } else { Phase::Applying(Box::new(write)) }
    }

    /// Ends a write: what was accepted is expected to be seen; what is left is continued.
    fn settle(&mut self, write: Write, turn: Turn<'_>) -> Phase {
        let Write {
            mut cycle, since, freshest, is_answered, accepted, is_left_over, is_gone, postponed, ..
        } = write;
        if !is_left_over {
            self.memory.failures = 0;
        }
        if is_gone {
            self.tell_of_delay(cycle.progress, since);
            if is_answered || self.memory.expected.is_some() {
                self.expect_sign(Sign::Gone, &cycle.changes, turn);
            }
            return postponed.map_or(Phase::Idle, Phase::Begun);
        }
        if is_answered && accepted.iter().any(|patch| !is_fulfilled(patch, freshest.body())) {
            let missing = missing(&accepted, freshest.body());
            if !missing.is_empty() {
                self.log(Log::local(Level::Warning, Line::PatchInconsistent(Arc::new(missing))));
            }
        }
        let is_coming = is_answered && self.expect(&freshest, &cycle, turn);
        let transforms = mem::take(&mut cycle.patch.transforms);
        let progress = cycle.progress;
        self.tell_of_delay(progress, since);
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
            // The patch has changed nothing, so no event will come, and there is nothing to look at before the delay is over.
            Progress::Unfinished(until) if is_answered && !is_coming && !cycle.is_pressed => {
                let cycle = self.repetition(cycle);
                self.sleep(cycle, until, turn)
            }
            Progress::Unfinished(_) | Progress::Deferred => self.revisit(cycle, turn),
        }
    }

    /// Tells that a delay is not slept, for the event of the patch comes first (W-TCH-011): as it was before the patch.
    fn tell_of_delay(&mut self, progress: Progress, since: Timestamp) {
        if let Progress::Unfinished(until) = progress {
            let left = until.duration_since(since);
            if left > SignedDuration::ZERO {
                self.debug(Line::SleepSkipped(left));
            }
        }
    }
}

/// Whether an object is as a merge patch has asked for. A quick look, which may be wrong in one direction: equal numbers of other
/// types are taken for different ones.
fn is_fulfilled(patch: &Value, object: &Value) -> bool {
    match (patch, object) {
        (Value::Object(patch), Value::Object(object)) if !patch.is_empty() => {
            patch.iter().all(|(key, value)| is_fulfilled(value, object.get(key).unwrap_or(&Value::Null)))
        }
        (patch, object) => patch == object,
    }
}

/// What merge patches have asked for, and an object does not show.
fn missing(patches: &[Arc<Value>], object: &Value) -> Diff {
    let fields = patches.iter().filter_map(|patch| patch.as_object()).flatten();
    let patch: Map<_, _> = fields.map(|(key, value)| (key.clone(), value.clone())).collect();
    Diff::between(&Value::Object(without_fulfilled(&patch, object)), object, Scope::Left)
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
