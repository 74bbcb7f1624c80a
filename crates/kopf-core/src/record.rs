//! Progress records: what is remembered of a handler between its attempts (W-REC).
//!
//! Only the record itself: which handlers have one, and what follows for the cycle, is decided elsewhere.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use crate::{error::ErrorInfo, handler::HandlerId, json, moment::Moment, reason::Reason, storage::RawRecord};

/// The progress of one handler of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressRecord {
    /// When the handler was first selected. Its timeout counts from here, also after a restart (W-IOP-006).
    pub started: Moment,
    /// When it has succeeded or failed for good.
    pub stopped: Option<Moment>,
    /// When it may be tried again.
    pub delayed: Option<Moment>,
    /// The cause for which it was selected; none belongs to any (W-REC-009).
    pub purpose: Option<Reason>,
    /// The attempts so far.
    pub retries: u32,
    /// It has succeeded.
    pub success: bool,
    /// It has failed for good.
    pub failure: bool,
    /// The text of the last error.
    pub message: Option<String>,
    /// All sub-handlers of any depth that were ever seen in it (W-REC-010).
    pub subrefs: BTreeSet<HandlerId>,
}

/// How an attempt ended, as far as the record is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// The handler is not to be tried again.
    pub is_final: bool,
    /// How long to wait before the next attempt; none is at once.
    pub delay: Option<SignedDuration>,
    /// The text of the error, if it was one.
    pub error: Option<String>,
    /// The sub-handlers that were seen.
    pub subrefs: Vec<HandlerId>,
}

/// A field of a record that makes no sense (W-REC-008).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field {field:?} of the progress record is {value}: expected {expected}")]
pub struct ParseError {
    /// The field.
    pub field: &'static str,
    /// What it is, as JSON.
    pub value: String,
    /// What it should be.
    pub expected: &'static str,
}

impl ProgressRecord {
    /// The record of a handler that was selected just now.
    #[must_use]
    pub fn new(purpose: Option<Reason>, now: Timestamp) -> Self {
        Self {
            started: Moment::utc(now),
            stopped: None,
            delayed: None,
            purpose,
            retries: 0,
            success: false,
            failure: false,
            message: None,
            subrefs: BTreeSet::new(),
        }
    }

    /// Reads a stored record. Absent and null fields have defaults, `started` that of now; unknown fields are ignored.
    ///
    /// # Errors
    /// Fields that are there and make no sense.
    pub fn parse(raw: &RawRecord, now: Timestamp) -> Result<Self, ParseError> {
        let fields = Fields(raw);
        Ok(Self {
            started: fields.moment("started")?.unwrap_or(Moment::utc(now)),
            stopped: fields.moment("stopped")?,
            delayed: fields.moment("delayed")?,
            purpose: fields.purpose()?,
            retries: fields.retries()?,
            success: fields.flag("success"),
            failure: fields.flag("failure"),
            message: fields.message(),
            subrefs: fields.subrefs()?,
        })
    }

    /// The record as storages take it: all fields, with nulls, in the order of W-REC-001.
    #[must_use]
    pub fn to_raw(&self) -> RawRecord {
        let moment = |moment: Option<Moment>| moment.map(|moment| moment.to_string());
        let subrefs: Vec<Value> = self.subrefs.iter().map(|id| id.as_str().into()).collect();
        let fields: [(&str, Value); 9] = [
            ("started", self.started.to_string().into()),
            ("stopped", moment(self.stopped).into()),
            ("delayed", moment(self.delayed).into()),
            ("purpose", self.purpose.map(Reason::as_str).into()),
            ("retries", self.retries.into()),
            ("success", self.success.into()),
            ("failure", self.failure.into()),
            ("message", self.message.clone().into()),
            ("subrefs", if subrefs.is_empty() { Value::Null } else { subrefs.into() }),
        ];
        fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// The record after an attempt (W-REC-011).
    #[must_use]
    pub fn after(mut self, attempt: Attempt, now: Timestamp) -> Self {
        self.subrefs.extend(attempt.subrefs);
        Self {
            stopped: self.stopped.or(attempt.is_final.then(|| Moment::utc(now))),
            delayed: attempt.delay.map(|delay| Moment::after(now, delay)),
            retries: self.retries.saturating_add(1),
            success: attempt.is_final && attempt.error.is_none(),
            failure: attempt.is_final && attempt.error.is_some(),
            message: attempt.error,
            ..self
        }
    }

    /// Whether the handler is not to be tried again (W-REC-014).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.success || self.failure
    }

    /// Whether the handler waits for its next attempt.
    #[must_use]
    pub fn is_sleeping(&self, now: Timestamp) -> bool {
        !self.is_finished() && self.delayed.is_some_and(|delayed| delayed.timestamp() > now)
    }

