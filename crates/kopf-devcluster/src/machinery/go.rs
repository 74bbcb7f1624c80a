//! How Go prints values, and what its converter of untyped objects says: in answers to strategic merge patches (D-153).

use serde_json::Value;

use super::{cause::quote, json::sorted};

/// A value as `%v` prints it, with the keys of maps sorted.
pub(crate) fn printed(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(printed).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            let fields: Vec<_> =
                fields.into_iter().map(|(key, value)| format!("{key}:{}", printed(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
    }
}

/// A value as `%#v` prints it: `map[string]interface {}{"a":1}`.
pub(crate) fn syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(text) => quote(text),
        Value::Array(items) => {
            format!("[]interface {{}}{{{}}}", items.iter().map(syntax).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<_> = sorted(fields)
                .into_iter()
                .map(|(name, field)| format!("{}:{}", quote(name), syntax(field)))
                .collect();
            format!("map[string]interface {{}}{{{}}}", fields.join(", "))
        }
        scalar => scalar.to_string(),
    }
}

/// The type of an untyped value.
pub(crate) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// An error of the JSON decoder in the words of the converter: `cannot unmarshal FOUND into … of type EXPECTED`.
pub(crate) fn conversion_error(of_json: &str) -> String {
    if of_json.starts_with("illegal base64") {
        return format!("error decoding from json: {of_json}");
    }
    let parts = of_json.strip_prefix("json: cannot unmarshal ").and_then(|rest| {
        let (found, rest) = rest.split_once(" into Go ")?;
        Some((found, rest.rsplit_once(" of type ")?.1))
    });
    let Some((found, expected)) = parts else { return of_json.to_owned() };
    let found = match found {
        "number" => "int64",
        "object" => "map",
        "array" => "slice",
        fraction if fraction.starts_with("number ") => "float64",
        scalar => scalar,
    };
    match (found, expected) {
        (_, map) if map.starts_with("map[") => format!("cannot restore map from {found}"),
        (_, slice) if slice.starts_with("[]") => format!("cannot restore slice from {found}"),
        (_, fields) if fields.contains('.') => format!("cannot restore struct from: {found}"),
        // Go would make a character of the one, and cut the other.
        ("int64", "string") | ("float64", "int32" | "int64") => {
            format!("cannot convert {found} to {expected}")
        }
        _ => format!("unrecognized type: {expected}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_printed_as_go_prints_them() {
        let value = json!({"b": [1, 2.5, "x", true], "a": {"c": null}});
        assert_eq!(printed(&value), "map[a:map[c:<nil>] b:[1 2.5 x true]]");
    }

    /// D-153: what a real server answered.
    #[test]
    fn errors_of_types_are_those_of_the_converter() {
        let check = |found: &str, expected: &str, error: &str| {
            let text =
                format!("json: cannot unmarshal {found} into Go struct field D.spec.f of type {expected}");
            assert_eq!(conversion_error(&text), error, "{text}");
        };
        check("string", "int32", "unrecognized type: int32");
        check("number 1.5", "int32", "cannot convert float64 to int32");
        check("number", "string", "cannot convert int64 to string");
        check("bool", "string", "unrecognized type: string");
        check("number", "bool", "unrecognized type: bool");
        check("string", "v1.PodTemplateSpec", "cannot restore struct from: string");
        check("array", "v1.PodTemplateSpec", "cannot restore struct from: slice");
        check("string", "[]v1.Volume", "cannot restore slice from string");
        check("array", "map[string]string", "cannot restore map from slice");
    }
}
