//! What comes back from an attempt to run a handler.

use jiff::SignedDuration;
use serde_json::Value;

use crate::error::ErrorInfo;

/// How the function of a handler ended. The door classifies; what follows from it, the core decides (W-EXE-002..004).
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It returned. A result goes to `status.<handler id>`.
    Succeeded(Option<Value>),
    /// It asked to be tried again after `delay`; none = at once.
    Temporary {
        /// What it raised.
        error: ErrorInfo,
        /// How long to wait.
        delay: Option<SignedDuration>,
    },
    /// It has failed for good.
    Permanent(ErrorInfo),
    /// It raised anything else: treated by the handler's [`ErrorsMode`](crate::handler::ErrorsMode).
    Arbitrary(ErrorInfo),
    /// It returned, and has sub-handlers that are not finished; the earliest of them runs after the delay (W-CYC-017).
    Unfinished(Option<SignedDuration>),
    /// It was cancelled: nothing is stored, and it runs again (W-PRC-014).
    Cancelled,
}
