//! State-changing handlers: selected for the cause, run one after another, their progress noted (W-CYC, W-PRG).

use std::{collections::VecDeque, fmt, mem, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    Call, CallId, Machine, Output, Post, Turn,
    changes::deliver,
    completion::{ends_with_essence, give_up_cycle},
    intake::Finished,
    phase::{Cycle, FinishedWith, Phase, Progress, Running},
};
use crate::{
    attempt::{Children, Judgement, NO_MESSAGE, Rules},
    cause::Cause,
    error::ErrorInfo,
    handler::{ErrorsMode, Handler, HandlerId},
    lifecycle::Candidate,
    log::{Ending, Level, Line, Log, Subject},
    object::Object,
    outcome::Outcome,
    patch::{Patch, merge},
    plan::Plan,
    reason::Reason,
    record::ProgressRecord,
    select,
    state::{State, read_record},
};

/// The run of the state-changing handlers of a cycle.
#[derive(Clone, Debug)]
pub(super) struct Handling {
    pub(super) cycle: Box<Cycle>,
    cause: Arc<Cause>,
    state: State,
    /// Handlers that are to run in this cycle.
    queue: VecDeque<Arc<Handler>>,
    running: Option<Running>,
    results: Vec<(HandlerId, Value)>,
    /// A handler has succeeded or failed for good in this cycle.
    has_finished: bool,
    /// An attempt was made in this cycle.
    has_run: bool,
}

impl Handling {
    /// Whether no call is under way.
    pub(super) fn is_ready(&self) -> bool {
        self.running.is_none()
    }

    /// The cycle as it is left if it cannot go on: with the progress of the handlers that have run.
    pub(super) fn abandon(mut self, plan: &Plan) -> Box<Cycle> {
        if self.has_run {
            let changed = self.state.changed(&*plan.progress);
            self.cycle.changes.records.extend(changed.map(|(id, record)| (id.clone(), Some(record))));
            for (id, result) in &self.results {
                deliver(id, result, &mut self.cycle.patch.merge);
            }
        }
        if self.has_finished && ends_with_essence(self.cause.reason) {
            let (old, state) = (self.cause.old.clone(), self.state);
            self.cycle.finished_with = self.cause.new.clone().map(|seen| FinishedWith { seen, old, state });
        }
        self.cycle
    }
}

impl Machine {
    /// Selects the handlers for the cause, and those that run in this cycle.
    pub(super) fn open_handling(
        &mut self,
        mut cycle: Box<Cycle>,
        turn: Turn<'_>,
    ) -> Result<Phase, ErrorInfo> {
        let Some(cause) = cycle.cause.clone() else { return Ok(Phase::Closing(cycle)) };
        let Some(reason) = cause.reason else { return Ok(Phase::Closing(cycle)) };
        cycle.progress = Progress::Done;
        match reason {
            Reason::Noop => {
                self.log(Log::new(Level::Debug, Line::Noop));
                give_up_cycle(&mut cycle, &cause, turn)?;
                return Ok(Phase::Closing(cycle));
            }
            Reason::Resume if give_up_cycle(&mut cycle, &cause, turn)? => {
                self.log(Log::new(Level::Debug, Line::Noop));
                return Ok(Phase::Closing(cycle));
            }
            Reason::Free | Reason::Gone => {
                self.log(Log::new(Level::Debug, Line::Free));
                return Ok(Phase::Closing(cycle));
            }
            Reason::Create | Reason::Update | Reason::Delete | Reason::Resume => {}
        }
        if self.memory.released {
            return Ok(Phase::Closing(cycle));
        }
        let plan = turn.plan;
        let selected = select::changing(&plan.handlers, &cause)?;
        let declared = declared(plan);
        let mut state = State::read(&*plan.progress, &cause.object, &declared, &selected, reason, turn.now)?;
        self.supersede_causes(&mut cycle, &mut state, reason);
        self.log(Log::new(Level::Debug, Line::InProgress(reason, cause.object.clone())));
        if cause.old.is_some() && !cause.diff.is_empty() {
            self.log(Log::new(Level::Debug, Line::Diff(reason, cause.diff.clone())));
        }
        let awakened = state.awakened(&selected, turn.now);
        let queue = choose(&awakened, &state, &cause, turn)?;
        Ok(Phase::Handling(Box::new(Handling {
            cycle,
            cause,
            state,
            queue,
            running: None,
            results: Vec::new(),
            has_finished: false,
            has_run: false,
        })))
    }

