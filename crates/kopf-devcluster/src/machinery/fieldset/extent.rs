//! The field set of a value: what someone who applies it owns.

use serde_json::Value;

use super::{
    path::Step,
    set::Set,
    view::{Kind, View},
};

/// All fields of a value: its leaves, the items of keyed lists, the entries of maps.
///
/// Structs on the way are not in the set, unless they are empty.
pub(super) fn of(value: &Value, view: View<'_>) -> Set {
    let mut set = Set::default();
    collect(value, view, &mut Vec::new(), &mut set);
    set
}

fn collect(value: &Value, view: View<'_>, path: &mut Vec<Step>, set: &mut Set) {
    match (view.kind(Some(value)), value) {
        (Kind::Scalar | Kind::AtomicList | Kind::Map { is_atomic: true }, _) => set.insert(path),
        (Kind::Map { is_atomic: false }, Value::Object(fields)) => {
            for (name, field) in fields {
                let (inner, is_named) = view.field(name);
                path.push(Step::Field(name.clone()));
                collect(field, inner, path, set);
                let is_empty = field.is_null() || field.as_object().is_some_and(serde_json::Map::is_empty);
                if is_empty || !is_named {
                    set.insert(path);
                }
                path.pop();
            }
        }
        (Kind::KeyedList, Value::Array(items)) => {
            for item in items {
                let Ok(step) = view.step(item) else { continue };
                path.push(step);
                collect(item, view.item(), path, set);
                set.insert(path);
                path.pop();
            }
        }
        (Kind::Map { is_atomic: false } | Kind::KeyedList, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machinery::schema::Schema;
    use serde_json::json;

    /// D-159: entries of maps are owned, fields of structs only through what is in them.
    #[test]
    fn entries_belong_to_the_extent_and_structs_do_not() {
        let schema = Schema::parse(
            &json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
                "struct": {"type": "object", "properties": {"x": {"type": "string"}}},
                "map": {"type": "object", "additionalProperties": {
                    "type": "object", "properties": {"x": {"type": "string"}},
                }},
            }}}}),
        );
        let inner = json!({"x": "1"});
        let set =
            of(&json!({"spec": {"struct": inner, "map": {"k": inner, "e": {}}}}), View::Custom(&schema));
        assert_eq!(set.paths(), [".spec.map.e", ".spec.map.k", ".spec.map.k.x", ".spec.struct.x"]);
        assert_eq!(of(&json!({"spec": {"struct": {}}}), View::Custom(&schema)).paths(), [".spec.struct"]);
    }
}
