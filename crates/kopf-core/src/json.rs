//! JSON and values as Python has them: its compact text, its equality, its `repr`.
//!
//! Texts that are stored in objects are compared and rewritten by upstream Kopf too, so they are its texts to the byte.
//! Integers beyond 64 bits are read as floats: Kubernetes itself has none.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

/// The text of Python's `json.dumps(value, separators=(",", ":"))`: no spaces, non-ASCII as `\uXXXX` (W-REC-003, W-DIF-011).
#[must_use]
pub fn compact(value: &Value) -> String {
    let mut text = String::new();
    write_compact(&mut text, value);
    text
}

/// As [`compact`], of a mapping.
#[must_use]
pub fn compact_map(map: &Map<String, Value>) -> String {
    let mut text = String::new();
    write_compact_map(&mut text, map);
    text
}

/// Python's `left == right`: `1 == 1.0 == true`, mappings in any order (W-DFF-003).
#[must_use]
pub fn python_eq(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::String(left), Value::String(right)) => left == right,
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| python_eq(left, right))
        }
        (Value::Object(left), Value::Object(right)) => python_eq_maps(left, right),
        _ => match (Numeric::of(left), Numeric::of(right)) {
            (Some(left), Some(right)) => left.equals(right),
            _ => false,
        },
    }
}

/// As [`python_eq`], of two mappings.
#[must_use]
pub fn python_eq_maps(left: &Map<String, Value>, right: &Map<String, Value>) -> bool {
    left.len() == right.len()
        && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| python_eq(left, right)))
}

/// Python's `bool(value)`: whether it is anything but null, false, zero, and what is empty.
#[must_use]
pub fn python_bool(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// Python's `repr(value)`, as it appears in log lines.
#[must_use]
pub fn python_repr(value: &Value) -> String {
    let mut text = String::new();
    write_repr(&mut text, value);
    text
}

/// Python's `repr(text)` of a string: in single quotes, unless it has such and no double ones.
#[must_use]
pub fn python_repr_str(text: &str) -> String {
    let mut repr = String::new();
    write_repr_str(&mut repr, text);
    repr
}

/// A number or a boolean, which is a number in Python.
#[derive(Clone, Copy)]
enum Numeric {
    Int(i128),
    Float(f64),
}

impl Numeric {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(Self::Int((*value).into())),
            Value::Number(number) => number.as_i128().map(Self::Int).or(number.as_f64().map(Self::Float)),
            Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Exact, also where an integer has no float: `9007199254740993 != 9007199254740992.0`.
    fn equals(self, other: Self) -> bool {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => left == right,
            (Self::Float(left), Self::Float(right)) => left == right,
            (Self::Int(int), Self::Float(float)) | (Self::Float(float), Self::Int(int)) => {
                // A cast to integer stops at the ends of its range, which no 64-bit integer reaches.
                float.fract() == 0.0 && float as i128 == int
            }
        }
    }
}

fn write_compact(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => write_number(text, number),
        Value::String(string) => write_compact_str(text, string),
        Value::Array(items) => {
            text.push('[');
            for (position, item) in items.iter().enumerate() {
                text.push_str(if position > 0 { "," } else { "" });
                write_compact(text, item);
            }
            text.push(']');
        }
        Value::Object(map) => write_compact_map(text, map),
    }
}

fn write_compact_map(text: &mut String, map: &Map<String, Value>) {
    text.push('{');
    for (position, (key, value)) in map.iter().enumerate() {
        text.push_str(if position > 0 { "," } else { "" });
        write_compact_str(text, key);
        text.push(':');
        write_compact(text, value);
    }
    text.push('}');
}

fn write_compact_str(text: &mut String, string: &str) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\x08' => text.push_str("\\b"),
            '\x0c' => text.push_str("\\f"),
            ' '..='~' => text.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    push(text, format_args!("\\u{unit:04x}"));
                }
            }
        }
    }
    text.push('"');
}

