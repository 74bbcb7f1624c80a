//! Which keywords may stand where, and go together.

use serde_json::{Map, Value};

use super::{is_set, is_true, listed, named, text};
use crate::machinery::cause::Cause;

/// What is wrong with the keywords of a whole schema.
pub(super) fn check(schema: &Value, path: &str, causes: &mut Vec<Cause>) {
    check_keywords(schema, Context { is_root: true, ..Context::default() }, path, causes);
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
