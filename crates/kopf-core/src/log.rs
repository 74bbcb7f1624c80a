//! Log lines about an object, as values: the door decides whether a line is wanted, and only then makes the text.

use crate::{error::ErrorInfo, handler::HandlerId};

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

/// What a line says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Line {
    /// `Handler 'id' is invoked.`
    Invoked(HandlerId),
    /// `Handler 'id' succeeded.`
    Succeeded(HandlerId),
    /// `Handler 'id' failed permanently: …`
    FailedPermanently(HandlerId, ErrorInfo),
    /// A line of the engine about the object, such as on attempts of its requests (W-API-006).
    Text(String),
}
