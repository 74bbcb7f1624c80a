//! Storages in the status: for operators that want no annotations, and for what very old versions have left there.

use serde_json::Value;

use crate::{
    error::ErrorInfo,
    essence,
    field::FieldPath,
    handler::HandlerId,
    json,
    object::Object,
    patch::Patch,
    storage::{DiffBaseStorage, ProgressStorage, RawRecord},
};

/// The name, beside the ids of handlers, under which the essence of the running cycle is kept (DEC-2). No handler may have
/// it as its id, as it may have none of the names that annotations are reserved for.
const CYCLE_KEY: &str = "cycle-configuration";

/// Keeps progress records as mappings in a field of the status (W-PRG-002).
#[derive(Clone, Debug)]
pub struct StatusProgressStorage {
    /// Where the records are, by handler ids.
    pub field: FieldPath,
    /// Where the touch is.
    pub touch_field: FieldPath,
}

/// Keeps the essence as JSON text in a field of the status (W-DIF-002).
#[derive(Clone, Debug)]
pub struct StatusDiffBaseStorage {
    /// Where it is.
    pub field: FieldPath,
    /// What is not handled.
    pub ignored_fields: Vec<FieldPath>,
}

/// A dotted path in which `{name}` stands for the operator's name: `status.{name}.progress` (A-PUB-088).
#[must_use]
pub fn named_field(template: &str, name: &str) -> FieldPath {
    FieldPath::dotted(&template.replace("{name}", name))
}

impl StatusProgressStorage {
    /// The default fields of the operator's name: `status.{name}.progress`, `status.{name}.dummy`.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            field: named_field("status.{name}.progress", name),
            touch_field: named_field("status.{name}.dummy", name),
        }
    }

    fn cycle_field(&self) -> FieldPath {
        self.field.child(CYCLE_KEY)
    }
}

impl Default for StatusProgressStorage {
    fn default() -> Self {
        Self::named("kopf")
    }
}

impl ProgressStorage for StatusProgressStorage {
    fn fetch(&self, id: &HandlerId, object: &Object) -> Result<Option<RawRecord>, ErrorInfo> {
        let field = self.field.child(id.as_str());
        match field.resolve(object.body()) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(record)) => Ok(Some(record.clone())),
            Some(other) => Err(broken(
                &field,
                object,
                &format!("expected a progress record, not {}", json::compact(other)),
            )),
        }
    }

    fn store(
        &self,
        id: &HandlerId,
        record: &RawRecord,
        _: &Object,
        patch: &mut Patch,
    ) -> Result<(), ErrorInfo> {
        // With nulls: in a merge patch they remove what an earlier attempt has left.
        self.field.child(id.as_str()).set(&mut patch.merge, record.clone().into());
        Ok(())
    }

    fn purge(&self, id: &HandlerId, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        purge(&self.field.child(id.as_str()), object, patch);
        Ok(())
    }

    fn touch(&self, object: &Object, patch: &mut Patch, value: Option<&str>) -> Result<(), ErrorInfo> {
        if self.touch_field.resolve(object.body()).and_then(Value::as_str) != value {
            self.touch_field.set(&mut patch.merge, value.into());
        }
        Ok(())
    }

    fn clear(&self, essence: Value) -> Result<Value, ErrorInfo> {
        let Value::Object(mut essence) = essence else { return Ok(essence) };
        self.field.remove(&mut essence);
        essence::drop_empty_stanzas(&mut essence);
        Ok(essence.into())
    }

    fn fetch_cycle(&self, object: &Object) -> Result<Option<Value>, ErrorInfo> {
        fetch_text(&self.cycle_field(), object)
    }

    fn store_cycle(&self, essence: &Value, _: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        self.cycle_field().set(&mut patch.merge, json::compact(essence).into());
        Ok(())
    }

    fn purge_cycle(&self, object: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        purge(&self.cycle_field(), object, patch);
        Ok(())
    }

    fn is_plugin(&self) -> bool {
        false
    }
}

impl StatusDiffBaseStorage {
    /// The default field of the operator's name: `status.{name}.last-handled-configuration`.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            field: named_field("status.{name}.last-handled-configuration", name),
            ignored_fields: Vec::new(),
        }
    }
}

impl Default for StatusDiffBaseStorage {
    fn default() -> Self {
        Self::named("kopf")
    }
}

impl DiffBaseStorage for StatusDiffBaseStorage {
    fn build(&self, object: &Object, extra_fields: &[FieldPath]) -> Result<Value, ErrorInfo> {
        let mut essence = essence::build(object, extra_fields);
        self.field.remove(&mut essence);
        essence::drop_empty_stanzas(&mut essence);
        essence::drop_fields(&mut essence, &self.ignored_fields);
        Ok(essence.into())
    }

    fn fetch(&self, object: &Object) -> Result<Option<Value>, ErrorInfo> {
        fetch_text(&self.field, object)
    }

    fn store(&self, essence: &Value, _: &Object, patch: &mut Patch) -> Result<(), ErrorInfo> {
        self.field.set(&mut patch.merge, json::compact(essence).into());
        Ok(())
    }

    fn is_plugin(&self) -> bool {
        false
    }
}

fn fetch_text(field: &FieldPath, object: &Object) -> Result<Option<Value>, ErrorInfo> {
    let Some(value) = field.resolve(object.body()).filter(|value| !value.is_null()) else { return Ok(None) };
    let text = value.as_str().ok_or_else(|| broken(field, object, "expected text with JSON"))?;
    let decoded: Value =
        serde_json::from_str(text).map_err(|error| broken(field, object, &error.to_string()))?;
    Ok(Some(decoded).filter(|value| !value.is_null()))
}

fn purge(field: &FieldPath, object: &Object, patch: &mut Patch) {
    if field.resolve(object.body()).is_some() {
        field.set(&mut patch.merge, Value::Null);
    } else {
        field.remove(&mut patch.merge);
    }
}

fn broken(field: &FieldPath, object: &Object, problem: &str) -> ErrorInfo {
    ErrorInfo::new(format!(
        "field {field} of {object:?} cannot be read: {problem}; remove it to have the object handled anew"
    ))
}
