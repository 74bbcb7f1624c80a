//! What a write has added, changed and removed, as field sets.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    path::Step,
    set::Set,
    view::{Kind, View},
};
use crate::machinery::json::equal;

/// The differences between two values. No path is in two of the sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) added: Set,
    pub(super) modified: Set,
    pub(super) removed: Set,
}

impl Comparison {
    /// Compares two objects of a type.
    pub(super) fn of(old: &Value, new: &Value, view: View<'_>) -> Self {
        let mut walk = Walk { path: Vec::new(), found: Self::default() };
        walk.compare(Some(old), Some(new), view);
        walk.found
    }

    /// Leaves out paths that do not count, with all below.
    pub(super) fn without(&self, excluded: &Set) -> Self {
        Self {
            added: self.added.without_subtrees(excluded),
            modified: self.modified.without_subtrees(excluded),
            removed: self.removed.without_subtrees(excluded),
        }
    }
}

struct Walk {
    path: Vec<Step>,
    found: Comparison,
}

impl Walk {
    /// One of the values may be missing.
    fn compare(&mut self, old: Option<&Value>, new: Option<&Value>, view: View<'_>) {
        let is_leaf = match (old, new) {
            (_, None) => self.compare_as(view.kind(old), old, new, view),
            (None, _) => self.compare_as(view.kind(new), old, new, view),
            (Some(_), Some(_)) => {
                let (old_kind, new_kind) = (view.kind(old), view.kind(new));
                if old_kind != new_kind
                    && !old.is_some_and(Value::is_null)
                    && !new.is_some_and(Value::is_null)
                {
                    // The form has changed, which can only be where nothing is known: the whole changed.
                    self.compare_as(old_kind, old, None, view);
                    self.compare_as(new_kind, None, new, view);
                    self.found.removed = self.found.removed.difference(&self.found.added);
                    return;
                }
                self.compare_as(new_kind, old, new, view)
            }
        };
        match (is_leaf, old, new) {
            (false, None, _) => self.found.added.insert(&self.path),
            (false, _, None) => self.found.removed.insert(&self.path),
            _ => {}
        }
    }

    /// Gives whether the values were compared as a whole.
    fn compare_as(&mut self, kind: Kind, old: Option<&Value>, new: Option<&Value>, view: View<'_>) -> bool {
        let is_empty = |value: Option<&Value>| match (kind, value) {
            (Kind::Map { .. }, Some(Value::Object(fields))) => fields.is_empty(),
            (Kind::KeyedList, Some(Value::Array(items))) => items.is_empty(),
            _ => true,
        };
        let is_leaf = match kind {
            Kind::Scalar | Kind::AtomicList | Kind::Map { is_atomic: true } => true,
            // Keeps apart what is empty and what is missing.
            Kind::Map { is_atomic: false } | Kind::KeyedList => is_empty(old) && is_empty(new),
        };
        if is_leaf {
            self.compare_leaves(old, new);
        } else if kind == Kind::KeyedList {
            self.compare_lists(old, new, view);
        } else {
            self.compare_maps(old, new, view);
        }
        is_leaf
    }

    fn compare_leaves(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (None, _) => self.found.added.insert(&self.path),
            (_, None) => self.found.removed.insert(&self.path),
            (Some(old), Some(new)) if equal(old, new) => {}
            _ => self.found.modified.insert(&self.path),
        }
    }

    fn compare_maps(&mut self, old: Option<&Value>, new: Option<&Value>, view: View<'_>) {
        let nothing = Map::new();
        let old = old.and_then(Value::as_object).unwrap_or(&nothing);
        let new = new.and_then(Value::as_object).unwrap_or(&nothing);
        let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
        for name in names {
            self.path.push(Step::Field(name.clone()));
            self.compare(old.get(name), new.get(name), view.field(name).0);
            self.path.pop();
        }
    }

    /// Items that come several times are compared together, as a whole.
    fn compare_lists(&mut self, old: Option<&Value>, new: Option<&Value>, view: View<'_>) {
        let mut items: BTreeMap<Step, [Vec<&Value>; 2]> = BTreeMap::new();
        for (side, list) in [old, new].into_iter().enumerate() {
            for item in list.and_then(Value::as_array).into_iter().flatten() {
                if let Ok(step) = view.step(item) {
                    items.entry(step).or_default()[side].push(item);
                }
            }
        }
        for (step, [old, new]) in items {
            self.path.push(step);
            match (&old[..], &new[..]) {
                ([] | [_], [] | [_]) => {
                    self.compare(old.first().copied(), new.first().copied(), view.item());
                }
                ([_, _, ..], [_, _, ..]) if old == new => {}
                ([_, _, ..], [_, _, ..]) => self.found.modified.insert(&self.path),
                ([_, _, ..], _) => {
                    if let Some(new) = new.first() {
                        self.compare(None, Some(new), view.item());
                    }
                    self.found.removed.insert(&self.path);
                }
                (_, [_, _, ..]) => {
                    if let Some(old) = old.first() {
                        self.compare(Some(old), None, view.item());
                    }
                    self.found.added.insert(&self.path);
                }
            }
            self.path.pop();
        }
    }
}
