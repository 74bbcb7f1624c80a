//! Paths to fields, and reading them tolerantly.

use std::fmt;

use serde_json::Value;

/// A path to a field: the keys of nested mappings. Empty is the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(pub Vec<String>);

impl FieldPath {
    /// Splits a dotted path, as in `field="spec.size"` (A-DEC-017).
    #[must_use]
    pub fn dotted(text: &str) -> Self {
        Self(if text.is_empty() { Vec::new() } else { text.split('.').map(str::to_owned).collect() })
    }

    /// Follows the path; a missing key and a parent that is no mapping give none (A-FLT-026), a null gives null.
    #[must_use]
    pub fn resolve<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(value, |value, key| value.as_object()?.get(key))
    }
}

/// The keys joined by dots, as in handler ids (W-KEY-001).
impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}
