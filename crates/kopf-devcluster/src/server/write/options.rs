//! The options of a write that stand in the query.

use serde_json::Value;

use crate::machinery::cause::Cause;
use crate::server::Request;
use crate::server::request::User;
use crate::status::ApiError;

/// What to do about fields that a type does not have, and about keys that come twice (D-131).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// How a write is done.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteOptions {
    pub(crate) dry_run: bool,
    pub(crate) validation: FieldValidation,
    pub(crate) manager: String,
    /// Who writes.
    pub(crate) user: User,
}

impl WriteOptions {
    /// Reads the query; `kind` names the options in errors.
    pub(crate) fn of(request: &Request, kind: &str) -> Result<Self, ApiError> {
        let query = &request.query;
        let mut causes = Vec::new();
        let dry_run = dry_run(&query.all("dryRun"), &mut causes);
        let validation = match query.text("fieldValidation") {
            None | Some("Warn") => FieldValidation::Warn,
            Some("Strict") => FieldValidation::Strict,
            Some("Ignore") => FieldValidation::Ignore,
            Some(other) => {
                let supported = ["", "Ignore", "Strict", "Warn"];
                causes.push(Cause::not_supported("fieldValidation", &other.into(), &supported));
                FieldValidation::Warn
            }
        };
        if query.text("fieldManager").is_some_and(|manager| manager.chars().count() > 128) {
            causes.push(Cause::too_long("fieldManager", 128));
        }
        if !causes.is_empty() {
            return Err(ApiError::invalid_options(kind, &causes));
        }
        Ok(Self { dry_run, validation, manager: request.manager(), user: request.user.clone() })
    }
}

/// Whether nothing is to be stored (D-133).
pub(crate) fn dry_run(values: &[&str], causes: &mut Vec<Cause>) -> bool {
    if values.iter().any(|value| *value != "All") {
        let values: Vec<Value> = values.iter().map(|value| (*value).into()).collect();
        causes.push(Cause::not_supported("dryRun", &values.into(), &["All"]));
    }
    !values.is_empty()
}
