//! The step machine of one object: what happened comes in, what to do goes out.
//!
//! The engine owns one [`Machine`] per object and feeds it [`Input`]s one at a time. Each step changes the state in one
//! synchronous place and returns [`Output`]s; the engine carries them out and reports back. A *cycle* begins with an event
//! and ends when its patch was accepted, or nothing is left to do. While a cycle runs the engine queues the events that
//! arrive ([`Machine::accepts_events`]); sleeping for delayed handlers, for consistency or because of an error does accept
//! them, and is interrupted.
//!
//! Nothing is remembered here that is not in the object, but for what makes the same object cheaper or safer to handle: what
//! was just written, what failed just now. So a restart from the object alone continues the work (DEC-1).

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    cause::Cause,
    error::ErrorInfo,
    handler::{Handler, HandlerId},
    log::Log,
    object::Object,
    outcome::Outcome,
    patch::Patch,
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
    /// Run a handler, and report [`Input::Finished`]. Calls of one step run in the order given, those of event handlers at once.
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
    Merge(Value),
    /// `application/json-patch+json`: the operations.
    Json(Vec<Value>),
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
#[derive(Debug)]
pub struct Machine {
    object_id: u64,
}

impl Machine {
    /// A machine for an object that has not been seen yet. `object_id` is the engine's own number of it.
    #[must_use]
    pub fn new(object_id: u64) -> Self {
        Self { object_id }
    }

    /// Whether [`Input::Event`] may come now: no call runs and no answer is missing.
    #[must_use]
    pub fn accepts_events(&self) -> bool {
        self.object_id > 0
    }

    /// Whether the pending patch holds functions of the door, so that the next step may call them (DEC-6).
    #[must_use]
    pub fn has_plugins(&self) -> bool {
        false
    }

    /// One step. `plan` may be another than at the step before: settings and handlers are read anew each time.
    ///
    /// # Errors
    /// What a plug-in or the stored data raised. The state is as before the step; feed the error to [`Machine::fail`].
    pub fn step(&mut self, input: Input, now: Timestamp, plan: &Arc<Plan>) -> Result<Vec<Output>, ErrorInfo> {
        let _ = (input, now, plan);
        Ok(Vec::new())
    }

    /// Throttles the object after a step has failed: the same event is processed again after a pause that grows from
    /// failure to failure (W-THR, FIX-3).
    pub fn fail(&mut self, error: ErrorInfo, now: Timestamp, plan: &Arc<Plan>) -> Vec<Output> {
        let _ = (error, now, plan);
        Vec::new()
    }
}
