//! The keywords that constrain values, with the texts of the real server (D-078, D-079, DEC-33).

use serde_json::{Map, Value};

use super::{
    formats,
    structural::{Additional, Limits, ListType, Schema},
};
use crate::machinery::{
    cause::Cause,
    json::{child, equal, go_float, sorted},
};

/// What is wrong with an object or a value, one cause per violation.
///
/// `path` is its own path, empty for a whole object. With an old value, parts that did not change are not
/// checked: an update may keep what has become invalid (D-090).
pub(crate) fn validate(value: &Value, old: Option<&Value>, schema: &Schema, path: &str) -> Vec<Cause> {
    let mut causes: Vec<Cause> = Vec::new();
    for cause in check(value, old, schema, path).causes {
        if !causes.contains(&cause) {
            causes.push(cause);
        }
    }
    causes
}

/// The cause that is added when a schema has rules and they were not evaluated because of worse faults.
pub(crate) fn unchecked_rules(causes: &[Cause], schema: &Schema) -> Option<Cause> {
    const BLOCKING: &[&str] = &[
        "FieldValueNotSupported",
        "FieldValueRequired",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "FieldValueTypeInvalid",
    ];
    let is_blocked = causes.iter().any(|cause| BLOCKING.contains(&cause.reason));
    (is_blocked && schema.has_rules()).then(|| {
        Cause::invalid(
            "<nil>",
            &Value::Null,
            "some validation rules were not checked because the object was invalid; correct the existing errors \
             to complete validation",
        )
    })
}

/// Faults, and how many checks were done: of several alternatives that all fail, the one with the most checks
/// is reported.
#[derive(Debug, Default)]
struct Outcome {
    causes: Vec<Cause>,
    checks: u32,
}

impl Outcome {
    fn merge(&mut self, other: Self) {
        self.causes.extend(other.causes);
        self.checks += other.checks;
    }

    fn is_valid(&self) -> bool {
        self.causes.is_empty()
    }
}

fn check(value: &Value, old: Option<&Value>, schema: &Schema, path: &str) -> Outcome {
    let mut outcome = Outcome::default();
    if old == Some(value) {
        return outcome;
    }
    let limits = &schema.limits;
    outcome.causes.extend(check_type(value, schema, path));
    outcome.checks += 1;
    if value.is_null() {
        outcome.causes.extend(check_enumeration(value, limits, path));
        return outcome;
    }
    outcome.merge(check_combinations(value, old, limits, path));
    outcome.checks += 2;
    match value {
        Value::String(text) => {
            outcome.causes.extend(check_text(text, limits, path));
            outcome.causes.extend(check_format(text, schema, path));
            outcome.checks += 1;
        }
        Value::Number(_) => {
            outcome.causes.extend(check_number(value, schema, path));
            outcome.checks += 1;
        }
        Value::Array(items) => {
            outcome.merge(check_list(items, old, schema, path));
            outcome.checks += 1;
        }
        Value::Null | Value::Bool(_) | Value::Object(_) => {}
    }
    outcome.causes.extend(check_enumeration(value, limits, path));
    if let Value::Object(fields) = value {
        outcome.merge(check_object(fields, old, schema, path));
        outcome.checks += 1;
    }
    outcome
}

/// What stands in `field`; the whole object has no field.
fn field(path: &str) -> String {
    if path.is_empty() { "<nil>".to_owned() } else { path.trim_start_matches('.').to_owned() }
}

fn invalid(path: &str, value: &Value, complaint: &str) -> Cause {
    Cause::invalid(field(path), value, &format!("{path} in body {complaint}"))
}

