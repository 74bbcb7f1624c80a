//! The border between the engine and the language in which handlers are written.
//!
//! The engine says "this call, please" and gets "here is the result"; it never runs user code itself. The Python door puts
//! calls into a batched inbox of an event loop; the Rust door spawns futures.

use std::{fmt, pin::Pin, sync::Arc};

use kopf_core::{
    handler::HandlerId,
    log::{Level, Log},
    machine::{Call, CallId},
    object::Object,
    outcome::Outcome,
    patch::Patch,
    resource::Resource,
};

/// A boxed future, as traits with `dyn` need it.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// How a call has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How the function ended.
    pub outcome: Outcome,
    /// The whole patch of the cycle after it.
    pub patch: Patch,
    /// All sub-handlers of any depth that were seen.
    pub subrefs: Vec<HandlerId>,
}

/// A log line with what it is about.
#[derive(Clone, Debug)]
pub enum Record {
    /// A line about an object, on the logger `kopf.objects`.
    Object {
        /// The object.
        object: Object,
        /// The line.
        log: Log,
    },
    /// A line of an activity, on the logger `kopf.activities.<activity>`.
    Activity {
        /// `startup`, `cleanup`.
        activity: &'static str,
        /// The line.
        log: Log,
    },
    /// A line of the engine itself.
    Engine {
        /// The logger's name, as users' filters know it (A-LOG-007): `kopf._core.reactor.running` and so on.
        logger: &'static str,
        /// The level.
        level: Level,
        /// The text.
        text: String,
        /// The error to show with a traceback, if the door has one.
        error: Option<kopf_core::error::ErrorInfo>,
    },
}

/// A step that may call the door's code: runs where the door wants it.
pub type Step = Box<dyn FnOnce() + Send + 'static>;

/// An activity of the operator as a whole.
#[derive(Clone, Debug)]
pub struct ActivityCall {
    /// `startup`, `cleanup`.
    pub activity: &'static str,
    /// The handler.
    pub handler: Arc<kopf_core::handler::Handler>,
    /// The attempts so far.
    pub retry: u32,
    /// When the activity began.
    pub started: jiff::Timestamp,
    /// The time since then.
    pub runtime: jiff::SignedDuration,
}

/// The language of the handlers. One per operator. Nothing here may block.
pub trait Door: fmt::Debug + Send + Sync + 'static {
    /// Runs a handler. The future ends when the function has ended, also after [`cancel`](Self::cancel); dropping it
    /// abandons the call.
    fn call(&self, resource: &Arc<Resource>, call: Call) -> BoxFuture<Finished>;

    /// Asks a running call to end. Async functions are cancelled, sync ones are waited for (A-DEC-033).
    fn cancel(&self, object_id: u64, call: CallId);

    /// Runs a handler of an activity.
    fn call_activity(&self, call: ActivityCall) -> BoxFuture<Outcome>;

    /// Runs a step that may call plug-ins (DEC-6).
    fn step(&self, step: Step) -> BoxFuture<()>;

    /// Whether lines of this level about objects are wanted now (DEC-17).
    fn wants(&self, level: Level) -> bool;

    /// Logs a line, in order with the calls.
    fn log(&self, record: Record);

    /// The object is gone: its memo and caches may be dropped.
    fn forget(&self, object_id: u64);

    /// The startup activities have succeeded, and nothing has been watched yet (A-ACT-005).
    fn ready(&self);
}
