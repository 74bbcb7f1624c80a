//! What the server knows about a resource: names, scope, verbs, versions, and how writes to it behave.
//!
//! Built-in types are rows of one table ([`table`]); custom resource definitions become the same [`Resource`] in
//! `crd`. Nothing here stores or validates objects.

pub(crate) mod builtin;
pub(crate) mod fields;
pub(crate) mod registry;
pub(crate) mod strategy;
pub(crate) mod table;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::machinery::table::Printer;

pub(crate) use registry::Registry;

/// How a type treats writes; bits of [`BuiltIn::flags`].
pub(crate) mod flags {
    /// `metadata.generation` is kept: 1 on create, one more with every change outside metadata and status.
    pub(crate) const GENERATION: u16 = 1;
    /// A PUT of what is not there creates it.
    pub(crate) const CREATE_ON_UPDATE: u16 = 2;
    /// A PUT may omit `metadata.resourceVersion`.
    pub(crate) const UNCONDITIONAL_UPDATE: u16 = 4;
    /// DELETE answers with the object instead of a Status.
    pub(crate) const DELETE_RETURNS_OBJECT: u16 = 8;
    /// Dependents are orphaned if a DELETE names no propagation policy.
    pub(crate) const ORPHAN_BY_DEFAULT: u16 = 16;
    /// `status` has an endpoint of its own; the main endpoint ignores it.
    pub(crate) const STATUS: u16 = 32;
    /// Deletion has a grace period.
    pub(crate) const GRACEFUL: u16 = 64;
}

/// A row of the table of built-in types.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BuiltIn {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) singular: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespaced: bool,
    pub(crate) short_names: &'static [&'static str],
    pub(crate) categories: &'static [&'static str],
    pub(crate) verbs: &'static [&'static str],
    pub(crate) flags: u16,
    pub(crate) subresources: &'static [Subresource],
}

/// A subresource in discovery; `group_version` where its kind lives elsewhere (Scale, Eviction, TokenRequest).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subresource {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) group_version: Option<(&'static str, &'static str)>,
    pub(crate) verbs: &'static [&'static str],
}

/// A served resource with all its versions: what requests are routed to.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) verbs: Vec<&'static str>,
    pub(crate) flags: u16,
    /// Served versions, the preferred one first.
    pub(crate) versions: Vec<Version>,
    /// `apiVersion` of the objects in the store.
    pub(crate) storage_version: String,
    /// Where the objects are stored: `plural` or `plural.group`; for Events of both groups the same.
    pub(crate) store: Arc<str>,
    /// Set for custom resources.
    pub(crate) custom: Option<Custom>,
}

/// What only custom resources have.
#[derive(Debug)]
pub(crate) struct Custom {
    /// The uid of the definition.
    pub(crate) uid: String,
    /// Cancelled when the definition is gone, which ends the watches.
    pub(crate) gone: CancellationToken,
}

/// One served version of a resource.
#[derive(Debug)]
pub(crate) struct Version {
    /// Such as `v1`.
    pub(crate) name: String,
    /// `group/version`, as objects say it.
    pub(crate) api_version: String,
    pub(crate) subresources: Vec<Subresource>,
    /// The columns of Tables.
    pub(crate) printer: Printer,
    /// How stored objects look through this version.
    pub(crate) view: View,
    /// What a deprecated version warns with.
    pub(crate) deprecation: Option<String>,
    /// Set for custom resources.
    pub(crate) definition: Option<Arc<crate::crd::Definition>>,
}

/// How stored objects are turned into what a version serves. `id` tells encoded forms apart: it changes with the
/// schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) id: u64,
    pub(crate) shape: Shape,
}

/// What a view does beside naming its `apiVersion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A built-in type as stored.
    BuiltIn,
    /// An Event of core/v1 seen as events.k8s.io/v1.
    EventsV1,
    /// A custom resource: keys sorted, defaults of the version applied.
    Custom,
}

impl Resource {
    /// `plural` or `plural.group`, as error messages name the resource.
    pub(crate) fn qualified(&self) -> String {
        qualify(&self.plural, &self.group)
    }

    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name)
    }
}

impl Version {
    pub(crate) fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|sub| sub.name == name)
    }

    /// Whether `status` is written through its own endpoint.
    pub(crate) fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }
}

pub(crate) fn qualify(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

/// `version` or `group/version`.
pub(crate) fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}
