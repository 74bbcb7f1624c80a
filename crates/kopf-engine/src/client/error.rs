//! What may go wrong with a request, and with a login.

use std::path::PathBuf;

use serde_json::{Map, Value};

/// A request has failed, after all its attempts.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The server has answered with an error.
    #[error("{}", .message.as_deref().unwrap_or("the server has answered with an error"))]
    Status {
        /// The HTTP status.
        status: u16,
        /// What the server said.
        message: Option<String>,
        /// The `Status` object, if it was one (W-API-008).
        payload: Option<Map<String, Value>>,
    },
    /// No connection, or it was lost.
    #[error("{0}")]
    Connection(String),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The answer broke off or is no JSON.
    #[error("{0}")]
    Payload(String),
}

/// There is no way to log in.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// Neither a kubeconfig nor a service account, or all credentials were refused (W-AUT-006).
    #[error(
        "Ran out of valid credentials. Consider installing an API client library or adding a login handler. See more: \
         https://docs.kopf.dev/en/stable/authentication/"
    )]
    NoCredentials,
    /// The kubeconfig names no context (W-AUT-010).
    #[error("Current context is not set in kubeconfigs.")]
    NoCurrentContext,
    /// A name leads nowhere.
    #[error("the kubeconfig has no {kind} {name:?}: the current context needs it")]
    Missing {
        /// `context`, `cluster`, `user`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A file is missing or broken.
    #[error("cannot read {path}: {reason}", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A field has a value that is none.
    #[error("the connection's {field} is wrong: {reason}")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}
