//! `apiVersion`, `kind` and `metadata` of whole objects and of those embedded in fields (D-075, D-076).

use serde_json::Value;

use super::structural::{Additional, Schema};
use crate::machinery::{
    cause::Cause,
    json::{canonical, child, sorted},
    metadata::{self, Layers, Rules},
    names::{self, NameSyntax},
    object_meta,
};

/// Brings the metadata of an object and of those embedded in it into their type.
///
/// Gives the paths of the fields dropped as unknown.
///
/// # Errors
///
/// The first field that has the wrong type, in the words of the real server.
pub(crate) fn coerce(object: &mut Value, schema: &Schema) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    coerce_at(object, schema, true, "", &mut unknown)?;
    unknown.sort_unstable();
    Ok(unknown)
}

fn coerce_at(
    value: &mut Value,
    schema: &Schema,
    is_object: bool,
    path: &str,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                let path = child(path, name);
                match name.as_str() {
                    "apiVersion" | "kind" if is_object && !field.is_string() => {
                        return Err(described(&Cause::invalid(path, field, "must be a string")));
                    }
                    "metadata" if is_object => {
                        // Go decodes metadata by itself, and from a map: paths begin in it, and of errors the first by name is told.
                        let decoded =
                            object_meta::decode(&canonical(field), "").map_err(|fault| {
                                match path.as_str() {
                                    "metadata" => fault,
                                    path => described(&Cause::invalid(path, field, &fault)),
                                }
                            })?;
                        *field = decoded.value;
                        unknown.extend(decoded.unknown.iter().map(|inner| child(&path, inner)));
                    }
                    _ => {}
                }
                match (schema.properties.get(name), &schema.additional) {
                    (Some(schema), _) => {
                        coerce_at(field, schema, schema.is_embedded_resource, &path, unknown)?
                    }
                    (None, Additional::Schema(schema)) => {
                        coerce_at(field, schema, schema.is_embedded_resource, &path, unknown)?
                    }
                    (None, _) => {}
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.items.as_deref() else { return Ok(()) };
            for (index, item) in items.iter_mut().enumerate() {
                coerce_at(item, schema, schema.is_embedded_resource, &format!("{path}[{index}]"), unknown)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn described(cause: &Cause) -> String {
    format!("{}: {}", cause.field, cause.message)
}

/// Checks type and metadata of the objects embedded in an object, not its own.
pub(crate) fn validate(object: &Value, schema: &Schema) -> Vec<Cause> {
    let mut causes = Vec::new();
    validate_at(object, schema, "", &mut causes);
    causes
}

fn validate_at(value: &Value, schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    match value {
        Value::Object(fields) => {
            if schema.is_embedded_resource {
                validate_resource(value, path, causes);
            }
            for (name, field) in sorted(fields) {
                match (schema.properties.get(name), &schema.additional) {
                    (Some(schema), _) => validate_at(field, schema, &child(path, name), causes),
                    (None, Additional::Schema(schema)) => {
                        validate_at(field, schema, &format!("{path}[{name}]"), causes);
                    }
                    (None, _) => {}
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.items.as_deref() else { return };
            for (index, item) in items.iter().enumerate() {
                validate_at(item, schema, &format!("{path}[{index}]"), causes);
            }
        }
        _ => {}
    }
}

fn validate_resource(object: &Value, path: &str, causes: &mut Vec<Cause>) {
    for name in ["apiVersion", "kind"] {
        let field = child(path, name);
        match object.get(name) {
            None => causes.push(Cause::required(field, "")),
            Some(Value::String(text)) if text.is_empty() => {
                causes.push(Cause::invalid(field, &object[name], "must not be empty"));
            }
            Some(Value::String(text)) if name == "kind" => {
                let faults = names::dns_1035_label(&text.to_lowercase());
                if !faults.is_empty() {
                    let fault = faults.join(",");
                    let fault = format!("may have mixed case, but should otherwise match: {fault}");
                    causes.push(Cause::invalid(field, &object[name], &fault));
                }
            }
            Some(Value::String(text)) if text.split('/').count() > 2 => {
                let fault = format!("unexpected GroupVersion string: {text}");
                causes.push(Cause::invalid(field, &object[name], &fault));
            }
            Some(Value::String(_)) => {}
            Some(other) => causes.push(Cause::invalid(field, other, "must be a string")),
        }
    }
    if let Some(metadata) = object.get("metadata") {
        causes.extend(validate_metadata(metadata, &child(path, "metadata")));
    }
}

fn validate_metadata(metadata: &Value, path: &str) -> Vec<Cause> {
    let has = |name: &str| metadata.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    let rules = Rules {
        is_namespaced: has("namespace"),
        name_syntax: NameSyntax::PathSegment,
        layers: Layers::Custom,
    };
    let mut causes = metadata::validate_create(metadata, rules);
    // An embedded object needs no name.
    causes.retain(|cause| has("name") || cause.field != "metadata.name");
    for cause in &mut causes {
        cause.field = cause.field.replacen("metadata", path, 1);
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Schema {
        Schema::parse(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "template": {
                "type": "object", "x-kubernetes-embedded-resource": true,
                "x-kubernetes-preserve-unknown-fields": true,
            },
        }}}}))
    }

    /// D-076.
    #[test]
    fn unknown_metadata_is_dropped_wherever_there_is_metadata() {
        let mut object = json!({
            "metadata": {"name": "a", "what": 1},
            "spec": {"template": {"metadata": {"labels": {}, "odd": 1}, "spec": {"metadata": {"odd": 1}}}},
        });
        let unknown = coerce(&mut object, &schema()).unwrap();
        assert_eq!(unknown, ["metadata.what", "spec.template.metadata.odd"]);
        assert_eq!(
            object,
            json!({
                "metadata": {"name": "a"},
                "spec": {"template": {"metadata": {}, "spec": {"metadata": {"odd": 1}}}},
            })
        );
        let error = coerce(&mut json!({"metadata": {"labels": {"a": 1}}}), &schema()).unwrap_err();
        assert_eq!(
            error,
            "json: cannot unmarshal number into Go struct field ObjectMeta.labels of type string"
        );
    }

    /// D-075.
    #[test]
    fn an_embedded_object_needs_a_type_and_good_metadata() {
        let check = |template: Value, expected: &[&str]| {
            let causes = validate(&json!({"spec": {"template": template}}), &schema());
            let fields: Vec<_> = causes.iter().map(|cause| cause.field.as_str()).collect();
            assert_eq!(fields, expected, "{causes:?}");
        };
        check(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b"}}}), &[]);
        check(json!({}), &["spec.template.apiVersion", "spec.template.kind"]);
        check(
            json!({"apiVersion": "a/b/c", "kind": "-", "metadata": {"labels": {"-": ""}, "name": ".."}}),
            &[
                "spec.template.apiVersion",
                "spec.template.kind",
                "spec.template.metadata.name",
                "spec.template.metadata.labels",
            ],
        );
    }
}
