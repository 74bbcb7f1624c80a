//! Moments as they are written into objects: in progress records, touches, peers.
//!
//! The clock is not here: a moment is made of a [`Timestamp`] that comes in as a value.

use std::fmt;

use jiff::{SignedDuration, Timestamp, civil, fmt::temporal::Pieces, tz::Offset};

/// The first moment of year 1, the earliest that Python can read.
const EARLIEST: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// A point in time with the offset in which it was written, in whole microseconds.
///
/// Printed as `YYYY-MM-DDTHH:MM:SS.ffffff+00:00` (W-REC-005). The offset has no meaning of its own, but is kept, so that
/// what another engine has written is written back unchanged (W-REC-006).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Moment {
    timestamp: Timestamp,
    offset: Offset,
}

/// A text that should have been a moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no moment: expected an ISO 8601 date and time, such as 2030-01-01T00:00:00.000000+00:00"
)]
pub struct ParseError {
    /// The text.
    pub text: String,
}

impl Moment {
    /// A moment in UTC. What is finer than a microsecond is cut off, so that it reads back as it was.
    #[must_use]
    pub fn utc(timestamp: Timestamp) -> Self {
        Self::with_offset(timestamp, Offset::UTC)
    }

    /// Reads ISO 8601: any number of fraction digits, `Z` or an offset or none, a date alone (W-REC-006). What has no
    /// offset is in UTC: older versions of Kopf wrote such moments (W-REC-007).
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let error = || ParseError { text: text.to_owned() };
        let shortened = without_long_fraction(text);
        let pieces = Pieces::parse(shortened.as_ref()).map_err(|_| error())?;
        if pieces.time_zone_annotation().is_some() {
            return Err(error());
        }
        let offset = pieces.to_numeric_offset().unwrap_or(Offset::UTC);
        let time = pieces.time().unwrap_or(civil::Time::midnight());
        let timestamp = offset.to_timestamp(pieces.date().to_datetime(time)).map_err(|_| error())?;
        Ok(Self::with_offset(timestamp, offset))
    }

    /// The point in time.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        self.timestamp
    }

    /// The moment so much later, or earlier if negative, in UTC. Stops at the years 1 and 9999.
    #[must_use]
    pub fn after(now: Timestamp, delay: SignedDuration) -> Self {
        let end = if delay.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
        Self::utc(now.checked_add(delay).unwrap_or(end))
    }

    /// The text of touches and peers: as printed, but without a fraction of zero, which Python's `isoformat` omits (W-TCH-001,
    /// W-PEE-003).
    #[must_use]
    pub fn isoformat(self) -> String {
        let text = self.to_string();
        if self.timestamp.subsec_nanosecond() == 0 { text.replacen(".000000", "", 1) } else { text }
    }

    fn with_offset(timestamp: Timestamp, offset: Offset) -> Self {
        let timestamp = timestamp.max(EARLIEST);
        let whole = Timestamp::from_microsecond(timestamp.as_microsecond());
        Self { timestamp: whole.unwrap_or(timestamp), offset }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = self.offset.to_datetime(self.timestamp);
        let sign = if self.offset.is_negative() { '-' } else { '+' };
        let seconds = self.offset.seconds().unsigned_abs();
        write!(f, "{local:.6}{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60)?;
        if seconds.is_multiple_of(60) { Ok(()) } else { write!(f, ":{:02}", seconds % 60) }
    }
}

/// Cuts a fraction of a second to the nine digits that the parser takes.
fn without_long_fraction(text: &str) -> std::borrow::Cow<'_, str> {
    let Some(point) = text.find(['.', ',']) else { return text.into() };
    let digits = text[point + 1..].bytes().take_while(u8::is_ascii_digit).count();
    if digits <= 9 {
        return text.into();
    }
    format!("{}{}", &text[..point + 10], &text[point + 1 + digits..]).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, written: &str) {
        assert_eq!(Moment::parse(text).map(|moment| moment.to_string()), Ok(written.to_owned()), "{text}");
    }

    /// W-REC-005, W-REC-006.
    #[test]
    fn moments_are_written_with_microseconds_and_their_offset() {
        check("2030-01-01T00:00:00.000005+00:00", "2030-01-01T00:00:00.000005+00:00");
        check("2030-01-01T00:00:00Z", "2030-01-01T00:00:00.000000+00:00");
        check("2030-01-01T03:00:00+03:00", "2030-01-01T03:00:00.000000+03:00");
        check("2030-01-01T03:00:00.5-0930", "2030-01-01T03:00:00.500000-09:30");
        check("2030-01-01T00:00:00.123456789123+00:00", "2030-01-01T00:00:00.123456+00:00");
        check("2030-01-01 00:00:00,25+00:00", "2030-01-01T00:00:00.250000+00:00");
    }

    /// W-REC-007.
    #[test]
    fn moments_without_an_offset_are_in_utc() {
        check("2030-01-01T00:00:00.000000", "2030-01-01T00:00:00.000000+00:00");
        check("2030-01-01", "2030-01-01T00:00:00.000000+00:00");
    }

    /// W-REC-008.
    #[test]
    fn other_texts_are_errors() {
        for text in [
            "",
            "yesterday",
            "2030-13-01",
            "12:00",
            "2030-01-01T00:00:00+99:99",
            "2030-01-01T00:00:00.1é",
            "2030-01-01T00:00:00[UTC]",
        ] {
            assert_eq!(Moment::parse(text), Err(ParseError { text: text.to_owned() }));
        }
    }

    /// W-TCH-001.
    #[test]
    fn touches_omit_a_fraction_of_zero() {
        let touch = |text| Moment::parse(text).unwrap().isoformat();
        assert_eq!(touch("2030-01-01T00:00:00Z"), "2030-01-01T00:00:00+00:00");
        assert_eq!(touch("2030-01-01T00:00:00.1Z"), "2030-01-01T00:00:00.100000+00:00");
    }

    #[test]
    fn delays_out_of_range_end_at_the_first_and_last_year() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(Moment::after(now, SignedDuration::MIN).to_string(), "0001-01-01T00:00:00.000000+00:00");
        assert_eq!(&Moment::after(now, SignedDuration::MAX).to_string()[..4], "9999");
        assert_eq!(
            Moment::after(now, SignedDuration::from_millis(-1)).to_string(),
            "1969-12-31T23:59:59.999000+00:00"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(micros in -60_000_000_000_000_000_i64..250_000_000_000_000_000, minutes in -720_i32..840) {
            let offset = Offset::from_seconds(minutes * 60).unwrap();
            let moment = Moment::with_offset(Timestamp::from_microsecond(micros).unwrap(), offset);
            prop_assert_eq!(Moment::parse(&moment.to_string()), Ok(moment));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*|[0-9T:.,Z+-]*") {
            let _ = Moment::parse(&text);
        }
    }
}
