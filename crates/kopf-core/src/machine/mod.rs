//! The step machine of one object: what happened comes in, what to do goes out.
//!
//! The engine owns one [`Machine`] per object and feeds it [`Input`]s one at a time. Each step changes the state in one
//! synchronous place and returns [`Output`]s; the engine carries them out and reports back. A *cycle* begins with an event
//! and ends when its patch was accepted, or nothing is left to do. While a cycle runs the engine queues the events that
//! arrive ([`Machine::accepts_events`]); sleeping for delayed handlers, for consistency or because of an error does accept
//! them, and is interrupted.
//!
//! The main path is the table in `Machine::proceed`, the states are in `phase`; inputs come in by `intake`. Then, in the order of a
//! cycle: `watching` (event handlers), `cycle` (cause, finalizer), `consistency` (waiting for the own write), `handling` and `completion`
//! (state-changing handlers), `write`, `apply` and `failure` (requests), `sleep` (delays and pauses after errors).
//!
//! Nothing is remembered here that is not in the object, but for what makes the same object cheaper or safer to handle: what
//! was just written, what failed just now. So a restart from the object alone continues the work (DEC-1).

mod apply;
mod changes;
mod completion;
mod consistency;
mod cycle;
mod failure;
mod handling;
mod intake;
mod phase;
mod sleep;
#[cfg(test)]
mod tests;
mod watching;
mod write;

use std::{collections::HashMap, mem, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub(crate) use changes::deliver;
use consistency::{Expected, Seen};
pub(crate) use handling::{changing_rules, children_of, choose, patched};
use phase::Phase;

use crate::{
    cause::Cause,
    error::ErrorInfo,
    handler::{Handler, HandlerId},
    log::{Level, Line, Log},
    object::Object,
    outcome::Outcome,
    patch::{Patch, Transform},
    plan::Plan,
    reason::EventType,
};

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A watch event, or an object of a listing. Only while [`Machine::accepts_events`].
    Event {
        /// The type; none for a listing.
        event_type: Option<EventType>,
        /// The object as the event shows it.
        object: Object,
        /// More events of the object wait in the queue: sleeps are skipped (W-QUE-002).
        more_queued: bool,
    },
    /// The time of the last [`Output::WakeAt`] has come.
    Tick,
    /// A call has ended.
    Finished {
        /// Which.
        call: CallId,
        /// How.
        outcome: Outcome,
        /// The whole patch of the cycle as the handlers have left it so far.
        patch: Patch,
        /// All sub-handlers of any depth that were seen in the handler (W-REC-010).
        subrefs: Vec<HandlerId>,
    },
    /// A request was answered, or given up.
    Answered {
        /// Which.
        request: RequestId,
        /// The answer.
        answer: Answer,
    },
    /// The operator stops: nothing new is begun, sleeps end, running calls may finish.
    Stop,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Output {
    /// Run a handler, and report [`Input::Finished`]. Those of an object run one after another: the next
    /// call comes after the one before has finished, with the patch as it was left.
    Call(Call),
    /// Cancel a running call; it still reports.
    Cancel(CallId),
    /// Send a request, and report [`Input::Answered`].
    Request(Request),
    /// Log a line about the object.
    Log(Log),
    /// Post a Kubernetes Event about the object, in the background (DEC-12).
    Post(Post),
    /// Send [`Input::Tick`] at this time; replaces the previous one.
    WakeAt(Timestamp),
    /// The object is gone, and so may be everything that is kept for it.
    Forget,
}

/// A call of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// A request of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// One attempt to run a handler.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its number within the machine.
    pub id: CallId,
    /// The handler.
    pub handler: Arc<Handler>,
    /// What it is called about.
    pub cause: Arc<Cause>,
    /// The attempts so far (A-KW-020).
    pub retry: u32,
    /// When the handler was first selected (A-KW-023).
    pub started: Timestamp,
    /// The time since then.
    pub runtime: SignedDuration,
    /// The patch of the cycle at the time of the call.
    pub patch: Patch,
}

/// One HTTP request: a patch of the object (W-PAT-001..005).
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Its number within the machine.
    pub id: RequestId,
    /// The subresource, `status`; none for the object itself.
    pub subresource: Option<&'static str>,
    /// What is sent.
    pub body: PatchBody,
}

/// The body of a patch request, by content type.
#[derive(Clone, Debug, PartialEq)]
pub enum PatchBody {
    /// `application/merge-patch+json`.
    Merge(Arc<Value>),
    /// `application/json-patch+json`: the operations.
    Json(Arc<Vec<Value>>),
}

/// The answer to a request, after the client's own retries.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Done; the object as it is now.
    Object(Object),
    /// 404: the object does not exist any more.
    Gone,
    /// 409: somebody else has written meanwhile.
    Conflict(ErrorInfo),
    /// 400, 413, 422 and other final refusals.
    Rejected {
        /// The HTTP status.
        status: u16,
        /// What the server said.
        error: ErrorInfo,
    },
    /// 5xx, a timeout, a lost connection: the patch may have been applied or not.
    Unknown(ErrorInfo),
}

/// A Kubernetes Event about the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Whether it is a `Warning`; else `Normal`.
    pub warning: bool,
    /// The reason, in CamelCase.
    pub reason: &'static str,
    /// The message.
    pub message: String,
}

/// The state of one object. Created at its first event, dropped after [`Output::Forget`].
#[derive(Clone, Debug)]
pub struct Machine {
    object_id: u64,
    memory: Memory,
    phase: Phase,
    /// Outputs that are not handed out yet.
    outputs: Vec<Output>,
}

