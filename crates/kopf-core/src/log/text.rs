//! The texts of log lines: upstream's to the letter, with Python's forms of values.

use std::fmt;

use jiff::SignedDuration;
use serde_json::Value;

use super::{Ending, Limit, Line, Role, Subject};
use crate::{
    diff::Diff,
    json::{python_repr, python_repr_str},
};

impl Role {
    fn title(self) -> &'static str {
        match self {
            Self::Handler => "Handler",
            Self::Daemon => "Daemon",
            Self::Timer => "Timer",
            Self::Indexer => "Indexer",
            Self::Webhook => "Webhook",
            Self::Activity => "Activity",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.role.title(), python_repr_str(self.id.as_str()))
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Succeeded => f.write_str("succeeded."),
            Self::Unfinished => f.write_str("has unfinished sub-handlers. Will retry soon."),
            Self::Temporary(error) => write!(f, "failed temporarily: {error}"),
            Self::TemporaryAtLimit(Limit::Timeout(timeout), error) => {
                write!(
                    f,
                    "failed temporarily but will time out after {} seconds: {error}",
                    short_seconds(*timeout)
                )
            }
            Self::TemporaryAtLimit(Limit::Retries(retries), error) => {
                write!(f, "failed temporarily but will exceed {retries} retries: {error}")
            }
            Self::Permanent(error) => write!(f, "failed permanently: {error}"),
            Self::TimedOut(runtime) => write!(f, "has timed out after {}.", timedelta(*runtime)),
            Self::Exceeded(retries) => write!(f, "has exceeded {retries} retries."),
            Self::Ignored(error) => write!(f, "failed with an exception and will ignore it: {error}"),
            Self::Retried(backoff, error) => {
                write!(
                    f,
                    "failed with an exception and will try again in {} seconds: {error}",
                    short_seconds(*backoff)
                )
            }
            Self::Stopped(error) => write!(f, "failed with an exception and will stop now: {error}"),
            Self::StoppedAtLimit(Limit::Timeout(timeout), error) => write!(
                f,
                "failed with an exception and will stop now (it would time out in {} seconds on the next attempt): {error}",
                short_seconds(*timeout)
            ),
            Self::StoppedAtLimit(Limit::Retries(retries), error) => write!(
                f,
                "failed with an exception and will stop now (it would exceed {retries} retries on the next attempt): {error}"
            ),
            Self::Cancelled => f.write_str("is cancelled. Will escalate."),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invoked(subject) => write!(f, "{subject} is invoked."),
            Self::Ended(subject, ending) => write!(f, "{subject} {ending}"),
            Self::InProgress(reason, object) => {
                write!(f, "{} is in progress: {}", reason.title(), python_repr(object.body()))
            }
            Self::Diff(reason, diff) => write!(f, "{} diff: {}", reason.title(), diff_repr(diff)),
            Self::Superseded { before, now, succeeded, failed, left } => write!(
                f,
                "{} is superseded by {}: {succeeded} succeeded; {failed} failed; {left} left to the moment.",
                before.title(),
                now.title().to_lowercase()
            ),
            Self::Processed { reason, succeeded, failed } => {
                write!(f, "{} is processed: {succeeded} succeeded; {failed} failed.", reason.title())
            }
            Self::Noop => {
                f.write_str("Something has changed, but we are not interested (the essence is the same).")
            }
            Self::Free => f.write_str("Deletion, but we are done with it, and we do not care."),
            Self::Gone => f.write_str("Deleted, really deleted, and we are notified."),
            Self::Finished => f.write_str("Handling cycle is finished, waiting for new changes."),
            Self::AddingFinalizer => {
                f.write_str("Adding the finalizer, thus preventing the actual deletion.")
            }
            Self::DroppingFinalizer => {
                f.write_str("Removing the finalizer, as there are no handlers requiring it.")
            }
            Self::ReleasingObject => {
                f.write_str("Removing the finalizer, thus allowing the actual deletion.")
            }
            Self::MergePatching { status, body } => {
                write!(f, "Merge-patching the {} with: {}", patched(*status), python_repr(body))
            }
            Self::JsonPatching { status, operations } => {
                write!(
                    f,
                    "JSON-patching the {} with: {}",
                    patched(*status),
                    python_repr(&Value::from(operations.to_vec()))
                )
            }
            Self::PatchConflict { remaining } => write!(
                f,
                "Could not apply the patch in full due to conflicts with newer changes. \
                 Will try on the next cycle soon. Remaining: {remaining} functions"
            ),
            Self::PatchSkipped => f.write_str("Patching was skipped: the object does not exist anymore."),
            Self::PatchInconsistent(diff) => {
                write!(f, "Merge-patching finished with inconsistencies: {}", diff_repr(diff))
            }
            Self::PatchRejected { fields, error } => {
                write!(f, "The changes of {} are lost: the server refuses them: {error}", fields.join(", "))
            }
            Self::PatchOutdated { fields } => write!(
                f,
                "The changes of {} are lost: they could not be written before the object was changed by others.",
                fields.join(", ")
            ),
            Self::PatchFailed { functions, error } => {
                write!(f, "The changes of {functions} functions are lost: they have failed: {error}")
            }
            Self::Sleeping { delay, capped: None } => {
                write!(f, "Sleeping for {} seconds for the delayed handlers.", float_seconds(*delay))
            }
            Self::Sleeping { delay, capped: Some(cap) } => write!(
                f,
                "Sleeping for {} (capped {}) seconds for the delayed handlers.",
                float_seconds(*delay),
                short_seconds(*cap)
            ),
            Self::SleepSkipped(left) => {
                write!(f, "Sleeping was skipped because of the patch, {} seconds left.", float_seconds(*left))
            }
            Self::SleepInterrupted(left) => {
                write!(f, "Sleeping was interrupted by new changes, {} seconds left.", float_seconds(*left))
            }
            Self::Throttling { delay, error } => write!(
                f,
                "Throttling for {} seconds due to an unexpected error: {}",
                short_seconds(*delay),
                error.repr
            ),
            Self::Unthrottled(error) => write!(f, "Continuing after an unexpected error: {}", error.repr),
            Self::ThrottlingOver => f.write_str("Throttling is over. Switching back to normal operations."),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A diff as Python shows it: a tuple of tuples.
fn diff_repr(diff: &Diff) -> String {
    let items = diff.0.iter().map(|item| {
        let path = tuple(item.path.0.iter().map(|key| python_repr_str(key)));
        let values = [python_repr(&item.old), python_repr(&item.new)];
        tuple([python_repr_str(item.op.as_str()), path].into_iter().chain(values))
    });
    tuple(items)
}

fn tuple(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    match items.as_slice() {
        [single] => format!("({single},)"),
        _ => format!("({})", items.join(", ")),
    }
}

/// Seconds as a Python float: `5.0`. One division, as Python does it: the sum of a whole and a fraction would show its error.
fn float_seconds(duration: SignedDuration) -> String {
    python_repr(&(duration.as_micros() as f64 / 1e6).into())
}

/// Seconds as users write them: `5`, but `5.5`.
fn short_seconds(duration: SignedDuration) -> String {
    if duration.subsec_nanos() == 0 { duration.as_secs().to_string() } else { float_seconds(duration) }
}

/// Python's `str(timedelta)`: `1:02:03`, `2 days, 0:00:00.500000`.
fn timedelta(duration: SignedDuration) -> String {
    let micros = duration.as_micros();
    let (days, rest) = (micros.div_euclid(86_400_000_000), micros.rem_euclid(86_400_000_000));
    let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
    let days = match days {
        0 => String::new(),
        1 | -1 => format!("{days} day, "),
        _ => format!("{days} days, "),
    };
    let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
    format!("{days}{}:{:02}:{:02}{fraction}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn patched(status: bool) -> &'static str {
    if status { "status" } else { "resource" }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// W-LOG: durations as Python shows them.
    #[test]
    fn durations_are_written_as_in_python() {
        let check = |millis: i64, expected: [&str; 3]| {
            let duration = SignedDuration::from_millis(millis);
            assert_eq!([float_seconds(duration), short_seconds(duration), timedelta(duration)], expected);
        };
        check(5_000, ["5.0", "5", "0:00:05"]);
        check(3_264, ["3.264", "3.264", "0:00:03.264000"]);
        check(5_500, ["5.5", "5.5", "0:00:05.500000"]);
        check(90_061_000, ["90061.0", "90061", "1 day, 1:01:01"]);
        check(200_000_000, ["200000.0", "200000", "2 days, 7:33:20"]);
        check(-1_000, ["-1.0", "-1", "-1 day, 23:59:59"]);
    }
}
