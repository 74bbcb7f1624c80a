//! Removing of fields from an object.

use serde_json::{Map, Value};

use super::{
    path::Step,
    set::Set,
    view::{Kind, View},
};

/// The object without the fields and items of a set. Atomic parts below the paths go as a whole.
pub(super) fn remove(value: &Value, removed: &Set, view: View<'_>) -> Value {
    match (view.kind(Some(value)), value) {
        (Kind::Map { is_atomic: false }, Value::Object(fields)) => {
            let mut kept = Map::new();
            for (name, field) in fields {
                let step = Step::Field(name.clone());
                if removed.has(&step) {
                    continue;
                }
                let field = match removed.below(&step) {
                    Some(removed) => remove(field, removed, view.field(name).0),
                    None => field.clone(),
                };
                kept.insert(name.clone(), field);
            }
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        (Kind::KeyedList, Value::Array(items)) => {
            let mut kept = Vec::with_capacity(items.len());
            for item in items {
                let step = view.step(item).ok();
                if step.as_ref().is_some_and(|step| removed.has(step)) {
                    continue;
                }
                kept.push(match step.and_then(|step| removed.below(&step)) {
                    Some(removed) => remove(item, removed, view.item()),
                    None => item.clone(),
                });
            }
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        (Kind::Scalar, _) => value.clone(),
        (Kind::AtomicList | Kind::KeyedList | Kind::Map { .. }, _) => Value::Null,
    }
}
