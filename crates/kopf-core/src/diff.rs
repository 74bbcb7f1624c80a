//! Differences between two values, by Kopf's rules (W-DFF).

use serde_json::Value;

use crate::field::FieldPath;

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
