//! Bodies to JSON values, with what a strict reader would object to.
//!
//! Duplicate keys are found here, because afterwards they are gone. Syntax errors are told in Go's words.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::negotiation::BodyFormat;
use super::request::Request;
use crate::machinery::cause::quote;
use crate::machinery::protobuf;
use crate::status::ApiError;

/// The most bytes of a body (D-029).
pub(crate) const BODY_LIMIT: usize = 3 * 1024 * 1024;

/// A decoded body.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    pub(crate) value: Value,
    /// The paths of keys that came twice; the last one counts.
    pub(crate) duplicates: Vec<String>,
}

/// The object in the body of a create or an update. `api_version` and `kind` are what is expected there, and what is
/// taken for granted where the body does not say them.
pub(crate) fn object(request: &Request, api_version: &str, kind: &str) -> Result<Decoded, ApiError> {
    let decoded = match super::negotiation::body_format(&request.headers)? {
        BodyFormat::Protobuf => protobuf(&request.body, api_version, kind)?,
        BodyFormat::Json => json(&request.body).map_err(|error| unreadable(&request.body, kind, &error))?,
        BodyFormat::Yaml => yaml(&request.body).map_err(|error| unreadable(&request.body, kind, &error))?,
    };
    if !decoded.value.is_object() {
        let error = format!(
            "json: cannot unmarshal {} into Go value of type struct {{ APIVersion string \
             \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
            go_type(&decoded.value)
        );
        return Err(unreadable(&request.body, kind, &error));
    }
    match malformed_type(&decoded.value) {
        None => Ok(decoded),
        Some(why) => Err(unrecognized(&request.body, kind, &why)),
    }
}

/// As [`object`], of a custom resource: nothing is taken for granted (D-101).
pub(crate) fn custom_object(request: &Request, api_version: &str, kind: &str) -> Result<Decoded, ApiError> {
    let decoded = object(request, api_version, kind)?;
    if is_missing(&decoded.value, "kind") {
        let body = String::from_utf8_lossy(&request.body);
        return Err(unrecognized(&request.body, kind, &missing_kind(&body)));
    }
    if decoded.value.get("apiVersion").is_some_and(Value::is_null) {
        return Err(ApiError::bad_request(format!(
            "{kind} in version \"\" cannot be handled as a {kind}: .apiVersion accessor error: <nil> is of the type \
             <nil>, expected string"
        )));
    }
    Ok(decoded)
}

/// Why the type that an object says cannot be read.
pub(crate) fn malformed_type(object: &Value) -> Option<String> {
    for field in ["apiVersion", "kind"] {
        let found = &object[field];
        if !found.is_string() && !found.is_null() {
            let found = go_type(found);
            return Some(format!(
                "couldn't get version/kind; json parse error: json: cannot unmarshal {found} into Go struct field \
                 .{field} of type string"
            ));
        }
    }
    let said = object["apiVersion"].as_str().filter(|said| said.matches('/').count() > 1)?;
    Some(format!("unexpected GroupVersion string: {said}"))
}

/// What is said of an object without a kind.
pub(crate) fn missing_kind(text: &str) -> String {
    format!("Object 'Kind' is missing in '{text}'")
}

/// Whether an object does not say a text, or says an empty one.
pub(crate) fn is_missing(object: &Value, field: &str) -> bool {
    object[field].as_str().is_none_or(str::is_empty)
}

fn protobuf(body: &[u8], api_version: &str, kind: &str) -> Result<Decoded, ApiError> {
    let value = protobuf::decode(body, api_version, kind).map_err(|error| {
        ApiError::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): {error}"
        ))
    })?;
    Ok(Decoded { value, duplicates: Vec::new() })
}

/// How much of an unreadable body an error shows.
const SHOWN_BYTES: usize = 30;

fn unreadable(body: &[u8], kind: &str, error: &str) -> ApiError {
    unrecognized(body, kind, &format!("couldn't get version/kind; json parse error: {error}"))
}

fn unrecognized(body: &[u8], kind: &str, why: &str) -> ApiError {
    let shown = &body[..body.len().min(SHOWN_BYTES)];
    // What does not look like an object is taken for binary data.
    let mut beginning = match shown.first() {
        Some(b'{') => String::from_utf8_lossy(shown).into_owned(),
        _ => shown.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if body.len() > SHOWN_BYTES {
        beginning += " ...";
    }
    ApiError::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): {why} ({beginning})"
    ))
}

