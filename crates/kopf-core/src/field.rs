//! Paths to fields: reading them tolerantly, setting and removing them.

use std::fmt;

use serde_json::{Map, Value};

/// A path to a field: the keys of nested mappings. Empty is the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(pub Vec<String>);

impl FieldPath {
    /// Splits a dotted path, as in `field="spec.size"` (A-DEC-017).
    #[must_use]
    pub fn dotted(text: &str) -> Self {
        Self(if text.is_empty() { Vec::new() } else { text.split('.').map(str::to_owned).collect() })
    }

    /// The field of the given key inside this one.
    #[must_use]
    pub fn child(&self, key: &str) -> Self {
        Self(self.0.iter().cloned().chain([key.to_owned()]).collect())
    }

    /// Follows the path; a missing key and a parent that is no mapping give none (A-FLT-026), a null gives null.
    #[must_use]
    pub fn resolve<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(value, |value, key| value.as_object()?.get(key))
    }

    /// As [`resolve`](Self::resolve), inside a mapping; the root itself gives none.
    #[must_use]
    pub fn resolve_in<'a>(&self, map: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, rest) = self.0.split_first()?;
        rest.iter().try_fold(map.get(first)?, |value, key| value.as_object()?.get(key))
    }

    /// Sets the field, making its parents, also in place of what is no mapping. The root cannot be set.
    pub fn set(&self, map: &mut Map<String, Value>, value: Value) {
        if let Some((last, parents)) = self.0.split_last() {
            parents.iter().fold(map, |map, key| submap(map, key)).insert(last.clone(), value);
        }
    }

    /// Removes the field, and those of its parents that become empty by it. Whether it was there.
    pub fn remove(&self, map: &mut Map<String, Value>) -> bool {
        remove_pruning(map, &self.0)
    }
}

/// The keys joined by dots, as in handler ids (W-KEY-001).
impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// The mapping under a key, made if there is none.
pub(crate) fn submap<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let slot = map.entry(key).or_insert(Value::Null);
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    match slot {
        Value::Object(map) => map,
        _ => unreachable!("a mapping was put there just now"),
    }
}

fn remove_pruning(map: &mut Map<String, Value>, path: &[String]) -> bool {
    match path {
        [] => false,
        // `shift` keeps the order of the others, on which the bytes of stored texts depend.
        [last] => map.shift_remove(last).is_some(),
        [key, rest @ ..] => {
            let Some(Value::Object(inner)) = map.get_mut(key) else { return false };
            let removed = remove_pruning(inner, rest);
            if removed && inner.is_empty() {
                map.shift_remove(key);
            }
            removed
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn setting_makes_parents_even_of_what_is_no_mapping() {
        let mut body = map(json!({"a": 1, "b": {"c": null}}));
        FieldPath::dotted("a.x").set(&mut body, json!(1));
        FieldPath::dotted("b.c.d").set(&mut body, json!(2));
        FieldPath::default().set(&mut body, json!(3));
        assert_eq!(Value::Object(body), json!({"a": {"x": 1}, "b": {"c": {"d": 2}}}));
    }

    #[test]
    fn removing_prunes_only_the_parents_that_it_has_emptied() {
        let mut body = map(json!({"z": 0, "a": {"b": {"c": 1}}, "e": {}, "y": 0}));
        assert!(!FieldPath::dotted("e.x").remove(&mut body));
        assert!(!FieldPath::dotted("z.x").remove(&mut body));
        assert!(!FieldPath::default().remove(&mut body));
        assert!(FieldPath::dotted("a.b.c").remove(&mut body));
        assert_eq!(Value::Object(body.clone()).to_string(), r#"{"z":0,"e":{},"y":0}"#);
        assert!(FieldPath::dotted("z").remove(&mut body));
        assert_eq!(Value::Object(body).to_string(), r#"{"e":{},"y":0}"#);
    }

    #[test]
    fn a_field_is_read_only_through_mappings() {
        let body = map(json!({"a": {"b": null}, "c": [1]}));
        assert_eq!(FieldPath::dotted("a.b").resolve_in(&body), Some(&Value::Null));
        assert_eq!(FieldPath::dotted("a.b.c").resolve_in(&body), None);
        assert_eq!(FieldPath::dotted("c.0").resolve_in(&body), None);
        assert_eq!(FieldPath::default().resolve_in(&body), None);
    }
}
