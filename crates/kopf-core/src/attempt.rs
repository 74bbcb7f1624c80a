//! One attempt to run a handler: the limits before it, and what follows from how it ended (W-EXE).
//!
//! The same for handlers of objects, sub-handlers, activities, daemons and timers. What is remembered of the attempt is the
//! record's business, when the next one comes is the caller's.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    cause::Cause,
    error::ErrorInfo,
    handler::{ErrorsMode, HandlerId, Options},
    log::{Ending, Limit, Line, Log, Subject},
    outcome::Outcome,
    record::{Attempt, ProgressRecord},
};

/// What the text of a temporary error is if the handler gave none: Python's `str(TemporaryError())` (W-REC-012).
pub(crate) const NO_MESSAGE: &str = "None";

/// The rules by which a handler is tried.
#[derive(Clone, Debug)]
pub struct Rules<'a> {
    /// Who is tried.
    pub subject: Subject,
    /// The handler's own options.
    pub options: &'a Options,
    /// The mode of errors if the handler sets none.
    pub default_errors: ErrorsMode,
    /// The delay after an arbitrary error if the handler sets none.
    pub default_backoff: SignedDuration,
    /// The sub-handlers that the handler waits for.
    pub children: Children,
}

/// What the limits of a handler have to know of its sub-handlers (FIX-16, DEC-15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Children {
    /// Some are not finished: the handler is called for their sake, and no limit stops it.
    pub pending: bool,
    /// The attempts that have ended with unfinished ones: not the handler's own.
    pub waits: u32,
}

/// How an attempt is judged.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What the record is told.
    pub attempt: Attempt,
    /// What the log is told.
    pub ending: Ending,
    /// What the handler returned, if it succeeded.
    pub result: Option<Value>,
}

impl Children {
    /// None that is known to be unfinished.
    #[must_use]
    pub fn none(cause: &Cause, id: &HandlerId) -> Self {
        Self {
            pending: false,
            waits: cause.waits.as_ref().and_then(|waits| waits.get(id)).copied().unwrap_or_default(),
        }
    }
}

impl Rules<'_> {
    /// The line before the attempt.
    #[must_use]
    pub fn invoked(&self) -> Log {
        Log::new(crate::log::Level::Debug, Line::Invoked(self.subject.clone()))
    }

    /// The line after it.
    #[must_use]
    pub fn ended(&self, ending: Ending) -> Log {
        Log::new(ending.level(), Line::Ended(self.subject.clone(), ending))
    }

    /// Whether the handler may not be tried any more: it fails without a call (W-EXE-001).
    #[must_use]
    pub fn forbid(&self, record: &ProgressRecord, now: Timestamp) -> Option<Judgement> {
        if self.children.pending {
            return None;
        }
        let runtime = record.runtime(now);
        if self.options.timeout.is_some_and(|timeout| runtime >= timeout) {
            return Some(self.failure(Ending::TimedOut(runtime)));
        }
        let retries = self.options.retries.filter(|&retries| self.own_attempts(record) >= retries)?;
        Some(self.failure(Ending::Exceeded(retries)))
    }

    /// Judges how the function ended (W-EXE-002..004). None if it was cancelled: then nothing has happened.
    #[must_use]
    pub fn judge(&self, outcome: Outcome, record: &ProgressRecord, now: Timestamp) -> Option<Judgement> {
        Some(match outcome {
            Outcome::Succeeded(result) => Judgement {
                attempt: Attempt { is_final: true, ..Attempt::default() },
                ending: Ending::Succeeded,
                result,
            },
            Outcome::Unfinished(delay) => retry(Some(NO_MESSAGE.into()), delay, Ending::Unfinished),
            Outcome::Temporary { error, delay } => match self.limit_ahead(record, delay, now) {
                Some(limit) => self.failure(Ending::TemporaryAtLimit(limit, error)),
                None => retry(Some(error.text.clone()), delay, Ending::Temporary(error)),
            },
            Outcome::Permanent(error) => failure(error.text.clone(), Ending::Permanent(error)),
            Outcome::Arbitrary(error) => self.judge_arbitrary(error, record, now),
            Outcome::Cancelled => return None,
        })
    }

    fn judge_arbitrary(&self, error: ErrorInfo, record: &ProgressRecord, now: Timestamp) -> Judgement {
        match self.options.errors.unwrap_or(self.default_errors) {
            ErrorsMode::Ignored => Judgement {
                attempt: Attempt { is_final: true, ..Attempt::default() },
                ending: Ending::Ignored(error),
                result: None,
            },
            ErrorsMode::Permanent => failure(error.text.clone(), Ending::Stopped(error)),
            ErrorsMode::Temporary => {
                let backoff = self.options.backoff.unwrap_or(self.default_backoff);
                match self.limit_ahead(record, Some(backoff), now) {
                    Some(limit) => self.failure(Ending::StoppedAtLimit(limit, error)),
                    None => retry(Some(error.text.clone()), Some(backoff), Ending::Retried(backoff, error)),
                }
            }
        }
    }

    /// The limit that would forbid the next attempt: waiting for it makes no sense.
    fn limit_ahead(
        &self,
        record: &ProgressRecord,
        delay: Option<SignedDuration>,
        now: Timestamp,
    ) -> Option<Limit> {
        let runtime = record.runtime(now).saturating_add(delay.unwrap_or_default());
        if let Some(timeout) = self.options.timeout.filter(|&timeout| runtime >= timeout) {
            return Some(Limit::Timeout(timeout));
        }
        let retries = self.options.retries.filter(|&retries| self.own_attempts(record) + 1 >= retries)?;
        Some(Limit::Retries(retries))
    }

    fn own_attempts(&self, record: &ProgressRecord) -> u32 {
        record.retries.saturating_sub(self.children.waits)
    }

    /// A failure by a limit: its line is its message.
    fn failure(&self, ending: Ending) -> Judgement {
        failure(format!("{} {ending}", self.subject), ending)
    }
}

fn failure(message: String, ending: Ending) -> Judgement {
    Judgement {
        attempt: Attempt { is_final: true, error: Some(message), ..Attempt::default() },
        ending,
        result: None,
    }
}

fn retry(message: Option<String>, delay: Option<SignedDuration>, ending: Ending) -> Judgement {
    Judgement {
        attempt: Attempt { is_final: false, delay, error: message, ..Attempt::default() },
        ending,
        result: None,
    }
}
