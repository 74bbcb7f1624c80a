//! The error catalogue: every answer that is a `Status`, with the texts of a real API server.
//!
//! One constructor per kind of error, so that texts are written once. Errors carry what a client acts on: code,
//! reason, details, causes and when to come back.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::machinery::cause::{Cause, join};
use crate::types::qualify;

/// A request that was refused; prints as its message.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", self.0.message)]
pub struct ApiError(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: u16,
    reason: Cow<'static, str>,
    message: String,
    details: Option<Value>,
    retry_after: Option<u32>,
    continue_token: Option<String>,
    /// Answered as text and not as a Status: paths that lead nowhere.
    plain: bool,
    warnings: Vec<String>,
}

/// What an object is called in errors: `plural.group "name"` or `Kind.group "name"`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) group: &'a str,
    /// The plural or the kind, by the sort of error.
    pub(crate) what: &'a str,
    pub(crate) name: &'a str,
}

impl Subject<'_> {
    fn details(&self) -> Map<String, Value> {
        let mut details = Map::new();
        for (key, value) in [("name", self.name), ("group", self.group), ("kind", self.what)] {
            if !value.is_empty() {
                details.insert(key.to_owned(), value.into());
            }
        }
        details
    }

    fn quoted(&self) -> String {
        format!("{} \"{}\"", qualify(self.what, self.group), self.name)
    }
}

impl ApiError {
    /// An error with these parts; `details` as they shall appear.
    pub(crate) fn new(
        code: u16,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
        details: Option<Value>,
    ) -> Self {
        let (reason, message) = (reason.into(), message.into());
        Self(Box::new(Inner {
            code,
            reason,
            message,
            details,
            retry_after: None,
            continue_token: None,
            plain: false,
            warnings: Vec::new(),
        }))
    }