    /// Runs the next handler, or notes the progress if there is none.
    pub(super) fn handle(&mut self, mut handling: Box<Handling>, turn: Turn<'_>) -> Result<Phase, ErrorInfo> {
        while let Some(handler) = handling.queue.pop_front().filter(|_| !self.memory.stopping) {
            let Some(record) = handling.state.record(&handler.id).cloned() else { continue };
            let cause = &handling.cause;
            let children = Children::none(cause, &handler.id);
            let children = children_of(&record, children, &cause.object, turn.plan, turn.now)?;
            let rules = changing_rules(&handler, children, turn.plan);
            self.log(rules.invoked());
            if let Some(judgement) = rules.forbid(&record, turn.now) {
                let line = rules.ended(judgement.ending.clone());
                self.note(&mut handling, &handler, &record, judgement, line, Vec::new(), turn);
                continue;
            }
            let call = Call {
                id: CallId(self.next_number()),
                handler: handler.clone(),
                cause: match handler.field() {
                    Some(field) => Arc::new(handling.cause.reduced(field)),
                    None => handling.cause.clone(),
                },
                retry: record.retries,
                started: record.started.timestamp(),
                runtime: record.runtime(turn.now),
                patch: handling.cycle.patch.clone(),
            };
            handling.running = Some(Running { call: call.id, handler });
            self.emit(Output::Call(call));
            return Ok(Phase::Handling(handling));
        }
        self.finish_handling(*handling, turn)
    }

    /// Finishes a call.
    pub(super) fn end_handling(
        &mut self,
        mut handling: Box<Handling>,
        finished: Finished,
        turn: Turn<'_>,
    ) -> Phase {
        let Some(running) = handling.running.take_if(|running| running.call == finished.call) else {
            return Phase::Handling(handling);
        };
        let handler = running.handler;
        handling.cycle.patch = finished.patch;
        handling.cycle.children.extend_from_slice(&finished.subrefs);
        let Some(record) = handling.state.record(&handler.id).cloned() else {
            return Phase::Handling(handling);
        };
        let is_waiting = matches!(finished.outcome, Outcome::Unfinished(_));
        let rules = changing_rules(&handler, Children::none(&handling.cause, &handler.id), turn.plan);
        match rules.judge(finished.outcome, &record, turn.now) {
            Some(judgement) => {
                if is_waiting {
                    self.count_wait(&handler.id);
                }
                let line = rules.ended(judgement.ending.clone());
                self.note(&mut handling, &handler, &record, judgement, line, finished.subrefs, turn);
            }
            // Nothing is known of a cancelled handler, so that it runs again (W-PRC-014).
            None => self.log(rules.ended(Ending::Cancelled)),
        }
        Phase::Handling(handling)
    }

    /// Notes an attempt: in the record, in the log, and for people who watch the object.
    #[expect(clippy::too_many_arguments, reason = "all of one attempt, gathered in two places")]
    fn note(
        &mut self,
        handling: &mut Handling,
        handler: &Handler,
        record: &ProgressRecord,
        mut judgement: Judgement,
        line: Log,
        subrefs: Vec<HandlerId>,
        turn: Turn<'_>,
    ) {
        if line.level == Level::Error && !matches!(judgement.ending, Ending::Ignored(_)) {
            self.post(true, "HandlerFailed", &line.line, turn.plan);
        }
        self.log(line);
        judgement.attempt.subrefs = subrefs;
        handling.has_run = true;
        handling.has_finished |= judgement.attempt.is_final;
        handling.state.update(&handler.id, record.clone().after(judgement.attempt, turn.now));
        handling.results.extend(judgement.result.map(|result| (handler.id.clone(), result)));
    }

    /// Notes the progress of the handlers, and whether the cause is handled (W-CYC-012).
    fn finish_handling(&mut self, handling: Handling, turn: Turn<'_>) -> Result<Phase, ErrorInfo> {
        let Handling { mut cycle, cause, state, results, has_finished, .. } = handling;
        let Some(reason) = cause.reason else { return Ok(Phase::Closing(cycle)) };
        for (id, result) in &results {
            deliver(id, result, &mut cycle.patch.merge);
        }
        let storage = &*turn.plan.progress;
        self.note_children(&mut cycle, turn)?;
        cycle.changes.records.extend(state.changed(storage).map(|(id, record)| (id.clone(), Some(record))));
        let is_any_selected = state.iter().any(|progress| progress.is_active);
        if let Some(delay) = state.delay(turn.now) {
            let until = turn.now.checked_add(delay).unwrap_or(Timestamp::MAX);
            cycle.progress = Progress::Unfinished(until);
            self.keep_essence(&mut cycle, &cause, &state, has_finished, turn.plan)?;
            return Ok(Phase::Closing(cycle));
        }
        if is_any_selected {
            let counts = state.counts();
            let line = Line::Processed { reason, succeeded: counts.succeeded, failed: counts.failed };
            self.post(false, reason.title(), &line, turn.plan);
            self.log(Log::new(Level::Info, line));
        }
        self.complete(&mut cycle, &cause, &state, turn)?;
        Ok(Phase::Closing(cycle))
    }

    /// Tells of causes that give way to this one, and takes over what their handlers have achieved (W-CYC-013).
    fn supersede_causes(&mut self, cycle: &mut Cycle, state: &mut State, reason: Reason) {
        let superseded = state.superseded();
        if superseded.is_empty() {
            return;
        }
        for (before, counts) in superseded {
            self.log(Log::new(
                Level::Info,
                Line::Superseded {
                    before,
                    now: reason,
                    succeeded: counts.succeeded,
                    failed: counts.failed,
                    left: counts.left,
                },
            ));
        }
        state.take_over();
        // The essence was that of the cause before. It would hide what this one has been handled for.
        cycle.changes.purge(state.drop_irrelevant());
    }

