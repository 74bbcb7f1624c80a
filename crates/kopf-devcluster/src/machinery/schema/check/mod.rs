//! Whether a CustomResourceDefinition may have a schema: that it is structural, and more (D-074).
//!
//! [`structure`] has the rules of structural schemas, [`keywords`] those of single keywords; defaults are checked here.
//! All work on the schema as it was sent, since they are about keywords as much as about their meaning.

mod keywords;
mod structure;

use serde_json::Value;

use super::{embedded, prune, structural::Schema, validate};
use crate::machinery::{cause::Cause, json::sorted};

/// What is wrong with an `openAPIV3Schema`, whose path is given.
///
/// The path is `spec.validation.openAPIV3Schema` in a definition with one version, else
/// `spec.versions[N].schema.openAPIV3Schema` (DEC-33).
pub(crate) fn check(schema: &Value, path: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    if is_true(schema, "nullable") {
        causes.push(Cause::forbidden(format!("{path}.nullable"), "nullable cannot be true at the root"));
    }
    let mut structural = Vec::new();
    structure::check(schema, path, &mut structural);
    structure::check_complete(schema, schema, path, path, &mut structural);
    structural.sort_by_key(|cause| format!("{}: {}", cause.field, cause.message));
    if structural.is_empty() {
        let parsed = Schema::parse(schema);
        check_defaults(schema, &parsed, path, &mut structural);
    }
    causes.extend(structural);
    keywords::check(schema, path, &mut causes);
    causes
}

fn is_true(schema: &Value, keyword: &str) -> bool {
    schema[keyword] == Value::Bool(true)
}

fn text<'a>(schema: &'a Value, keyword: &str) -> &'a str {
    schema[keyword].as_str().unwrap_or_default()
}

/// The schemas under a keyword whose value maps names to schemas, by name.
fn named<'a>(schema: &'a Value, keyword: &str) -> Vec<(&'a String, &'a Value)> {
    schema[keyword].as_object().map(sorted).unwrap_or_default()
}

fn listed<'a>(schema: &'a Value, keyword: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    schema[keyword].as_array().into_iter().flatten().enumerate()
}

/// Whether a keyword has a value that is not the empty one.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::Object(_) => true,
    }
}

