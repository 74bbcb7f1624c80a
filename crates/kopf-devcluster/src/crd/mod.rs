//! Custom resource definitions: from the object to a served resource.
//!
//! [`controller`] decides what is served and keeps the definitions' status; [`validate`] refuses bad ones.

pub(crate) mod controller;
pub(crate) mod validate;

use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::machinery::cause::Cause;
use crate::machinery::schema::{self, Schema};
use crate::machinery::table::Printer;
use crate::types::registry::compare_versions;
use crate::types::{Custom, Registry, Resource, Shape, Subresource, Version, View, api_version};

/// Where definitions are stored.
pub(crate) const STORE: &str = "customresourcedefinitions.apiextensions.k8s.io";
/// Keeps a definition until its objects are gone.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Verbs of custom resources, in the order that discovery lists them.
const VERBS: &[&str] = &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
const SUBRESOURCE_VERBS: &[&str] = &["get", "patch", "update"];

/// What one version of a definition says about its objects.
#[derive(Debug)]
pub(crate) struct Definition {
    /// Which state of the definition this is from: its uid and generation.
    origin: (String, i64),
    /// The version as it stands in `spec.versions`.
    pub(crate) spec: Value,
    pub(crate) schema: Schema,
    selectable: Vec<String>,
    view: u64,
}

/// What each write to a resource with rules is told (DEC-26).
const RULES_NOT_EVALUATED: &str =
    "the dev cluster does not evaluate x-kubernetes-validations: a real cluster may refuse this object";

impl Definition {
    fn new(origin: (String, i64), spec: &Value, view: u64) -> Self {
        let selectable = spec["selectableFields"].as_array().into_iter().flatten();
        let selectable = selectable.filter_map(|field| field["jsonPath"].as_str());
        Self {
            origin,
            selectable: selectable.map(|path| path.trim_start_matches('.').to_owned()).collect(),
            schema: Schema::parse(&spec["schema"]["openAPIV3Schema"]),
            view,
            spec: spec.clone(),
        }
    }

    /// Whether objects can be selected by this field (D-091).
    pub(crate) fn is_selectable(&self, field: &str) -> bool {
        self.selectable.iter().any(|selectable| selectable == field)
    }

    /// Completes a stored object as this version shows it: its own fields and defaults (D-075, D-084).
    pub(crate) fn present(&self, value: &mut Value) {
        schema::prune::prune(value, &self.schema);
        schema::defaults::fill_in(value, &self.schema);
    }

    /// Removes what the schema does not name, and brings metadata into its type; gives the paths of what is gone.
    pub(crate) fn decode(&self, value: &mut Value, keeps_nulls: bool) -> Result<Vec<String>, String> {
        let mut unknown = schema::prune::prune(value, &self.schema);
        unknown.extend(schema::embedded::coerce(value, &self.schema)?);
        if !keeps_nulls {
            schema::defaults::drop_nulls(value, Some(&self.schema));
        }
        Ok(unknown)
    }

    pub(crate) fn apply_defaults(&self, value: &mut Value) {
        schema::defaults::fill_in(value, &self.schema);
    }

    /// What is wrong with an object by the schema, and what could not be checked.
    pub(crate) fn validate(
        &self,
        value: &Value,
        old: Option<&Value>,
        warnings: &mut Vec<String>,
    ) -> Vec<Cause> {
        let mut causes = schema::validate::validate(value, old, &self.schema, "");
        causes.extend(schema::embedded::validate(value, &self.schema));
        causes.extend(schema::lists::validate(value, &self.schema));
        if let Some(cause) = schema::validate::unchecked_rules(&causes, &self.schema) {
            causes.push(cause);
        }
        if causes.is_empty() && self.schema.has_rules() {
            warnings.push(RULES_NOT_EVALUATED.to_owned());
        }
        causes
    }
}

/// Numbers of views that no object is encoded by yet.
#[derive(Debug)]
struct Views(u64);

impl Views {
    /// Those after all of `before`; built-in views have the first numbers, also when nothing custom is served.
    fn after(before: &Registry) -> Self {
        Self(before.newest_view())
    }