    /// Whether the handler may be tried now.
    #[must_use]
    pub fn is_awakened(&self, now: Timestamp) -> bool {
        !self.is_finished() && !self.is_sleeping(now)
    }

    /// How long until the next attempt; none if there is none to come (W-REC-017).
    #[must_use]
    pub fn delay(&self, now: Timestamp) -> Option<SignedDuration> {
        let wait =
            self.delayed.map_or(SignedDuration::ZERO, |delayed| delayed.timestamp().duration_since(now));
        (!self.is_finished()).then_some(wait.max(SignedDuration::ZERO))
    }

    /// The time since the first selection, for timeouts (A-KW-021).
    #[must_use]
    pub fn runtime(&self, now: Timestamp) -> SignedDuration {
        now.duration_since(self.started.timestamp())
    }
}

/// The fields of a stored record. Null is as absent everywhere.
struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn moment(&self, field: &'static str) -> Result<Option<Moment>, ParseError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let moment = value.as_str().and_then(|text| Moment::parse(text).ok());
        moment.map(Some).ok_or_else(|| wrong(field, value, "an ISO 8601 date and time as text, or null"))
    }

    fn purpose(&self) -> Result<Option<Reason>, ParseError> {
        let Some(value) = self.get("purpose").filter(|value| **value != "") else { return Ok(None) };
        let reason = value.as_str().and_then(Reason::parse);
        reason
            .map(Some)
            .ok_or_else(|| wrong("purpose", value, "\"create\", \"update\", \"delete\", \"resume\", or null"))
    }

    fn retries(&self) -> Result<u32, ParseError> {
        let Some(value) = self.get("retries") else { return Ok(0) };
        let retries = value.as_u64().and_then(|retries| u32::try_from(retries).ok());
        retries.ok_or_else(|| wrong("retries", value, "a number of attempts, or null"))
    }

    fn flag(&self, field: &str) -> bool {
        self.get(field).is_some_and(json::python_bool)
    }

    /// For people only, so that a message of another type is better shown than refused.
    fn message(&self) -> Option<String> {
        self.get("message").map(|value| value.as_str().map_or_else(|| json::compact(value), str::to_owned))
    }

    fn subrefs(&self) -> Result<BTreeSet<HandlerId>, ParseError> {
        let Some(value) = self.get("subrefs") else { return Ok(BTreeSet::new()) };
        let error = || wrong("subrefs", value, "a list of handler ids, or null");
        let ids = value.as_array().ok_or_else(error)?.iter();
        ids.map(|id| id.as_str().map(HandlerId::from).ok_or_else(error)).collect()
    }
}

impl From<ParseError> for ErrorInfo {
    fn from(error: ParseError) -> Self {
        Self::new(error.to_string())
    }
}

fn wrong(field: &'static str, value: &Value, expected: &'static str) -> ParseError {
    ParseError { field, value: json::compact(value), expected }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// W-REC-008.
    #[test]
    fn fields_that_make_no_sense_are_named() {
        let check = |raw: Value, message: &str| {
            let raw = raw.as_object().unwrap();
            let error = ProgressRecord::parse(raw, Timestamp::UNIX_EPOCH).unwrap_err();
            assert_eq!(error.to_string(), message);
        };
        check(
            json!({"delayed": "soon"}),
            "field \"delayed\" of the progress record is \"soon\": expected an ISO 8601 date and time as text, or null",
        );
        check(
            json!({"stopped": 5}),
            "field \"stopped\" of the progress record is 5: expected an ISO 8601 date and time as text, or null",
        );
        check(
            json!({"purpose": "whatever"}),
            "field \"purpose\" of the progress record is \"whatever\": expected \"create\", \"update\", \"delete\", \"resume\", or null",
        );
        check(
            json!({"retries": -1}),
            "field \"retries\" of the progress record is -1: expected a number of attempts, or null",
        );
        check(
            json!({"subrefs": [1]}),
            "field \"subrefs\" of the progress record is [1]: expected a list of handler ids, or null",
        );
    }

    /// W-REC-001, W-REC-006: what is written reads back, whatever the moments' offsets.
    #[test]
    fn records_read_back() {
        let now = Timestamp::UNIX_EPOCH;
        let record = ProgressRecord::new(Some(Reason::Update), now).after(
            Attempt {
                is_final: false,
                delay: Some(SignedDuration::from_secs(5)),
                error: Some("oops".into()),
                subrefs: vec!["fn/b".into(), "fn/a".into()],
            },
            now,
        );
        assert_eq!(ProgressRecord::parse(&record.to_raw(), now), Ok(record));
    }
}
