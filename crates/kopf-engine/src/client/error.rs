//! What may go wrong with a request, and with a login.

use std::{fmt, path::PathBuf};

use kopf_core::{
    error::ErrorInfo,
    json::{python_repr, python_repr_str},
};
use serde_json::{Map, Value};

/// A longer text of an error is cut to this length, `...` included (W-API-008).
const TEXT_LIMIT: usize = 256;

/// A request has failed, after all its attempts.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The server has answered with an error.
    #[error("{}", .0.shown())]
    Status(Box<StatusError>),
    /// No connection, or it was lost.
    #[error("{0}")]
    Connection(String),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The answer broke off or is no JSON.
    #[error("{0}")]
    Payload(String),
    /// There are no credentials to ask with.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// What was asked for has no URL, or cannot be put into a request.
    #[error("{0}")]
    Request(String),
}

/// An answer with an error.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusError {
    /// The HTTP status.
    pub status: u16,
    /// What the server said.
    pub message: Option<String>,
    /// The `Status` object, if it was one: other JSON may hold secrets (W-API-008).
    pub payload: Option<Map<String, Value>>,
}

impl StatusError {
    /// Of an answer's body.
    pub(crate) fn of(status: u16, body: &[u8]) -> Self {
        let (message, payload) = match serde_json::from_slice(body) {
            Ok(Value::Object(map)) if map.get("kind").and_then(Value::as_str) == Some("Status") => {
                (map.get("message").and_then(Value::as_str).map(str::to_owned), Some(map))
            }
            Ok(_) => (None, None),
            Err(_) => (Some(cut(&String::from_utf8_lossy(body))), None),
        };
        Self { status, message: message.filter(|text| !text.is_empty()), payload }
    }

    /// When the server wants to be asked again, as `details.retryAfterSeconds` says.
    pub(crate) fn retry_after_secs(&self) -> Option<u64> {
        self.payload.as_ref()?.get("details")?.get("retryAfterSeconds")?.as_u64()
    }

    /// The class that upstream raises for it.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self.status {
            401 => "APIUnauthorizedError",
            403 => "APIForbiddenError",
            404 => "APINotFoundError",
            409 => "APIConflictError",
            422 => "APIUnprocessableEntityError",
            429 => "APITooManyRequestsError",
            400..=499 => "APIClientError",
            500..=599 => "APIServerError",
            _ => "APIError",
        }
    }

    fn shown(&self) -> String {
        self.message.clone().unwrap_or_else(|| format!("the server has answered with {}", self.status))
    }
}

impl ApiError {
    /// The HTTP status, if the server has answered.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status(error) => Some(error.status),
            Self::Connection(_) | Self::Timeout | Self::Payload(_) | Self::Login(_) | Self::Request(_) => {
                None
            }
        }
    }

    /// Whether another attempt may help (W-API-003).
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Status(error) => matches!(error.status, 403 | 429 | 500..=599),
            Self::Connection(_) | Self::Timeout => true,
            Self::Payload(_) | Self::Login(_) | Self::Request(_) => false,
        }
    }

    /// For the core: the text, and what Python's `repr` of upstream's error shows.
    #[must_use]
    pub fn info(&self) -> ErrorInfo {
        ErrorInfo { text: self.to_string(), repr: Repr(self).to_string(), origin: None }
    }
}

/// As upstream's log lines show errors: `APIServerError('m', {…}, status=500)`.
pub(crate) struct Repr<'a>(pub(crate) &'a ApiError);

impl fmt::Display for Repr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ApiError::Status(error) => {
                write!(f, "{}(", error.class())?;
                if let Some(message) = &error.message {
                    write!(f, "{}, ", python_repr_str(message))?;
                }
                if let Some(payload) = &error.payload {
                    write!(f, "{}, ", python_repr(&Value::Object(payload.clone())))?;
                }
                write!(f, "status={})", error.status)
            }
            ApiError::Connection(text) => write!(f, "ClientConnectionError({})", python_repr_str(text)),
            ApiError::Timeout => f.write_str("TimeoutError()"),
            ApiError::Payload(text) => write!(f, "ClientPayloadError({})", python_repr_str(text)),
            ApiError::Login(error) => write!(f, "LoginError({})", python_repr_str(&error.to_string())),
            ApiError::Request(text) => write!(f, "ValueError({})", python_repr_str(text)),
        }
    }
}

/// There is no way to log in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// Neither a kubeconfig nor a service account, or all credentials were refused (W-AUT-006).
    #[error(
        "Ran out of valid credentials. Consider installing an API client library or adding a login handler. See more: \
         https://docs.kopf.dev/en/stable/authentication/"
    )]
    NoCredentials,
    /// A certificate or key is given twice (W-AUT-021).
    #[error("Both {0} path & data are set. Need only one.")]
    Both(&'static str),
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
    /// A login handler has returned something else than a connection (A-ACT-020).
    #[error("Only ConnectionInfo/AiohttpSession instances are accepted.")]
    NoConnection,
}

impl LoginError {
    pub(crate) fn field(field: &'static str, reason: impl fmt::Display) -> Self {
        Self::Field { field, reason: reason.to_string() }
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= TEXT_LIMIT {
        return text.to_owned();
    }
    text.chars().take(TEXT_LIMIT - 3).chain("...".chars()).collect()
}
