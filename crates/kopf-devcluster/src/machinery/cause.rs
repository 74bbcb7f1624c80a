//! One reason why an object is refused: the field errors of Kubernetes with their exact texts.
//!
//! A refused object is answered with 422 `Invalid`, a message and a list of causes. This module makes the
//! causes and joins them to the message. It does not know the `Status` object around them.

use serde_json::Value;

use super::json::go_float;

/// One violation of a rule, as it stands in `details.causes` of an `Invalid` answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// Machine-readable, e.g. `FieldValueRequired`.
    pub(crate) reason: &'static str,
    /// For people, without the field, e.g. `Required value: must not be empty`.
    pub(crate) message: String,
    /// The path of the field, e.g. `metadata.ownerReferences[0].uid`; `<nil>` for none.
    pub(crate) field: String,
}

impl Cause {
    fn new(reason: &'static str, field: impl Into<String>, head: &str, detail: &str) -> Self {
        let message = if detail.is_empty() { head.to_owned() } else { format!("{head}: {detail}") };
        Self { reason, message, field: field.into() }
    }

    /// A value that must be there is not. The detail may be empty.
    pub(crate) fn required(field: impl Into<String>, detail: &str) -> Self {
        Self::new("FieldValueRequired", field, "Required value", detail)
    }

    /// A value that breaks a rule, which the detail names.
    pub(crate) fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::new("FieldValueInvalid", field, &with_value("Invalid value", value), detail)
    }

    /// A value of the wrong type. The text begins as that of [`Cause::invalid`].
    pub(crate) fn type_invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::new("FieldValueTypeInvalid", field, &with_value("Invalid value", value), detail)
    }

    /// A value that is none of those listed. Nothing is listed if `supported` is empty.
    pub(crate) fn not_supported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let quoted: Vec<_> = supported.iter().map(|text| quote(text)).collect();
        let detail = match quoted.is_empty() {
            true => String::new(),
            false => format!("supported values: {}", quoted.join(", ")),
        };
        Self::new("FieldValueNotSupported", field, &with_value("Unsupported value", value), &detail)
    }

    /// A value that must be unique is there twice.
    pub(crate) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self::new("FieldValueDuplicate", field, &with_value("Duplicate value", value), "")
    }

    /// A field that may not be set (now).
    pub(crate) fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new("FieldValueForbidden", field, "Forbidden", detail)
    }

    /// A text longer than the limit. The real server says bytes even where it counts characters.
    pub(crate) fn too_long(field: impl Into<String>, limit: u64) -> Self {
        let unit = if limit == 1 { "byte" } else { "bytes" };
        Self::new("FieldValueTooLong", field, "Too long", &format!("may not be more than {limit} {unit}"))
    }

    /// A list or map with more entries than the limit.
    pub(crate) fn too_many(field: impl Into<String>, actual: u64, limit: u64) -> Self {
        let unit = if limit == 1 { "item" } else { "items" };
        let head = format!("Too many: {actual}");
        Self::new("FieldValueTooMany", field, &head, &format!("must have at most {limit} {unit}"))
    }
}

/// Joins the causes to the end of an `Invalid` message: `FIELD: BODY`, or `[F1: B1, F2: B2]` for several.
///
/// A text that occurs twice is said once; the list of causes keeps both.
pub(crate) fn join(causes: &[Cause]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in causes {
        let text = format!("{}: {}", cause.field, cause.message);
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    match texts.len() {
        1 => texts.remove(0),
        _ => format!("[{}]", texts.join(", ")),
    }
}

/// Quotes a text as Go's `%q` does, which is how Kubernetes shows bad values.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        push_quoted(&mut quoted, char);
    }
    quoted.push('"');
    quoted
}

fn push_quoted(out: &mut String, char: char) {
    match char {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        ' '..='~' => out.push(char),
        '\0'..='\u{7f}' => out.push_str(&format!("\\x{:02x}", u32::from(char))),
        _ if is_printable(char) => out.push(char),
        '\u{80}'..='\u{ffff}' => out.push_str(&format!("\\u{:04x}", u32::from(char))),
        _ => out.push_str(&format!("\\U{:08x}", u32::from(char))),
    }
}

/// Whether Go prints a non-ASCII character as it is: letters, marks, numbers, punctuation and symbols.
fn is_printable(char: char) -> bool {
    // A combining mark is escaped by Rust only when nothing precedes it.
    !char.is_whitespace() && format!("a{char}").escape_debug().nth(1) != Some('\\')
}

fn with_value(head: &str, value: &Value) -> String {
    match value {
        Value::String(text) => format!("{head}: {}", quote(text)),
        Value::Number(number) if number.is_f64() => {
            format!("{head}: {}", go_float(number.as_f64().unwrap_or_default()))
        }
        other => format!("{head}: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(cause: &Cause, reason: &str, message: &str) {
        assert_eq!((cause.reason, cause.message.as_str()), (reason, message));
    }

    /// The catalogue of section 1.8.
    #[test]
    fn causes_have_the_texts_of_the_real_server() {
        check(&Cause::required("a", ""), "FieldValueRequired", "Required value");
        check(&Cause::required("a", "must be set"), "FieldValueRequired", "Required value: must be set");
        check(
            &Cause::invalid("a", &json!("x\"y"), "no"),
            "FieldValueInvalid",
            r#"Invalid value: "x\"y": no"#,
        );
        check(&Cause::invalid("a", &json!(0), "low"), "FieldValueInvalid", "Invalid value: 0: low");
        check(&Cause::invalid("a", &Value::Null, "none"), "FieldValueInvalid", "Invalid value: null: none");
        check(
            &Cause::not_supported("a", &json!("pink"), &["red", "green"]),
            "FieldValueNotSupported",
            r#"Unsupported value: "pink": supported values: "red", "green""#,
        );
        check(
            &Cause::duplicate("a", &json!({"port": 1})),
            "FieldValueDuplicate",
            r#"Duplicate value: {"port":1}"#,
        );
        check(&Cause::forbidden("a", "no"), "FieldValueForbidden", "Forbidden: no");
        check(&Cause::too_long("a", 5), "FieldValueTooLong", "Too long: may not be more than 5 bytes");
        check(&Cause::too_long("a", 1), "FieldValueTooLong", "Too long: may not be more than 1 byte");
        check(&Cause::too_many("a", 3, 2), "FieldValueTooMany", "Too many: 3: must have at most 2 items");
    }

    /// DEC-32: causes stay as they are, the message says each once.
    #[test]
    fn a_message_says_a_repeated_cause_once() {
        let cause = Cause::forbidden("metadata.finalizers", "no");
        assert_eq!(join(&[cause.clone(), cause.clone()]), "metadata.finalizers: Forbidden: no");
        let other = Cause::required("spec", "");
        assert_eq!(join(&[cause, other]), "[metadata.finalizers: Forbidden: no, spec: Required value]");
    }

    #[test]
    fn texts_are_quoted_as_go_does() {
        assert_eq!(quote("tab\there"), r#""tab\there""#);
        assert_eq!(quote("\u{1b}\u{7f}\u{7}"), r#""\x1b\x7f\a""#);
        assert_eq!(quote("größe 漢字"), "\"größe 漢字\"");
        assert_eq!(quote("\u{200b}\u{a0}"), r#""\u200b\u00a0""#);
        assert_eq!(quote("e\u{301}"), "\"e\u{301}\"");
    }
}
