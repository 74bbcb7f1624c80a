//! Reads objects without what nobody reads: `metadata.managedFields` is often the larger part of an object (DEC-18), and of
//! most objects nobody reads anything but what tells them apart. So a text is checked as it arrives, what is in its head is
//! noted, and it is decoded when it is first read.

use std::fmt;

use kopf_core::object::{Head, Object, Received, Span};
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor, value::SeqAccessDeserializer},
};
use serde_json::{Map, Value};

/// What of an object is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Whole,
    /// All but `metadata.managedFields`.
    Used,
}

/// A line of a watch.
#[derive(Debug)]
pub(crate) struct Frame {
    /// `ADDED`, `BOOKMARK`, …
    pub(crate) kind: String,
    pub(crate) object: Object,
}

/// Reads an object.
///
/// # Errors
/// If it is no JSON.
pub(crate) fn object(bytes: &[u8], extent: Extent) -> serde_json::Result<Object> {
    let text = text(bytes)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut seen = Seen::new(text);
    Scan(&mut seen, Place::Object).deserialize(&mut deserializer)?;
    deserializer.end()?;
    let decode = match extent {
        Extent::Whole => |text: &str| value(text, Extent::Whole),
        Extent::Used => |text: &str| value(text, Extent::Used),
    };
    Ok(received(&seen, decode))
}

/// Reads a line of a watch.
///
/// # Errors
/// If it is no JSON, or has no type or no object.
pub(crate) fn frame(bytes: &[u8], extent: Extent) -> serde_json::Result<Frame> {
    let text = text(bytes)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut seen = Seen::new(text);
    let kind = deserializer.deserialize_map(FrameScan(&mut seen))?;
    deserializer.end()?;
    let decode = match extent {
        Extent::Whole => |text: &str| framed_value(text, Extent::Whole),
        Extent::Used => |text: &str| framed_value(text, Extent::Used),
    };
    Ok(Frame { kind, object: received(&seen, decode) })
}

/// Decodes what [`object`] has read.
fn value(text: &str, extent: Extent) -> Option<Value> {
    Level::Object(extent).deserialize(&mut serde_json::Deserializer::from_str(text)).ok()
}

/// Decodes the object in what [`frame`] has read.
fn framed_value(text: &str, extent: Extent) -> Option<Value> {
    serde_json::Deserializer::from_str(text).deserialize_map(FramedValue(extent)).ok()
}

/// An object whose head cannot be told by places in the text is decoded at once: its names have escapes.
fn received(seen: &Seen<'_>, decode: fn(&str) -> Option<Value>) -> Object {
    if seen.has_escapes {
        return Object::new(decode(seen.text).unwrap_or_default());
    }
    Object::received(Received { text: seen.text.into(), decode, head: seen.head })
}

fn text(bytes: &[u8]) -> serde_json::Result<&str> {
    std::str::from_utf8(bytes).map_err(serde_json::Error::custom)
}

/// What was seen of an object in a text.
struct Seen<'t> {
    text: &'t str,
    head: Head,
    /// A text of the head is not as it stands there.
    has_escapes: bool,
}

/// Checks a value as thoroughly as decoding it would, and notes what it is if the head tells it.
struct Scan<'t, 's>(&'s mut Seen<'t>, Place);

/// Where a value is.
#[derive(Clone, Copy)]
enum Place {
    Object,
    Metadata,
    /// A text of the head.
    Text(fn(&mut Head) -> &mut Option<Span>),
    /// Something of which the head says whether it is there.
    Mark(fn(&mut Head) -> &mut bool),
    /// Anywhere else.
    Rest,
}

impl Seen<'_> {
    fn new(text: &str) -> Seen<'_> {
        Seen { text, head: Head::default(), has_escapes: false }
    }

    /// Where a part of the text is in it.
    fn span(&self, part: &str) -> Option<Span> {
        let begin = (part.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        let end = begin.checked_add(part.len()).filter(|end| *end <= self.text.len())?;
        Some(Span(begin.try_into().ok()?, end.try_into().ok()?))
    }
}

/// The type of a line; its object is scanned on the way.
struct FrameScan<'t, 's>(&'s mut Seen<'t>);

