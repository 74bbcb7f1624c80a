//! State-changing handlers: selected for the cause, run one after another, their progress noted (W-CYC, W-PRG).

use std::{collections::VecDeque, fmt, mem, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    Call, CallId, Machine, Output, Post, Turn,
    changes::{Changes, CycleEssence, deliver},
    cycle::is_restored,
    intake::Finished,
    phase::{Cycle, Phase, Progress, Running},
};
use crate::{
    attempt::{Children, Judgement, NO_MESSAGE, Rules},
    cause::Cause,
    error::ErrorInfo,
    handler::{ErrorsMode, Handler, HandlerId},
    json::python_eq,
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
    /// Sub-handlers have run in this cycle: their records are in the patch.
    subrefs: Vec<HandlerId>,
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
            subrefs: Vec::new(),
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
        handling.subrefs.extend_from_slice(&finished.subrefs);
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
        let Handling { mut cycle, cause, state, results, has_finished, subrefs, .. } = handling;
        let Some(reason) = cause.reason else { return Ok(Phase::Closing(cycle)) };
        for (id, result) in &results {
            deliver(id, result, &mut cycle.patch.merge);
        }
        let storage = &*turn.plan.progress;
        self.note_children(&subrefs, &mut cycle, &cause.object, turn)?;
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

    /// The cause is handled: no progress is needed any more, and the essence becomes the last handled one.
    fn complete(
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
    fn keep_essence(
        &mut self,
        cycle: &mut Cycle,
        cause: &Cause,
        state: &State,
        has_finished: bool,
        plan: &Plan,
    ) -> Result<(), ErrorInfo> {
        // Only these causes end with a new essence to be handled from then on.
        if !has_finished || !matches!(cause.reason, Some(Reason::Create | Reason::Update)) {
            return Ok(());
        }
        let is_kept = kept_essence(cause, state, cycle, plan)?.is_some();
        if let Some(essence) = cause.new.clone().filter(|_| !is_kept) {
            cycle.changes.cycle = CycleEssence::Stored(essence);
        }
        Ok(())
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
    fn note_children(
        &mut self,
        subrefs: &[HandlerId],
        cycle: &mut Cycle,
        object: &Object,
        turn: Turn<'_>,
    ) -> Result<(), ErrorInfo> {
        if subrefs.is_empty() {
            return Ok(());
        }
        let storage = &*turn.plan.progress;
        let patched = patched(object, &cycle.patch);
        for id in subrefs {
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
            cycle.changes.records.insert(id.clone(), after);
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

fn declared(plan: &Plan) -> Vec<Arc<Handler>> {
    plan.handlers.iter().filter(|handler| handler.trigger.is_changing()).cloned().collect()
}

/// Gives up the cycle of a change that was reverted before it was handled: its records are removed (FIX-2). If handlers have
/// finished with another essence, they have to hear of the way back: that one becomes the last handled essence, and the object
/// as it is arrives as an update. Gives whether it does.
fn give_up_cycle(cycle: &mut Cycle, cause: &Cause, turn: Turn<'_>) -> Result<bool, ErrorInfo> {
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
            cycle.changes.handled = unseen;
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

/// The object with a merge patch applied: what will be stored, as far as is known.
pub(crate) fn patched(object: &Object, patch: &Patch) -> Object {
    if patch.merge.is_empty() {
        return object.clone();
    }
    let mut body = object.body().clone();
    merge(&mut body, &Value::Object(mem::take(&mut patch.merge.clone())));
    Object::new(body)
}
