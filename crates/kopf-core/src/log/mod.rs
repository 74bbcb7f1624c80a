//! Log lines about an object, as values: the door decides whether a line is wanted, and only then makes the text.

mod text;

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::Value;

use crate::{diff::Diff, error::ErrorInfo, handler::HandlerId, object::Object, reason::Reason};

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// For developers.
    Debug,
    /// The normal course of things.
    Info,
    /// Needs a look.
    Warning,
    /// Something has failed.
    Error,
}

/// A line about an object. Its text is upstream's to the letter (wire section 14, A-LOG-1xx), by [`Display`](std::fmt::Display).
#[derive(Clone, Debug)]
pub struct Log {
    /// The level.
    pub level: Level,
    /// The line.
    pub line: Line,
    /// Never becomes a Kubernetes Event (the lines marked "local" in A-LOG).
    pub local: bool,
}

/// What is run: the word before the id in log lines (A-HID-013).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// A handler of an object.
    #[default]
    Handler,
    /// A daemon.
    Daemon,
    /// A timer.
    Timer,
    /// An indexer.
    Indexer,
    /// A webhook.
    Webhook,
    /// An activity of the operator.
    Activity,
}

/// Who a line is about: `Handler 'id'`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The word.
    pub role: Role,
    /// The id.
    pub id: HandlerId,
}

/// The limit of attempts that was, or would be, hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `timeout=`.
    Timeout(SignedDuration),
    /// `retries=`.
    Retries(u32),
}

/// How an attempt ended, as its line says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Ending {
    /// `succeeded.`
    Succeeded,
    /// `has unfinished sub-handlers. Will retry soon.`
    Unfinished,
    /// `failed temporarily: …`
    Temporary(ErrorInfo),
    /// `failed temporarily but will time out after … seconds: …`, or `… will exceed … retries: …`
    TemporaryAtLimit(Limit, ErrorInfo),
    /// `failed permanently: …`
    Permanent(ErrorInfo),
    /// `has timed out after ….`: the time so far.
    TimedOut(SignedDuration),
    /// `has exceeded … retries.`
    Exceeded(u32),
    /// `failed with an exception and will ignore it: …`
    Ignored(ErrorInfo),
    /// `failed with an exception and will try again in … seconds: …`
    Retried(SignedDuration, ErrorInfo),
    /// `failed with an exception and will stop now: …`
    Stopped(ErrorInfo),
    /// `failed with an exception and will stop now (it would … on the next attempt): …`
    StoppedAtLimit(Limit, ErrorInfo),
    /// `is cancelled. Will escalate.`
    Cancelled,
}

/// What a line says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Line {
    /// `Handler 'id' is invoked.`
    Invoked(Subject),
    /// The end of an attempt.
    Ended(Subject, Ending),
    /// `Creation is in progress: …`
    InProgress(Reason, Object),
    /// `Updating diff: …`
    Diff(Reason, Arc<Diff>),
    /// `Creation is superseded by deletion: …`
    Superseded {
        /// The cause before.
        before: Reason,
        /// The cause now.
        now: Reason,
        /// Handlers of the cause before that have succeeded.
        succeeded: usize,
        /// That have failed for good.
        failed: usize,
        /// That were not finished.
        left: usize,
    },
    /// `Creation is processed: …`
    Processed {
        /// The cause.
        reason: Reason,
        /// Handlers that have succeeded.
        succeeded: usize,
        /// That have failed for good.
        failed: usize,
    },
    /// The essence is the same.
    Noop,
    /// Being deleted, and not held by us.
    Free,
    /// Does not exist any more.
    Gone,
    /// The cycle has nothing to write and nothing to wait for.
    Finished,
    /// The finalizer is being added.
    AddingFinalizer,
    /// The finalizer is being removed, because nothing requires it.
    DroppingFinalizer,
    /// The finalizer is being removed, because all is done.
    ReleasingObject,
    /// A merge patch is being sent.
    MergePatching {
        /// Whether it goes to the subresource `status`.
        status: bool,
        /// The patch.
        body: Arc<Value>,
    },
    /// A JSON patch is being sent.
    JsonPatching {
        /// Whether it goes to the subresource `status`.
        status: bool,
        /// The operations.
        operations: Arc<Vec<Value>>,
    },
    /// The patch has met newer changes; the functions remain.
    PatchConflict {
        /// How many functions remain.
        remaining: usize,
    },
    /// The object does not exist any more.
    PatchSkipped,
    /// The server has kept something else than it was sent.
    PatchInconsistent(Arc<Diff>),
    /// The server refuses the handlers' part of a patch; it is dropped (DEC-7).
    PatchRejected {
        /// The fields that are lost, dotted.
        fields: Vec<String>,
        /// What the server said.
        error: ErrorInfo,
    },
    /// The handlers' part of a failed patch is dropped, because somebody else has changed the object meanwhile (DEC-7).
    PatchOutdated {
        /// The fields that are lost, dotted.
        fields: Vec<String>,
    },
    /// Functions of a patch have failed; they are dropped.
    PatchFailed {
        /// How many functions are dropped.
        functions: usize,
        /// What the first of them has raised.
        error: ErrorInfo,
    },
    /// Sleeping for delayed handlers.
    Sleeping {
        /// The delay.
        delay: SignedDuration,
        /// The longest sleep, if the delay is longer.
        capped: Option<SignedDuration>,
    },
    /// Not sleeping, because the own patch brings the next event.
    SleepSkipped(SignedDuration),
    /// A new event has ended the sleep.
    SleepInterrupted(SignedDuration),
    /// An unexpected error pauses the object.
    Throttling {
        /// The pause.
        delay: SignedDuration,
        /// The error.
        error: ErrorInfo,
    },
    /// An unexpected error, where no pauses are set (W-THR-002).
    Unthrottled(ErrorInfo),
    /// The pause is over.
    ThrottlingOver,
    /// A line of the engine about the object, such as on attempts of its requests (W-API-006).
    Text(String),
}

impl Log {
    /// A line about handlers: becomes a Kubernetes Event if log messages do.
    #[must_use]
    pub fn new(level: Level, line: Line) -> Self {
        Self { level, line, local: false }
    }

    /// A line about the engine's own work: never becomes a Kubernetes Event.
    #[must_use]
    pub fn local(level: Level, line: Line) -> Self {
        Self { level, line, local: true }
    }

    /// The line without the Kubernetes Event: event handlers would flood the cluster (A-LOG-010, A-EVT-012).
    #[must_use]
    pub fn unposted(self) -> Self {
        Self { local: true, ..self }
    }
}

impl Subject {
    /// A handler of an object.
    #[must_use]
    pub fn handler(id: HandlerId) -> Self {
        Self { role: Role::Handler, id }
    }
}

impl Line {
    /// The error to show with a traceback, if the door has one. Errors that handlers have raised on purpose have none.
    #[must_use]
    pub fn traceback(&self) -> Option<&ErrorInfo> {
        match self {
            Self::Ended(_, ending) => ending.traceback(),
            Self::Throttling { error, .. } | Self::Unthrottled(error) => Some(error),
            _ => None,
        }
    }
}

impl Ending {
    /// The level of the line.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::Succeeded => Level::Info,
            Self::Unfinished => Level::Debug,
            Self::Cancelled => Level::Warning,
            _ => Level::Error,
        }
    }

    fn traceback(&self) -> Option<&ErrorInfo> {
        match self {
            Self::Ignored(error)
            | Self::Retried(_, error)
            | Self::Stopped(error)
            | Self::StoppedAtLimit(_, error) => Some(error),
            _ => None,
        }
    }
}
