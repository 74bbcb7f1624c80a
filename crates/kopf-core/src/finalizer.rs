//! The finalizer that keeps an object until its deletion is handled (W-FIN-009). When it is needed, is decided elsewhere.

use serde_json::{Map, Value};

use crate::{
    error::ErrorInfo,
    field::{FieldPath, submap},
    patch::Transform,
};

/// A change of `metadata.finalizers`, as a function of a [`Patch`](crate::patch::Patch): by position in the freshest list, guarded
/// by the resource version, so that finalizers of others are never lost (W-IOP-024).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinalizerChange {
    /// Appends the finalizer, if it is not there.
    Block(String),
    /// Removes all its occurrences; a list that is then empty, as a whole.
    Allow(String),
}

impl Transform for FinalizerChange {
    fn apply(&self, body: &mut Value) -> Result<(), ErrorInfo> {
        match (self, body) {
            (Self::Block(finalizer), Value::Object(body)) => block(body, finalizer),
            (Self::Allow(finalizer), Value::Object(body)) => allow(body, finalizer),
            _ => {}
        }
        Ok(())
    }

    fn is_plugin(&self) -> bool {
        false
    }
}

fn block(body: &mut Map<String, Value>, finalizer: &str) {
    match submap(body, "metadata").entry("finalizers").or_insert(Value::Null) {
        Value::Array(finalizers) if finalizers.iter().any(|known| known == finalizer) => {}
        Value::Array(finalizers) => finalizers.push(finalizer.into()),
        // What is no list is none: there is no other way to hold the object.
        slot => *slot = Value::Array(vec![finalizer.into()]),
    }
}

fn allow(body: &mut Map<String, Value>, finalizer: &str) {
    let Some(Value::Object(metadata)) = body.get_mut("metadata") else { return };
    let Some(Value::Array(finalizers)) = metadata.get_mut("finalizers") else { return };
    finalizers.retain(|known| known != finalizer);
    if finalizers.is_empty() {
        FieldPath::dotted("metadata.finalizers").remove(body);
    }
}
