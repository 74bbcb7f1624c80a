//! Values as Go's types write them: times in UTC, with or without fractions of a second.

use jiff::{Timestamp, fmt::temporal::DateTimeParser};

/// A `Time`: RFC 3339 in UTC, whole seconds (D-067).
///
/// # Errors
///
/// The text is no moment in RFC 3339, whose offset may be any.
pub(crate) fn time(text: &str) -> Result<String, String> {
    parse(text).map(seconds)
}

/// A `MicroTime`: RFC 3339 in UTC, always with six digits of a second (D-067).
///
/// # Errors
///
/// As [`time`].
pub(crate) fn micro_time(text: &str) -> Result<String, String> {
    parse(text).map(micros)
}

/// Writes a moment as a `Time`.
pub(crate) fn seconds(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Writes a moment as a `MicroTime`.
pub(crate) fn micros(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

fn parse(text: &str) -> Result<Timestamp, String> {
    // Rust's parser is laxer than Go's about everything but the date and time themselves.
    static PARSER: DateTimeParser = DateTimeParser::new();
    let is_strict = text.len() >= 20 && text.as_bytes()[10] == b'T' && !text.contains('[');
    let parsed = if is_strict { PARSER.parse_timestamp(text).ok() } else { None };
    parsed.ok_or_else(|| {
        format!("parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D-067.
    #[test]
    fn times_are_written_in_utc_seconds() {
        assert_eq!(time("2020-01-01T00:00:00Z").unwrap(), "2020-01-01T00:00:00Z");
        assert_eq!(time("2020-01-01T02:30:00.999+02:30").unwrap(), "2020-01-01T00:00:00Z");
        assert_eq!(time("2020-01-01T00:00:00.123456+00:00").unwrap(), "2020-01-01T00:00:00Z");
        for wrong in ["yesterday", "2020-01-01", "2020-01-01T00:00:00", "2020-13-01T00:00:00Z", ""] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    /// D-067, D-162.
    #[test]
    fn micro_times_have_six_digits() {
        assert_eq!(micro_time("2020-01-01T00:00:00Z").unwrap(), "2020-01-01T00:00:00.000000Z");
        assert_eq!(micro_time("2020-01-01T01:00:00.1234567+01:00").unwrap(), "2020-01-01T00:00:00.123456Z");
    }
}
