//! The rules of structural schemas: every part has a type, and combined schemas only constrain.

use serde_json::Value;

use super::{is_set, is_true, listed, named, text};
use crate::machinery::cause::Cause;

/// What keeps a schema from being structural, but for [`check_complete`].
pub(super) fn check(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    check_structural(schema, Level::Root, path, causes);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

fn check_structural(schema: &Value, level: Level, path: &str, causes: &mut Vec<Cause>) {
    let kind = text(schema, "type");
    let is_embedded = is_true(schema, "x-kubernetes-embedded-resource");
    let is_int_or_string = is_true(schema, "x-kubernetes-int-or-string");
    let preserves = is_true(schema, "x-kubernetes-preserve-unknown-fields");
    let properties = named(schema, "properties");
    let additional = schema.get("additionalProperties").filter(|value| !value.is_null());

    match schema["items"].is_object() {
        true => check_structural(&schema["items"], Level::Item, &format!("{path}.items"), causes),
        false if kind == "array" => {
            causes.push(Cause::required(format!("{path}.items"), "must be specified"))
        }
        false => {}
    }
    for (name, property) in &properties {
        check_structural(property, Level::Field, &format!("{path}.properties[{name}]"), causes);
    }
    if let Some(additional) = additional {
        let path = format!("{path}.additionalProperties");
        if level == Level::Root {
            causes.push(Cause::forbidden(path.as_str(), "must not be used at the root"));
        }
        if is_embedded {
            let fault = "must not be used if x-kubernetes-embedded-resource is set";
            causes.push(Cause::forbidden(path.as_str(), fault));
        }
        if additional.is_object() {
            check_structural(additional, Level::Field, &path, causes);
        }
    }
    for keyword in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
        if is_int_or_string && is_true(schema, keyword) {
            let fault = "must be false if x-kubernetes-int-or-string is true";
            causes.push(Cause::invalid(format!("{path}.{keyword}"), &true.into(), fault));
        }
    }
    let skips =
        (is_int_or_string_pattern(&schema["anyOf"]), is_int_or_string_pattern(&schema["allOf"][0]["anyOf"]));
    check_constraints(schema, skips, path, causes);

    let type_field = format!("{path}.type");
    if is_embedded && kind != "object" {
        let fault = "must be object if x-kubernetes-embedded-resource is true";
        causes.push(match kind.is_empty() {
            true => Cause::required(type_field.as_str(), fault),
            false => Cause::invalid(type_field.as_str(), &kind.into(), fault),
        });
    } else if kind.is_empty() && !is_int_or_string && !preserves {
        let fault = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        causes.push(Cause::required(type_field.as_str(), fault));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        causes.push(Cause::invalid(type_field, &kind.into(), "must be object at the root"));
    }
    if level == Level::Root || is_embedded {
        for (name, expected) in [("kind", "string"), ("apiVersion", "string"), ("metadata", "object")] {
            let Some(property) = schema["properties"].get(name) else { continue };
            let kind = text(property, "type");
            if kind != expected {
                let field = format!("{path}.properties[{name}].type");
                causes.push(Cause::invalid(field, &kind.into(), &format!("must be {expected}")));
            }
        }
    }
    if level == Level::Root && schema["properties"].get("metadata").is_some_and(specifies_more_than_names) {
        let fault = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        causes.push(Cause::forbidden(format!("{path}.properties[metadata]"), fault));
    }
    if is_embedded && !preserves && properties.is_empty() {
        let fault = "must not be empty if x-kubernetes-embedded-resource is true without \
                     x-kubernetes-preserve-unknown-fields";
        causes.push(Cause::required(format!("{path}.properties"), fault));
    }
}

/// Whether a schema of the top-level metadata does more than restrict names.
fn specifies_more_than_names(metadata: &Value) -> bool {
    let names_only = named(metadata, "properties")
        .iter()
        .all(|(name, _)| matches!(name.as_str(), "name" | "generateName"));
    let others = metadata.as_object().into_iter().flatten();
    !names_only
        || others
            .into_iter()
            .any(|(keyword, _)| !matches!(keyword.as_str(), "type" | "properties" | "default"))
}

/// `[{type: integer}, {type: string}]`, the one place where types may be combined.
fn is_int_or_string_pattern(schemas: &Value) -> bool {
    *schemas == serde_json::json!([{"type": "integer"}, {"type": "string"}])
}