/// What Go's JSON calls the type of a value.
pub(crate) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Reads JSON; the error is Go's text.
pub(crate) fn json(bytes: &[u8]) -> Result<Decoded, String> {
    let mut duplicates = Vec::new();
    let mut read = |path| {
        duplicates.clear();
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let seed = Tracking { path, duplicates: &mut duplicates };
        let value = seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
        value.map(|value| (value, duplicates.is_empty())).map_err(|error| go_error(bytes, &error))
    };
    let (mut value, is_clean) = read(None)?;
    if !is_clean {
        // Paths are only made where there is something to report.
        value = read(Some(String::new()))?.0;
    }
    Ok(Decoded { value, duplicates })
}

/// Reads YAML (of which JSON is a part).
pub(crate) fn yaml(bytes: &[u8]) -> Result<Decoded, String> {
    if let Ok(decoded) = json(bytes) {
        return Ok(decoded);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    Ok(Decoded { value, duplicates: Vec::new() })
}

/// A syntax error in the words of Go's `encoding/json`.
fn go_error(bytes: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    let line_start = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(index, _)| index + 1)
        .nth(error.line().wrapping_sub(2))
        .unwrap_or(0);
    let rest = bytes.get(line_start + error.column().saturating_sub(1)..).unwrap_or_default();
    let Some(char) = rest.first().map(|byte| quoted(*byte)) else { return error.to_string() };
    let text = error.to_string();
    if text.starts_with("expected ident") {
        return bad_literal(bytes, bytes.len() - rest.len(), &char);
    }
    let place = [
        ("key must be a string", "looking for beginning of object key string"),
        ("expected value", "looking for beginning of value"),
        ("expected `,` or `}`", "after object key:value pair"),
        ("expected `,` or `]`", "after array element"),
        ("expected `:`", "after object key"),
        ("trailing characters", "after top-level value"),
        ("trailing comma", "looking for beginning of value"),
    ];
    match place.iter().find(|(ours, _)| text.starts_with(ours)) {
        Some((_, place)) => format!("invalid character {char} {place}"),
        None => text,
    }
}

/// A byte as Go shows it in syntax errors: it takes the byte for a character.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        byte => format!("'{}'", quote(&char::from(byte).to_string()).trim_matches('"')),
    }
}

/// A word that is none of JSON's, at its first wrong character.
fn bad_literal(bytes: &[u8], at: usize, char: &str) -> String {
    for literal in ["null", "true", "false"] {
        let known = (1..literal.len()).find(|length| bytes[..at].ends_with(&literal.as_bytes()[..*length]));
        if let Some(expected) = known.and_then(|length| literal.chars().nth(length)) {
            return format!("invalid character {char} in literal {literal} (expecting '{expected}')");
        }
    }
    format!("invalid character {char} looking for beginning of value")
}

/// Builds a value and notes keys that come twice.
struct Tracking<'a> {
    /// Where it is, if paths are wanted.
    path: Option<String>,
    duplicates: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Tracking<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tracking<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let path = self.path.as_ref().map(|path| format!("{path}[{}]", items.len()));
            let Some(item) = seq.next_element_seed(Tracking { path, duplicates: self.duplicates })? else {
                return Ok(items.into());
            };
            items.push(item);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = self.path.as_ref();
            let path = path.map(|path| if path.is_empty() { key.clone() } else { format!("{path}.{key}") });
            if fields.contains_key(&key) {
                self.duplicates.push(path.clone().unwrap_or_default());
            }
            let value = map.next_value_seed(Tracking { path, duplicates: self.duplicates })?;
            fields.insert(key, value);
        }
        Ok(fields.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D-131.
    #[test]
    fn keys_that_come_twice_are_noted_with_their_path() {
        let decoded = json(br#"{"data": {"k": "1", "k": "2"}, "list": [{"a": 1, "a": 1}]}"#).unwrap();
        assert_eq!(decoded.duplicates, ["data.k", "list[0].a"]);
        assert_eq!(decoded.value["data"]["k"], "2");
    }

    #[test]
    fn syntax_errors_are_told_in_gos_words() {
        assert_eq!(
            json(b"{nope").unwrap_err(),
            "invalid character 'n' looking for beginning of object key string"
        );
        assert_eq!(json(b"{\"a\":1").unwrap_err(), "unexpected end of JSON input");
        assert_eq!(json(b"nope").unwrap_err(), "invalid character 'o' in literal null (expecting 'u')");
        assert_eq!(json(b"[x]").unwrap_err(), "invalid character 'x' looking for beginning of value");
    }
}
