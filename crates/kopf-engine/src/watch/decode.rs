//! Decodes objects, without what nobody reads: `metadata.managedFields` is often the larger part of an object (DEC-18).

use std::fmt;

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
    pub(crate) object: Value,
}

/// Decodes an object.
///
/// # Errors
/// If it is no JSON.
pub(crate) fn object(bytes: &[u8], extent: Extent) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let object = Level::Object(extent).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(object)
}

/// Decodes a line of a watch.
///
/// # Errors
/// If it is no JSON, or has no type or no object.
pub(crate) fn frame(bytes: &[u8], extent: Extent) -> serde_json::Result<Frame> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let frame = deserializer.deserialize_map(FrameVisitor(extent))?;
    deserializer.end()?;
    Ok(frame)
}

/// Where in an object we are, as far as it matters.
#[derive(Clone, Copy)]
enum Level {
    Object(Extent),
    Metadata,
}

struct FrameVisitor(Extent);

impl<'de> Visitor<'de> for FrameVisitor {
    type Value = Frame;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a watch event: a mapping with a type and an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Frame, A::Error> {
        let (mut kind, mut object) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "type" => kind = Some(map.next_value()?),
                "object" => object = Some(map.next_value_seed(Level::Object(self.0))?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Frame {
            kind: kind.ok_or_else(|| A::Error::missing_field("type"))?,
            object: object.ok_or_else(|| A::Error::missing_field("object"))?,
        })
    }
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
        assert_eq!(object(text.as_bytes(), Extent::Whole).unwrap(), whole);
        let mut used = whole.clone();
        used["metadata"].as_object_mut().unwrap().shift_remove("managedFields");
        assert_eq!(object(text.as_bytes(), Extent::Used).unwrap(), used);
        let line = json!({"type": "ADDED", "more": {}, "object": whole}).to_string();
        let frame = frame(line.as_bytes(), Extent::Used).unwrap();
        assert_eq!((frame.kind.as_str(), &frame.object), ("ADDED", &used));
        // The order of keys decides on the bytes of annotations (DEC-21).
        assert_eq!(frame.object.to_string(), used.to_string());
    }

    #[test]
    fn malformed_objects_are_values_too_and_broken_ones_are_errors() {
        for value in
            [json!(null), json!([1, {}]), json!("x"), json!(-1), json!(1.5), json!({"metadata": [1]})]
        {
            assert_eq!(object(value.to_string().as_bytes(), Extent::Used).unwrap(), value);
        }
        for text in ["", "{", "{} {}", r#"{"a":}"#] {
            assert!(object(text.as_bytes(), Extent::Used).is_err(), "{text}");
        }
        for text in ["[]", "{}", r#"{"type": "ADDED"}"#, r#"{"object": {}}"#, r#"{"type": 1, "object": {}}"#]
        {
            assert!(frame(text.as_bytes(), Extent::Used).is_err(), "{text}");
        }
    }
}