/// A fault that the real server reports without its field.
fn misplaced(text: &str) -> Cause {
    Cause::invalid("<nil>", &Value::String(String::new()), text)
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn check_type(value: &Value, schema: &Schema, path: &str) -> Option<Cause> {
    let expected = match schema.is_int_or_string {
        true => "integer,string",
        false => schema.kind.as_str(),
    };
    let actual = type_of(value);
    let is_whole = value.as_f64().is_some_and(|number| number.fract() == 0.0 && number.abs() < 9e15);
    let fits = |kind: &str| {
        kind == actual || (kind == "integer" && is_whole) || (kind == "number" && actual == "integer")
    };
    let is_fine = match value {
        Value::Null => expected.is_empty() || schema.is_nullable,
        _ => expected.is_empty() || expected.split(',').any(fits),
    };
    let format = schema.limits.format.as_str();
    // The real server lets any list pass for a text with a format.
    let is_fine = is_fine || (value.is_array() && schema.kind == "string" && !format.is_empty());
    (!is_fine).then(|| {
        // Of a field with a format the real server tells the formats.
        let (expected, actual) = match value {
            Value::Null | Value::String(_) | Value::Array(_) => (expected, actual),
            _ if format.is_empty() => (expected, actual),
            Value::Number(number) if number.is_f64() => (format, "float64"),
            Value::Number(_) => (format, "int64"),
            Value::Bool(_) | Value::Object(_) => (format, ""),
        };
        let text = format!("{path} in body must be of type {expected}: \"{actual}\"");
        Cause::type_invalid(field(path), &Value::from(actual), &text)
    })
}

fn check_combinations(value: &Value, old: Option<&Value>, limits: &Limits, path: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let alternatives = |schemas: &[Schema]| -> Vec<Outcome> {
        schemas.iter().map(|schema| check(value, old, schema, path)).collect()
    };
    let any = alternatives(&limits.any_of);
    if !any.is_empty() && !any.iter().any(Outcome::is_valid) {
        outcome.causes.push(misplaced(&format!("\"{path}\" must validate at least one schema (anyOf)")));
        outcome.merge(best(any));
    }
    let one = alternatives(&limits.one_of);
    let valid = one.iter().filter(|outcome| outcome.is_valid()).count();
    if !one.is_empty() && valid != 1 {
        let found = match valid {
            0 => "Found none valid".to_owned(),
            count => format!("Found {count} valid alternatives"),
        };
        let text = format!("\"{path}\" must validate one and only one schema (oneOf). {found}");
        outcome.causes.push(misplaced(&text));
        if valid == 0 {
            outcome.merge(best(one));
        }
    }
    let all = alternatives(&limits.all_of);
    let (count, valid) = (all.len(), all.iter().filter(|outcome| outcome.is_valid()).count());
    all.into_iter().for_each(|one| outcome.merge(one));
    if valid != count {
        let none = if valid == 0 { ". None validated" } else { "" };
        outcome.causes.push(misplaced(&format!("\"{path}\" must validate all the schemas (allOf){none}")));
    }
    if limits.not.as_ref().is_some_and(|not| check(value, old, not, path).is_valid()) {
        outcome.causes.push(misplaced(&format!("\"{path}\" must not validate the schema (not)")));
    }
    outcome
}

/// The first of the failures with the most checks.
fn best(failures: Vec<Outcome>) -> Outcome {
    failures
        .into_iter()
        .reduce(|best, next| if next.checks > best.checks { next } else { best })
        .unwrap_or_default()
}

/// Only the first of the three is reported.
fn check_text(text: &str, limits: &Limits, path: &str) -> Option<Cause> {
    let length = text.chars().count() as u64;
    let value = Value::from(text);
    if let Some(limit) = limits.max_length.filter(|limit| length > *limit) {
        return Some(Cause::too_long(field(path), limit));
    }
    if let Some(limit) = limits.min_length.filter(|limit| length < *limit) {
        return Some(invalid(path, &value, &format!("should be at least {limit} chars long")));
    }
    let pattern = limits.pattern.as_ref()?;
    let is_fine = pattern.expression.as_ref().is_none_or(|expression| expression.is_match(text));
    (!is_fine).then(|| invalid(path, &value, &format!("should match '{}'", pattern.text)))
}

fn check_format(text: &str, schema: &Schema, path: &str) -> Option<Cause> {
    let format = &schema.limits.format;
    let applies = matches!(schema.kind.as_str(), "" | "string") && !format.is_empty();
    (applies && !formats::matches(format, text)).then(|| {
        let text_of_fault =
            format!("{path} in body must be of type {format}: {}", crate::machinery::cause::quote(text));
        Cause::type_invalid(field(path), &Value::from(text), &text_of_fault)
    })
}

fn check_number(value: &Value, schema: &Schema, path: &str) -> Vec<Cause> {
    let limits = &schema.limits;
    let number = value.as_f64().unwrap_or_default();
    let mut causes = Vec::new();
    let is_in_range = match (schema.kind.as_str(), limits.format.as_str()) {
        ("integer", "int32") => number >= f64::from(i32::MIN) && number <= f64::from(i32::MAX),
        ("number", "float") => number.abs() <= f64::from(f32::MAX),
        _ => true,
    };
    if !is_in_range {
        let (kind, format) = (&schema.kind, &limits.format);
        let text = format!("Checked value must be of type {kind} with format {format} in {path}");
        causes.push(misplaced(&text));
    }
    if let Some(factor) = limits.multiple_of.filter(|factor| (number / factor).fract() != 0.0) {
        causes.push(invalid(path, value, &format!("should be a multiple of {}", go_float(factor))));
    }
    if let Some(bound) = limits.maximum {
        let (is_beyond, relation) = match limits.is_maximum_exclusive {
            true => (number >= bound, "less than"),
            false => (number > bound, "less than or equal to"),
        };
        if is_beyond {
            causes.push(invalid(path, value, &format!("should be {relation} {}", go_float(bound))));
        }
    }
    if let Some(bound) = limits.minimum {
        let (is_beyond, relation) = match limits.is_minimum_exclusive {
            true => (number <= bound, "greater than"),
            false => (number < bound, "greater than or equal to"),
        };
        if is_beyond {
            causes.push(invalid(path, value, &format!("should be {relation} {}", go_float(bound))));
        }
    }
    causes
}

fn check_enumeration(value: &Value, limits: &Limits, path: &str) -> Option<Cause> {
    let is_fine = limits.enumeration.is_empty()
        || (!value.is_null() && limits.enumeration.iter().any(|allowed| equal(allowed, value)));
    (!is_fine).then(|| {
        let supported: Vec<_> = limits
            .enumeration
            .iter()
            .map(|allowed| allowed.as_str().map_or_else(|| allowed.to_string(), str::to_owned))
            .collect();
        let supported: Vec<_> = supported.iter().map(String::as_str).collect();
        Cause::not_supported(field(path), value, &supported)
    })
}

fn check_list(items: &[Value], old: Option<&Value>, schema: &Schema, path: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let limits = &schema.limits;
    if let Some(item_schema) = schema.items.as_deref() {
        for (index, item) in items.iter().enumerate() {
            let old = old.and_then(|old| correlated(item, old, schema));
            outcome.merge(check(item, old, item_schema, &format!("{path}[{index}]")));
        }
    }
    let count = items.len() as u64;
    if let Some(limit) = limits.min_items.filter(|limit| count < *limit) {
        let complaint = format!("should have at least {limit} items");
        outcome.causes.push(invalid(path, &count.into(), &complaint));
    }
    if let Some(limit) = limits.max_items.filter(|limit| count > *limit) {
        outcome.causes.push(Cause::too_many(field(path), count, limit));
    }
    outcome
}

/// The old item that an item of a map list continues. Items of other lists have no identity.
fn correlated<'a>(item: &Value, old: &'a Value, schema: &Schema) -> Option<&'a Value> {
    if schema.list_type != ListType::Map {
        return None;
    }
    let same = |old: &&Value| schema.list_map_keys.iter().all(|key| old.get(key) == item.get(key));
    old.as_array()?.iter().find(same)
}

