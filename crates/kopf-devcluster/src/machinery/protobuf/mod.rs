//! Request bodies in `application/vnd.kubernetes.protobuf` as JSON (D-023).
//!
//! kubectl 1.32 and later writes them for typed commands. Only reading is done here: answers are JSON. Which
//! field has which number is told by the tables of [`super::types`].

mod wire;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value};

use self::wire::{Content, Fields};
use super::{
    normalize,
    types::{self, Field, Shape, TypeId, decode},
};

/// What every body begins with.
const PREFIX: &[u8] = b"k8s\0";
/// Deeper nesting than any type has.
const MAX_DEPTH: usize = 64;

/// Why a body was not read. All are answered with 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The body does not begin as it should.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Prefix,
    /// The body is cut off or otherwise broken.
    #[error("{0}")]
    Malformed(&'static str),
    /// There is no such kind, or it cannot be sent in protobuf.
    #[error("no kind {kind:?} is registered for version {api_version:?} in protobuf")]
    Kind {
        /// The `apiVersion` of the body.
        api_version: String,
        /// The `kind` of the body.
        kind: String,
    },
    /// A value is not what its type allows.
    #[error("{0}")]
    Value(String),
}

/// Reads a body: an object as its type writes it in JSON, with `apiVersion` and `kind`.
///
/// What a body leaves out of these two is taken from the endpoint.
pub(crate) fn decode(body: &[u8], api_version: &str, kind: &str) -> Result<Value, Error> {
    let envelope = Fields::new(body.strip_prefix(PREFIX).ok_or(Error::Prefix)?);
    let mut own = (String::new(), String::new());
    let (mut raw, mut content_type) = (&[][..], String::new());
    for field in envelope {
        match field? {
            (1, Content::Bytes(meta)) => own = type_meta(meta)?,
            (2, Content::Bytes(bytes)) => raw = bytes,
            (4, Content::Bytes(text)) => content_type = utf8(text)?,
            _ => {}
        }
    }
    let or = |own: String, other: &str| if own.is_empty() { other.to_owned() } else { own };
    let (api_version, kind) = (or(own.0, api_version), or(own.1, kind));
    let mut object = match content_type.as_str() {
        "application/json" => serde_json::from_slice(raw).map_err(|error| Error::Value(error.to_string()))?,
        _ => {
            let id = type_of(&api_version, &kind);
            let id =
                id.ok_or_else(|| Error::Kind { api_version: api_version.clone(), kind: kind.clone() })?;
            let fields = object(raw, id, 0)?;
            // Empty fields are there in protobuf, and not in JSON.
            decode::decode(&Value::Object(fields), id, "").map_err(Error::Value)?.value
        }
    };
    if let Value::Object(fields) = &mut object {
        fields.shift_insert(0, "kind".to_owned(), kind.into());
        fields.shift_insert(1, "apiVersion".to_owned(), api_version.into());
    }
    Ok(object)
}

fn type_of(api_version: &str, kind: &str) -> Option<TypeId> {
    // Delete options come in the version of what is deleted.
    if kind == "DeleteOptions" {
        return Some(types::delete_options());
    }
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    types::of_kind(group, version, kind)
}

/// `{1: apiVersion, 2: kind}`
fn type_meta(bytes: &[u8]) -> Result<(String, String), Error> {
    let mut meta = (String::new(), String::new());
    for field in Fields::new(bytes) {
        match field? {
            (1, Content::Bytes(text)) => meta.0 = utf8(text)?,
            (2, Content::Bytes(text)) => meta.1 = utf8(text)?,
            _ => {}
        }
    }
    Ok(meta)
}

fn object(bytes: &[u8], id: TypeId, depth: usize) -> Result<Map<String, Value>, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::Malformed("the message is nested too deep"));
    }
    let mut fields = Map::new();
    for field in Fields::new(bytes) {
        let (number, content) = field?;
        // Fields that the tables do not have are of newer or unsupported types: they are dropped.
        let Some(field) = id.get().fields.iter().find(|field| field.number == number) else { continue };
        add(field, content, &mut fields, depth)?;
    }
    Ok(fields)
}