    fn take(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// The resource that a definition describes. What has not changed since `before` is taken from there.
fn resource(definition: &Value, before: &Registry, views: &mut Views) -> Resource {
    let (spec, names) = (&definition["spec"], &definition["status"]["acceptedNames"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let (group, plural) = (text(&spec["group"]), text(&names["plural"]));
    let previous =
        before.resources().iter().find(|resource| resource.group == group && resource.plural == plural);
    let uid = text(&definition["metadata"]["uid"]);
    let origin = (uid.clone(), definition["metadata"]["generation"].as_i64().unwrap_or(0));
    let mut versions: Vec<Version> = served_versions(spec)
        .map(|version| {
            let known = previous
                .and_then(|resource| resource.version(&text(&version["name"])))
                .and_then(|version| version.definition.as_ref())
                .filter(|known| known.origin == origin);
            let known = known
                .map_or_else(|| Arc::new(Definition::new(origin.clone(), version, views.take())), Arc::clone);
            self::version(definition, version, known)
        })
        .collect();
    versions.sort_by(|a, b| compare_versions(&a.name, &b.name));
    let storage =
        spec["versions"].as_array().into_iter().flatten().find(|version| version["storage"] == true);
    let storage_version = storage.map(|version| text(&version["name"])).unwrap_or_default();
    let gone = previous
        .and_then(|resource| resource.custom.as_ref())
        .filter(|custom| custom.uid == uid)
        .map_or_else(CancellationToken::new, |custom| custom.gone.clone());
    Resource {
        store: Arc::from(format!("{plural}.{group}")),
        singular: text(&names["singular"]),
        kind: text(&names["kind"]),
        list_kind: text(&names["listKind"]),
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        verbs: VERBS.to_vec(),
        flags: 0,
        versions,
        storage_version: api_version(&group, &storage_version),
        custom: Some(Custom { uid, gone }),
        group,
        plural,
    }
}

fn served_versions(spec: &Value) -> impl Iterator<Item = &Value> {
    spec["versions"].as_array().into_iter().flatten().filter(|version| version["served"] == true)
}

fn version(definition: &Value, spec: &Value, known: Arc<Definition>) -> Version {
    let name = spec["name"].as_str().unwrap_or_default().to_owned();
    let group = definition["spec"]["group"].as_str().unwrap_or_default();
    let mut subresources = Vec::new();
    if spec["subresources"]["status"].is_object() {
        // The kind of `status` is the resource's own; discovery fills it in.
        subresources.push(Subresource {
            name: "status",
            kind: "",
            group_version: None,
            verbs: SUBRESOURCE_VERBS,
        });
    }
    if spec["subresources"]["scale"].is_object() {
        let group_version = Some(("autoscaling", "v1"));
        subresources.push(Subresource {
            name: "scale",
            kind: "Scale",
            group_version,
            verbs: SUBRESOURCE_VERBS,
        });
    }
    Version {
        api_version: api_version(group, &name),
        subresources,
        printer: Printer::of_version(spec),
        view: View { id: known.view, shape: Shape::Custom },
        deprecation: deprecation(definition, spec),
        definition: Some(known),
        name,
    }
}

/// The warning of a deprecated version: its own, or which one to use instead (D-085).
fn deprecation(definition: &Value, spec: &Value) -> Option<String> {
    if spec["deprecated"] != true {
        return None;
    }
    if let Some(warning) = spec["deprecationWarning"].as_str() {
        return Some(warning.to_owned());
    }
    let (group, kind) = (&definition["spec"]["group"], &definition["spec"]["names"]["kind"]);
    let (group, kind) = (group.as_str().unwrap_or_default(), kind.as_str().unwrap_or_default());
    let name = spec["name"].as_str().unwrap_or_default();
    let mut better: Vec<&str> = served_versions(&definition["spec"])
        .filter(|other| other["deprecated"] != true)
        .filter_map(|other| other["name"].as_str())
        .filter(|other| compare_versions(other, name).is_lt())
        .collect();
    better.sort_by(|a, b| compare_versions(a, b));
    let warning = format!("{group}/{name} {kind} is deprecated");
    Some(match better.first() {
        Some(better) => format!("{warning}; use {group}/{better} {kind}"),
        None => warning,
    })
}

/// The first status of a definition (D-071).
pub(crate) fn on_create(definition: &mut Value) {
    let stored: Vec<Value> = storage_version(definition).into_iter().collect();
    definition["status"] = json!({
        "conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored,
    });
}

/// Fills in what a definition may leave out.
pub(crate) fn apply_defaults(definition: &mut Value) {
    let spec = &mut definition["spec"];
    if !spec.is_object() {
        *spec = json!({});
    }
    let kind = spec["names"]["kind"].as_str().unwrap_or_default().to_owned();
    let names = &mut spec["names"];
    if !kind.is_empty() && names["singular"].as_str().unwrap_or_default().is_empty() {
        names["singular"] = kind.to_lowercase().into();
    }
    if !kind.is_empty() && names["listKind"].as_str().unwrap_or_default().is_empty() {
        names["listKind"] = format!("{kind}List").into();
    }
    if spec["conversion"].is_null() {
        spec["conversion"] = json!({"strategy": "None"});
    }
}

/// The storage version is remembered for as long as objects may be stored in it.
pub(crate) fn on_update(definition: &mut Value) {
    let Some(storage) = storage_version(definition) else { return };
    let stored = &mut definition["status"]["storedVersions"];
    match stored.as_array_mut() {
        Some(stored) if stored.contains(&storage) => {}
        Some(stored) => stored.push(storage),
        None => *stored = json!([storage]),
    }
}

fn storage_version(definition: &Value) -> Option<Value> {
    let versions = definition["spec"]["versions"].as_array()?;
    let storage = versions.iter().find(|version| version["storage"] == true)?;
    Some(storage["name"].clone())
}
