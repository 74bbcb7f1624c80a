//! Errors that come from outside the engine: from handlers and from plug-ins (filters, storages, lifecycles, patch functions).

use std::{any::Any, fmt, sync::Arc};

/// What is known of an error raised by a handler or a plug-in, whatever language it is written in.
///
/// `text` is what is stored in progress records and shown to users (W-REC-012); logs show `repr` where the text is empty
/// (A-LOG-170). `origin` carries the door's own error object through the engine, so that the door can log a traceback.
#[derive(Clone)]
pub struct ErrorInfo {
    /// The error as text: Python's `str(exception)`, Rust's `Display`. May be empty.
    pub text: String,
    /// The error as a developer writes it: Python's `repr(exception)`, Rust's `Debug`.
    pub repr: String,
    /// The door's own error object.
    pub origin: Option<Arc<dyn Any + Send + Sync>>,
}

impl ErrorInfo {
    /// An error that was made in Rust, with one text for both purposes.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { repr: text.clone(), text, origin: None }
    }

    /// The text for people: never empty (A-LOG-170).
    #[must_use]
    pub fn shown(&self) -> &str {
        if self.text.is_empty() { &self.repr } else { &self.text }
    }
}

impl fmt::Debug for ErrorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorInfo")
            .field("text", &self.text)
            .field("repr", &self.repr)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ErrorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}

impl std::error::Error for ErrorInfo {}

impl PartialEq for ErrorInfo {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.repr == other.repr
    }
}
