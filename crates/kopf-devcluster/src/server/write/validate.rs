//! From a decoded body to an object that may be stored: its type, its fields, its metadata, its schema.

use serde_json::Value;

use super::Target;
use super::options::FieldValidation;
use super::prepare::{meta_text, remove};
use crate::machinery::{cause::Cause, metadata, names::NameSyntax};
use crate::server::decode::Decoded;
use crate::status::{ApiError, Subject};
use crate::types::registry::Served;
use crate::types::{Resource, Shape};

/// A body that was read, with what was found objectionable in it.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) value: Value,
    pub(crate) warnings: Vec<String>,
}

/// Takes out what the type does not have, and refuses it or warns of it as asked (D-131).
pub(crate) fn decoded(target: &Target<'_>, body: Decoded) -> Result<Checked, ApiError> {
    // Of another type nothing is known; warnings are made of a custom resource before.
    if target.served.resource.custom.is_none() {
        check_type(target, &body.value)?;
    }
    fitting(target, body, Nulls::Dropped).map_err(|why| cannot_be_handled(target.served, &why))
}

/// What becomes of nulls that a custom resource can neither have nor replace by a default (D-077).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nulls {
    /// They go with the decoding.
    Dropped,
    /// What was applied is not decoded: they stay, and are refused.
    Kept,
}

/// As [`decoded`].
///
/// # Errors
///
/// Why the body is none of the type, in the words of the real server.
pub(crate) fn fitting(target: &Target<'_>, body: Decoded, nulls: Nulls) -> Result<Checked, String> {
    let Decoded { mut value, duplicates } = body;
    let unknown = unknown_fields(target.served, &mut value, nulls)?;
    let problems: Vec<String> = duplicates
        .into_iter()
        .map(|path| format!("duplicate field \"{path}\""))
        .chain(unknown.into_iter().map(|path| format!("unknown field \"{path}\"")))
        .collect();
    match target.options.validation {
        FieldValidation::Strict if !problems.is_empty() => {
            Err(format!("strict decoding error: {}", problems.join(", ")))
        }
        FieldValidation::Warn => Ok(Checked { value, warnings: problems }),
        FieldValidation::Ignore | FieldValidation::Strict => Ok(Checked { value, warnings: Vec::new() }),
    }
}

