//! Errors of handlers: what an error says about the next attempt.

use std::{error::Error as StdError, fmt, time::Duration};

use jiff::SignedDuration;
use kopf_core::{error::ErrorInfo, outcome::Outcome};

/// What a handler returns; by default with the error type that takes everything.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// An error of a handler. Every error type converts into it by `?`, and so do texts.
///
/// What it means for the next attempt is looked up in its chain of sources: a [`TemporaryError`] or a
/// [`PermanentError`] anywhere in it decides, the outermost first. Anything else is an arbitrary error, which is treated by
/// the handler's [`ErrorsMode`](crate::ErrorsMode).
///
/// It is not an [`std::error::Error`] itself: that would exclude the conversion from all others.
///
/// ```
/// use kopf::{Result, permanent};
///
/// fn parse(size: &str) -> Result<u32> {
///     let size = size.parse()?; // arbitrary
///     if size > 100 {
///         return Err(permanent("at most 100 are possible"));
///     }
///     Ok(size)
/// }
/// assert_eq!(parse("7").unwrap(), 7);
/// assert!(parse("x").is_err());
/// ```
pub struct Error(Box<dyn StdError + Send + Sync>);

/// Try again after a while: something outside is not ready.
///
/// Use [`temporary`] in handlers; the type is for libraries whose errors end up in handlers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemporaryError {
    message: String,
    delay: Duration,
}

/// Never try again: it cannot succeed until the object changes.
///
/// Use [`permanent`] in handlers; the type is for libraries whose errors end up in handlers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermanentError {
    message: String,
}

/// The object, or the part of it that a handler asked for, does not have the shape of the Rust type.
///
/// A handler that asks for `Result<Obj<K>, ParseError>` gets it and decides; for any other handler it is a permanent error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    pub(crate) part: String,
    pub(crate) path: String,
    pub(crate) problem: String,
}

/// What an error says about the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Again after the delay.
    Temporary(Duration),
    /// Never again.
    Permanent,
    /// As the handler's options say.
    Arbitrary,
}

/// An error after which the handler is tried again after `delay`; zero means at once.
#[must_use]
pub fn temporary(message: impl Into<String>, delay: Duration) -> Error {
    TemporaryError::new(message, delay).into()
}

/// An error after which the handler is not tried again.
#[must_use]
pub fn permanent(message: impl Into<String>) -> Error {
    PermanentError::new(message).into()
}

impl Error {
    /// What it says about the next attempt.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        chain(&*self.0).find_map(kind_of).unwrap_or(ErrorKind::Arbitrary)
    }

    /// Whether it is, or is caused by, an error of this type.
    #[must_use]
    pub fn is<T: StdError + 'static>(&self) -> bool {
        chain(&*self.0).any(<dyn StdError>::is::<T>)
    }

    pub(crate) fn into_outcome(self) -> Outcome {
        let error = self.info();
        match self.kind() {
            ErrorKind::Temporary(delay) => {
                // A delay that no clock can tell is as good as the longest one.
                let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
                Outcome::Temporary { error, delay: Some(delay) }
            }
            ErrorKind::Permanent => Outcome::Permanent(error),
            ErrorKind::Arbitrary => Outcome::Arbitrary(error),
        }
    }

    pub(crate) fn info(&self) -> ErrorInfo {
        ErrorInfo { text: self.to_string(), repr: format!("{:?}", self.0), origin: None }
    }
}

fn kind_of(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    if let Some(temporary) = error.downcast_ref::<TemporaryError>() {
        return Some(ErrorKind::Temporary(temporary.delay));
    }
    (error.is::<PermanentError>() || error.is::<ParseError>()).then_some(ErrorKind::Permanent)
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for Error {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// The error with its causes: `outer: inner`. What an error already says of its cause is not said again.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        for cause in chain(&*self.0).skip(1) {
            let cause = cause.to_string();
            if !text.contains(&cause) {
                text = format!("{text}: {cause}");
            }
        }
        f.write_str(&text)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TemporaryError {
    /// An error after which the handler is tried again after `delay`.
    #[must_use]
    pub fn new(message: impl Into<String>, delay: Duration) -> Self {
        Self { message: message.into(), delay }
    }
}

impl PermanentError {
    /// An error after which the handler is not tried again.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl fmt::Display for TemporaryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for PermanentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl ParseError {
    /// Where in the object the problem is, as a dotted path; empty if it is the whole.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong there.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, path, problem } = self;
        write!(f, "{part} does not fit its Rust type: ")?;
        if path.is_empty() { f.write_str(problem) } else { write!(f, "{path}: {problem}") }
    }
}

impl StdError for TemporaryError {}
impl StdError for PermanentError {}
impl StdError for ParseError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the cloud is away")]
    struct Cloud(#[source] TemporaryError);

    #[test]
    fn a_temporary_error_deep_in_the_chain_decides() {
        let error = Error::from(Cloud(TemporaryError::new("quota", Duration::from_secs(7))));
        assert_eq!(error.kind(), ErrorKind::Temporary(Duration::from_secs(7)));
        assert!(
            matches!(error.into_outcome(), Outcome::Temporary { delay: Some(delay), .. } if delay.as_secs() == 7)
        );
    }

    #[test]
    fn the_text_names_every_cause_once() {
        let error = Error::from(Cloud(TemporaryError::new("quota", Duration::ZERO)));
        assert_eq!(error.to_string(), "the cloud is away: quota");

        #[derive(Debug, thiserror::Error)]
        #[error("wrapped: {0}")]
        struct Wrapped(#[source] PermanentError);
        assert_eq!(Error::from(Wrapped(PermanentError::new("no"))).to_string(), "wrapped: no");
    }

    #[test]
    fn texts_and_foreign_errors_are_arbitrary() {
        assert_eq!(Error::from("boom").kind(), ErrorKind::Arbitrary);
        let parse: std::num::ParseIntError = "x".parse::<u32>().unwrap_err();
        let error = Error::from(parse);
        assert!(error.is::<std::num::ParseIntError>());
        assert!(matches!(error.into_outcome(), Outcome::Arbitrary(_)));
    }
}
