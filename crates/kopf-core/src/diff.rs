//! Differences between two values, by Kopf's rules (W-DFF).

use serde_json::{Map, Value};

use crate::{field::FieldPath, json::python_eq};

/// What happened to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// It appeared.
    Add,
    /// It has another value.
    Change,
    /// It is gone.
    Remove,
}

/// One difference.
#[derive(Clone, Debug, PartialEq)]
pub struct DiffItem {
    /// What happened.
    pub op: Op,
    /// Where.
    pub path: FieldPath,
    /// The value before; null if absent.
    pub old: Value,
    /// The value after; null if absent.
    pub new: Value,
}

/// All differences.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff(pub Vec<DiffItem>);

/// Which keys of mappings are looked at (W-DFF-006).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All.
    #[default]
    Full,
    /// Those of the old side: what is new there is no difference.
    Left,
    /// Those of the new side: what is missing there is no difference.
    Right,
}

impl Op {
    /// The word in `diff` items.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Change => "change",
            Self::Remove => "remove",
        }
    }
}

impl Diff {
    /// The differences between two values, null and absent being the same. Mappings are compared key by key, all else as a
    /// whole, by Python's equality. Keys come in the order of the old side, then the new one.
    #[must_use]
    pub fn between(old: &Value, new: &Value, scope: Scope) -> Self {
        let mut items = Vec::new();
        collect(old, new, scope, &mut Vec::new(), &mut items);
        Self(items)
    }

    /// The differences inside a field, with paths relative to it (W-DFF-007).
    #[must_use]
    pub fn reduce(&self, field: &FieldPath) -> Self {
        Self(self.0.iter().flat_map(|item| item.reduce(field)).collect())
    }

    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl DiffItem {
    fn reduce(&self, field: &FieldPath) -> Vec<Self> {
        let path = &self.path.0;
        if let Some(rest) = path.strip_prefix(field.0.as_slice()) {
            return vec![Self { path: FieldPath(rest.to_vec()), ..self.clone() }];
        }
        let Some(rest) = field.0.strip_prefix(path.as_slice()) else { return Vec::new() };
        let rest = FieldPath(rest.to_vec());
        let [old, new] = [&self.old, &self.new].map(|value| rest.resolve(value).unwrap_or(&Value::Null));
        Diff::between(old, new, Scope::Full).0
    }
}

fn collect(old: &Value, new: &Value, scope: Scope, path: &mut Vec<String>, items: &mut Vec<DiffItem>) {
    let op = match (old, new) {
        _ if python_eq(old, new) => return,
        (Value::Null, _) => Op::Add,
        (_, Value::Null) => Op::Remove,
        (Value::Object(old), Value::Object(new)) => return collect_keys(old, new, scope, path, items),
        _ => Op::Change,
    };
    items.push(DiffItem { op, path: FieldPath(path.clone()), old: old.clone(), new: new.clone() });
}

fn collect_keys(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    scope: Scope,
    path: &mut Vec<String>,
    items: &mut Vec<DiffItem>,
) {
    let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
    let in_scope = |key: &&String| match scope {
        Scope::Full => true,
        Scope::Left => old.contains_key(*key),
        Scope::Right => new.contains_key(*key),
    };
    for key in keys.filter(in_scope) {
        let [old, new] = [old, new].map(|map| map.get(key).unwrap_or(&Value::Null));
        path.push(key.clone());
        collect(old, new, scope, path, items);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{any_mapping, any_value};

    /// Makes the changes of a diff in the old value.
    fn apply(diff: &Diff, value: &mut Value) {
        for item in &diff.0 {
            if item.path.0.is_empty() {
                *value = item.new.clone();
            } else if let Value::Object(map) = value {
                item.path.set(map, item.new.clone());
            }
        }
    }

    proptest! {
        /// W-DFF-002.
        #[test]
        fn a_diff_applied_to_the_old_value_gives_the_new_one(old in any_value(), new in any_value()) {
            let mut value = old.clone();
            apply(&Diff::between(&old, &new, Scope::Full), &mut value);
            prop_assert_eq!(Diff::between(&value, &new, Scope::Full), Diff::default());
        }

        /// W-DFF-002.
        #[test]
        fn equal_values_have_no_differences(value in any_value()) {
            prop_assert!(Diff::between(&value, &value.clone(), Scope::Full).is_empty());
        }

        /// W-DFF-001: no item is inside another.
        #[test]
        fn items_do_not_overlap(old in any_mapping(), new in any_mapping()) {
            let diff = Diff::between(&old, &new, Scope::Full);
            for (position, item) in diff.0.iter().enumerate() {
                prop_assert!(!diff.0[position + 1..].iter().any(|other| other.path.0.starts_with(&item.path.0)));
            }
        }

        /// W-DFF-006.
        #[test]
        fn the_scopes_see_the_same_from_both_sides(old in any_mapping(), new in any_mapping()) {
            let left = Diff::between(&old, &new, Scope::Left);
            let right = Diff::between(&new, &old, Scope::Right);
            let paths = |diff: &Diff| diff.0.iter().map(|item| item.path.clone()).collect::<std::collections::BTreeSet<_>>();
            prop_assert_eq!(paths(&left), paths(&right));
        }

        /// W-DFF-007: reducing is comparing the fields.
        #[test]
        fn a_reduced_diff_is_the_diff_of_the_fields(old in any_mapping(), new in any_mapping(), field in "[ab](\\.[ab]){0,2}") {
            let field = FieldPath::dotted(&field);
            let [inner_old, inner_new] = [&old, &new].map(|value| field.resolve(value).unwrap_or(&Value::Null));
            let reduced = Diff::between(&old, &new, Scope::Full).reduce(&field);
            prop_assert_eq!(reduced, Diff::between(inner_old, inner_new, Scope::Full));
        }
    }
}
