//! JSON as a built-in type reads and writes it.
//!
//! The real server decodes a request into a Go struct and encodes that again: unknown fields go, empty ones
//! mostly too, some are written though nobody sent them, times and quantities get their usual form.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::{Field, Shape, TypeId};
use crate::machinery::{
    json::{child, sorted},
    normalize,
};

/// What came of decoding a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decoded {
    /// The value, its fields in the order in which the real server writes them.
    pub(crate) value: Value,
    /// The paths of fields that were dropped since the type does not have them, e.g. `spec.replicaz`.
    pub(crate) unknown: Vec<String>,
}

/// Decodes a value of a built-in type. `path` is its own path in what is reported: empty for whole objects.
///
/// `apiVersion` and `kind` of an object stay as they are.
///
/// # Errors
///
/// The text of the first type error, as Go's JSON decoder words it.
pub(crate) fn decode(value: &Value, id: TypeId, path: &str) -> Result<Decoded, String> {
    let mut decoder = Decoder::default();
    let Value::Object(fields) = value else {
        return Err(type_error(value, id.name(), path, &format!("v1.{}", id.name())));
    };
    // Metadata has no such fields; objects do, though the tables do not say so.
    let mut decoded = type_meta(fields, id);
    decoder.decode_fields(fields, id, path, &mut decoded)?;
    decoder.report_unknown(fields, id, path, &["kind", "apiVersion"]);
    if let Some(error) = decoder.error {
        return Err(error.text);
    }
    Ok(Decoded { value: Value::Object(decoded), unknown: decoder.unknown })
}

/// `kind` and `apiVersion`, unless the type has such fields of its own.
fn type_meta(fields: &Map<String, Value>, id: TypeId) -> Map<String, Value> {
    let own = ["kind", "apiVersion"].into_iter().filter(|name| id.field(name).is_none());
    own.filter_map(|name| Some((name.to_owned(), fields.get(name)?.clone()))).collect()
}

#[derive(Default)]
struct Decoder {
    unknown: Vec<String>,
    /// Where in the document the decoder is: the index of a field in each object around.
    place: Vec<usize>,
    error: Option<Fault>,
}

/// An error, ordered by which of several Go tells: what ends the decoding at once, then what comes first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Fault {
    is_mild: bool,
    place: Vec<usize>,
    text: String,
}

impl Decoder {
    fn report_unknown(&mut self, fields: &Map<String, Value>, id: TypeId, path: &str, known: &[&str]) {
        let unknown =
            fields.keys().filter(|name| id.field(name).is_none() && !known.contains(&name.as_str()));
        self.unknown.extend(unknown.map(|name| child(path, name)));
    }

    fn note(&mut self, text: String) {
        // Wrong types are noted by Go, which goes on; what a type says itself ends everything.
        let is_mild = text.starts_with("json: cannot unmarshal");
        let fault = Fault { is_mild, place: self.place.clone(), text };
        if self.error.as_ref().is_none_or(|error| fault < *error) {
            self.error = Some(fault);
        }
    }

    fn decode_object(&mut self, value: &Value, id: TypeId, path: &str, owner: &str) -> Result<Value, String> {
        let Value::Object(fields) = value else {
            return Err(type_error(value, owner, path, &format!("v1.{}", id.name())));
        };
        let is_kind = id.get().is_kind;
        let mut decoded = if is_kind { type_meta(fields, id) } else { Map::new() };
        self.decode_fields(fields, id, path, &mut decoded)?;
        self.report_unknown(fields, id, path, if is_kind { &["kind", "apiVersion"] } else { &[] });
        Ok(Value::Object(decoded))
    }

