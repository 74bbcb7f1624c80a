//! Storages in annotations: the usual place.

use std::fmt::Display;

use serde_json::{Map, Value};

use crate::{
    error::ErrorInfo,
    essence,
    field::{FieldPath, submap},
    handler::HandlerId,
    json,
    key::Prefix,
    object::Object,
    patch::Patch,
    storage::{DiffBaseStorage, ProgressStorage, RawRecord},
};

/// The name of the annotation that holds the essence of the running cycle (DEC-2).
const CYCLE_KEY: &str = "cycle-configuration";

/// Keeps each progress record as JSON in an annotation of its own (W-PRG-001).
#[derive(Clone, Debug)]
pub struct AnnotationsProgressStorage {
    /// The prefix of the annotations.
    pub prefix: Prefix,
    /// Writes nulls too.
    pub verbose: bool,
    /// The name of the touch.
    pub touch_key: String,
    /// Writes and reads also under the keys of the first generation.
    pub v1: bool,
}

/// Keeps the essence as JSON in an annotation (W-DIF-001).
#[derive(Clone, Debug)]
pub struct AnnotationsDiffBaseStorage {
    /// The prefix of the annotation.
    pub prefix: Prefix,
    /// Its name.
    pub key: String,
    /// What is not handled.
    pub ignored_fields: Vec<FieldPath>,
    /// Writes and reads also under the key of the first generation.
    pub v1: bool,
}

impl Default for AnnotationsProgressStorage {
    fn default() -> Self {
        Self { prefix: Prefix::default(), verbose: false, touch_key: "touch-dummy".into(), v1: true }
    }
}

impl ProgressStorage for AnnotationsProgressStorage {
    fn fetch(&self, id: &HandlerId, object: &Object) -> Result<Option<RawRecord>, ErrorInfo> {
        let Some((key, value)) = fetch(&self.keys(id.as_str(), object), object)? else { return Ok(None) };
        match value {
            Value::Object(record) => Ok(Some(record)),
            other => Err(broken(
                &key,
                object,
                format!("expected a progress record, not {}", json::compact(&other)),
            )),
        }
    }

    fn store(
        &self,
        id: &HandlerId,
        record: &RawRecord,
        object: &Object,
        patch: &mut Patch,
    ) -> Result<(), ErrorInfo> {
        let text = json::compact_map(&self.kept(record));
        store(&self.prefix, &self.keys(id.as_str(), object), &text, object, patch);
        Ok(())
    }

    fn purge(&self, id: &HandlerId, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        purge(&self.keys(id.as_str(), object), object, patch);
        Ok(())
    }

    fn touch(&self, object: &Object, patch: &mut Patch, value: Option<&str>) -> Result<(), ErrorInfo> {
        let keys = self.keys(&self.touch_key, object);
        let differs = |key: &String| annotation(key, object).and_then(Value::as_str) != value;
        for key in keys.into_iter().filter(differs) {
            set(&self.prefix, key, value.into(), object, patch);
        }
        Ok(())
    }

    fn clear(&self, essence: Value) -> Result<Value, ErrorInfo> {
        let Value::Object(mut essence) = essence else { return Ok(essence) };
        essence::drop_annotations(&mut essence, |key| self.prefix.covers(key));
        essence::drop_empty_stanzas(&mut essence);
        Ok(essence.into())
    }

    fn kept(&self, record: &RawRecord) -> RawRecord {
        if self.verbose { record.clone() } else { super::without_nulls(record) }
    }

    fn fetch_cycle(&self, object: &Object) -> Result<Option<Value>, ErrorInfo> {
        Ok(fetch(&self.keys(CYCLE_KEY, object), object)?.map(|(_, essence)| essence))
    }

    fn store_cycle(&self, essence: &Value, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        let text = essence_text(essence);
        store(&self.prefix, &self.keys(CYCLE_KEY, object), &text, object, patch);
        Ok(())
    }

