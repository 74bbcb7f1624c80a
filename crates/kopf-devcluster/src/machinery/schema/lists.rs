//! Uniqueness in lists of type `set` and `map` (D-075, D-079).

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::structural::{ListType, Schema};
use crate::machinery::{
    cause::Cause,
    json::{canonical, sorted},
};

/// What is there twice in the lists of an object.
pub(crate) fn validate(object: &Value, schema: &Schema) -> Vec<Cause> {
    let mut causes = Vec::new();
    walk(object, schema, "", &mut causes);
    causes
}

fn walk(value: &Value, schema: &Schema, path: &str, causes: &mut Vec<Cause>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in sorted(fields) {
                let Some(field_schema) = schema.field(name) else { continue };
                let path = match (schema.properties.contains_key(name), path.is_empty()) {
                    (false, _) => format!("{path}[{name}]"),
                    (true, true) => name.clone(),
                    (true, false) => format!("{path}.{name}"),
                };
                walk(field, field_schema, &path, causes);
            }
        }
        Value::Array(items) => {
            match schema.list_type {
                ListType::Atomic => {}
                ListType::Set => {
                    for index in repeated(items) {
                        causes.push(Cause::duplicate(format!("{path}[{index}]"), &canonical(&items[index])));
                    }
                }
                ListType::Map => causes.extend(validate_map(items, schema, path)),
            }
            let Some(items_schema) = schema.items.as_deref() else { return };
            for (index, item) in items.iter().enumerate() {
                walk(item, items_schema, &format!("{path}[{index}]"), causes);
            }
        }
        _ => {}
    }
}

fn validate_map(items: &[Value], schema: &Schema, path: &str) -> Vec<Cause> {
    if let Some(index) = items.iter().position(|item| !item.is_object() && !item.is_null()) {
        let fault = "must be an object for an array of list-type map";
        return vec![Cause::invalid(format!("{path}[{index}]"), &items[index], fault)];
    }
    let keys: Vec<Value> = items.iter().map(|item| Value::Object(map_key(item, schema))).collect();
    let causes = repeated(&keys).into_iter();
    causes.map(|index| Cause::duplicate(format!("{path}[{index}]"), &keys[index])).collect()
}

/// The fields by which an item of a map list is told apart, as far as it has them, sorted by name.
fn map_key(item: &Value, schema: &Schema) -> Map<String, Value> {
    let mut names: Vec<_> = schema.list_map_keys.iter().collect();
    names.sort_unstable();
    names.into_iter().filter_map(|name| Some((name.clone(), item.get(name)?.clone()))).collect()
}

/// Where each value that comes more than once comes for the second time.
fn repeated(items: &[Value]) -> Vec<usize> {
    let mut seen: HashMap<String, u32> = HashMap::with_capacity(items.len());
    let mut repeated = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let times = seen.entry(canonical(item).to_string()).or_default();
        *times += 1;
        if *times == 2 {
            repeated.push(index);
        }
    }
    repeated
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(list: Value, object: Value, expected: &[(&str, &str)]) {
        let schema = json!({"type": "object", "properties": {"l": list}});
        let causes = validate(&object, &Schema::parse(&schema));
        let found: Vec<_> =
            causes.iter().map(|cause| (cause.field.as_str(), cause.message.as_str())).collect();
        assert_eq!(found, expected);
    }

    /// D-079, DT-103: the texts are in the real answers.
    #[test]
    fn sets_and_maps_have_each_value_once() {
        let set = json!({"type": "array", "items": {}, "x-kubernetes-list-type": "set"});
        check(set.clone(), json!({"l": ["a", "a", "a"]}), &[("l[1]", "Duplicate value: \"a\"")]);
        check(
            set,
            json!({"l": [{"a": 1, "b": 2}, {"b": 2, "a": 1}, 1, "1"]}),
            &[("l[1]", "Duplicate value: {\"a\":1,\"b\":2}")],
        );
        let map = |keys: Value| {
            json!({
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys,
                "items": {"type": "object"},
            })
        };
        check(
            map(json!(["port"])),
            json!({"l": [{"port": 1}, {"port": 1}, {"port": 2}]}),
            &[("l[1]", "Duplicate value: {\"port\":1}")],
        );
        check(
            map(json!(["b", "a"])),
            json!({"l": [{"a": 1, "b": 1}, {"a": 1}, {"a": 1}]}),
            &[("l[2]", "Duplicate value: {\"a\":1}")],
        );
        check(
            map(json!(["a"])),
            json!({"l": [1]}),
            &[("l[0]", "Invalid value: 1: must be an object for an array of list-type map")],
        );
        let atomic = json!({"type": "array", "items": {}});
        check(atomic, json!({"l": ["a", "a"]}), &[]);
    }
}