    /// The HTTP status.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.0.code
    }

    /// Such as `NotFound`; empty where a real server names none.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// The error in an answer that was received.
    pub(crate) fn from_answer(code: u16, body: &[u8]) -> Self {
        let status: Value = serde_json::from_slice(body).unwrap_or_default();
        let reason = status["reason"].as_str().unwrap_or_default().to_owned();
        let message = status["message"].as_str().map(ToOwned::to_owned);
        let message = message.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
        Self::new(code, reason, message, status.get("details").cloned())
    }

    /// The path leads nowhere: answered as plain text (D-046).
    pub(crate) fn no_such_path() -> Self {
        let mut error = Self::new(404, "NotFound", "404 page not found\n", None);
        error.0.plain = true;
        error
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message, None)
    }

    pub(crate) fn forbidden(subject: Subject<'_>, why: &str) -> Self {
        let message = if subject.name.is_empty() {
            format!("{} is forbidden: {why}", qualify(subject.what, subject.group))
        } else {
            format!("{} is forbidden: {why}", subject.quoted())
        };
        Self::new(403, "Forbidden", message, Some(subject.details().into()))
    }

    pub(crate) fn not_found(subject: Subject<'_>) -> Self {
        let message = format!("{} not found", subject.quoted());
        Self::new(404, "NotFound", message, Some(subject.details().into()))
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message, Some(json!({})))
    }

    pub(crate) fn not_acceptable(available: &[&str]) -> Self {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {}", available.join(", "));
        Self::new(406, "NotAcceptable", message, Some(json!({})))
    }

    pub(crate) fn discovery_not_acceptable(available: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", available.join(", "));
        Self::new(406, "NotAcceptable", message, None)
    }

    /// A name that the server could have made is taken: one may try again (D-102).
    pub(crate) fn name_not_generated(subject: Subject<'_>, being_deleted: bool) -> Self {
        let mut error = Self::already_exists(subject, being_deleted);
        error.0.message += ", the server was not able to generate a unique name for the object";
        error.with_retry_after(1)
    }

    pub(crate) fn already_exists(subject: Subject<'_>, being_deleted: bool) -> Self {
        let prefix = if being_deleted { "object is being deleted: " } else { "" };
        let message = format!("{prefix}{} already exists", subject.quoted());
        Self::new(409, "AlreadyExists", message, Some(subject.details().into()))
    }

    pub(crate) fn conflict(subject: Subject<'_>, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {}: {why}", subject.quoted());
        Self::new(409, "Conflict", message, Some(subject.details().into()))
    }

    pub(crate) fn modified(subject: Subject<'_>) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(subject, why)
    }

    /// `requested` is older than what the log holds.
    pub(crate) fn too_old(requested: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {requested} ({oldest})"), None)
    }

    pub(crate) fn list_version_too_old() -> Self {
        Self::new(410, "Expired", "The resourceVersion for the provided list is too old.", None)
    }

    pub(crate) fn continue_too_old(token: String) -> Self {
        let message = "The provided continue parameter is too old to display a consistent list result. You can start \
                       a new list without the continue parameter, or use the continue token in this response to \
                       retrieve the remainder of the results. Continuing with the provided token results in an \
                       inconsistent list - objects that were created, modified, or deleted between the time the \
                       first chunk was returned and now may show up in the list.";
        let mut error = Self::new(410, "Expired", message, None);
        error.0.continue_token = Some(token);
        error
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit}");
        Self::new(413, "RequestEntityTooLarge", message, None)
    }

    pub(crate) fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message, None)
    }

    /// The object is invalid, for these causes; the message repeats none of them.
    pub(crate) fn invalid(subject: Subject<'_>, causes: &[Cause]) -> Self {
        let mut details = subject.details();
        details.insert("causes".to_owned(), causes.iter().map(cause_value).collect());
        Self::new(
            422,
            "Invalid",
            format!("{} is invalid: {}", subject.quoted(), join(causes)),
            Some(details.into()),
        )
    }

    /// Options in the query are invalid.
    pub(crate) fn invalid_options(kind: &str, causes: &[Cause]) -> Self {
        Self::invalid(Subject { group: "meta.k8s.io", what: kind, name: "" }, causes)
    }

    /// A JSON patch that cannot be applied: the server does not say why.
    pub(crate) fn patch_not_applicable() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::new(422, "Invalid", message, Some(json!({})))
    }

    pub(crate) fn internal(message: &str) -> Self {
        let details = json!({"causes": [{"message": message}]});
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"), Some(details))
    }

    pub(crate) fn not_implemented(what: &str) -> Self {
        Self::new(501, "NotImplemented", format!("the dev cluster does not implement {what}"), None)
    }

    pub(crate) fn version_too_large(requested: u64, current: u64) -> Self {
        let details = json!({
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        });
        let message = format!("Timeout: Too large resource version: {requested}, current: {current}");
        let mut error = Self::new(504, "Timeout", message, Some(details));
        error.0.retry_after = Some(1);
        error
    }

    /// Asks the client to come back after `seconds`.
    pub(crate) fn with_retry_after(mut self, seconds: u32) -> Self {
        let details = self.0.details.get_or_insert_with(|| json!({}));
        details["retryAfterSeconds"] = seconds.into();
        self.0.retry_after = Some(seconds);
        self
    }

    /// Adds causes to the details.
    pub(crate) fn with_causes(mut self, causes: &[Cause]) -> Self {
        let details = self.0.details.get_or_insert_with(|| json!({}));
        details["causes"] = causes.iter().map(cause_value).collect();
        self
    }

    pub(crate) fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.0.warnings.extend(warnings);
        self
    }

    pub(crate) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.0.warnings)
    }

    pub(crate) fn retry_after(&self) -> Option<u32> {
        self.0.retry_after
    }

    /// The text, if the answer is plain text.
    pub(crate) fn plain_text(&self) -> Option<&str> {
        self.0.plain.then_some(self.0.message.as_str())
    }

    /// The `Status` object.
    #[must_use]
    pub fn to_status(&self) -> Value {
        let inner = &*self.0;
        let mut metadata = Map::new();
        if let Some(token) = &inner.continue_token {
            metadata.insert("continue".to_owned(), token.clone().into());
        }
        let mut status = Map::new();
        status.insert("kind".to_owned(), "Status".into());
        status.insert("apiVersion".to_owned(), "v1".into());
        status.insert("metadata".to_owned(), metadata.into());
        status.insert("status".to_owned(), "Failure".into());
        status.insert("message".to_owned(), inner.message.clone().into());
        if !inner.reason.is_empty() {
            status.insert("reason".to_owned(), inner.reason.clone().into());
        }
        if let Some(details) = &inner.details {
            status.insert("details".to_owned(), details.clone());
        }
        status.insert("code".to_owned(), inner.code.into());
        status.into()
    }
}

fn cause_value(cause: &Cause) -> Value {
    let mut value = Map::new();
    for (key, text) in [("reason", cause.reason), ("message", &cause.message), ("field", &cause.field)] {
        if !text.is_empty() {
            value.insert(key.to_owned(), text.into());
        }
    }
    value.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1.8: duplicates appear once in the message, and each in the causes (DEC-32).
    #[test]
    fn a_message_names_equal_causes_once() {
        let cause = Cause::required("spec", "");
        let subject = Subject { group: "test.dev", what: "Widget", name: "a" };
        let status = ApiError::invalid(subject, &[cause.clone(), cause]).to_status();
        assert_eq!(status["message"], "Widget.test.dev \"a\" is invalid: spec: Required value");
        assert_eq!(status["details"]["causes"].as_array().map(Vec::len), Some(2));
    }
}
