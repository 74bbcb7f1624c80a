//! Reads the fields of a JSON object, and says exactly what is wrong with them.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::status::ApiError;

/// The longest duration that is taken: some thousand years.
const LONGEST_SECONDS: f64 = 1e11;

/// The fields of an object that have not been read yet. Null is as good as absent.
#[derive(Debug)]
pub(super) struct Fields {
    /// The path of the object, such as `matcher.`; empty at the top.
    prefix: String,
    left: Map<String, Value>,
    asked: Vec<&'static str>,
}

impl Fields {
    /// The fields of the object at `path`, which is empty at the top.
    pub(super) fn of(path: &str, value: &Value) -> Result<Self, ApiError> {
        let Value::Object(fields) = value else {
            let what = if path.is_empty() { "the body" } else { path };
            return Err(Self::wrong(what, value, "an object"));
        };
        let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
        Ok(Self { prefix, left: fields.clone(), asked: Vec::new() })
    }

    /// An error about a field.
    pub(super) fn wrong(field: &str, value: &Value, expected: &str) -> ApiError {
        ApiError::bad_request(format!("{field}: {value} is not right: expected {expected}"))
    }

    /// An error about a field of this object.
    pub(super) fn wrong_here(&self, field: &str, value: &Value, expected: &str) -> ApiError {
        Self::wrong(&self.path(field), value, expected)
    }

    pub(super) fn path(&self, field: &str) -> String {
        format!("{}{field}", self.prefix)
    }

    pub(super) fn take(&mut self, field: &'static str) -> Option<Value> {
        self.asked.push(field);
        self.left.remove(field).filter(|value| !value.is_null())
    }

    /// A field that has to be there.
    pub(super) fn required<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Result<Option<T>, ApiError>,
    ) -> Result<T, ApiError> {
        read(self, field)?.ok_or_else(|| ApiError::bad_request(format!("{} is missing", self.path(field))))
    }

    pub(super) fn text(&mut self, field: &'static str) -> Result<Option<String>, ApiError> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_here(field, &other, "a text")),
        }
    }

    /// A list of texts; empty if it is absent.
    pub(super) fn texts(&mut self, field: &'static str) -> Result<Vec<String>, ApiError> {
        let values = match self.take(field) {
            None => return Ok(Vec::new()),
            Some(Value::Array(values)) => values,
            Some(other) => return Err(self.wrong_here(field, &other, "a list of texts")),
        };
        let text = |(index, value): (usize, Value)| match value {
            Value::String(text) => Ok(text),
            other => Err(self.wrong_here(&format!("{field}[{index}]"), &other, "a text")),
        };
        values.into_iter().enumerate().map(text).collect()
    }

    /// False if it is absent.
    pub(super) fn flag(&mut self, field: &'static str) -> Result<bool, ApiError> {
        match self.take(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(self.wrong_here(field, &other, "true or false")),
        }
    }

    /// A whole number from 0 on, also as a text, since resource versions are texts.
    pub(super) fn count(&mut self, field: &'static str) -> Result<Option<usize>, ApiError> {
        let Some(value) = self.take(field) else { return Ok(None) };
        let count = match &value {
            Value::String(text) => text.parse().ok(),
            number => number.as_u64(),
        };
        let count = count.and_then(|count| usize::try_from(count).ok());
        count.map(Some).ok_or_else(|| self.wrong_here(field, &value, "a whole number from 0 on"))
    }

    /// A number of seconds from 0 on.
    pub(super) fn duration(&mut self, field: &'static str) -> Result<Option<Duration>, ApiError> {
        let Some(value) = self.take(field) else { return Ok(None) };
        let seconds = value.as_f64().filter(|seconds| (0.0..=LONGEST_SECONDS).contains(seconds));
        let time = seconds.map(Duration::from_secs_f64);
        time.map(Some).ok_or_else(|| self.wrong_here(field, &value, "a number of seconds from 0 on"))
    }

    /// Whether there is nothing that nobody has asked for.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(unknown) if self.asked.contains(&unknown.as_str()) => Ok(()),
            Some(unknown) => {
                let path = self.path(unknown);
                let expected = self.asked.join(", ");
                Err(ApiError::bad_request(format!(
                    "{path} is no field that is known here: expected one of {expected}"
                )))
            }
        }
    }
}
