//! Dropping of fields that a schema does not name (D-076), and telling which (D-131).

use serde_json::Value;

use super::structural::{Additional, Schema, is_type_or_object_meta};
use crate::machinery::json::child;

/// Drops the unknown fields of a whole object and gives their paths, sorted.
///
/// Unknown fields inside `metadata` are another matter: see [`super::embedded::coerce`].
pub(crate) fn prune(object: &mut Value, schema: &Schema) -> Vec<String> {
    let mut unknown = Vec::new();
    let context = Context { is_object: true, preserves: schema.preserves_unknown_fields };
    prune_at(object, Some(schema), context, "", &mut unknown);
    unknown.sort_unstable();
    unknown
}

/// As [`prune`] for a value inside an object, such as a default.
pub(crate) fn prune_value(value: &mut Value, schema: &Schema) -> Vec<String> {
    let mut unknown = Vec::new();
    prune_at(value, Some(schema), Context::of(schema), "", &mut unknown);
    unknown
}

/// What holds for a value beside its schema.
#[derive(Clone, Copy)]
struct Context {
    /// Whether it is a whole object, whose type and metadata need no schema.
    is_object: bool,
    /// Whether it keeps fields that the schema does not name.
    preserves: bool,
}

impl Context {
    fn of(schema: &Schema) -> Self {
        Self { is_object: schema.is_embedded_resource, preserves: schema.preserves_unknown_fields }
    }
}

/// Nothing is known of the value: nothing in it is kept but scalars.
const UNKNOWN: Context = Context { is_object: false, preserves: false };

fn prune_at(
    value: &mut Value,
    schema: Option<&Schema>,
    context: Context,
    path: &str,
    unknown: &mut Vec<String>,
) {
    match value {
        Value::Object(fields) => fields.retain(|name, field| {
            if context.is_object && is_type_or_object_meta(name) {
                return true;
            }
            let path = child(path, name);
            match schema.map(|schema| (schema.properties.get(name), &schema.additional)) {
                Some((Some(schema), _)) => prune_at(field, Some(schema), Context::of(schema), &path, unknown),
                Some((None, Additional::Schema(schema))) => {
                    prune_at(field, Some(schema), Context::of(schema), &path, unknown);
                }
                // Any value is allowed, but nothing in it is known.
                Some((None, Additional::Any | Additional::None)) => {
                    prune_at(field, None, UNKNOWN, &path, unknown);
                }
                Some((None, Additional::Unspecified)) if context.preserves => {}
                Some((None, Additional::Unspecified)) | None => {
                    if !is_type_or_object_meta(name) || path.contains(['.', '[']) {
                        unknown.push(path);
                    }
                    return false;
                }
            }
            true
        }),
        Value::Array(items) => {
            let item_schema = schema.and_then(|schema| schema.items.as_deref());
            let item_context = match item_schema {
                // Items of a list that preserves unknown fields preserve them too.
                Some(schema) => Context {
                    preserves: context.preserves || schema.preserves_unknown_fields,
                    ..Context::of(schema)
                },
                None if context.preserves => return,
                None => UNKNOWN,
            };
            for (index, item) in items.iter_mut().enumerate() {
                prune_at(item, item_schema, item_context, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
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
    fn a_list_that_preserves_unknown_fields_does_so_in_its_items() {
        let strict = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        let item = json!({"type": "object", "properties": {"strict": strict}});
        let list = json!({"type": "array", "x-kubernetes-preserve-unknown-fields": true, "items": item});
        check(
            json!({"type": "object", "properties": {"l": list}}),
            json!({"l": [{"any": 1, "strict": {"a": "1", "b": "2"}}]}),
            json!({"l": [{"any": 1, "strict": {"a": "1"}}]}),
            &["l[0].strict.b"],
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
