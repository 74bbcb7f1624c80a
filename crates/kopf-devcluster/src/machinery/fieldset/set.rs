//! Sets of paths as a trie, and their form in `managedFields` (`FieldsV1`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{path::Step, view::View};

/// A set of paths.
///
/// The trie has two kinds of entries: `members` end here, `children` go on; a step may be both. No child is
/// empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Set {
    members: BTreeSet<Step>,
    children: BTreeMap<Step, Self>,
}

impl Set {
    /// A set of paths of fields.
    pub(crate) fn of(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.insert(&path.iter().map(|name| Step::Field((*name).to_owned())).collect::<Vec<_>>());
        }
        set
    }

    /// Adds a path. The empty path, the object itself, is in no set.
    pub(crate) fn insert(&mut self, path: &[Step]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.is_empty()
    }

    /// Whether the path of one step is in the set.
    pub(crate) fn has(&self, step: &Step) -> bool {
        self.members.contains(step)
    }

    /// What is in the set below a step, if anything.
    pub(crate) fn below(&self, step: &Step) -> Option<&Self> {
        self.children.get(step)
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        union.members.extend(other.members.iter().cloned());
        for (step, child) in &other.children {
            let own = union.children.entry(step.clone()).or_default();
            *own = own.union(child);
        }
        union
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let children = self.children.iter().filter_map(|(step, child)| {
            let common = child.intersection(other.children.get(step)?);
            (!common.is_empty()).then(|| (step.clone(), common))
        });
        Self { members: &self.members & &other.members, children: children.collect() }
    }

    /// The paths that are not in another set.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        let children = self.children.iter().filter_map(|(step, child)| {
            let rest = match other.children.get(step) {
                Some(other) => child.difference(other),
                None => child.clone(),
            };
            (!rest.is_empty()).then(|| (step.clone(), rest))
        });
        Self { members: &self.members - &other.members, children: children.collect() }
    }

    /// The paths that are neither in another set nor below one of its paths.
    pub(crate) fn without_subtrees(&self, other: &Self) -> Self {
        let children = self.children.iter().filter(|(step, _)| !other.members.contains(step));
        let children = children.filter_map(|(step, child)| {
            let rest = match other.children.get(step) {
                Some(other) => child.without_subtrees(other),
                None => child.clone(),
            };
            (!rest.is_empty()).then(|| (step.clone(), rest))
        });
        Self { members: &self.members - &other.members, children: children.collect() }
    }

    /// The set with the fields of structs on the way to its paths, which sets leave out otherwise.
    pub(crate) fn with_named_fields(&self, view: View<'_>) -> Self {
        let mut extended = Self { members: self.members.clone(), children: BTreeMap::new() };
        for (step, child) in &self.children {
            let (inner, is_named) = match step {
                Step::Field(name) => view.field(name),
                Step::Key(_) | Step::Value(_) | Step::Index(_) => (view.item(), false),
            };
            if is_named {
                extended.members.insert(step.clone());
            }
            extended.children.insert(step.clone(), child.with_named_fields(inner));
        }
        extended
    }

    /// All paths as texts, in order: `.spec.size`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, prefix: &str, paths: &mut Vec<String>) {
        paths.extend(self.members.iter().map(|step| format!("{prefix}{step}")));
        for (step, child) in &self.children {
            child.collect_paths(&format!("{prefix}{step}"), paths);
        }
    }

    /// The form in `managedFields`: an object per step; `.` stands for the step itself where more follows.
    pub(crate) fn encode(&self) -> Value {
        let mut encoded = Map::new();
        let steps: BTreeSet<&Step> = self.members.iter().chain(self.children.keys()).collect();
        for step in steps {
            let mut entry = Map::new();
            if let Some(child) = self.children.get(step) {
                if self.members.contains(step) {
                    entry.insert(".".to_owned(), Value::Object(Map::new()));
                }
                if let Value::Object(fields) = child.encode() {
                    entry.extend(fields);
                }
            }
            encoded.insert(step.encode(), Value::Object(entry));
        }
        Value::Object(encoded)
    }

    /// Reads the form in `managedFields`.
    ///
    /// # Errors
    ///
    /// A step is not understood, or what follows it is no object.
    pub(crate) fn decode(encoded: &Value) -> Result<Self, String> {
        let Value::Object(entries) = encoded else {
            return Err("a field set must be an object".to_owned());
        };
        let mut set = Self::default();
        for (text, entry) in entries.iter().filter(|(text, _)| *text != ".") {
            let step = Step::decode(text)?;
            let child = Self::decode(entry)?;
            // Nothing below, or a dot: the step itself is meant.
            if child.is_empty() || entry.get(".").is_some() {
                set.members.insert(step.clone());
            }
            if !child.is_empty() {
                set.children.insert(step, child);
            }
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            "[a-c:.]{1,3}".prop_map(Step::Field),
            ("[a-b]", 0i64..3).prop_map(|(name, value)| {
                Step::Key(std::iter::once((name, Value::from(value))).collect())
            }),
            "[a-c]".prop_map(|text| Step::Value(text.into())),
            (0i64..3).prop_map(Step::Index),
        ]
    }

    fn any_set() -> impl Strategy<Value = Set> {
        prop::collection::vec(prop::collection::vec(any_step(), 1..4), 0..6).prop_map(|paths| {
            let mut set = Set::default();
            paths.iter().for_each(|path| set.insert(path));
            set
        })
    }

    /// D-160: the form is that of the real answers.
    #[test]
    fn a_set_is_written_as_fields_v1() {
        let encoded = json!({
            "f:spec": {
                ".": {}, "f:size": {},
                "f:ports": {"k:{\"port\":1,\"proto\":\"TCP\"}": {".": {}, "f:port": {}}},
                "f:tags": {"v:\"a\"": {}, "i:3": {}},
            },
        });
        let set = Set::decode(&encoded).unwrap();
        assert_eq!(set.encode(), encoded);
        assert_eq!(
            set.paths(),
            [
                ".spec",
                ".spec.size",
                ".spec.ports[port=1,proto=\"TCP\"]",
                ".spec.ports[port=1,proto=\"TCP\"].port",
                ".spec.tags[=\"a\"]",
                ".spec.tags[3]",
            ]
        );
        for wrong in
            [json!([]), json!({"x:a": {}}), json!({"spec": {}}), json!({"f:a": 1}), json!({"i:x": {}})]
        {
            assert!(Set::decode(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_subtree_is_excluded_with_all_below() {
        let set = Set::of(&[&["spec", "a"], &["status"], &["status", "b"], &["metadata", "labels", "x"]]);
        assert_eq!(set.without_subtrees(&Set::of(&[&["status"], &["metadata"]])), Set::of(&[&["spec", "a"]]));
        assert_eq!(
            set.difference(&Set::of(&[&["status"]])),
            Set::of(&[&["spec", "a"], &["status", "b"], &["metadata", "labels", "x"]])
        );
    }

    proptest! {
        #[test]
        fn a_set_survives_encoding(set in any_set()) {
            prop_assert_eq!(Set::decode(&set.encode()).unwrap(), set);
        }

        #[test]
        fn sets_obey_the_laws_of_sets(a in any_set(), b in any_set()) {
            prop_assert_eq!(a.union(&b), b.union(&a));
            prop_assert_eq!(a.intersection(&b), b.intersection(&a));
            prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
            prop_assert!(a.difference(&b).intersection(&b).is_empty());
            prop_assert_eq!(a.union(&a), a.clone());
            prop_assert!(a.difference(&a).is_empty());
        }
    }
}