fn check_object(fields: &Map<String, Value>, old: Option<&Value>, schema: &Schema, path: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let limits = &schema.limits;
    let count = fields.len() as u64;
    if let Some(limit) = limits.min_properties.filter(|limit| count < *limit) {
        let complaint = format!("should have at least {limit} properties");
        outcome.causes.push(invalid(path, &count.into(), &complaint));
    }
    if let Some(limit) = limits.max_properties.filter(|limit| count > *limit) {
        outcome.causes.push(Cause::too_many(field(path), count, limit));
    }
    for (name, value) in sorted(fields) {
        let is_named = schema.properties.contains_key(name);
        match &schema.additional {
            Additional::None if !is_named => {
                let text = format!("{path}.{name} in body is a forbidden property");
                outcome.causes.push(Cause::invalid(field(path), &Value::from(""), &text));
            }
            _ => {
                if let Some(schema) = schema.field(name) {
                    let old = old.and_then(|old| old.get(name));
                    let path = if is_named { child(path, name) } else { format!("{path}.{name}") };
                    outcome.merge(check(value, old, schema, &path));
                }
            }
        }
    }
    for name in limits.required.iter().filter(|name| !fields.contains_key(*name)) {
        outcome.causes.push(Cause::required(child(path, name), ""));
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machinery::{cause, schema::lists, testing};
    use serde_json::json;

    fn check(schema: Value, value: Value, expected: &[&str]) {
        let schema = json!({"type": "object", "properties": {"f": schema}});
        let causes = validate(&json!({"f": value}), None, &Schema::parse(&schema), "");
        let found: Vec<_> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        assert_eq!(found, expected);
    }

    /// D-078, D-079, DEC-33, DT-103: message and causes of the real answers, CEL aside.
    #[test]
    fn widgets_are_refused_as_by_the_real_server() {
        let scenarios = testing::scenarios();
        let schema = Schema::parse(testing::fixture_schema(&scenarios, "widgets.test.dev"));
        let mut compared = 0;
        for answer in testing::golden_steps("DT-103") {
            let step = usize::try_from(answer["step"].as_u64().unwrap()).unwrap();
            let mut object = testing::scenario_step(&scenarios, "DT-103", step)["b"].clone();
            if answer["status"] != 422 {
                continue;
            }
            super::super::prune::prune(&mut object, &schema);
            super::super::defaults::apply(&mut object, &schema);
            let mut causes = validate(&object, None, &schema, "");
            causes.extend(lists::validate(&object, &schema));
            causes.extend(unchecked_rules(&causes, &schema));
            let message = answer["body"]["message"].as_str().unwrap();
            let (_, expected) = message.split_once(" is invalid: ").unwrap();
            assert_eq!(cause::join(&causes), expected);
            compared += 1;
        }
        assert!(compared >= 8, "only {compared} answers compared");
    }

    /// D-078: of a field with a format the real server tells formats, not types.
    #[test]
    fn a_value_of_the_wrong_type_is_told_by_its_format() {
        let schema = || json!({"type": "string", "format": "uuid"});
        check(
            schema(),
            json!(1),
            &["f: Invalid value: \"int64\": f in body must be of type uuid: \"int64\""],
        );
        check(
            schema(),
            json!(1.5),
            &["f: Invalid value: \"float64\": f in body must be of type uuid: \"float64\""],
        );
        check(schema(), json!({}), &["f: Invalid value: \"\": f in body must be of type uuid: \"\""]);
        check(schema(), json!(["x"]), &[]);
    }

    /// D-078.
    #[test]
    fn every_keyword_constrains() {
        check(json!({"type": "integer"}), json!(1.0), &[]);
        check(json!({"type": "number"}), json!(1), &[]);
        check(
            json!({"type": "integer"}),
            json!(1.5),
            &["f: Invalid value: \"number\": f in body must be of type integer: \"number\""],
        );
        check(
            json!({"type": "string"}),
            Value::Null,
            &["f: Invalid value: \"null\": f in body must be of type string: \"null\""],
        );
        check(json!({"type": "string", "nullable": true}), Value::Null, &[]);
        check(json!({"x-kubernetes-int-or-string": true}), json!("a"), &[]);
        check(
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            &["f: Invalid value: \"boolean\": f in body must be of type integer,string: \"boolean\""],
        );
        check(
            json!({"type": "string", "minLength": 2, "pattern": "^b"}),
            json!("ä"),
            &["f: Invalid value: \"ä\": f in body should be at least 2 chars long"],
        );
        check(
            json!({"type": "string", "pattern": "b+$"}),
            json!("ba"),
            &["f: Invalid value: \"ba\": f in body should match 'b+$'"],
        );
        check(
            json!({"type": "string", "maxLength": 2}),
            json!("äöü"),
            &["f: Too long: may not be more than 2 bytes"],
        );
        check(
            json!({"type": "number", "minimum": 2, "exclusiveMinimum": true, "multipleOf": 0.5}),
            json!(1.2),
            &[
                "f: Invalid value: 1.2: f in body should be a multiple of 0.5",
                "f: Invalid value: 1.2: f in body should be greater than 2",
            ],
        );
        check(
            json!({"type": "integer", "maximum": 2}),
            json!(3),
            &["f: Invalid value: 3: f in body should be less than or equal to 2"],
        );
        check(
            json!({"type": "integer", "format": "int32"}),
            json!(3_000_000_000_i64),
            &["<nil>: Invalid value: \"\": Checked value must be of type integer with format int32 in f"],
        );
        check(
            json!({"type": "array", "maxItems": 1, "items": {"type": "string"}}),
            json!(["a", 1]),
            &[
                "f[1]: Invalid value: \"integer\": f[1] in body must be of type string: \"integer\"",
                "f: Too many: 2: must have at most 1 item",
            ],
        );
        check(
            json!({"type": "array", "minItems": 1}),
            json!([]),
            &["f: Invalid value: 0: f in body should have at least 1 items"],
        );
        check(
            json!({"type": "object", "minProperties": 1, "required": ["a"]}),
            json!({}),
            &["f: Invalid value: 0: f in body should have at least 1 properties", "f.a: Required value"],
        );
        check(
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"k": 1}),
            &["f.k: Invalid value: \"integer\": f.k in body must be of type string: \"integer\""],
        );
        check(
            json!({"type": "integer", "enum": [1, 2]}),
            json!(3),
            &["f: Unsupported value: 3: supported values: \"1\", \"2\""],
        );
        check(
            json!({"type": "string", "format": "ipv4"}),
            json!("::1"),
            &["f: Invalid value: \"::1\": f in body must be of type ipv4: \"::1\""],
        );
        check(json!({"type": "string", "format": "unheard-of"}), json!("::1"), &[]);
    }

    /// D-078.
    #[test]
    fn schemas_are_combined() {
        let any = json!({"anyOf": [{"minimum": 5}, {"maximum": 2}]});
        check(any.clone(), json!(1), &[]);
        check(
            any,
            json!(3),
            &[
                "<nil>: Invalid value: \"\": \"f\" must validate at least one schema (anyOf)",
                "f: Invalid value: 3: f in body should be greater than or equal to 5",
            ],
        );
        let one = json!({"oneOf": [{"minimum": 1}, {"maximum": 5}]});
        check(
            one,
            json!(3),
            &[
                "<nil>: Invalid value: \"\": \"f\" must validate one and only one schema (oneOf). Found 2 valid \
             alternatives",
            ],
        );
        check(
            json!({"allOf": [{"minimum": 5}]}),
            json!(3),
            &[
                "f: Invalid value: 3: f in body should be greater than or equal to 5",
                "<nil>: Invalid value: \"\": \"f\" must validate all the schemas (allOf). None validated",
            ],
        );
        check(
            json!({"not": {"required": ["a"]}, "type": "object"}),
            json!({"a": 1}),
            &["<nil>: Invalid value: \"\": \"f\" must not validate the schema (not)"],
        );
    }

    /// D-090.
    #[test]
    fn an_update_may_keep_an_invalid_value() {
        let schema = Schema::parse(&json!({"type": "object", "properties": {
            "a": {"type": "string", "maxLength": 1},
            "l": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"v": {"type": "string", "maxLength": 1}}},
            },
        }}));
        let old = json!({"a": "long", "l": [{"k": 1, "v": "long"}]});
        let kept = json!({"a": "long", "l": [{"k": 2, "v": "x"}, {"k": 1, "v": "long", "more": 1}]});
        assert_eq!(validate(&kept, Some(&old), &schema, ""), []);
        let changed = json!({"a": "longer", "l": [{"k": 1, "v": "longer"}]});
        let causes = validate(&changed, Some(&old), &schema, "");
        assert_eq!(causes.iter().map(|cause| cause.field.as_str()).collect::<Vec<_>>(), ["a", "l[0].v"]);
    }

    /// DEC-33.
    #[test]
    fn rules_left_unchecked_are_told_only_after_blocking_faults() {
        let schema = |rules: Value| {
            Schema::parse(&json!({"type": "object", "properties": {
                "f": {"type": "integer", "minimum": 1, "x-kubernetes-validations": rules},
            }}))
        };
        let with_rules = schema(json!([{"rule": "true"}]));
        let blocking = validate(&json!({"f": "x"}), None, &with_rules, "");
        assert_eq!(unchecked_rules(&blocking, &with_rules).unwrap().field, "<nil>");
        assert_eq!(unchecked_rules(&blocking, &schema(json!([]))), None);
        let bound = validate(&json!({"f": 0}), None, &with_rules, "");
        assert_eq!((bound.len(), unchecked_rules(&bound, &with_rules)), (1, None));
    }
}
