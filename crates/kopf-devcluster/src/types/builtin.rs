//! Turns the rows of the table into served resources.
//!
//! Versions of one resource are merged; Events of both groups share one place in the store.

use std::sync::Arc;

use crate::cluster::PlainResource;
use crate::machinery::table::Printer;

use super::flags::{GENERATION, UNCONDITIONAL_UPDATE};
use super::table::ALL;
use super::{BuiltIn, Resource, Shape, Version, View, api_version, qualify};

/// The resources that `rows` describe, in their order.
pub(crate) fn resources(rows: &[BuiltIn]) -> Vec<Resource> {
    let mut resources: Vec<Resource> = Vec::new();
    for row in rows {
        match resources.iter_mut().find(|seen| seen.group == row.group && seen.plural == row.plural) {
            Some(seen) => seen.versions.push(version(row)),
            None => resources.push(resource(row)),
        }
    }
    resources
}

fn resource(row: &BuiltIn) -> Resource {
    let is_event = row.plural == "events";
    let store = if is_event { "events".to_owned() } else { qualify(row.plural, row.group) };
    Resource {
        group: row.group.to_owned(),
        plural: row.plural.to_owned(),
        singular: row.singular.to_owned(),
        kind: row.kind.to_owned(),
        list_kind: format!("{}List", row.kind),
        short_names: row.short_names.iter().map(ToString::to_string).collect(),
        categories: row.categories.iter().map(ToString::to_string).collect(),
        namespaced: row.namespaced,
        verbs: row.verbs.to_vec(),
        flags: row.flags,
        versions: vec![version(row)],
        storage_version: if is_event { "v1".to_owned() } else { api_version(row.group, row.version) },
        store: Arc::from(store),
        custom: None,
    }
}

/// A resource that a test adds.
pub(crate) fn plain(plain: PlainResource) -> Resource {
    let api_version = api_version(&plain.group, &plain.version);
    Resource {
        store: Arc::from(qualify(&plain.plural, &plain.group)),
        singular: plain.kind.to_lowercase(),
        list_kind: format!("{}List", plain.kind),
        short_names: Vec::new(),
        categories: Vec::new(),
        namespaced: plain.namespaced,
        verbs: ALL.to_vec(),
        flags: GENERATION | UNCONDITIONAL_UPDATE,
        versions: vec![Version {
            name: plain.version,
            api_version: api_version.clone(),
            subresources: Vec::new(),
            printer: Printer::of_built_in(&plain.group, &plain.plural),
            view: View { id: Shape::BuiltIn as u64, shape: Shape::BuiltIn },
            deprecation: None,
            definition: None,
        }],
        storage_version: api_version,
        custom: None,
        group: plain.group,
        plural: plain.plural,
        kind: plain.kind,
    }
}

fn version(row: &BuiltIn) -> Version {
    let shape = if row.group == "events.k8s.io" { Shape::EventsV1 } else { Shape::BuiltIn };
    Version {
        name: row.version.to_owned(),
        api_version: api_version(row.group, row.version),
        subresources: row.subresources.to_vec(),
        printer: Printer::of_built_in(row.group, row.plural),
        view: View { id: shape as u64, shape },
        deprecation: None,
        definition: None,
    }
}