/// The body cannot be read as the type of the endpoint.
pub(crate) fn cannot_be_handled(served: &Served, why: &str) -> ApiError {
    let (kind, version) = (&served.resource.kind, &served.version().name);
    ApiError::bad_request(format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"))
}

/// Removes the fields that the type does not have; gives their paths, sorted.
fn unknown_fields(served: &Served, value: &mut Value, nulls: Nulls) -> Result<Vec<String>, String> {
    let mut unknown = match &served.version().definition {
        Some(_) if is_other_version(served, value) => return Ok(fields_beside_metadata(served, value)),
        Some(definition) => definition.decode(value, nulls == Nulls::Kept)?,
        None => crate::types::fields::decode(served, value)?,
    };
    unknown.sort();
    Ok(unknown)
}

fn is_other_version(served: &Served, value: &Value) -> bool {
    let said = value["apiVersion"].as_str().unwrap_or_default();
    !said.is_empty() && said != served.version().api_version
}

/// Of a version that is not this endpoint's no fields are known; of another group's nobody asks.
fn fields_beside_metadata(served: &Served, value: &Value) -> Vec<String> {
    let group = value["apiVersion"].as_str().and_then(|said| said.split_once('/')).map(|(group, _)| group);
    if group != Some(served.resource.group.as_str()) {
        return Vec::new();
    }
    let fields = value.as_object().into_iter().flat_map(|fields| fields.keys());
    fields.filter(|field| !matches!(field.as_str(), "apiVersion" | "kind" | "metadata")).cloned().collect()
}

/// Of a built-in type, apiVersion and kind may be missing, but not be others'; of a custom resource, the version is
/// demanded (D-101), and the kind is looked at later: [`check_said_type`].
pub(crate) fn check_type(target: &Target<'_>, value: &Value) -> Result<(), ApiError> {
    let (resource, version) = (&target.served.resource, target.served.version());
    let said = value["apiVersion"].as_str().unwrap_or_default();
    if resource.custom.is_some() {
        return if said == version.api_version { Ok(()) } else { Err(other_version(target, said)) };
    }
    let kind = value["kind"].as_str().filter(|kind| !kind.is_empty()).unwrap_or(&resource.kind);
    if said.is_empty() || said == version.api_version {
        return if kind == resource.kind { Ok(()) } else { Err(other_kind(target, kind)) };
    }
    let (group, other) = said.rsplit_once('/').unwrap_or(("", said));
    if target.shared.registry().find_kind(group, other, &resource.kind).is_some() {
        return Err(other_version(target, said));
    }
    Err(ApiError::bad_request(format!(
        "{kind} in version \"{other}\" cannot be handled as a {}: no kind \"{kind}\" is registered for version \
         \"{said}\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
        resource.kind
    )))
}

fn other_version(target: &Target<'_>, said: &str) -> ApiError {
    ApiError::bad_request(format!(
        "the API version in the data ({}) does not match the expected API version ({})",
        said.trim_start_matches('/'),
        target.served.version().api_version
    ))
}

/// A custom resource must be what it says. Of a new status nothing else is read.
pub(crate) fn check_said_type(target: &Target<'_>, value: &Value) -> Result<(), ApiError> {
    let (resource, version) = (&target.served.resource, target.served.version());
    if resource.custom.is_none() || target.subresource == Some("status") {
        return Ok(());
    }
    let text = |field: &str| value[field].as_str().unwrap_or_default();
    let causes: Vec<Cause> = [("kind", &*resource.kind), ("apiVersion", &*version.api_version)]
        .into_iter()
        .filter(|(field, expected)| text(field) != *expected)
        .map(|(field, expected)| Cause::invalid(field, &value[field], &format!("must be {expected}")))
        .collect();
    if causes.is_empty() {
        return Ok(());
    }
    let (group, _) = text("apiVersion").rsplit_once('/').unwrap_or_default();
    let subject = Subject { group, what: text("kind"), name: meta_text(value, "name") };
    Err(ApiError::invalid(subject, &causes))
}

fn other_kind(target: &Target<'_>, kind: &str) -> ApiError {
    let (resource, version) = (&target.served.resource, target.served.version());
    let is_known = target.shared.registry().find_kind(&resource.group, &version.name, kind).is_some();
    let why = if is_known {
        let group =
            if resource.group.is_empty() { "core" } else { resource.group.split('.').next().unwrap_or("") };
        format!("converting ({}.{kind}) to ({group}.{}): unknown conversion", version.name, resource.kind)
    } else {
        format!(
            "no kind \"{kind}\" is registered for version \"{}\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            version.api_version
        )
    };
    ApiError::bad_request(format!(
        "{kind} in version \"{}\" cannot be handled as a {}: {why}",
        version.name, resource.kind
    ))
}

/// Brings an object into the form in which it is compared and stored: its type, its defaults. `old` is given for
/// updates. Gives warnings.
pub(crate) fn complete(target: &Target<'_>, value: &mut Value, old: Option<&Value>) -> Vec<String> {
    let (resource, version) = (&target.served.resource, target.served.version());
    value["apiVersion"] = version.api_version.as_str().into();
    value["kind"] = resource.kind.as_str().into();
    let mut warnings = Vec::new();
    if let Some(warning) = metadata::drop_repeated_owners(&mut value["metadata"]) {
        warnings.push(warning);
    }
    if let Some(definition) = &version.definition {
        definition.apply_defaults(value);
    }
    crate::types::strategy::apply_defaults(target, value);
    if old.is_none_or(|old| old["metadata"]["finalizers"] != value["metadata"]["finalizers"]) {
        warnings.extend(metadata::warnings(&value["metadata"]));
    }
    warnings
}

/// Validates an object about to be created; gives warnings.
pub(crate) fn new_object(target: &Target<'_>, value: &Value) -> Result<Vec<String>, ApiError> {
    let mut causes = metadata::validate_create(&value["metadata"], metadata_rules(&target.served.resource));
    let mut warnings = Vec::new();
    if let Some(definition) = &target.served.version().definition {
        causes.extend(definition.validate(value, None, &mut warnings));
    }
    let found = crate::types::strategy::validate_create(target, value);
    if target.served.resource.kind == "Event" && !found.is_empty() {
        // They are looked at first, and told alone.
        causes.clear();
    }
    causes.extend(found);
    if causes.is_empty() { Ok(warnings) } else { Err(target.invalid(meta_text(value, "name"), &causes)) }
}

/// Validates what an update makes of an object; gives warnings.
pub(crate) fn changed_object(
    target: &Target<'_>,
    value: &Value,
    old: &Value,
) -> Result<Vec<String>, ApiError> {
    let rules_of_type = metadata_rules(&target.served.resource);
    let mut causes = metadata::validate_update(&value["metadata"], &old["metadata"], rules_of_type);
    let mut warnings = Vec::new();
    if let Some(definition) = &target.served.version().definition {
        causes.extend(definition.validate(value, Some(old), &mut warnings));
    }
    causes.extend(crate::types::strategy::validate_update(target, value, old));
    if causes.is_empty() { Ok(warnings) } else { Err(target.invalid(meta_text(old, "name"), &causes)) }
}

fn metadata_rules(resource: &Resource) -> metadata::Rules {
    let name_syntax = match (resource.group.as_str(), resource.kind.as_str()) {
        ("", "Namespace" | "Service") => NameSyntax::Label,
        ("rbac.authorization.k8s.io", _) => NameSyntax::PathSegment,
        _ => NameSyntax::Subdomain,
    };
    let layers = match (resource.group.as_str(), resource.kind.as_str()) {
        ("apiextensions.k8s.io", _) => metadata::Layers::Custom,
        _ if resource.custom.is_some() => metadata::Layers::Custom,
        ("admissionregistration.k8s.io" | "coordination.k8s.io" | "events.k8s.io", _) | ("", "Event") => {
            metadata::Layers::Single
        }
        _ => metadata::Layers::BuiltIn,
    };
    metadata::Rules { is_namespaced: resource.namespaced, name_syntax, layers }
}

/// An object in the form in which it is stored: the storage version's.
pub(crate) fn stored_form(served: &Served, mut value: Value) -> Value {
    remove(&mut value["metadata"], "resourceVersion");
    if served.version().view.shape == Shape::EventsV1 {
        return crate::events::to_core(&value);
    }
    value["apiVersion"] = served.resource.storage_version.as_str().into();
    value
}