    /// Notes what sub-handlers have left in the patch: their records are the engine's part of it (DEC-7), their failures are
    /// posted.
    pub(super) fn note_children(&mut self, cycle: &mut Cycle, turn: Turn<'_>) -> Result<(), ErrorInfo> {
        let children = mem::take(&mut cycle.children);
        if children.is_empty() {
            return Ok(());
        }
        let object = &cycle.event.object;
        let storage = &*turn.plan.progress;
        let patched = patched(object, &cycle.patch);
        for id in &children {
            let (before, after) = (storage.fetch(id, object)?, storage.fetch(id, &patched)?);
            if before == after {
                continue;
            }
            if let Some(raw) = &after {
                let before = before.map(|raw| read_record(id, &raw, turn.now)).transpose()?;
                let record = read_record(id, raw, turn.now)?;
                if record.retries > before.map_or(0, |record| record.retries) {
                    self.note_child(id, &record, &patched, turn)?;
                }
            }
            // With all fields: in a merge patch, those left out would stay as they are in the object.
            let full = after.map(|raw| read_record(id, &raw, turn.now)).transpose()?;
            cycle.changes.records.insert(id.clone(), full.map(|record| record.to_raw()));
        }
        Ok(())
    }

    /// Notes an attempt of a sub-handler. One that waits for its own sub-handlers is known by the message of that (W-REC-012).
    fn note_child(
        &mut self,
        id: &HandlerId,
        record: &ProgressRecord,
        patched: &Object,
        turn: Turn<'_>,
    ) -> Result<(), ErrorInfo> {
        let Some(message) = &record.message else { return Ok(()) };
        let children = children_of(record, Children::default(), patched, turn.plan, turn.now)?;
        if !record.is_finished() && children.pending && message == NO_MESSAGE {
            self.count_wait(id);
        } else {
            let message = format!("{} failed: {message}", Subject::handler(id.clone()));
            self.post(true, "HandlerFailed", &message, turn.plan);
        }
        Ok(())
    }

    /// Counts an attempt that has ended with unfinished sub-handlers (DEC-15).
    fn count_wait(&mut self, id: &HandlerId) {
        let waits = self.memory.waits.get_or_insert_default();
        *Arc::make_mut(waits).entry(id.clone()).or_default() += 1;
    }

    /// Posts a Kubernetes Event about the progress (DEC-12).
    pub(super) fn post(
        &mut self,
        warning: bool,
        reason: &'static str,
        message: &dyn fmt::Display,
        plan: &Plan,
    ) {
        if plan.settings.posting.enabled && plan.settings.posting.progress {
            self.emit(Output::Post(Post { warning, reason, message: message.to_string() }));
        }
    }
}

/// What the limits of a handler have to know of its sub-handlers; reads their records, if there are any.
pub(crate) fn children_of(
    record: &ProgressRecord,
    mut children: Children,
    object: &Object,
    plan: &Plan,
    now: Timestamp,
) -> Result<Children, ErrorInfo> {
    for id in &record.subrefs {
        if let Some(raw) = plan.progress.fetch(id, object)? {
            children.pending |= !read_record(id, &raw, now)?.is_finished();
        }
    }
    Ok(children)
}

/// The rules for handlers whose progress is kept in the object.
pub(crate) fn changing_rules<'a>(handler: &'a Handler, children: Children, plan: &Plan) -> Rules<'a> {
    Rules {
        subject: Subject::handler(handler.id.clone()),
        options: &handler.options,
        default_errors: ErrorsMode::Temporary,
        default_backoff: SignedDuration::try_from(plan.settings.execution.default_backoff)
            .unwrap_or(SignedDuration::MAX),
        children,
    }
}

/// Lets the lifecycle choose from the handlers that may run (A-LIF-001).
pub(crate) fn choose(
    awakened: &[Arc<Handler>],
    state: &State,
    cause: &Cause,
    turn: Turn<'_>,
) -> Result<VecDeque<Arc<Handler>>, ErrorInfo> {
    if awakened.is_empty() {
        return Ok(VecDeque::new());
    }
    let candidates: Vec<Candidate> =
        awakened.iter().filter_map(|handler| state.candidate(&handler.id)).collect();
    let chosen = turn.plan.lifecycle.choose(&candidates, cause, turn.now)?;
    Ok(chosen.into_iter().filter_map(|position| awakened.get(position)).cloned().collect())
}

/// The handlers whose progress is kept in the object.
pub(super) fn declared(plan: &Plan) -> Vec<Arc<Handler>> {
    plan.handlers.iter().filter(|handler| handler.trigger.is_changing()).cloned().collect()
}

/// The object with a merge patch applied: what will be stored, as far as is known.
pub(crate) fn patched(object: &Object, patch: &Patch) -> Object {
    if patch.merge.is_empty() {
        return object.clone();
    }
    let mut body = object.body().clone();
    merge(&mut body, &Value::Object(patch.merge.clone()));
    Object::new(body)
}
