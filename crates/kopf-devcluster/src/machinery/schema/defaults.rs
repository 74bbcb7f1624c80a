//! Nulls and defaults (D-075, D-077).

use serde_json::Value;

use super::structural::{Additional, Schema};

/// Drops nulls that a schema neither allows nor replaces, then fills in defaults.
#[cfg(test)]
pub(crate) fn apply(object: &mut Value, schema: &Schema) {
    drop_nulls(object, Some(schema));
    fill_in(object, schema);
}

/// Drops the nulls of fields that are neither nullable nor have a default. Those with a default are left for
/// [`fill_in`], fields that the schema does not know are left alone.
pub(crate) fn drop_nulls(value: &mut Value, schema: Option<&Schema>) {
    match value {
        Value::Object(fields) => fields.retain(|name, field| {
            let schema = schema.and_then(|schema| schema.field(name));
            let is_dropped = field.is_null()
                && schema.is_some_and(|schema| !schema.is_nullable && schema.default.is_none());
            drop_nulls(field, schema);
            !is_dropped
        }),
        Value::Array(items) => {
            let schema = schema.and_then(|schema| schema.items.as_deref());
            items.iter_mut().for_each(|item| drop_nulls(item, schema));
        }
        _ => {}
    }
}

/// Fills in the defaults of missing fields, and of nulls that are not allowed.
pub(crate) fn fill_in(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(fields) => {
            for (name, schema) in &schema.properties {
                let Some(default) = &schema.default else { continue };
                let is_missing = fields.get(name).is_none_or(|field| field.is_null() && !schema.is_nullable);
                if is_missing {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, field) in fields.iter_mut() {
                match (schema.properties.get(name), &schema.additional) {
                    (Some(schema), _) => fill_in(field, schema),
                    (None, Additional::Schema(schema)) => fill_in_element(field, schema),
                    (None, _) => {}
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.items.as_deref() else { return };
            items.iter_mut().for_each(|item| fill_in_element(item, schema));
        }
        _ => {}
    }
}

fn fill_in_element(value: &mut Value, schema: &Schema) {
    if value.is_null() && !schema.is_nullable {
        *value = schema.default.clone().unwrap_or(Value::Null);
    }
    fill_in(value, schema);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(schema: Value, object: Value, expected: Value) {
        let mut defaulted = object;
        apply(&mut defaulted, &Schema::parse(&schema));
        assert_eq!(defaulted, expected);
    }

    /// D-077.
    #[test]
    fn a_null_stays_goes_or_is_replaced() {
        let schema = json!({"type": "object", "properties": {
            "maybe": {"type": "string", "nullable": true},
            "plain": {"type": "string"},
            "set": {"type": "string", "default": "x"},
            "both": {"type": "string", "nullable": true, "default": "x"},
        }});
        check(
            schema,
            json!({"maybe": null, "plain": null, "set": null, "both": null, "unknown": null}),
            json!({"maybe": null, "set": "x", "both": null, "unknown": null}),
        );
    }

    /// D-077: in maps and lists a null with a default is replaced too, and one without goes or stays.
    #[test]
    fn nulls_in_maps_and_lists_are_replaced() {
        let element = |default: Value| {
            json!({"type": "object", "properties": {
                "map": {"type": "object", "additionalProperties": default},
                "list": {"type": "array", "items": default},
            }})
        };
        let object = json!({"map": {"k": null}, "list": [null]});
        check(
            element(json!({"type": "string", "default": "x"})),
            object.clone(),
            json!({"map": {"k": "x"}, "list": ["x"]}),
        );
        check(element(json!({"type": "string"})), object, json!({"map": {}, "list": [null]}));
    }

    /// D-075.
    #[test]
    fn defaults_are_filled_in_at_every_depth() {
        let schema = json!({"type": "object", "properties": {
            "sub": {"type": "object", "default": {}, "properties": {"a": {"type": "integer", "default": 1}}},
            "none": {"type": "object", "properties": {"a": {"type": "integer", "default": 1}}},
            "list": {"type": "array", "items": {"type": "object", "properties": {
                "proto": {"type": "string", "default": "TCP"},
            }}},
            "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {
                "x": {"type": "boolean", "default": false},
            }}},
        }});
        check(
            schema,
            json!({"list": [{}, {"proto": "UDP"}], "map": {"k": {}}}),
            json!({
                "sub": {"a": 1}, "list": [{"proto": "TCP"}, {"proto": "UDP"}], "map": {"k": {"x": false}},
            }),
        );
    }
}