    fn decode_fields(
        &mut self,
        fields: &Map<String, Value>,
        id: TypeId,
        path: &str,
        decoded: &mut Map<String, Value>,
    ) -> Result<(), String> {
        for field in &id.get().fields {
            if let (Shape::Object(inner), true) = (&field.shape, field.is_inline) {
                self.decode_fields(fields, *inner, path, decoded)?;
                continue;
            }
            let value = fields.get(&field.name).unwrap_or(&Value::Null);
            self.place.push(fields.keys().position(|name| *name == field.name).unwrap_or_default());
            let decoded_value = match value {
                Value::Null => Ok(None),
                value => self.decode_value(value, &field.shape, &child(path, &field.name), id.name()),
            };
            let value = decoded_value.unwrap_or_else(|text| {
                self.note(text);
                None
            });
            self.place.pop();
            let value = value.filter(|value| field.is_pointer || !is_zero(value, field));
            match value {
                Some(value) => {
                    decoded.insert(field.name.clone(), value);
                }
                None if field.is_always_written => {
                    decoded.insert(field.name.clone(), zero(field));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// `None` for what stands for nothing.
    fn decode_value(
        &mut self,
        value: &Value,
        shape: &Shape,
        path: &str,
        owner: &str,
    ) -> Result<Option<Value>, String> {
        let wrong = || Err(type_error(value, owner, path, &go_type(shape)));
        let decoded = match (shape, value) {
            (Shape::Text, Value::String(_)) | (Shape::Flag, Value::Bool(_)) => value.clone(),
            (Shape::Int32, Value::Number(number)) => match number.as_i64() {
                Some(number) if i32::try_from(number).is_ok() => value.clone(),
                _ => return Err(number_error(number, owner, path, "int32")),
            },
            (Shape::Int64, Value::Number(number)) => match number.as_i64() {
                Some(_) => value.clone(),
                None => return Err(number_error(number, owner, path, "int64")),
            },
            (Shape::Double, Value::Number(_)) => value.clone(),
            (Shape::Bytes, Value::String(text)) => match STANDARD.decode(text) {
                Ok(_) => value.clone(),
                Err(error) => return Err(illegal_base64(text, &error)),
            },
            (Shape::Bytes, Value::Array(items)) if items.first().is_some_and(|item| !item.is_number()) => {
                return Err(type_error(&items[0], owner, path, "uint8"));
            }
            (Shape::Time | Shape::MicroTime, Value::String(text)) if text.is_empty() => return Ok(None),
            (Shape::Time, Value::String(text)) => normalize::time(text)?.into(),
            (Shape::MicroTime, Value::String(text)) => normalize::micro_time(text)?.into(),
            (Shape::Quantity, Value::String(text)) => normalize::quantity(text)?.into(),
            (Shape::Quantity, Value::Number(number)) => normalize::quantity(&number.to_string())?.into(),
            (Shape::IntOrString, Value::String(_)) => value.clone(),
            (Shape::IntOrString, Value::Number(number)) => match number.as_i64().map(i32::try_from) {
                Some(Ok(_)) => value.clone(),
                _ => return Err(number_error(number, owner, path, "int32")),
            },
            (Shape::Raw | Shape::FieldsV1 | Shape::Any, value) => value.clone(),
            (Shape::Items, Value::Array(_)) => {
                let texts = Shape::List(Box::new(Shape::Text));
                return self.decode_value(value, &texts, path, owner);
            }
            (Shape::Object(id), value) => self.decode_object(value, *id, path, owner)?,
            (Shape::List(item), Value::Array(items)) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, value) in items.iter().enumerate() {
                    list.push(self.decode_element(value, item, &format!("{path}[{index}]"), owner)?);
                }
                Value::Array(list)
            }
            (Shape::Map(item), Value::Object(entries)) => {
                let mut map = Map::new();
                for (name, value) in sorted(entries) {
                    // Go names the keys of maps only where it goes on inside.
                    let path =
                        if matches!(**item, Shape::Object(_)) { child(path, name) } else { path.to_owned() };
                    self.place.push(entries.keys().position(|key| key == name).unwrap_or_default());
                    match self.decode_element(value, item, &path, owner) {
                        Ok(value) => drop(map.insert(name.clone(), value)),
                        Err(text) => self.note(text),
                    }
                    self.place.pop();
                }
                Value::Object(map)
            }
            _ => return wrong(),
        };
        Ok(Some(decoded))
    }

    /// Elements of lists and maps are there even when empty.
    fn decode_element(
        &mut self,
        value: &Value,
        shape: &Shape,
        path: &str,
        owner: &str,
    ) -> Result<Value, String> {
        let decoded = match value {
            Value::Null => None,
            value => self.decode_value(value, shape, path, owner)?,
        };
        Ok(decoded.unwrap_or_else(|| zero_of(shape)))
    }
}

/// Whether a value is what Go leaves out as empty (or writes as its zero).
fn is_zero(value: &Value, field: &Field) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        // An empty list that is always written stays one, instead of becoming null.
        Value::Array(items) => items.is_empty() && !field.is_always_written,
        Value::Object(fields) => match field.shape {
            Shape::Map(_) => fields.is_empty() && !field.is_always_written,
            Shape::Object(_) => fields.is_empty(),
            _ => false,
        },
    }
}

