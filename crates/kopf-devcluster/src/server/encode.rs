//! Objects to bytes, in the order of keys that a real server prints.
//!
//! Custom resources have their keys sorted. Built-in types begin with kind and apiVersion, and their metadata follows
//! the order of Go's struct; everything else is sorted, which is Go's order wherever it prints a map (DEC-21).

use bytes::{Bytes, BytesMut};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::{Map, Value};

use crate::store::{Change, ChangeKind, Object};
use crate::types::registry::Served;
use crate::types::{Shape, View};

/// Metadata in the order of Go's struct.
const METADATA: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];
/// An entry of managed fields in the order of Go's struct.
const MANAGED_FIELDS: &[&str] =
    &["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"];

/// A stored object as `served` shows it.
pub(crate) fn seen(served: &Served, value: &Value) -> Value {
    let version = served.version();
    match version.view.shape {
        Shape::BuiltIn => with_type(value, &version.api_version, &served.resource.kind),
        Shape::EventsV1 => crate::events::to_events_v1(value),
        Shape::Custom => {
            let mut value = with_type(value, &version.api_version, &served.resource.kind);
            if let Some(definition) = &version.definition {
                definition.present(&mut value);
            }
            value
        }
    }
}

fn with_type(value: &Value, api_version: &str, kind: &str) -> Value {
    let mut value = value.clone();
    value["apiVersion"] = api_version.into();
    value["kind"] = kind.into();
    value
}

/// The bytes of a stored object as `served` shows it, made once per version and view.
pub(crate) fn object(served: &Served, object: &Object) -> Bytes {
    let view = served.version().view;
    object.encoded(view.id, |value| to_bytes(view, &seen(served, value)))
}

/// The bytes of a value in the order of its view.
pub(crate) fn to_bytes(view: View, value: &Value) -> Bytes {
    match view.shape {
        Shape::BuiltIn | Shape::EventsV1 => json(&Struct(value)),
        Shape::Custom => json(&Sorted(value)),
    }
}

/// The line of a change in a watch, made once per change, type and view.
pub(crate) fn line(served: &Served, change: &Change, kind: ChangeKind) -> Bytes {
    let view = served.version().view;
    let leaves = kind == ChangeKind::Deleted && change.kind != ChangeKind::Deleted;
    change.line(view.id, kind, || {
        let shown = if leaves { change.departed() } else { &change.object };
        event_line(name_of(kind), &object(served, shown))
    })
}

/// One line of a watch stream.
pub(crate) fn event_line(event_type: &str, object: &[u8]) -> Bytes {
    let mut line = BytesMut::with_capacity(object.len() + event_type.len() + 24);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(event_type.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    line.freeze()
}

pub(crate) fn name_of(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "ADDED",
        ChangeKind::Modified => "MODIFIED",
        ChangeKind::Deleted => "DELETED",
    }
}

/// A list of encoded items. Items of built-in types do not say their kind (D-170).
pub(crate) fn list(served: &Served, metadata: &Map<String, Value>, items: &[Bytes]) -> Bytes {
    let (resource, version) = (&served.resource, served.version());
    let custom = version.view.shape == Shape::Custom;
    let total: usize = items.iter().map(Bytes::len).sum();
    let mut out = Vec::with_capacity(total + items.len() + 256);
    let metadata = json(&Value::Object(metadata.clone()));
    let (kind, api_version) =
        (Value::from(resource.list_kind.as_str()), Value::from(version.api_version.as_str()));
    if custom {
        out.extend_from_slice(format!("{{\"apiVersion\":{api_version},\"items\":[").as_bytes());
    } else {
        out.extend_from_slice(
            format!("{{\"kind\":{kind},\"apiVersion\":{api_version},\"metadata\":").as_bytes(),
        );
        out.extend_from_slice(&metadata);
        out.extend_from_slice(b",\"items\":[");
    }
    let untyped = if custom { 0 } else { type_prefix(served).len() };
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if untyped > 0 {
            out.push(b'{');
        }
        out.extend_from_slice(&item[untyped..]);
    }
    out.push(b']');
    if custom {
        out.extend_from_slice(format!(",\"kind\":{kind},\"metadata\":").as_bytes());
        out.extend_from_slice(&metadata);
    }
    out.push(b'}');
    out.into()
}

