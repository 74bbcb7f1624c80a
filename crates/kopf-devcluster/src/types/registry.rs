//! The set of resources served at one moment, and lookups in it.
//!
//! A registry never changes: a new custom resource definition makes a new one, so that a request sees one state from
//! beginning to end.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Resource, Version};

/// All served resources, in discovery's order: built-in groups first, then custom ones by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    resources: Vec<Arc<Resource>>,
    /// The highest number of a view so far: numbers are not used again.
    newest_view: u64,
}

/// Built-in views have numbers up to this.
const BUILT_IN_VIEWS: u64 = 100;

/// A resource and the version through which it is accessed.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) resource: Arc<Resource>,
    index: usize,
}

impl Served {
    pub(crate) fn new(resource: Arc<Resource>, version: &str) -> Option<Self> {
        let index = resource.versions.iter().position(|candidate| candidate.name == version)?;
        Some(Self { resource, index })
    }

    pub(crate) fn version(&self) -> &Version {
        &self.resource.versions[self.index]
    }
}

impl Registry {
    pub(crate) fn new(built_ins: Vec<Resource>) -> Self {
        Self { resources: built_ins.into_iter().map(Arc::new).collect(), newest_view: BUILT_IN_VIEWS }
    }

    /// The same built-in resources, with these custom ones.
    pub(crate) fn with_custom(&self, custom: Vec<Resource>, newest_view: u64) -> Self {
        let mut resources: Vec<_> =
            self.resources.iter().filter(|resource| resource.custom.is_none()).map(Arc::clone).collect();
        let mut custom: Vec<_> = custom.into_iter().map(Arc::new).collect();
        custom.sort_by(|a, b| (&a.group, &a.plural).cmp(&(&b.group, &b.plural)));
        resources.extend(custom);
        Self { resources, newest_view }
    }

    /// The same resources without some of the built-in ones, and with some more.
    pub(crate) fn with_built_ins(&self, is_kept: impl Fn(&Resource) -> bool, more: Vec<Resource>) -> Self {
        let is_kept = |resource: &&Arc<Resource>| resource.custom.is_some() || is_kept(resource);
        let (custom, mut resources): (Vec<_>, Vec<_>) = self
            .resources
            .iter()
            .filter(is_kept)
            .map(Arc::clone)
            .partition(|resource| resource.custom.is_some());
        resources.extend(more.into_iter().map(Arc::new));
        resources.extend(custom);
        Self { resources, newest_view: self.newest_view }
    }

    pub(crate) fn newest_view(&self) -> u64 {
        self.newest_view
    }

    pub(crate) fn resources(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Served> {
        let resource = self.resources.iter().find(|r| r.group == group && r.plural == plural)?;
        Served::new(Arc::clone(resource), version)
    }

    /// The resource of a kind, as owner references and manifests name it.
    pub(crate) fn find_kind(&self, group: &str, version: &str, kind: &str) -> Option<Served> {
        self.resources
            .iter()
            .filter(|r| r.group == group && r.kind == kind)
            .find_map(|resource| Served::new(Arc::clone(resource), version))
    }

    /// The named groups in discovery's order, each with its versions, the preferred one first.
    pub(crate) fn groups(&self) -> Vec<(&str, Vec<&str>)> {
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        for resource in &self.resources {
            let position = groups.iter().position(|(name, _)| *name == resource.group).unwrap_or_else(|| {
                groups.push((&resource.group, Vec::new()));
                groups.len() - 1
            });
            let versions = &mut groups[position].1;
            for version in &resource.versions {
                if !versions.contains(&version.name.as_str()) {
                    versions.push(&version.name);
                }
            }
        }
        for (_, versions) in &mut groups {
            versions.sort_by(|a, b| compare_versions(a, b));
        }
        groups
    }

    /// The resources of one group-version with their version.
    pub(crate) fn of_group_version(&self, group: &str, version: &str) -> Vec<Served> {
        self.resources
            .iter()
            .filter(|resource| resource.group == group)
            .filter_map(|resource| Served::new(Arc::clone(resource), version))
            .collect()
    }
}

/// Kubernetes' version priority: GA before beta before alpha, higher numbers first, anything else last by name.
pub(crate) fn compare_versions(a: &str, b: &str) -> Ordering {
    match (parse_version(a), parse_version(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// `(stability, major, minor)`, greater being preferred.
fn parse_version(text: &str) -> Option<(u8, u64, u64)> {
    let rest = text.strip_prefix('v')?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let major = rest[..digits].parse().ok()?;
    match &rest[digits..] {
        "" => Some((2, major, 0)),
        beta if beta.starts_with("beta") => Some((1, major, beta[4..].parse().ok()?)),
        alpha if alpha.starts_with("alpha") => Some((0, major, alpha[5..].parse().ok()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// D-044.
    #[test]
    fn stable_versions_come_before_beta_and_alpha() {
        let mut versions = ["v1alpha1", "foo1", "v2beta1", "v1", "v10", "v2beta10", "v2", "bar"];
        versions.sort_by(|a, b| compare_versions(a, b));
        assert_eq!(versions, ["v10", "v2", "v1", "v2beta10", "v2beta1", "v1alpha1", "bar", "foo1"]);
    }
}