fn write_number(text: &mut String, number: &Number) {
    match number.as_f64() {
        Some(float) if number.is_f64() => write_float(text, float),
        _ => push(text, format_args!("{number}")),
    }
}

/// Python's `repr(float)`: the shortest digits that read back, plain for exponents from -4 to 15, else `d.ddde+XX`.
fn write_float(text: &mut String, float: f64) {
    let scientific = format!("{float:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return text.push_str(&scientific);
    };
    match exponent.parse::<i32>() {
        Ok(-4..=15) | Err(_) => push(text, format_args!("{float:?}")),
        Ok(exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            push(text, format_args!("{digits}e{sign}{:02}", exponent.unsigned_abs()));
        }
    }
}

fn write_repr(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("None"),
        Value::Bool(true) => text.push_str("True"),
        Value::Bool(false) => text.push_str("False"),
        Value::Number(number) => write_number(text, number),
        Value::String(string) => write_repr_str(text, string),
        Value::Array(items) => {
            text.push('[');
            for (position, item) in items.iter().enumerate() {
                text.push_str(if position > 0 { ", " } else { "" });
                write_repr(text, item);
            }
            text.push(']');
        }
        Value::Object(map) => {
            text.push('{');
            for (position, (key, value)) in map.iter().enumerate() {
                text.push_str(if position > 0 { ", " } else { "" });
                write_repr_str(text, key);
                text.push_str(": ");
                write_repr(text, value);
            }
            text.push('}');
        }
    }
}

fn write_repr_str(text: &mut String, string: &str) {
    let quote = if string.contains('\'') && !string.contains('"') { '"' } else { '\'' };
    text.push(quote);
    for c in string.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            _ if c == quote => text.extend(['\\', c]),
            _ if is_printable(c) => text.push(c),
            _ => match u32::from(c) {
                code @ ..=0xff => push(text, format_args!("\\x{code:02x}")),
                code @ ..=0xffff => push(text, format_args!("\\u{code:04x}")),
                code => push(text, format_args!("\\U{code:08x}")),
            },
        }
    }
    text.push(quote);
}

/// Python's `str.isprintable`: no control, format, private or unassigned character, and no space but the plain one.
/// The standard library has the same rule for the inside of texts in `escape_debug`, with quotes and backslashes besides.
fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        _ if c.is_ascii() => false,
        _ => {
            let mut buffer = [b' '; 5];
            let len = c.encode_utf8(&mut buffer[1..]).len();
            std::str::from_utf8(&buffer[..=len]).is_ok_and(|text| text.escape_debug().nth(1) == Some(c))
        }
    }
}

