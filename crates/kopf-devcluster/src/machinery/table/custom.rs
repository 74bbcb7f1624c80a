//! The columns of custom resources, from `additionalPrinterColumns` (D-201).

use jiff::Timestamp;
use serde_json::Value;

use super::{age, builtin, json_path::JsonPath};
use crate::machinery::json::{canonical, go_float};

/// A column as a definition declares it.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) format: String,
    pub(super) description: String,
    pub(super) priority: i64,
    /// `None` if the path is not understood: such a column is always empty.
    path: Option<JsonPath>,
}

/// The columns of a version: the name, then those declared, or else the age.
pub(super) fn columns(version: &Value) -> Vec<Column> {
    let mut columns = vec![column("Name", "string", ".metadata.name")];
    columns[0].format = "name".to_owned();
    columns[0].description = builtin::NAME_DESCRIPTION.to_owned();
    let declared = version["additionalPrinterColumns"].as_array().filter(|declared| !declared.is_empty());
    match declared {
        Some(declared) => columns.extend(declared.iter().map(parse)),
        None => {
            let mut age = column("Age", "date", ".metadata.creationTimestamp");
            age.description = builtin::AGE_DESCRIPTION.to_owned();
            columns.push(age);
        }
    }
    columns
}

fn parse(declared: &Value) -> Column {
    let text = |name: &str| declared[name].as_str().unwrap_or_default();
    let mut column = column(text("name"), text("type"), text("jsonPath"));
    column.format = text("format").to_owned();
    column.priority = declared["priority"].as_i64().unwrap_or_default();
    if !text("description").is_empty() {
        column.description = text("description").to_owned();
    }
    column
}

fn column(name: &str, kind: &str, path: &str) -> Column {
    Column {
        name: name.to_owned(),
        kind: kind.to_owned(),
        format: String::new(),
        description: format!("Custom resource definition column (in JSONPath format): {path}"),
        priority: 0,
        path: JsonPath::parse(path).ok(),
    }
}

impl Column {
    pub(super) fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let Some(value) = self.path.as_ref().and_then(|path| path.first(object)) else { return Value::Null };
        match self.kind.as_str() {
            "string" => text(value).into(),
            "integer" => integer(value),
            "number" => value.as_f64().map_or(Value::Null, Value::from),
            "boolean" => value.as_bool().map_or(Value::Null, Value::from),
            "date" => value.as_str().map_or(Value::Null, |_| age::since(value, now).into()),
            _ => Value::Null,
        }
    }
}

/// Scalars as they are, lists and objects as compact JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<no value>".to_owned(),
        Value::Number(number) if number.is_f64() => go_float(number.as_f64().unwrap_or_default()),
        other => canonical(other).to_string(),
    }
}

/// Fractions are cut off.
fn integer(value: &Value) -> Value {
    match value.as_i64() {
        Some(number) => number.into(),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what lies beyond is cut off by the real server too"
        )]
        None => value.as_f64().map_or(Value::Null, |number| (number as i64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(kind: &str, value: Value, expected: Value) {
        let version = json!({"additionalPrinterColumns": [{"name": "C", "type": kind, "jsonPath": ".v"}]});
        let now = "2020-01-01T00:01:00Z".parse().unwrap();
        assert_eq!(columns(&version)[1].cell(&json!({"v": value}), now), expected, "{kind} {value}");
    }

    /// D-201.
    #[test]
    fn cells_have_the_type_of_their_column_or_nothing() {
        check("string", json!("x"), json!("x"));
        check("string", json!(1.50), json!("1.5"));
        check("string", json!(["a", {"b": 1}]), json!(r#"["a",{"b":1}]"#));
        check("integer", json!(3), json!(3));
        check("integer", json!(3.7), json!(3));
        check("integer", json!("3"), Value::Null);
        check("number", json!(3), json!(3.0));
        check("boolean", json!(true), json!(true));
        check("boolean", json!("true"), Value::Null);
        check("date", json!("2020-01-01T00:00:00Z"), json!("60s"));
        check("date", json!("soon"), json!("<invalid>"));
        check("date", json!(3), Value::Null);
    }

    /// D-083: without declared columns there is the age.
    #[test]
    fn the_default_column_is_the_age() {
        let columns = columns(&json!({}));
        let names: Vec<_> =
            columns.iter().map(|column| (column.name.as_str(), column.kind.as_str())).collect();
        assert_eq!(names, [("Name", "string"), ("Age", "date")]);
    }

    #[test]
    fn a_column_may_have_a_description_format_and_priority() {
        let version = json!({"additionalPrinterColumns": [
            {"name": "C", "type": "integer", "format": "int32", "jsonPath": ".v", "description": "d", "priority": 1},
            {"name": "D", "type": "string", "jsonPath": ".w"},
        ]});
        let columns = columns(&version);
        assert_eq!((columns[1].description.as_str(), columns[1].priority), ("d", 1));
        assert_eq!(columns[1].format, "int32");
        assert_eq!(columns[2].description, "Custom resource definition column (in JSONPath format): .w");
    }
}
