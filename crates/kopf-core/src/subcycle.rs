//! The run of the sub-handlers of one call of their parent (W-CYC-017, A-SUB, DEC-5).
//!
//! Driven by whoever runs the parent, inside the parent's own task: [`Subcycle::next`] gives the next call until there is
//! none, [`Subcycle::finished`] takes its end, [`Subcycle::close`] gives the parent's patch with the records and results of the
//! children in it. A child with children of its own has a subcycle too, inside its call.
//!
//! Nothing is written here: the patch goes to the server with the parent's [`Input::Finished`](crate::machine::Input::Finished).

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    attempt::{Children, Rules},
    cause::Cause,
    error::ErrorInfo,
    handler::{Handler, HandlerId},
    log::{Ending, Log},
    machine::{Call, CallId, Turn, changing_rules, children_of, choose, deliver, patched},
    object::Object,
    outcome::Outcome,
    patch::Patch,
    plan::Plan,
    reason::Reason,
    record::ProgressRecord,
    select,
    state::State,
};

/// The sub-handlers of one call of a parent.
#[derive(Debug)]
pub struct Subcycle {
    plan: Arc<Plan>,
    cause: Arc<Cause>,
    /// The object with what was put into the patch before: records are read from here.
    object: Object,
    state: State,
    queue: VecDeque<Arc<Handler>>,
    running: Option<(CallId, Arc<Handler>)>,
    patch: Patch,
    results: Vec<(HandlerId, Value)>,
    subrefs: BTreeSet<HandlerId>,
    calls: u64,
}

/// What to do next.
#[derive(Debug)]
pub struct SubStep {
    /// Lines to be logged first, in order.
    pub logs: Vec<Log>,
    /// The call to run; none = all that could run now have run: [`Subcycle::close`] follows.
    pub call: Option<Call>,
}

/// What the sub-handlers of a call have come to.
#[derive(Debug)]
pub struct SubOutcome {
    /// The patch of the cycle, with the records and results of the sub-handlers.
    pub patch: Patch,
    /// All sub-handlers of any depth that were seen, for the parent's [`Input::Finished`](crate::machine::Input::Finished).
    pub subrefs: Vec<HandlerId>,
    /// If not all are finished: how long until the first of them may run. The parent then ends with
    /// [`Outcome::Unfinished`], whatever it returns.
    pub unfinished: Option<SignedDuration>,
}

impl Subcycle {
    /// Selects the children, and those that run in this call of the parent. `cause` is that of the parent's call, reduced to
    /// the parent's field if it has one (A-SUB-010); `patch` is that of the cycle as the parent has left it.
    ///
    /// # Errors
    /// What a filter, a storage or the lifecycle raises. The parent's call is then to end with this as an arbitrary error.
    pub fn open(
        plan: Arc<Plan>,
        cause: Arc<Cause>,
        children: &[Arc<Handler>],
        patch: Patch,
        now: Timestamp,
    ) -> Result<Self, ErrorInfo> {
        let reason = cause.reason.unwrap_or(Reason::Noop);
        let object = patched(&cause.object, &patch);
        let selected = select::changing(children, &cause)?;
        let state = State::read(&*plan.progress, &object, children, &selected, reason, now)?;
        let awakened = state.awakened(&selected, now);
        let queue = choose(&awakened, &state, &cause, Turn { plan: &plan, now })?;
        let subrefs = state.ids();
        Ok(Self {
            plan,
            cause,
            object,
            state,
            queue,
            running: None,
            patch,
            results: Vec::new(),
            subrefs,
            calls: 0,
        })
    }

    /// The next call. Calls run one after another: not before the one before has [`finished`](Self::finished).
    /// Their numbers are unique within this subcycle only.
    ///
    /// # Errors
    /// What a storage raises.
    pub fn next(&mut self, now: Timestamp) -> Result<SubStep, ErrorInfo> {
        let mut logs = Vec::new();
        while let Some(handler) = self.queue.pop_front() {
            let Some(record) = self.state.record(&handler.id).cloned() else { continue };
            let rules = self.rules(&handler, &record, now)?;
            logs.push(rules.invoked());
            if let Some(judgement) = rules.forbid(&record, now) {
                logs.push(rules.ended(judgement.ending));
                self.state.update(&handler.id, record.after(judgement.attempt, now));
                continue;
            }
            self.calls += 1;
            let call = Call {
                id: CallId(self.calls),
                handler: handler.clone(),
                cause: match handler.field() {
                    Some(field) => Arc::new(self.cause.reduced(field)),
                    None => self.cause.clone(),
                },
                retry: record.retries,
                started: record.started.timestamp(),
                runtime: record.runtime(now),
                patch: self.patch.clone(),
            };
            self.running = Some((call.id, handler));
            return Ok(SubStep { logs, call: Some(call) });
        }
        Ok(SubStep { logs, call: None })
    }

    /// Takes the end of a call, with the patch of the cycle as it was left, and the sub-handlers that were seen in it. Gives
    /// lines to be logged.
    pub fn finished(
        &mut self,
        call: CallId,
        outcome: Outcome,
        patch: Patch,
        subrefs: Vec<HandlerId>,
        now: Timestamp,
    ) -> Vec<Log> {
        let Some((_, handler)) = self.running.take_if(|(running, _)| *running == call) else {
            return Vec::new();
        };
        self.patch = patch;
        self.subrefs.extend(subrefs.iter().cloned());
        let Some(record) = self.state.record(&handler.id).cloned() else { return Vec::new() };
        let rules = changing_rules(&handler, Children::none(&self.cause, &handler.id), &self.plan);
        let Some(mut judgement) = rules.judge(outcome, &record, now) else {
            return vec![rules.ended(Ending::Cancelled)];
        };
        judgement.attempt.subrefs = subrefs;
        self.results.extend(judgement.result.map(|result| (handler.id.clone(), result)));
        let log = rules.ended(judgement.ending);
        self.state.update(&handler.id, record.after(judgement.attempt, now));
        vec![log]
    }

    /// Puts the records and the results into the patch.
    ///
    /// # Errors
    /// What a storage raises.
    pub fn close(mut self, now: Timestamp) -> Result<SubOutcome, ErrorInfo> {
        let storage = &*self.plan.progress;
        let mut is_stored = false;
        for (id, record) in self.state.changed(storage) {
            storage.store(id, &record, &self.object, &mut self.patch)?;
            is_stored = true;
        }
        if is_stored {
            storage.flush()?;
        }
        for (id, result) in &self.results {
            deliver(id, result, &mut self.patch.merge);
        }
        Ok(SubOutcome {
            unfinished: self.state.delay(now),
            patch: self.patch,
            subrefs: self.subrefs.into_iter().collect(),
        })
    }

    fn rules<'a>(
        &self,
        handler: &'a Handler,
        record: &ProgressRecord,
        now: Timestamp,
    ) -> Result<Rules<'a>, ErrorInfo> {
        let children = Children::none(&self.cause, &handler.id);
        let children = children_of(record, children, &self.object, &self.plan, now)?;
        Ok(changing_rules(handler, children, &self.plan))
    }
}