fn zero(field: &Field) -> Value {
    if field.is_pointer { Value::Null } else { zero_of(&field.shape) }
}

fn zero_of(shape: &Shape) -> Value {
    match shape {
        Shape::Text => "".into(),
        Shape::Flag => false.into(),
        Shape::Int32 | Shape::Int64 | Shape::Double | Shape::IntOrString => 0.into(),
        Shape::Quantity => "0".into(),
        Shape::Object(id) => {
            let mut fields = Map::new();
            write_zeros(*id, &mut fields);
            Value::Object(fields)
        }
        Shape::Bytes
        | Shape::Time
        | Shape::MicroTime
        | Shape::Raw
        | Shape::FieldsV1
        | Shape::Any
        | Shape::Items
        | Shape::List(_)
        | Shape::Map(_) => Value::Null,
    }
}

fn write_zeros(id: TypeId, fields: &mut Map<String, Value>) {
    for field in &id.get().fields {
        match (&field.shape, field.is_inline) {
            (Shape::Object(inner), true) => write_zeros(*inner, fields),
            _ if field.is_always_written => {
                fields.insert(field.name.clone(), zero(field));
            }
            _ => {}
        }
    }
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn go_type(shape: &Shape) -> String {
    match shape {
        Shape::Text | Shape::Quantity => "string".to_owned(),
        // What is no text is read as a number.
        Shape::IntOrString => "int32".to_owned(),
        Shape::Flag => "bool".to_owned(),
        Shape::Int32 => "int32".to_owned(),
        Shape::Int64 => "int64".to_owned(),
        Shape::Double => "float64".to_owned(),
        Shape::Bytes => "[]uint8".to_owned(),
        Shape::Time | Shape::MicroTime => "string".to_owned(),
        Shape::Raw | Shape::FieldsV1 | Shape::Any => "interface {}".to_owned(),
        Shape::Items => "v1.ExtraValue".to_owned(),
        Shape::Object(id) => format!("v1.{}", id.name()),
        Shape::List(item) => format!("[]{}", go_type(item)),
        Shape::Map(item) => format!("map[string]{}", go_type(item)),
    }
}

fn type_error(value: &Value, owner: &str, path: &str, expected: &str) -> String {
    field_error(go_kind(value), owner, path, expected)
}

fn number_error(number: &serde_json::Number, owner: &str, path: &str, expected: &str) -> String {
    field_error(&format!("number {number}"), owner, path, expected)
}

fn field_error(found: &str, owner: &str, path: &str, expected: &str) -> String {
    match path {
        "" => format!("json: cannot unmarshal {found} into Go value of type {expected}"),
        // Indices are not part of what Go reports.
        _ => {
            let path: String = path
                .split('.')
                .map(|part| part.split('[').next().unwrap_or(part))
                .collect::<Vec<_>>()
                .join(".");
            format!("json: cannot unmarshal {found} into Go struct field {owner}.{path} of type {expected}")
        }
    }
}

fn illegal_base64(text: &str, error: &base64::DecodeError) -> String {
    let position = match error {
        base64::DecodeError::InvalidByte(position, _)
        | base64::DecodeError::InvalidLastSymbol { offset: position, .. } => *position,
        // Go tells where the last group begins.
        _ => text.len() - text.len() % 4,
    };
    format!("illegal base64 data at input byte {position}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machinery::{testing, types};
    use serde_json::json;

    fn decoded(group: &str, kind: &str, value: Value) -> Decoded {
        decode(&value, types::of_kind(group, "v1", kind).unwrap(), "").unwrap()
    }

    /// D-067, D-068.
    #[test]
    fn an_object_is_written_as_its_type_writes_it() {
        let Decoded { value, unknown } = decoded(
            "apps",
            "Deployment",
            json!({
                "spec": {"replicas": 0, "paused": false, "nope": 1, "template": {"spec": {"containers": [
                    {"image": "i", "name": "c", "resources": {"limits": {"cpu": "0.5", "memory": "1024Mi"}}, "odd": 1},
                ]}}},
                "metadata": {"name": "d", "creationTimestamp": null}, "kind": "Deployment", "apiVersion": "apps/v1",
            }),
        );
        assert_eq!(
            value.to_string(),
            json!({
                "kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "d"},
                "spec": {
                    "replicas": 0, "selector": null,
                    "template": {"metadata": {}, "spec": {"containers": [
                        {"name": "c", "image": "i", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}},
                    ]}},
                    "strategy": {},
                },
                "status": {},
            })
            .to_string()
        );
        assert_eq!(unknown, ["spec.template.spec.containers[0].odd", "spec.nope"]);
    }

    #[test]
    fn every_field_of_the_wrong_type_is_an_error_in_the_words_of_go() {
        let check = |group: &str, kind: &str, value: Value, expected: &str| {
            let id = types::of_kind(group, "v1", kind).unwrap();
            assert_eq!(decode(&value, id, "").unwrap_err(), expected);
        };
        check(
            "apps",
            "Deployment",
            json!({"spec": {"replicas": "3"}}),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        );
        check(
            "",
            "ConfigMap",
            json!({"data": {"k": 1}}),
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        );
        check(
            "apps",
            "Deployment",
            json!({"spec": {"replicas": 1.5}}),
            "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        );
        check("", "Secret", json!({"data": {"k": "no!"}}), "illegal base64 data at input byte 2");

        check("", "Secret", json!({"data": {"k": "x"}}), "illegal base64 data at input byte 0");
        // Of several errors, what ends the decoding at once is told, then what comes first.
        check(
            "",
            "Secret",
            json!({"metadata": {"labels": {"l": 1}}, "type": 1, "data": {"k": "x"}}),
            "illegal base64 data at input byte 0",
        );
        check(
            "",
            "Secret",
            json!({"type": 1, "metadata": {"labels": {"l": 1}}}),
            "json: cannot unmarshal number into Go struct field Secret.type of type string",
        );
        check("", "Pod", json!([]), "json: cannot unmarshal array into Go value of type v1.Pod");
    }

    #[test]
    fn times_and_maps_get_their_usual_form() {
        let lease = decoded(
            "coordination.k8s.io",
            "Lease",
            json!({"spec": {
                "renewTime": "2020-01-01T01:00:00.500000+01:00", "acquireTime": "",
            }}),
        );
        assert_eq!(lease.value["spec"], json!({"renewTime": "2020-01-01T00:00:00.500000Z"}));
        let map = decoded("", "ConfigMap", json!({"data": {"b": "1", "a": null}, "immutable": false}));
        assert_eq!(map.value.to_string(), r#"{"metadata":{},"immutable":false,"data":{"a":"","b":"1"}}"#);
    }

    /// What the real server has written comes out as it is: no field is lost, moved or added.
    #[test]
    fn the_objects_in_the_real_answers_survive_decoding() {
        let answers = testing::contract_json("golden/apiserver-1.37.2.json").to_string();
        let answers: Value =
            serde_json::from_str(&answers.replace("\"<time>\"", "\"2020-01-01T00:00:00.000000Z\"")).unwrap();
        let mut objects = Vec::new();
        collect_objects(&answers, &mut objects);
        let mut kinds = std::collections::BTreeSet::new();
        for object in objects {
            let api_version = object["apiVersion"].as_str().unwrap_or_default();
            let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
            let Some(id) = types::of_kind(group, version, object["kind"].as_str().unwrap_or_default()) else {
                continue;
            };
            let decoded = decode(object, id, "").unwrap();
            // Micro times are masked like other times.
            let text = |value: &Value| value.to_string().replace("00:00.000000Z", "00:00Z");
            assert_eq!(text(&decoded.value), text(object));
            assert_eq!(decoded.unknown, Vec::<String>::new());
            kinds.insert(object["kind"].as_str().unwrap());
        }
        assert!(kinds.len() >= 10, "{kinds:?}");
    }

    fn collect_objects<'a>(value: &'a Value, objects: &mut Vec<&'a Value>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| collect_objects(item, objects)),
            Value::Object(fields) => {
                if fields.contains_key("kind")
                    && fields.contains_key("apiVersion")
                    && fields.contains_key("metadata")
                {
                    objects.push(value);
                }
                fields.values().for_each(|field| collect_objects(field, objects));
            }
            _ => {}
        }
    }
}