/// Checks that each default is valid by its own schema and has no unknown fields.
fn check_defaults(schema: &Value, parsed: &Schema, path: &str, causes: &mut Vec<Cause>) {
    if let Some(default) = &parsed.default {
        let path = format!("{path}.default");
        let mut pruned = default.clone();
        prune::prune_value(&mut pruned, parsed);
        if pruned != *default {
            causes.push(Cause::invalid(path.as_str(), default, "must not have unknown fields"));
        }
        let embedded = embedded::validate(default, parsed);
        match embedded.is_empty() {
            true => {
                causes.extend(validate::validate(default, None, parsed, "").into_iter().map(|mut cause| {
                    // The real server prefixes the field and leaves the text alone.
                    cause.field = match cause.field.as_str() {
                        "<nil>" => path.clone(),
                        field => format!("{path}.{field}"),
                    };
                    cause
                }))
            }
            false => causes.extend(embedded),
        }
    }
    if let Some(items) = parsed.items.as_deref() {
        check_defaults(&schema["items"], items, &format!("{path}.items"), causes);
    }
    for (name, property) in &parsed.properties {
        let path = format!("{path}.properties[{name}]");
        check_defaults(&schema["properties"][name], property, &path, causes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machinery::{cause, testing};
    use serde_json::json;

    fn check_fields(schema: Value, expected: &[(&str, &str)]) {
        let causes = check(&schema, "s");
        let found: Vec<_> =
            causes.iter().map(|cause| (cause.field.as_str(), cause.message.as_str())).collect();
        assert_eq!(found, expected);
    }

    /// D-074, DT-105, DEC-33.
    #[test]
    fn a_field_without_a_type_is_refused_as_by_the_real_server() {
        let schema = json!({"type": "object", "properties": {"a": {}}});
        let causes = check(&schema, "spec.validation.openAPIV3Schema");
        let answers = testing::all_golden_messages();
        let text = cause::join(&causes);
        assert!(answers.iter().any(|answer| answer.ends_with(&format!("is invalid: {text}"))), "{text}");
    }

    #[test]
    fn the_schemas_of_the_scenarios_are_fine() {
        let scenarios = testing::scenarios();
        for name in ["widgets.test.dev", "gadgets.test.dev", "scalers.test.dev"] {
            assert_eq!(check(testing::fixture_schema(&scenarios, name), "s"), [], "{name}");
        }
    }

    /// D-074.
    #[test]
    fn schemas_that_are_not_structural_are_refused() {
        check_fields(json!({}), &[("s.type", "Required value: must not be empty at the root")]);
        check_fields(
            json!({"type": "string"}),
            &[("s.type", "Invalid value: \"string\": must be object at the root")],
        );
        check_fields(
            json!({"type": "object", "properties": {"a": {"type": "array"}}}),
            &[("s.properties[a].items", "Required value: must be specified")],
        );
        check_fields(
            json!({"type": "object", "properties": {"a": {
                "type": "integer", "anyOf": [{"type": "integer"}, {"minimum": 1}],
            }}}),
            &[("s.properties[a].anyOf[0].type", "Forbidden: must be empty to be structural")],
        );
        check_fields(
            json!({"type": "object", "properties": {"a": {
                "x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}],
            }}}),
            &[],
        );
        check_fields(
            json!({"type": "object", "allOf": [{"properties": {"b": {"minimum": 1}}}]}),
            &[("s.properties[b]", "Required value: because it is defined in s.allOf[0].properties[b]")],
        );
        check_fields(
            json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {
                "labels": {"type": "object"},
            }}}}),
            &[(
                "s.properties[metadata]",
                "Forbidden: must not specify anything other than name and generateName, but metadata is implicitly \
             specified",
            )],
        );
    }

    /// D-074: what every object has must have the right types.
    #[test]
    fn the_fields_of_every_object_have_their_types() {
        check_fields(
            json!({"type": "object", "properties": {"kind": {"type": "integer"}, "spec": {
                "type": "object", "x-kubernetes-embedded-resource": true,
                "properties": {"metadata": {"type": "string"}},
            }}}),
            &[
                ("s.properties[kind].type", "Invalid value: \"integer\": must be string"),
                ("s.properties[spec].properties[metadata].type", "Invalid value: \"string\": must be object"),
            ],
        );
    }

    /// D-074.
    #[test]
    fn forbidden_keywords_and_wrong_combinations_are_refused() {
        check_fields(
            json!({"type": "object", "properties": {
                "a": {"type": "object", "properties": {"b": {"type": "string"}}, "additionalProperties": {"type": "string"}},
                "u": {"type": "array", "items": {"type": "string"}, "uniqueItems": true},
            }}),
            &[
                (
                    "s.properties[a].additionalProperties",
                    "Forbidden: additionalProperties and properties are mutual exclusive",
                ),
                (
                    "s.properties[u].uniqueItems",
                    "Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
                ),
            ],
        );
        check_fields(
            json!({"type": "object", "properties": {"l": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k", "n"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}}},
            }}}),
            &[
                (
                    "s.properties[l].x-kubernetes-list-map-keys",
                    "Invalid value: [\"k\",\"n\"]: entries must all be names of item properties",
                ),
                (
                    "s.properties[l].items.properties[k].default",
                    "Required value: this property is in x-kubernetes-list-map-keys, so it must have a default \
                     or be a required property",
                ),
            ],
        );
        check_fields(
            json!({"type": "object", "properties": {"r": {"type": "string", "$ref": "#/x"}}}),
            &[("s.properties[r].$ref", "Forbidden: $ref is not supported")],
        );
    }

    /// D-074.
    #[test]
    fn defaults_that_do_not_fit_are_refused() {
        check_fields(
            json!({"type": "object", "properties": {
                "a": {"type": "integer", "default": "x"},
                "b": {"type": "object", "default": {"c": 1}, "properties": {"d": {"type": "string"}}},
            }}),
            &[
                (
                    "s.properties[a].default",
                    "Invalid value: \"string\":  in body must be of type integer: \"string\"",
                ),
                ("s.properties[b].default", "Invalid value: {\"c\":1}: must not have unknown fields"),
            ],
        );
    }
}