/// What outlives a cycle. A restart begins with none of it. Small: there is one for every object of the cluster.
#[derive(Clone, Debug, Default)]
struct Memory {
    /// The first event; the type is none if the object was noticed in a listing.
    noticed: Option<Option<EventType>>,
    /// A series of cycles has ended: resume handlers do not run any more (W-CAU-002).
    fully_handled: bool,
    /// All is done for the deletion; the finalizer is to be removed, whatever comes.
    released: bool,
    /// Attempts of handlers that have ended with unfinished sub-handlers (DEC-15).
    waits: Option<Arc<HashMap<HandlerId, u32>>>,
    /// Functions of handlers that have met a newer version of the object, to be applied again (W-PAT-008).
    left_over: Option<Box<LeftOver>>,
    /// The versions that the stream has shown lately.
    seen: Seen,
    /// The own write that the stream has not shown yet.
    expected: Option<Box<Expected>>,
    /// Unexpected errors in a row (W-THR-006).
    failures: u32,
    /// The operator stops.
    stopping: bool,
    /// The last number given to a cycle, a call, or a request.
    number: u64,
}

/// Functions that the server has refused.
#[derive(Clone, Debug, Default)]
struct LeftOver {
    /// What is to be applied again.
    transforms: Vec<Arc<dyn Transform>>,
    /// The version of the object for which they were refused.
    refused: Option<String>,
}

/// What every part of a step reads.
#[derive(Clone, Copy)]
pub(crate) struct Turn<'a> {
    pub(crate) plan: &'a Arc<Plan>,
    pub(crate) now: Timestamp,
}

impl Machine {
    /// A machine for an object that has not been seen yet. `object_id` is the engine's own number of it.
    #[must_use]
    pub fn new(object_id: u64) -> Self {
        Self { object_id, memory: Memory::default(), phase: Phase::Idle, outputs: Vec::new() }
    }

    /// Whether [`Input::Event`] may come now: no call runs and no answer is missing.
    #[must_use]
    pub fn accepts_events(&self) -> bool {
        self.phase.accepts_events()
    }

    /// Whether an own write is expected in the stream and was not seen yet: state-changing handlers wait for it.
    #[must_use]
    pub fn expects_own_write(&self) -> bool {
        self.memory.expected.is_some()
    }

    /// Whether the pending patch holds functions of the door, so that the next step may call them (DEC-6).
    #[must_use]
    pub fn has_plugins(&self) -> bool {
        let pending = self.phase.patches().flat_map(|patch| &patch.transforms);
        let left_over = self.memory.left_over.iter().flat_map(|left| &left.transforms);
        pending.chain(left_over).any(|transform| transform.is_plugin())
    }

    /// Tells of a version of the object that the stream has just shown, in the order of the stream, and before its event is
    /// queued, replaced by a newer one, or processed. So an own write counts as seen even if its event is never processed
    /// (DEC-13, DEC-14). Without it, versions are seen when their events are processed.
    pub fn observe(&mut self, resource_version: &str) {
        self.memory.seen.observe(resource_version);
    }

    /// One step. `plan` may be another than at the step before: settings and handlers are read anew each time.
    ///
    /// # Errors
    /// What a plug-in or the stored data raised. What the input told is kept, what was to follow from it has not begun; feed
    /// the error to [`Machine::fail`].
    pub fn step(&mut self, input: Input, now: Timestamp, plan: &Arc<Plan>) -> Result<Vec<Output>, ErrorInfo> {
        let turn = Turn { plan, now };
        self.take_in(input, turn);
        if !self.phase.is_waiting() {
            // What fails halfway has not begun.
            let mut next = self.clone();
            next.proceed(turn)?;
            *self = next;
        }
        Ok(mem::take(&mut self.outputs))
    }

    /// Throttles the object after a step has failed: what could not be done is tried again after a pause that grows from
    /// failure to failure, unless a newer event comes (W-THR, FIX-3).
    pub fn fail(&mut self, error: ErrorInfo, now: Timestamp, plan: &Arc<Plan>) -> Vec<Output> {
        let turn = Turn { plan, now };
        let mut phase = mem::take(&mut self.phase);
        if let Phase::Applying(write) = &mut phase {
            self.drop_functions(write, &error, turn);
        }
        self.phase = self.throttle(error, phase, turn);
        mem::take(&mut self.outputs)
    }

    /// Goes from phase to phase until something has to be waited for. This is the main path of the machine, as a table; the
    /// transitions are named at [`Phase`].
    fn proceed(&mut self, turn: Turn<'_>) -> Result<(), ErrorInfo> {
        while !self.phase.is_waiting() {
            self.phase = match mem::take(&mut self.phase) {
                Phase::Begun(cycle) => self.open_watching(cycle, turn)?,
                Phase::Watching(watching) => self.watch(watching, turn),
                Phase::Watched(cycle) => self.detect(cycle, turn)?,
                Phase::Overdue(cycle) => self.recheck(cycle, turn)?,
                Phase::Consistent(cycle) => self.open_handling(cycle, turn)?,
                Phase::Handling(handling) => self.handle(handling, turn)?,
                Phase::Closing(cycle) => self.close(cycle, turn)?,
                Phase::Touching(cycle) => self.touch(cycle, turn)?,
                Phase::Applying(write) => self.apply(write, turn)?,
                waiting => waiting,
            };
        }
        Ok(())
    }

    fn emit(&mut self, output: Output) {
        self.outputs.push(output);
    }

    fn log(&mut self, log: Log) {
        self.emit(Output::Log(log));
    }

    /// A line of the engine about its own work on the object, for developers.
    fn debug(&mut self, line: Line) {
        self.log(Log::local(Level::Debug, line));
    }

    /// A number that nothing else of this machine has.
    fn next_number(&mut self) -> u64 {
        self.memory.number += 1;
        self.memory.number
    }
}