fn push(text: &mut String, args: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = text.write_fmt(args);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// W-REC-003, W-DIF-011.
    #[test]
    fn compact_text_is_that_of_python() {
        let check = |value: Value, text: &str| assert_eq!(compact(&value), text);
        check(
            json!({"b": [1, 2.5, null], "a": {"t": true, "f": false}}),
            r#"{"b":[1,2.5,null],"a":{"t":true,"f":false}}"#,
        );
        check(
            json!("é中🚀\u{7f}\"\\\n\r\t\u{8}\u{c}\u{1}/"),
            r#""\u00e9\u4e2d\ud83d\ude80\u007f\"\\\n\r\t\b\f\u0001/""#,
        );
        check(json!({"ключ": {}}), r#"{"\u043a\u043b\u044e\u0447":{}}"#);
        check(json!([]), "[]");
        check(json!([u64::MAX, i64::MIN]), "[18446744073709551615,-9223372036854775808]");
    }

    /// W-DIF-011.
    #[test]
    fn floats_are_those_of_python() {
        let check = |float: f64, text: &str| assert_eq!(compact(&json!(float)), text);
        check(1.0, "1.0");
        check(-0.0, "-0.0");
        check(-0.5, "-0.5");
        check(0.1, "0.1");
        check(1e-4, "0.0001");
        check(1.5e-5, "1.5e-05");
        check(1e-7, "1e-07");
        check(1e15, "1000000000000000.0");
        check(123_456_789_012_345_680.0, "1.2345678901234568e+17");
        check(1e16, "1e+16");
        check(1e21, "1e+21");
        check(f64::MAX, "1.7976931348623157e+308");
        check(f64::from_bits(1), "5e-324");
    }

    /// W-DFF-003.
    #[test]
    fn values_are_equal_as_in_python() {
        let equal = |left: Value, right: Value| {
            assert!(python_eq(&left, &right) && python_eq(&right, &left), "{left} == {right}");
        };
        let differ = |left: Value, right: Value| {
            assert!(!python_eq(&left, &right) && !python_eq(&right, &left), "{left} != {right}");
        };
        equal(json!(1), json!(1.0));
        equal(json!(true), json!(1));
        equal(json!(false), json!(0.0));
        equal(json!(0.0), json!(-0.0));
        equal(json!({"a": [1], "b": 2}), json!({"b": 2.0, "a": [true]}));
        equal(json!(9_007_199_254_740_992_u64), json!(9_007_199_254_740_992.0));
        differ(json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992.0));
        differ(json!(u64::MAX), json!(u64::MAX as f64));
        differ(json!(1), json!("1"));
        differ(json!(0), json!(null));
        differ(json!({"a": null}), json!({}));
        differ(json!({"a": null}), json!({"b": null}));
        differ(json!([1, 2]), json!([1]));
        differ(json!([]), json!({}));
        differ(json!(""), json!(false));
    }

    #[test]
    fn reprs_are_those_of_python() {
        let check = |value: Value, text: &str| assert_eq!(python_repr(&value), text);
        check(json!({"b": [1, 2.0, null], "a": true, "c": {}}), "{'b': [1, 2.0, None], 'a': True, 'c': {}}");
        check(json!("it's"), r#""it's""#);
        check(json!(r#"it's "it""#), r#"'it\'s "it"'"#);
        check(json!(r#"a"b\c"#), r#"'a"b\\c'"#);
        check(json!("\n\r\t\u{0}\u{7f}\u{a0}\u{ad}é"), r"'\n\r\t\x00\x7f\xa0\xadé'");
        check(
            json!("\u{200b}\u{2028}\u{e000}\u{e0001}中🚀e\u{301}"),
            "'\\u200b\\u2028\\ue000\\U000e0001中🚀e\u{301}'",
        );
    }

    #[test]
    fn truth_is_that_of_python() {
        for value in [json!(null), json!(false), json!(0), json!(0.0), json!(""), json!([]), json!({})] {
            assert!(!python_bool(&value), "{value}");
        }
        for value in [json!(true), json!(-1), json!(0.1), json!("0"), json!([0]), json!({"a": null})] {
            assert!(python_bool(&value), "{value}");
        }
    }

    proptest! {
        /// W-IOP-010: a float that lost a bit on its way would be an update for no reason, and again with each reading.
        #[test]
        fn numbers_read_back_without_loss(float in any::<f64>().prop_filter("finite", |float| float.is_finite()), int in any::<i64>()) {
            let value = json!([float, int, int.unsigned_abs()]);
            prop_assert_eq!(serde_json::from_str::<Value>(&compact(&value)).unwrap(), value);
        }

        #[test]
        fn texts_read_back(text in any::<String>()) {
            let value = json!({ text.as_str(): text.as_str() });
            let compacted = compact(&value);
            prop_assert!(compacted.is_ascii());
            prop_assert_eq!(serde_json::from_str::<Value>(&compacted).unwrap(), value);
        }

        /// W-DFF-003.
        #[test]
        fn equality_is_symmetric(left in crate::testing::any_value(), right in crate::testing::any_value()) {
            prop_assert_eq!(python_eq(&left, &right), python_eq(&right, &left));
            prop_assert!(python_eq(&left, &left));
        }
    }
}