/// Checks the schemas combined with this one, which may constrain values and nothing else.
fn check_constraints(
    schema: &Value,
    (skip_any, skip_first_all): (bool, bool),
    path: &str,
    causes: &mut Vec<Cause>,
) {
    for (index, nested) in listed(schema, "anyOf").filter(|_| !skip_any) {
        check_nested(nested, false, &format!("{path}.anyOf[{index}]"), causes);
    }
    for (index, nested) in listed(schema, "allOf") {
        let skip_any = skip_first_all && index == 0;
        check_nested(nested, skip_any, &format!("{path}.allOf[{index}]"), causes);
    }
    for (index, nested) in listed(schema, "oneOf") {
        check_nested(nested, false, &format!("{path}.oneOf[{index}]"), causes);
    }
    if schema["not"].is_object() {
        check_nested(&schema["not"], false, &format!("{path}.not"), causes);
    }
    let pattern = text(schema, "pattern");
    if let Err(error) = regex::Regex::new(pattern) {
        let error = error.to_string();
        let error = error.lines().last().unwrap_or_default();
        let fault = format!("must be a valid regular expression, but isn't: {error}");
        causes.push(Cause::invalid(format!("{path}.pattern"), &pattern.into(), &fault));
    }
}

/// Keywords that give structure and may not stand in combined schemas, and what the refusal says.
const STRUCTURE: &[(&str, &str)] = &[
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
];

fn check_nested(schema: &Value, skip_any: bool, path: &str, causes: &mut Vec<Cause>) {
    check_constraints(schema, (skip_any, false), path, causes);
    if schema["items"].is_object() {
        check_nested(&schema["items"], false, &format!("{path}.items"), causes);
    }
    for (name, property) in named(schema, "properties") {
        check_nested(property, false, &format!("{path}.properties[{name}]"), causes);
    }
    for (keyword, fault) in STRUCTURE {
        if schema.get(*keyword).is_some_and(is_set) {
            causes.push(Cause::forbidden(format!("{path}.{keyword}"), fault));
        }
    }
    if schema["properties"].get("metadata").is_some() {
        let fault = "must not be specified in a nested context";
        causes.push(Cause::forbidden(format!("{path}.properties[metadata]"), fault));
    }
}

/// Checks that what combined schemas constrain has a structure outside of them.
pub(super) fn check_complete(
    schema: &Value,
    structure: &Value,
    s_path: &str,
    v_path: &str,
    causes: &mut Vec<Cause>,
) {
    for keyword in ["allOf", "anyOf", "oneOf"] {
        for (index, nested) in listed(schema, keyword) {
            check_nested_complete(nested, structure, s_path, &format!("{v_path}.{keyword}[{index}]"), causes);
        }
    }
    if schema["not"].is_object() {
        check_nested_complete(&schema["not"], structure, s_path, &format!("{v_path}.not"), causes);
    }
    // The structure itself is walked once, from the root.
    if std::ptr::eq(schema, structure) {
        for (name, property) in named(schema, "properties") {
            let path = format!("{s_path}.properties[{name}]");
            check_complete(property, property, &path, &path, causes);
        }
        for keyword in ["items", "additionalProperties"] {
            if schema[keyword].is_object() {
                let path = format!("{s_path}.{keyword}");
                check_complete(&schema[keyword], &schema[keyword], &path, &path, causes);
            }
        }
    }
}

fn check_nested_complete(
    nested: &Value,
    structure: &Value,
    s_path: &str,
    v_path: &str,
    causes: &mut Vec<Cause>,
) {
    check_complete(nested, structure, s_path, v_path, causes);
    let mut missing = |s_path: String, v_path: String| {
        causes.push(Cause::required(s_path, &format!("because it is defined in {v_path}")));
    };
    let mut present = Vec::new();
    if nested["items"].is_object() {
        let (s_path, v_path) = (format!("{s_path}.items"), format!("{v_path}.items"));
        match structure["items"].is_object() {
            true => present.push((&nested["items"], &structure["items"], s_path, v_path)),
            false => missing(s_path, v_path),
        }
    }
    for (name, property) in named(nested, "properties") {
        let part = format!("properties[{name}]");
        let (s_path, v_path) = (format!("{s_path}.{part}"), format!("{v_path}.{part}"));
        match structure["properties"].get(name) {
            Some(structure) => present.push((property, structure, s_path, v_path)),
            None => missing(s_path, v_path),
        }
    }
    for (nested, structure, s_path, v_path) in present {
        check_nested_complete(nested, structure, &s_path, &v_path, causes);
    }
}