fn add(
    field: &Field,
    content: Content<'_>,
    fields: &mut Map<String, Value>,
    depth: usize,
) -> Result<(), Error> {
    match &field.shape {
        Shape::Object(id) if field.is_inline => fields.extend(object(content.bytes()?, *id, depth + 1)?),
        Shape::List(item) => {
            let list = fields.entry(field.name.as_str()).or_insert_with(|| Value::Array(Vec::new()));
            let Value::Array(list) = list else { return Ok(()) };
            match (&**item, content) {
                // Numbers may come packed.
                (Shape::Int32 | Shape::Int64, Content::Bytes(packed)) => {
                    for number in wire::varints(packed) {
                        list.push(value(item, Content::Varint(number?), depth)?);
                    }
                }
                (item, content) => list.push(value(item, content, depth)?),
            }
        }
        Shape::Map(item) => {
            let (key, value) = entry(content.bytes()?, item, depth)?;
            let map = fields.entry(field.name.as_str()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(map) = map {
                map.insert(key, value);
            }
        }
        shape => {
            fields.insert(field.name.clone(), value(shape, content, depth)?);
        }
    }
    Ok(())
}

/// An entry of a map: `{1: key, 2: value}`.
fn entry(bytes: &[u8], item: &Shape, depth: usize) -> Result<(String, Value), Error> {
    let (mut key, mut found) = (String::new(), Value::Null);
    for field in Fields::new(bytes) {
        match field? {
            (1, Content::Bytes(text)) => key = utf8(text)?,
            (2, content) => found = value(item, content, depth)?,
            _ => {}
        }
    }
    Ok((key, found))
}

fn value(shape: &Shape, content: Content<'_>, depth: usize) -> Result<Value, Error> {
    Ok(match shape {
        Shape::Text => utf8(content.bytes()?)?.into(),
        Shape::Flag => (content.varint()? != 0).into(),
        // Negative numbers are sign-extended to 64 bits; wider ones are cut, as by the real server.
        #[expect(clippy::cast_possible_truncation, reason = "as protobuf says")]
        Shape::Int32 => (content.varint()? as i32).into(),
        Shape::Int64 => content.varint()?.cast_signed().into(),
        Shape::Double => match content {
            Content::Fixed64(bits) => f64::from_bits(bits).into(),
            _ => return Err(Error::Malformed("a double has the wrong wire type")),
        },
        Shape::Bytes => STANDARD.encode(content.bytes()?).into(),
        Shape::Time => moment(content.bytes()?, normalize::seconds)?,
        Shape::MicroTime => moment(content.bytes()?, normalize::micros)?,
        Shape::Quantity => first_text(content.bytes()?)?.into(),
        Shape::IntOrString => int_or_string(content.bytes()?)?,
        Shape::Raw | Shape::FieldsV1 => {
            let json = first_bytes(content.bytes()?)?;
            match json.is_empty() {
                true => Value::Null,
                false => serde_json::from_slice(json).map_err(|error| Error::Value(error.to_string()))?,
            }
        }
        Shape::Items => {
            let mut items = Vec::new();
            for field in Fields::new(content.bytes()?) {
                if let (1, Content::Bytes(text)) = field? {
                    items.push(utf8(text)?.into());
                }
            }
            Value::Array(items)
        }
        Shape::Object(id) => Value::Object(object(content.bytes()?, *id, depth + 1)?),
        Shape::List(_) | Shape::Map(_) => return Err(Error::Malformed("lists of lists do not exist")),
        Shape::Any => return Err(Error::Value("this kind can be sent in JSON only".to_owned())),
    })
}

/// `{1: seconds, 2: nanoseconds}`; all zero is no moment.
fn moment(bytes: &[u8], write: fn(Timestamp) -> String) -> Result<Value, Error> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    for field in Fields::new(bytes) {
        match field? {
            (1, Content::Varint(number)) => seconds = number.cast_signed(),
            (2, Content::Varint(number)) => nanos = number.cast_signed(),
            _ => {}
        }
    }
    if (seconds, nanos) == (0, 0) {
        return Ok(Value::Null);
    }
    let nanos = i32::try_from(nanos).map_err(|_| Error::Malformed("a time is out of range"))?;
    let moment = Timestamp::new(seconds, nanos).map_err(|_| Error::Malformed("a time is out of range"))?;
    Ok(write(moment).into())
}

/// `{1: whether it is a text, 2: the number, 3: the text}`
fn int_or_string(bytes: &[u8]) -> Result<Value, Error> {
    let (mut is_text, mut number, mut text) = (false, Value::from(0), String::new());
    for field in Fields::new(bytes) {
        match field? {
            (1, Content::Varint(kind)) => is_text = kind != 0,
            (2, content) => number = value(&Shape::Int32, content, 0)?,
            (3, Content::Bytes(bytes)) => text = utf8(bytes)?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number })
}

fn first_bytes(bytes: &[u8]) -> Result<&[u8], Error> {
    let mut found = &[][..];
    for field in Fields::new(bytes) {
        if let (1, Content::Bytes(bytes)) = field? {
            found = bytes;
        }
    }
    Ok(found)
}

fn first_text(bytes: &[u8]) -> Result<String, Error> {
    utf8(first_bytes(bytes)?)
}

fn utf8(bytes: &[u8]) -> Result<String, Error> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Error::Malformed("a text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn vectors() -> Vec<(Vec<u8>, Value)> {
        let lines: Vec<_> =
            include_str!("vectors.txt").lines().filter(|line| !line.starts_with('#')).collect();
        let pair =
            |pair: &[&str]| (STANDARD.decode(pair[0]).unwrap(), serde_json::from_str(pair[1]).unwrap());
        lines.chunks(2).map(pair).collect()
    }

    /// D-023: what Kubernetes' own encoder has written, for the kinds that kubectl sends and for odd values.
    #[test]
    fn bodies_are_read_as_the_json_of_the_same_object() {
        let vectors = vectors();
        assert!(vectors.len() >= 15);
        for (body, expected) in vectors {
            let object = decode(&body, "", "").unwrap();
            assert_eq!(object.to_string(), expected.to_string());
        }
    }

    /// D-101: the type of a body may be left to the endpoint.
    #[test]
    fn a_body_without_type_has_that_of_the_endpoint() {
        let body = b"k8s\0\x12\x05\x0a\x03\x0a\x01c";
        let object = decode(body, "v1", "ConfigMap").unwrap();
        assert_eq!(object.to_string(), r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c"}}"#);
    }

    #[test]
    fn what_is_no_body_is_refused() {
        assert_eq!(decode(b"{}", "v1", "Pod"), Err(Error::Prefix));
        assert!(matches!(decode(b"k8s\0\x12\x09\x0a", "v1", "Pod"), Err(Error::Malformed(_))));
        assert!(matches!(decode(b"k8s\0", "test.dev/v1", "Widget"), Err(Error::Kind { .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(index in 0usize..15, cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let (mut body, _) = vectors().swap_remove(index);
            let position = cut.index(body.len());
            body[position] = byte;
            let _ = decode(&body, "", "");
            body.truncate(position);
            let _ = decode(&body, "", "");
        }
    }
}
