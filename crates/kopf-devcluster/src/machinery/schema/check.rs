//! Whether a CustomResourceDefinition may have a schema: that it is structural, and more (D-074).
//!
//! Works on the schema as it was sent, since it is about keywords as much as about their meaning.

use serde_json::{Map, Value};

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
    check_structural(schema, Level::Root, path, &mut structural);
    check_complete(schema, schema, path, path, &mut structural);
    structural.sort_by_key(|cause| format!("{}: {}", cause.field, cause.message));
    if structural.is_empty() {
        let parsed = Schema::parse(schema);
        check_defaults(schema, &parsed, path, &mut structural);
    }
    causes.extend(structural);
    check_keywords(schema, Context { is_root: true, ..Context::default() }, path, &mut causes);
    causes
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
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

/// Whether a keyword has a value that is not the empty one.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::Object(_) => true,
    }
}

/// Checks that what combined schemas constrain has a structure outside of them.
fn check_complete(schema: &Value, structure: &Value, s_path: &str, v_path: &str, causes: &mut Vec<Cause>) {
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

/// Where a schema stands, as far as it decides which keywords are allowed.
#[derive(Clone, Copy, Debug, Default)]
struct Context {
    is_root: bool,
    is_inside_metadata: bool,
    /// Why there may be no defaults, if so.
    no_defaults: Option<NoDefaults>,
}

#[derive(Clone, Copy, Debug)]
enum NoDefaults {
    TopLevel(&'static str),
    MetadataMap,
}

fn check_keywords(schema: &Value, context: Context, path: &str, causes: &mut Vec<Cause>) {
    let Some(keywords) = schema.as_object() else { return };
    check_standard_keywords(keywords, context, path, causes);
    if is_true(schema, "uniqueItems") {
        let fault = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        causes.push(Cause::forbidden(format!("{path}.uniqueItems"), fault));
    }
    let inner = Context { is_root: false, ..context };
    let additional = schema.get("additionalProperties").filter(|value| !value.is_null());
    if let Some(additional) = additional {
        let path = format!("{path}.additionalProperties");
        if !named(schema, "properties").is_empty() && *additional != Value::Bool(true) {
            let fault = "additionalProperties and properties are mutual exclusive";
            causes.push(Cause::forbidden(path.as_str(), fault));
        }
        let no_defaults = match context.is_inside_metadata {
            true => Some(NoDefaults::MetadataMap),
            false => context.no_defaults,
        };
        check_keywords(additional, Context { no_defaults, ..inner }, &path, causes);
    }
    for (name, property) in named(schema, "properties") {
        let mut inner = inner;
        let meta = ["apiVersion", "kind", "metadata"].into_iter().find(|meta| meta == name);
        if let Some(meta) =
            meta.filter(|_| context.is_root || is_true(schema, "x-kubernetes-embedded-resource"))
        {
            inner.is_inside_metadata = true;
            if context.is_root {
                inner.no_defaults = Some(NoDefaults::TopLevel(meta));
            }
        }
        check_keywords(property, inner, &format!("{path}.properties[{name}]"), causes);
    }
    check_keywords(&schema["not"], inner, &format!("{path}.not"), causes);
    for keyword in ["allOf", "oneOf", "anyOf"] {
        for (index, nested) in listed(schema, keyword) {
            check_keywords(nested, inner, &format!("{path}.{keyword}[{index}]"), causes);
        }
    }
    check_keywords(&schema["items"], inner, &format!("{path}.items"), causes);
    check_collection_types(schema, path, causes);
    check_map_list(schema, path, causes);
    check_rules(schema, path, causes);
}

fn check_standard_keywords(
    schema: &Map<String, Value>,
    context: Context,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    if !kind.is_empty() && !TYPES.contains(&kind) {
        causes.push(Cause::not_supported(format!("{path}.type"), &kind.into(), TYPES));
    }
    if let (Some(reason), true) =
        (context.no_defaults, schema.get("default").is_some_and(|value| !value.is_null()))
    {
        let fault = match reason {
            NoDefaults::TopLevel(name) => format!("must not be set in top-level {name}"),
            NoDefaults::MetadataMap => {
                "must not be set inside additionalProperties applying to object metadata".to_owned()
            }
        };
        causes.push(Cause::forbidden(format!("{path}.default"), &fault));
    }
    for keyword in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        if schema.get(keyword).is_some_and(is_set) {
            causes
                .push(Cause::forbidden(format!("{path}.{keyword}"), &format!("{keyword} is not supported")));
        }
    }
    if kind == "null" {
        let fault = "type cannot be set to null, use nullable as an alternative";
        causes.push(Cause::forbidden(format!("{path}.type"), fault));
    }
    if schema.get("items").is_some_and(Value::is_array) {
        let fault = "items must be a schema object and not an array";
        causes.push(Cause::forbidden(format!("{path}.items"), fault));
    }
    let is_embedded = schema.get("x-kubernetes-embedded-resource") == Some(&Value::Bool(true));
    if context.is_inside_metadata && is_embedded {
        let field = format!("{path}.x-kubernetes-embedded-resource");
        causes.push(Cause::forbidden(field, "must not be used inside of resource meta"));
    }
}

fn check_collection_types(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    if schema["x-kubernetes-preserve-unknown-fields"] == Value::Bool(false) {
        let field = format!("{path}.x-kubernetes-preserve-unknown-fields");
        causes.push(Cause::invalid(field, &false.into(), "must be true or undefined"));
    }
    let kind = text(schema, "type");
    for (keyword, expected, supported) in [
        ("x-kubernetes-map-type", "object", &["atomic", "granular"][..]),
        ("x-kubernetes-list-type", "array", &["atomic", "set", "map"]),
    ] {
        let Some(value) = schema[keyword].as_str() else { continue };
        if kind != expected {
            let field = format!("{path}.type");
            let fault = format!("must be {expected} if {keyword} is specified");
            causes.push(match kind.is_empty() {
                true => Cause::required(field, &fault),
                false => Cause::invalid(field, &kind.into(), &fault),
            });
        }
        if !supported.contains(&value) {
            causes.push(Cause::not_supported(format!("{path}.{keyword}"), &value.into(), supported));
        }
    }
    let items = &schema["items"];
    if kind == "array" && schema["x-kubernetes-list-type"] == "set" && items.is_object() {
        let fault = "must be atomic as item of a list with x-kubernetes-list-type=set";
        let list_type = items["x-kubernetes-list-type"].as_str();
        if text(items, "type") == "array" && list_type.is_some_and(|list_type| list_type != "atomic") {
            let field = format!("{path}.items.x-kubernetes-list-type");
            causes.push(Cause::invalid(field, &items["x-kubernetes-list-type"], fault));
        }
        if text(items, "type") == "object" && items["x-kubernetes-map-type"] != "atomic" {
            let field = format!("{path}.items.x-kubernetes-map-type");
            causes.push(Cause::invalid(field, &items["x-kubernetes-list-type"], fault));
        }
    }
}

fn check_map_list(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    let keys_field = format!("{path}.x-kubernetes-list-map-keys");
    let keys: Vec<_> =
        listed(schema, "x-kubernetes-list-map-keys").filter_map(|(_, key)| key.as_str()).collect();
    let list_type = schema["x-kubernetes-list-type"].as_str();
    let items = &schema["items"];
    if !keys.is_empty() && list_type != Some("map") {
        let field = format!("{path}.x-kubernetes-list-type");
        let fault = "must be map if x-kubernetes-list-map-keys is non-empty";
        causes.push(match list_type {
            None => Cause::required(field, fault),
            Some(other) => Cause::invalid(field, &other.into(), fault),
        });
    }
    if list_type == Some("map") {
        if keys.is_empty() {
            let fault = "must not be empty if x-kubernetes-list-type is map";
            causes.push(Cause::required(keys_field.as_str(), fault));
        }
        if !items.is_object() {
            let fault = "must have a schema if x-kubernetes-list-type is map";
            causes.push(Cause::required(format!("{path}.items"), fault));
        } else if text(items, "type") != "object" {
            let fault = "must be object if parent array's x-kubernetes-list-type is map";
            causes.push(Cause::invalid(format!("{path}.items.type"), &text(items, "type").into(), fault));
        } else {
            for (index, key) in keys.iter().enumerate() {
                let all = &schema["x-kubernetes-list-map-keys"];
                match items["properties"].get(*key).map(|property| text(property, "type")) {
                    Some("array" | "object") => {
                        let field = format!("{path}.items.properties[{key}].type");
                        let fault = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                        causes.push(Cause::invalid(field, &"object".into(), fault));
                    }
                    Some(_) => {}
                    None => {
                        let fault = "entries must all be names of item properties";
                        causes.push(Cause::invalid(keys_field.as_str(), all, fault));
                    }
                }
                if keys[..index].contains(key) {
                    causes.push(Cause::invalid(
                        keys_field.as_str(),
                        all,
                        "must not contain duplicate entries",
                    ));
                }
            }
        }
    }
    let Some(list_type @ ("set" | "map")) = list_type else { return };
    if is_true(items, "nullable") {
        let fault = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
        causes.push(Cause::forbidden(format!("{path}.items.nullable"), &fault));
    }
    for key in keys.iter().filter(|_| list_type == "map") {
        let Some(property) = items["properties"].get(*key) else { continue };
        let field = format!("{path}.items.properties[{key}]");
        let is_required = listed(items, "required").any(|(_, name)| name == key);
        if !is_required && property.get("default").is_none_or(Value::is_null) {
            let fault = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a \
                         required property";
            causes.push(Cause::required(format!("{field}.default"), fault));
        }
        if is_true(property, "nullable") {
            let fault = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            causes.push(Cause::forbidden(format!("{field}.nullable"), fault));
        }
    }
}

/// The form of CEL rules; their meaning is not looked at.
fn check_rules(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    const REASONS: &[&str] =
        &["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
    for (index, rule) in listed(schema, "x-kubernetes-validations") {
        let path = format!("{path}.x-kubernetes-validations[{index}]");
        let (expression, message) = (text(rule, "rule").trim(), text(rule, "message").trim());
        let field = format!("{path}.message");
        if expression.is_empty() {
            causes.push(Cause::required(format!("{path}.rule"), "rule is not specified"));
        } else if !text(rule, "message").is_empty() && message.is_empty() {
            causes.push(Cause::invalid(field, &rule["message"], "must be non-empty if specified"));
        } else if message.contains('\n') {
            causes.push(Cause::invalid(field, &rule["message"], "must not contain line breaks"));
        } else if expression.contains('\n') && message.is_empty() {
            causes.push(Cause::required(field, "message must be specified if rule contains line breaks"));
        }
        if let Some(reason) = rule["reason"].as_str().filter(|reason| !REASONS.contains(reason)) {
            causes.push(Cause::not_supported(format!("{path}.reason"), &reason.into(), REASONS));
        }
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
