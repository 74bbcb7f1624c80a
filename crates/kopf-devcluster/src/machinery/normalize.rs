//! Values as Go's types write them: times in UTC, with or without fractions of a second, and quantities.

use jiff::{Timestamp, civil, tz::Offset};

use super::cause::quote;

/// A `Time`: RFC 3339 in UTC, whole seconds (D-067).
///
/// # Errors
///
/// The text is no moment in RFC 3339, whose offset may be any.
pub(crate) fn time(text: &str) -> Result<String, String> {
    parse(text, "").map(seconds)
}

/// A `MicroTime`: RFC 3339 in UTC, always with six digits of a second, which it must be sent with too (D-067).
///
/// # Errors
///
/// As [`time`].
pub(crate) fn micro_time(text: &str) -> Result<String, String> {
    parse(text, MICROS).map(micros)
}

/// Writes a moment as a `Time`.
pub(crate) fn seconds(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Writes a moment as a `MicroTime`.
pub(crate) fn micros(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// How Go writes that there must be six digits.
const MICROS: &str = ".000000";

/// Reads a moment as Go does, whose errors say which part of the layout does not fit.
fn parse(text: &str, fraction: &str) -> Result<Timestamp, String> {
    let fails = |rest: &str, part: &str| {
        let layout = format!("2006-01-02T15:04:05{fraction}Z07:00");
        let (text, layout) = (quote(text), quote(&layout));
        format!("parsing time {text} as {layout}: cannot parse {} as {}", quote(rest), quote(part))
    };
    let mut rest = text;
    let mut numbers = [0_i64; 6];
    for (index, part) in ["2006", "-", "01", "-", "02", "T", "15", ":", "04", ":", "05"].iter().enumerate() {
        if index % 2 == 1 {
            rest = rest.strip_prefix(part).ok_or_else(|| fails(rest, part))?;
            continue;
        }
        let digits = rest.bytes().take(part.len()).take_while(u8::is_ascii_digit).count();
        // Only hours may have one digit.
        if digits == 0 || (digits < part.len() && *part != "15") {
            return Err(fails(rest, part));
        }
        numbers[index / 2] = rest[..digits].parse().map_err(|_| fails(rest, part))?;
        rest = &rest[digits..];
    }
    let digits = |text: &str| text.bytes().skip(1).take_while(u8::is_ascii_digit).count();
    let has_point = rest.starts_with(['.', ',']);
    let length = match fraction {
        "" if has_point && digits(rest) > 0 => digits(rest) + 1,
        "" => 0,
        _ if has_point && digits(rest) >= 6 => fraction.len(),
        _ => return Err(fails(rest, fraction)),
    };
    let nanos: i64 = format!("{:0<9.9}", rest[..length].trim_start_matches(['.', ','])).parse().unwrap_or(0);
    rest = &rest[length..];
    let offset = match rest.strip_prefix('Z') {
        Some(end) => {
            rest = end;
            0
        }
        None => {
            let (seconds, end) = numeric_offset(rest).ok_or_else(|| fails(rest, "Z07:00"))?;
            rest = end;
            seconds
        }
    };
    let wrong = |why: &str| format!("parsing time {}: {why}", quote(text));
    if !rest.is_empty() {
        return Err(wrong(&format!("extra text: {}", quote(rest))));
    }
    for (index, what, range) in [
        (1, "month", 1..=12),
        (2, "day", 1..=31),
        (3, "hour", 0..=23),
        (4, "minute", 0..=59),
        (5, "second", 0..=59),
    ] {
        if !range.contains(&numbers[index]) {
            return Err(wrong(&format!("{what} out of range")));
        }
    }
    let [year, month, day, hour, minute, second] = numbers;
    let small = |number: i64| i8::try_from(number).unwrap_or_default();
    civil::Date::new(i16::try_from(year).unwrap_or_default(), small(month), small(day))
        .ok()
        .and_then(|date| {
            let nanos = i32::try_from(nanos).unwrap_or_default();
            let moment = date.at(small(hour), small(minute), small(second), nanos);
            Offset::from_seconds(offset).ok()?.to_timestamp(moment).ok()
        })
        .ok_or_else(|| wrong("day out of range"))
}

/// The seconds of an offset such as `+02:00`, and what comes behind.
fn numeric_offset(text: &str) -> Option<(i32, &str)> {
    let bytes = text.as_bytes();
    let number = |at: usize| -> Option<i32> {
        let digits = text.get(at..at + 2)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let sign = match bytes.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = (number(1)?, number(4)?);
    (bytes[3] == b':' && hours <= 24 && minutes < 60)
        .then(|| (sign * (hours * 3600 + minutes * 60), &text[6..]))
}

/// A `Quantity` in its canonical form: `0.5` is `500m`, `1024Mi` is `1Gi` (D-067).
///
/// A quantity keeps its kind of suffix (decimal, binary or exponent), has no fraction, and the largest suffix
/// that allows that. What is finer than a billionth is rounded up.
///
/// # Errors
///
/// The text is no number with a known suffix.
pub(crate) fn quantity(text: &str) -> Result<String, String> {
    parse_quantity(text.trim()).ok_or_else(|| {
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            .to_owned()
    })
}

const NANOS: i128 = 1_000_000_000;
const DECIMAL: &[(&str, u32)] = &[
    ("E", 27),
    ("P", 24),
    ("T", 21),
    ("G", 18),
    ("M", 15),
    ("k", 12),
    ("", 9),
    ("m", 6),
    ("u", 3),
    ("n", 0),
];
const BINARY: &[(&str, u32)] = &[("Ei", 6), ("Pi", 5), ("Ti", 4), ("Gi", 3), ("Mi", 2), ("Ki", 1)];

fn parse_quantity(text: &str) -> Option<String> {
    let number_end = text
        .char_indices()
        .find(|(position, char)| {
            !(char.is_ascii_digit() || *char == '.' || (*position == 0 && "+-".contains(*char)))
        })
        .map_or(text.len(), |(position, _)| position);
    let (number, suffix) = text.split_at(number_end);
    let binary = BINARY.iter().find(|(name, _)| *name == suffix).map(|(_, power)| 1024_i128.pow(*power));
    let decimal = DECIMAL.iter().find(|(name, _)| *name == suffix).map(|(_, power)| *power);
    let exponent = suffix.strip_prefix(['e', 'E']).and_then(|exponent| exponent.parse::<i32>().ok());
    let power = decimal.map_or(exponent, |power| Some(i32::try_from(power).ok()? - 9));
    let is_binary = binary.is_some();
    let binary_power = BINARY.iter().find(|(name, _)| *name == suffix).map(|(_, power)| *power);
    if (is_binary || power.is_some()) && is_kept(number, power, binary_power) {
        return Some(text.to_owned());
    }
    let nanos = match (binary, decimal, exponent) {
        (Some(factor), ..) => scaled(number, 9)?.checked_mul(factor)?,
        (None, Some(power), _) => scaled(number, i32::try_from(power).ok()?)?,
        (None, None, Some(exponent)) => scaled(number, exponent.checked_add(9)?)?,
        (None, None, None) => return None,
    };
    // The largest quantity of bytes.
    let most = i128::from(i64::MAX) * NANOS;
    let nanos = if is_binary { nanos.clamp(-most, most) } else { nanos };
    // Small numbers and fractions are easier to read, and exact, in decimal.
    let is_small = nanos.abs() < 1024 * NANOS || nanos % NANOS != 0;
    Some(match (is_binary && !is_small, exponent.is_some() && decimal.is_none()) {
        (true, _) => in_binary(nanos),
        (false, true) => in_exponents(nanos),
        (false, false) => in_decimal(nanos),
    })
}

/// Whether the real server takes a text for canonical, by its last digits, and keeps it as it is: `+2`, `1.005k`.
fn is_kept(number: &str, power: Option<i32>, binary_power: Option<u32>) -> bool {
    const MOST_DIGITS: usize = 18;
    let digits = number.trim_start_matches(['+', '-']);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let all = format!("{whole}{fraction}");
    let Ok(value) = all.parse::<i64>() else { return false };
    match (binary_power, power) {
        (Some(power), _) => {
            let precision = 14 - i64::try_from(whole.len()).unwrap_or(i64::MAX) - i64::from(power) * 3;
            fraction.is_empty() && precision >= 0 && value % 8 != 0
        }
        (None, Some(power)) => {
            let scale = power - i32::try_from(fraction.len()).unwrap_or(i32::MAX);
            let is_short = all.len() <= MOST_DIGITS && scale >= -9;
            is_short && scale % 3 == 0 && !all.ends_with("000") && !all.starts_with('0')
        }
        (None, None) => false,
    }
}

/// A decimal number times a power of ten, rounded away from zero.
fn scaled(number: &str, power: i32) -> Option<i128> {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let all: i128 = format!("0{whole}{fraction}").parse().ok()?;
    let power = power - i32::try_from(fraction.len()).ok()?;
    let magnitude = match u32::try_from(power) {
        Ok(power) => all.checked_mul(10_i128.checked_pow(power)?)?,
        Err(_) => {
            let divisor = 10_i128.checked_pow(power.unsigned_abs())?;
            all / divisor + i128::from(all % divisor != 0)
        }
    };
    Some(sign * magnitude)
}

fn in_decimal(nanos: i128) -> String {
    let fits = |power: &u32| nanos % 10_i128.pow(*power) == 0;
    match DECIMAL.iter().find(|(_, power)| fits(power)) {
        Some((suffix, power)) if nanos != 0 => format!("{}{suffix}", nanos / 10_i128.pow(*power)),
        _ => "0".to_owned(),
    }
}

fn in_exponents(nanos: i128) -> String {
    let fits = |power: &u32| nanos % 10_i128.pow(*power) == 0;
    match DECIMAL.iter().find(|(_, power)| fits(power)) {
        Some((_, power)) if nanos != 0 => match i64::from(*power) - 9 {
            0 => (nanos / NANOS).to_string(),
            exponent => format!("{}e{exponent}", nanos / 10_i128.pow(*power)),
        },
        _ => "0".to_owned(),
    }
}

fn in_binary(nanos: i128) -> String {
    let whole = nanos / NANOS;
    match BINARY.iter().find(|(_, power)| whole % 1024_i128.pow(*power) == 0) {
        Some((suffix, power)) => format!("{}{suffix}", whole / 1024_i128.pow(*power)),
        None => whole.to_string(),
    }
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
        assert_eq!(micro_time("2020-01-01T00:00:00.000000Z").unwrap(), "2020-01-01T00:00:00.000000Z");
        assert_eq!(micro_time("2020-01-01T01:00:00.123456+01:00").unwrap(), "2020-01-01T00:00:00.123456Z");
    }

    /// D-067: texts of a real server.
    #[test]
    fn times_are_refused_in_the_words_of_go() {
        let check = |text: &str, expected: &str| {
            let error = micro_time(text).unwrap_err();
            let layout = "as \"2006-01-02T15:04:05.000000Z07:00\": cannot parse";
            assert_eq!(error, format!("parsing time \"{text}\"{}", expected.replace("…", layout)));
        };
        check("2025-01-01T00:00:00Z", " … \"Z\" as \".000000\"");
        check("2025-01-01T00:00:00.1Z", " … \".1Z\" as \".000000\"");
        check("2025-01-01T00:00:00.123456789Z", " … \"789Z\" as \"Z07:00\"");
        check("2025-01-01", " … \"\" as \"T\"");
        check("2025-01-01T00:00:00", " … \"\" as \".000000\"");
        check("x", " … \"x\" as \"2006\"");
        check("2025-13-01T00:00:00.000000Z", ": month out of range");
        let error = time("x").unwrap_err();
        assert_eq!(
            error,
            "parsing time \"x\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"x\" as \"2006\""
        );
    }

    /// D-067.
    #[test]
    fn quantities_are_canonical() {
        for (text, canonical) in [
            ("0", "0"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1024Mi", "1Gi"),
            ("1025Mi", "1025Mi"),
            ("0.5Gi", "512Mi"),
            ("512", "512"),
            ("100Ki", "100Ki"),
            ("0.5Ki", "512"),
            ("1.3Ki", "1331200m"),
            ("12e6", "12e6"),
            ("1e3", "1e3"),
            ("1000", "1k"),
            ("1500k", "1500k"),
            ("-0.001", "-1m"),
            ("0.0000000001", "1n"),
            ("1E", "1E"),
        ] {
            assert_eq!(quantity(text).unwrap(), canonical, "{text}");
        }
        for wrong in ["", "x", "1x", "1.2.3", ".", "1 Gi", "--1"] {
            assert!(quantity(wrong).is_err(), "{wrong}");
        }
    }
}