    fn purge_cycle(&self, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        purge(&self.keys(CYCLE_KEY, object), object, patch);
        Ok(())
    }

    fn is_plugin(&self) -> bool {
        false
    }
}

impl AnnotationsProgressStorage {
    fn keys(&self, id: &str, object: &Object) -> Vec<String> {
        self.prefix.keys(id, self.v1, object)
    }
}

impl Default for AnnotationsDiffBaseStorage {
    fn default() -> Self {
        Self {
            prefix: Prefix::default(),
            key: "last-handled-configuration".into(),
            ignored_fields: Vec::new(),
            v1: true,
        }
    }
}

impl DiffBaseStorage for AnnotationsDiffBaseStorage {
    fn build(&self, object: &Object, extra_fields: &[FieldPath]) -> Result<Value, ErrorInfo> {
        let mut essence = essence::build(object, extra_fields);
        let own_keys = self.keys(object);
        essence::drop_annotations(&mut essence, |key| own_keys.iter().any(|own| own == key));
        essence::drop_empty_stanzas(&mut essence);
        essence::drop_fields(&mut essence, &self.ignored_fields);
        Ok(essence.into())
    }

    fn fetch(&self, object: &Object) -> Result<Option<Value>, ErrorInfo> {
        Ok(fetch(&self.keys(object), object)?.map(|(_, essence)| essence))
    }

    fn store(&self, essence: &Value, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        store(&self.prefix, &self.keys(object), &essence_text(essence), object, patch);
        Ok(())
    }

    fn is_plugin(&self) -> bool {
        false
    }
}

impl AnnotationsDiffBaseStorage {
    fn keys(&self, object: &Object) -> Vec<String> {
        self.prefix.keys(&self.key, self.v1, object)
    }
}

/// The trailing newline is upstream's, and part of the format.
fn essence_text(essence: &Value) -> String {
    json::compact(essence) + "\n"
}

/// The first of the keys that is there and holds more than a JSON null, with what it holds (W-KEY-017).
fn fetch(keys: &[String], object: &Object) -> Result<Option<(String, Value)>, ErrorInfo> {
    for key in keys {
        let Some(value) = annotation(key, object).filter(|value| !value.is_null()) else { continue };
        let text = value.as_str().ok_or_else(|| broken(key, object, "expected text with JSON"))?;
        let decoded: Value = serde_json::from_str(text).map_err(|error| broken(key, object, error))?;
        if !decoded.is_null() {
            return Ok(Some((key.clone(), decoded)));
        }
    }
    Ok(None)
}

fn store(prefix: &Prefix, keys: &[String], text: &str, object: &Object, patch: &mut Patch) {
    for key in keys {
        set(prefix, key.clone(), text.into(), object, patch);
    }
}

fn set(prefix: &Prefix, key: String, value: Value, object: &Object, patch: &mut Patch) {
    let annotations = patched_annotations(patch);
    annotations.insert(key, value);
    prefix.mark(object, annotations);
}

fn purge(keys: &[String], object: &Object, patch: &mut Patch) {
    for key in keys {
        if annotation(key, object).is_some() {
            patched_annotations(patch).insert(key.clone(), Value::Null);
        } else {
            FieldPath(vec!["metadata".into(), "annotations".into(), key.clone()]).remove(&mut patch.merge);
        }
    }
}

fn patched_annotations(patch: &mut Patch) -> &mut Map<String, Value> {
    submap(submap(&mut patch.merge, "metadata"), "annotations")
}

fn annotation<'a>(key: &str, object: &'a Object) -> Option<&'a Value> {
    object.annotations()?.get(key)
}

fn broken(key: &str, object: &Object, problem: impl Display) -> ErrorInfo {
    ErrorInfo::new(format!(
        "annotation {key:?} of {object:?} cannot be read: {problem}; remove it to have the object handled anew"
    ))
}
