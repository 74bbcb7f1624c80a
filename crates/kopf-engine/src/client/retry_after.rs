//! When a server wants to be asked again (W-API-005): the header as a number or as a date, or the Status' details.

use std::time::Duration;

use http::{HeaderMap, header::RETRY_AFTER};
use jiff::{Timestamp, fmt::rfc2822};

use super::error::StatusError;

/// The time to wait, in whole seconds as upstream has it; none if the server says nothing that can be understood.
pub(crate) fn retry_after(headers: &HeaderMap, error: &StatusError, now: Timestamp) -> Option<Duration> {
    let header = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::trim);
    let secs = match header.filter(|text| !text.is_empty()) {
        Some(text) => from_number(text).or_else(|| from_date(text, now)),
        None => error.retry_after_secs(),
    };
    secs.map(Duration::from_secs)
}

fn from_number(text: &str) -> Option<u64> {
    let number: f64 = text.parse().ok()?;
    // Truncates, and saturates what is out of range.
    number.is_finite().then_some(number as u64)
}

/// An HTTP date is that of RFC 2822 with `GMT`; one that has passed means now.
fn from_date(text: &str, now: Timestamp) -> Option<u64> {
    let date = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let secs = date.duration_since(now).as_secs();
    Some(u64::try_from(secs).unwrap_or(0))
}
