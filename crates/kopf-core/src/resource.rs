//! Resources as discovery tells them.

use std::fmt;

/// A kind served by the API. Its identity is group, version and plural (W-DSC-004).
#[derive(Clone, Debug, Default)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: String,
    /// The version.
    pub version: String,
    /// The plural name, as in URLs.
    pub plural: String,
    /// The kind.
    pub kind: String,
    /// The singular name.
    pub singular: String,
    /// The short names.
    pub short_names: Vec<String>,
    /// The categories.
    pub categories: Vec<String>,
    /// The subresources: `status`, `scale`.
    pub subresources: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether the version is the group's preferred one.
    pub preferred: bool,
    /// The verbs: `list`, `watch`, `patch`.
    pub verbs: Vec<String>,
}

impl Resource {
    /// Whether discovery shows the subresource.
    #[must_use]
    pub fn has_subresource(&self, name: &str) -> bool {
        self.subresources.iter().any(|known| known == name)
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        (&self.group, &self.version, &self.plural) == (&other.group, &other.version, &other.plural)
    }
}

impl Eq for Resource {}

impl std::hash::Hash for Resource {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.group, &self.version, &self.plural).hash(state);
    }
}

/// `plural.version.group`, without trailing dots for the core group (A-SEL-041).
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.plural, self.version)?;
        if self.group.is_empty() { Ok(()) } else { write!(f, ".{}", self.group) }
    }
}
