//! Dropping of fields that a schema does not name (D-076), and telling which (D-131).

use serde_json::Value;

use super::structural::{Additional, Schema, is_type_or_object_meta};
use crate::machinery::json::child;

/// Drops the unknown fields of a whole object and gives their paths, sorted.
///
/// Unknown fields inside `metadata` are another matter: see [`super::embedded::coerce`].
pub(crate) fn prune(object: &mut Value, schema: &Schema) -> Vec<String> {
    let mut pruning = Pruning { unknown: Vec::new() };
    pruning.prune(object, Some(&schema.as_resource_root()), "");
    pruning.unknown.sort_unstable();
    pruning.unknown
}

/// As [`prune`] for a value inside an object, such as a default.
pub(crate) fn prune_value(value: &mut Value, schema: &Schema) -> Vec<String> {
    let mut pruning = Pruning { unknown: Vec::new() };
    pruning.prune(value, Some(schema), "");
    pruning.unknown
}

struct Pruning {
    unknown: Vec<String>,
}

impl Pruning {
    fn prune(&mut self, value: &mut Value, schema: Option<&Schema>, path: &str) {
        let preserves = schema.is_some_and(|schema| schema.preserves_unknown_fields);
        match value {
            Value::Object(fields) => {
                fields.retain(|name, field| {
                    if schema.is_some_and(|schema| schema.is_embedded_resource)
                        && is_type_or_object_meta(name)
                    {
                        return true;
                    }
                    let path = child(path, name);
                    match schema.map(|schema| (schema.properties.get(name), &schema.additional)) {
                        Some((Some(schema), _)) => self.prune(field, Some(schema), &path),
                        Some((None, Additional::Schema(schema))) => self.prune(field, Some(schema), &path),
                        // Any value is allowed, but nothing in it is known.
                        Some((None, Additional::Any | Additional::None)) => self.prune(field, None, &path),
                        Some((None, Additional::Unspecified)) if preserves => {}
                        Some((None, Additional::Unspecified)) | None => {
                            if !is_type_or_object_meta(name) || path.contains(['.', '[']) {
                                self.unknown.push(path);
                            }
                            return false;
                        }
                    }
                    true
                });
            }
            Value::Array(items) => {
                let items_schema = schema.and_then(|schema| schema.items.as_deref());
                for (index, item) in items.iter_mut().enumerate() {
                    let path = format!("{path}[{index}]");
                    match (preserves, items_schema) {
                        (true, None) => {}
                        (true, Some(schema)) => self.prune_preserving(item, schema, &path),
                        (false, schema) => self.prune(item, schema, &path),
                    }
                }
            }
            _ => {}
        }
    }

    /// Items of a list that preserves unknown fields preserve them too.
    fn prune_preserving(&mut self, value: &mut Value, schema: &Schema, path: &str) {
        let preserving = Schema { preserves_unknown_fields: true, ..schema.clone() };
        self.prune(value, Some(&preserving), path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(schema: Value, object: Value, expected: Value, unknown: &[&str]) {
        let mut pruned = object;
        assert_eq!(prune(&mut pruned, &Schema::parse(&schema)), unknown);
        assert_eq!(pruned, expected);
    }

    /// D-076, D-131.
    #[test]
    fn fields_without_a_schema_are_dropped_and_reported() {
        check(
            json!({"type": "object", "properties": {
                "spec": {"type": "object", "properties": {
                    "a": {"type": "string"},
                    "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string"}}}},
                    "map": {"type": "object", "additionalProperties": {"type": "string"}},
                }},
            }}),
            json!({
                "apiVersion": "v1", "kind": "K", "metadata": {"what": 1}, "top": 1,
                "spec": {"a": "1", "nope": {"b": 1}, "list": [{"x": "1"}, {"y": "2"}], "map": {"any": "thing"}},
            }),
            json!({
                "apiVersion": "v1", "kind": "K", "metadata": {"what": 1},
                "spec": {"a": "1", "list": [{"x": "1"}, {}], "map": {"any": "thing"}},
            }),
            &["spec.list[1].y", "spec.nope", "top"],
        );
    }

    /// D-076.
    #[test]
    fn unknown_fields_are_preserved_until_properties_are_named_again() {
        check(
            json!({"type": "object", "properties": {
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
                    "strict": {"type": "object", "properties": {"a": {"type": "string"}}},
                }},
            }}),
            json!({"free": {"any": {"deep": [1]}, "strict": {"a": "1", "b": "2"}}}),
            json!({"free": {"any": {"deep": [1]}, "strict": {"a": "1"}}}),
            &["free.strict.b"],
        );
        let anything = json!({"a": {"b": [{"c": 1}]}});
        check(
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
            anything.clone(),
            anything,
            &[],
        );
    }

    /// D-076.
    #[test]
    fn an_embedded_object_keeps_its_type_and_metadata() {
        check(
            json!({"type": "object", "properties": {
                "template": {
                    "type": "object", "x-kubernetes-embedded-resource": true,
                    "properties": {"spec": {"type": "object"}},
                },
            }}),
            json!({"template": {"apiVersion": "v1", "kind": "K", "metadata": {}, "spec": {}, "more": 1}}),
            json!({"template": {"apiVersion": "v1", "kind": "K", "metadata": {}, "spec": {}}}),
            &["template.more"],
        );
    }

    #[test]
    fn metadata_below_the_top_is_a_field_as_any_other() {
        check(
            json!({"type": "object", "properties": {"spec": {"type": "object"}}}),
            json!({"spec": {"metadata": {}}}),
            json!({"spec": {}}),
            &["spec.metadata"],
        );
    }
}