/// How every encoded object of a built-in type begins.
fn type_prefix(served: &Served) -> String {
    let (kind, api_version) = (&served.resource.kind, &served.version().api_version);
    format!("{{\"kind\":{},\"apiVersion\":{},", Value::from(kind.as_str()), Value::from(api_version.as_str()))
}

/// Any value as JSON bytes.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Bytes {
    // Values have text keys and no failing parts, and memory takes all writes.
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// Serializes with all keys sorted.
pub(crate) struct Sorted<'a>(pub(crate) &'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => {
                let mut keys: Vec<&String> = fields.keys().collect();
                keys.sort_unstable();
                let mut map = serializer.serialize_map(Some(keys.len()))?;
                for key in keys {
                    map.serialize_entry(key, &Sorted(&fields[key]))?;
                }
                map.end()
            }
            Value::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(&Sorted(item))?;
                }
                seq.end()
            }
            scalar => match scalar.as_f64().filter(|number| scalar.is_f64() && number.fract() == 0.0) {
                // Go prints no point.
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "it has no fraction, and is small enough"
                )]
                Some(number) if number.abs() < 1e21 => serializer.serialize_i128(number as i128),
                _ => scalar.serialize(serializer),
            },
        }
    }
}

/// Serializes an object of a built-in type.
struct Struct<'a>(&'a Value);

impl Serialize for Struct<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Object(fields) = self.0 else { return Sorted(self.0).serialize(serializer) };
        in_order(fields, &["kind", "apiVersion", "metadata"], serializer, |map, key, value| match key {
            "metadata" => map.serialize_entry(key, &Metadata(value)),
            _ => map.serialize_entry(key, &Sorted(value)),
        })
    }
}

struct Metadata<'a>(&'a Value);

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Object(fields) = self.0 else { return Sorted(self.0).serialize(serializer) };
        in_order(fields, METADATA, serializer, |map, key, value| match (key, value) {
            ("managedFields", Value::Array(entries)) => {
                map.serialize_entry(key, &entries.iter().map(ManagedFields).collect::<Vec<_>>())
            }
            _ => map.serialize_entry(key, &Sorted(value)),
        })
    }
}

struct ManagedFields<'a>(&'a Value);

impl Serialize for ManagedFields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Value::Object(fields) = self.0 else { return Sorted(self.0).serialize(serializer) };
        in_order(fields, MANAGED_FIELDS, serializer, |map, key, value| {
            map.serialize_entry(key, &Sorted(value))
        })
    }
}

/// The fields named in `first` in that order, then the others sorted.
fn in_order<S: Serializer>(
    fields: &Map<String, Value>,
    first: &[&str],
    serializer: S,
    mut entry: impl FnMut(&mut S::SerializeMap, &str, &Value) -> Result<(), S::Error>,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(fields.len()))?;
    for key in first {
        if let Some(value) = fields.get(*key) {
            entry(&mut map, key, value)?;
        }
    }
    let mut others: Vec<&String> = fields.keys().filter(|key| !first.contains(&key.as_str())).collect();
    others.sort_unstable();
    for key in others {
        entry(&mut map, key, &fields[key])?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// DEC-21.
    /// DEC-21.
    #[test]
    fn whole_numbers_have_no_point() {
        let value = serde_json::json!({"a": [1.0, 1.5, 1e20, 1e22, -2.0], "b": 3});
        let text = r#"{"a":[1,1.5,100000000000000000000,1e+22,-2],"b":3}"#;
        assert_eq!(json(&Sorted(&value)), text.as_bytes());
    }

    #[test]
    fn built_in_types_begin_with_kind_and_print_metadata_in_gos_order() {
        let value = json!({
            "status": {}, "apiVersion": "v1", "metadata": {"uid": "u", "labels": {"b": "", "a": ""}, "name": "n"},
            "kind": "Pod", "spec": {"b": 1, "a": 2},
        });
        let text = String::from_utf8(json(&Struct(&value)).to_vec()).unwrap();
        let expected = "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"n\",\"uid\":\"u\",\
                        \"labels\":{\"a\":\"\",\"b\":\"\"}},\"spec\":{\"a\":2,\"b\":1},\"status\":{}}";
        assert_eq!(text, expected);
    }
}