impl<'de> Visitor<'de> for FrameScan<'_, '_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a watch event: a mapping with a type and an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let (mut kind, mut has_object) = (None, false);
        while let Some(key) = map.next_key_seed(KeySeed)? {
            match key {
                Key::Type => kind = Some(map.next_value()?),
                Key::Object => {
                    map.next_value_seed(Scan(&mut *self.0, Place::Object))?;
                    has_object = true;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if !has_object {
            return Err(A::Error::missing_field("object"));
        }
        kind.ok_or_else(|| A::Error::missing_field("type"))
    }
}

impl<'de> DeserializeSeed<'de> for Scan<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // Of a key that comes twice, the last value counts, as in a decoded map.
        match self.1 {
            Place::Object => self.0.head = Head::default(),
            Place::Metadata => {
                let Head { api_version, kind, .. } = self.0.head;
                self.0.head = Head { api_version, kind, ..Head::default() };
            }
            Place::Text(slot) => *slot(&mut self.0.head) = None,
            Place::Mark(slot) => *slot(&mut self.0.head) = false,
            Place::Rest => {}
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scan<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.mark();
        while let Some(key) = map.next_key_seed(KeySeed)? {
            let place = self.1.below(key);
            map.next_value_seed(Scan(&mut *self.0, place))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        self.mark();
        while seq.next_element_seed(Scan(&mut *self.0, Place::Rest))?.is_some() {}
        Ok(())
    }

    fn visit_borrowed_str<E>(mut self, text: &'de str) -> Result<(), E> {
        self.mark();
        if let Place::Text(slot) = self.1 {
            *slot(&mut self.0.head) = self.0.span(text);
        }
        Ok(())
    }

    fn visit_str<E>(mut self, _text: &str) -> Result<(), E> {
        self.mark();
        self.0.has_escapes |= matches!(self.1, Place::Text(_));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(mut self, _value: bool) -> Result<(), E> {
        self.mark();
        Ok(())
    }

    fn visit_i64<E>(mut self, _value: i64) -> Result<(), E> {
        self.mark();
        Ok(())
    }

    fn visit_u64<E>(mut self, _value: u64) -> Result<(), E> {
        self.mark();
        Ok(())
    }

    fn visit_f64<E>(mut self, _value: f64) -> Result<(), E> {
        self.mark();
        Ok(())
    }
}

impl Scan<'_, '_> {
    /// There is something that is not null.
    fn mark(&mut self) {
        if let Place::Mark(slot) = self.1 {
            *slot(&mut self.0.head) = true;
        }
    }
}

impl Place {
    /// Where the value of a key of this mapping is.
    fn below(self, key: Key) -> Self {
        match (self, key) {
            (Self::Object, Key::ApiVersion) => Self::Text(|head| &mut head.api_version),
            (Self::Object, Key::Kind) => Self::Text(|head| &mut head.kind),
            (Self::Object, Key::Metadata) => Self::Metadata,
            (Self::Metadata, Key::Name) => Self::Text(|head| &mut head.name),
            (Self::Metadata, Key::Namespace) => Self::Text(|head| &mut head.namespace),
            (Self::Metadata, Key::Uid) => Self::Text(|head| &mut head.uid),
            (Self::Metadata, Key::ResourceVersion) => Self::Text(|head| &mut head.resource_version),
            (Self::Metadata, Key::DeletionTimestamp) => Self::Mark(|head| &mut head.is_deleting),
            (Self::Metadata, Key::Finalizers) => Self::Mark(|head| &mut head.has_finalizers),
            _ => Self::Rest,
        }
    }
}

/// The keys that matter somewhere.
#[derive(Clone, Copy)]
enum Key {
    ApiVersion,
    DeletionTimestamp,
    Finalizers,
    Kind,
    Metadata,
    Name,
    Namespace,
    Object,
    ResourceVersion,
    Type,
    Uid,
    Other,
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(match key {
            "apiVersion" => Key::ApiVersion,
            "deletionTimestamp" => Key::DeletionTimestamp,
            "finalizers" => Key::Finalizers,
            "kind" => Key::Kind,
            "metadata" => Key::Metadata,
            "name" => Key::Name,
            "namespace" => Key::Namespace,
            "object" => Key::Object,
            "resourceVersion" => Key::ResourceVersion,
            "type" => Key::Type,
            "uid" => Key::Uid,
            _ => Key::Other,
        })
    }
}

/// Decodes the object in a line.
struct FramedValue(Extent);

impl<'de> Visitor<'de> for FramedValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a watch event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Value::Null;
        while let Some(key) = map.next_key_seed(KeySeed)? {
            match key {
                Key::Object => object = map.next_value_seed(Level::Object(self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(object)
    }
}

/// Where in an object we are, as far as it matters.
#[derive(Clone, Copy)]
enum Level {
    Object(Extent),
    Metadata,
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = source.next_key::<String>()? {
            let value = match (self, key.as_str()) {
                (Self::Object(Extent::Used), "metadata") => source.next_value_seed(Self::Metadata)?,
                (Self::Metadata, "managedFields") => {
                    source.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ => source.next_value()?,
            };
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Value, A::Error> {
        serde::Deserialize::deserialize(SeqAccessDeserializer::new(seq))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
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
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// DEC-18.
    #[test]
    fn only_the_managed_fields_of_the_object_itself_are_left_out() {
        let whole = json!({
            "kind": "K",
            "metadata": {"name": "n", "managedFields": [{"a": {"b": []}}], "labels": {"managedFields": "x"}},
            "managedFields": 1,
            "spec": {"metadata": {"managedFields": 2}, "float": 1.0, "big": 12_345_678_901_234_567_890_u64},
        });
        let text = whole.to_string();
        assert_eq!(*object(text.as_bytes(), Extent::Whole).unwrap().body(), whole);
        let mut used = whole.clone();
        used["metadata"].as_object_mut().unwrap().shift_remove("managedFields");
        assert_eq!(*object(text.as_bytes(), Extent::Used).unwrap().body(), used);
        let line = json!({"type": "ADDED", "more": {}, "object": whole}).to_string();
        let frame = frame(line.as_bytes(), Extent::Used).unwrap();
        assert_eq!((frame.kind.as_str(), frame.object.body()), ("ADDED", &used));
        // The order of keys decides on the bytes of annotations (DEC-21).
        assert_eq!(frame.object.body().to_string(), used.to_string());
    }

    #[test]
    fn malformed_objects_are_values_too_and_broken_ones_are_errors() {
        for value in
            [json!(null), json!([1, {}]), json!("x"), json!(-1), json!(1.5), json!({"metadata": [1]})]
        {
            assert_eq!(*object(value.to_string().as_bytes(), Extent::Used).unwrap().body(), value);
        }
        for text in ["", "{", "{} {}", r#"{"a":}"#] {
            assert!(object(text.as_bytes(), Extent::Used).is_err(), "{text}");
        }
        for text in ["[]", "{}", r#"{"type": "ADDED"}"#, r#"{"object": {}}"#, r#"{"type": 1, "object": {}}"#]
        {
            assert!(frame(text.as_bytes(), Extent::Used).is_err(), "{text}");
        }
    }

    /// FIX-20: the head says what the body would, whatever their shape.
    #[test]
    fn what_is_told_before_decoding_is_what_the_body_says() {
        for text in [
            r#"{"apiVersion":"g/v1","kind":"K","metadata":{"name":"n","namespace":"ns","uid":"u","resourceVersion":"5"}}"#,
            r#"{"kind":"K\u0041","metadata":{"name":"a\"b"}}"#,
            r#"{"kind":"é","metadata":{"name":"ü","deletionTimestamp":"2020-01-01T00:00:00Z","finalizers":["f","g"]}}"#,
            r#"{"kind":1,"metadata":{"name":null,"uid":[],"resourceVersion":7,"deletionTimestamp":null,"finalizers":null}}"#,
            r#"{"kind":"K","kind":2,"metadata":{"name":"a","finalizers":["f"]},"metadata":{"uid":"u"}}"#,
            r#"{"metadata":{"name":"a","name":"b","deletionTimestamp":1,"deletionTimestamp":null}}"#,
            r#"{"metadata":[{"name":"n"}],"spec":{"metadata":{"name":"x"},"kind":"y"}}"#,
            r#"{"metadata":"text"}"#,
            "[1, {}]",
            "null",
        ] {
            let line = format!(r#"{{"more":{{"object":1}},"object":{text},"type":"ADDED"}}"#);
            let framed = frame(line.as_bytes(), Extent::Used).unwrap();
            for read in [object(text.as_bytes(), Extent::Used).unwrap(), framed.object] {
                let made = Object::new(serde_json::from_str(text).unwrap());
                let heads = [&read, &made].map(|object| {
                    (
                        [object.api_version(), object.kind(), object.name()].map(str::to_owned),
                        [object.namespace(), object.uid(), object.resource_version()]
                            .map(|text| text.map(str::to_owned)),
                        [object.is_deleting(), object.has_finalizer("f"), object.has_finalizer("x")],
                    )
                });
                assert_eq!(heads[0], heads[1], "{text}");
                assert_eq!(read, made);
            }
        }
    }

    #[test]
    fn what_could_not_be_decoded_is_refused_when_it_arrives() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        for text in [
            r#"{"spec":1e999}"#,
            r#"{"spec":"\ud800"}"#,
            r#"{"a":{"b":tru}}"#,
            &format!(r#"{{"spec":{deep}}}"#),
        ] {
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
            assert!(object(text.as_bytes(), Extent::Used).is_err(), "{text}");
            let line = format!(r#"{{"type":"ADDED","object":{text}}}"#);
            assert!(frame(line.as_bytes(), Extent::Used).is_err(), "{text}");
        }
        assert!(object(b"{\"spec\":\"\xff\"}", Extent::Used).is_err());
    }
}
