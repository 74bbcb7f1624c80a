//! Resources as discovery tells them.

use std::{borrow::Cow, fmt};

use crate::object::Object;

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
    /// The path of the resource, of an object, or of its subresource: `/apis/kopf.dev/v1/namespaces/ns/kopfexamples/name`
    /// (W-API-001). Without a namespace it is the list of all namespaces.
    ///
    /// # Errors
    /// For a namespace of a cluster-scoped resource, a namespaced object without a namespace, and a subresource of no
    /// object.
    pub fn path(
        &self,
        namespace: Option<&str>,
        name: Option<&str>,
        subresource: Option<&str>,
    ) -> Result<String, PathError> {
        let namespace = namespace.filter(|namespace| !namespace.is_empty());
        if subresource.is_some() && name.is_none() {
            return Err(PathError::SubresourceWithoutName);
        }
        if !self.namespaced && namespace.is_some() {
            return Err(PathError::NamespaceOfClusterScoped);
        }
        if self.namespaced && namespace.is_none() && name.is_some() {
            return Err(PathError::NameWithoutNamespace);
        }
        let mut path = match (self.group.as_str(), self.version.as_str()) {
            ("", "v1") => "/api/v1".to_owned(),
            ("", version) => format!("/apis/{version}"),
            (group, version) => format!("/apis/{group}/{version}"),
        };
        let parts =
            [namespace.map(|_| "namespaces"), namespace, Some(self.plural.as_str()), name, subresource];
        for part in parts.into_iter().flatten() {
            path.push('/');
            path.push_str(part);
        }
        Ok(path)
    }

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

/// Why there is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// A subresource belongs to an object.
    #[error("Subresources can be used only with specific resources by their name.")]
    SubresourceWithoutName,
    /// Cluster-scoped objects have no namespace.
    #[error("Specific namespaces are not supported for cluster-scoped resources.")]
    NamespaceOfClusterScoped,
    /// Namespaced objects have one.
    #[error("Specific namespaces are required for specific namespaced resources.")]
    NameWithoutNamespace,
}

/// What tells objects of one resource apart for as long as they live: the uid, or what comes closest (W-QUE-003).
#[must_use]
pub fn stream_key(object: &Object) -> Cow<'_, str> {
    if let Some(uid) = object.uid().filter(|uid| !uid.is_empty()) {
        return uid.into();
    }
    let or_dash = |text: &'_ str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let created = object.meta("creationTimestamp").and_then(|time| time.as_str()).unwrap_or_default();
    let parts =
        [object.kind(), object.api_version(), object.name(), object.namespace().unwrap_or_default(), created];
    parts.map(or_dash).join("//").into()
}
