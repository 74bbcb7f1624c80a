//! PATCH with an apply configuration: server-side apply (D-158).

use serde_json::Value;

use super::create::{self, Owned};
use super::ownership::Ownership;
use super::prepare::{meta_text, metadata, remove};
use super::update::{change, check_name};
use super::validate::{Checked, Nulls, cannot_be_handled, fitting};
use super::{Target, Written};
use crate::machinery::cause::Cause;
use crate::machinery::fieldset::apply::{Error, apply as merge};
use crate::machinery::go;
use crate::server::Request;
use crate::server::decode::{Decoded, go_type, yaml};
use crate::server::read::not_found;
use crate::status::ApiError;
use crate::store::CreateError;

/// Applies the configuration in the body: creates the object, or brings it to what the manager wants.
pub(crate) async fn apply(target: &Target<'_>, request: &Request, name: &str) -> Result<Written, ApiError> {
    if request.query.text("fieldManager").is_none() {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        return Err(ApiError::invalid_options("PatchOptions", &[cause]));
    }
    let is_forced = request.query.flag("force");
    let Decoded { value: config, duplicates } = configuration(target, request, name)?;
    loop {
        let is_there = target.shared.store.get(&target.served.resource.store, &target.key(name)).is_some();
        let written = match is_there {
            true => change_by(target, name, &config, &duplicates, is_forced).await,
            false => create_by(target, name, &config, &duplicates, is_forced).await,
        };
        match written {
            // Created or deleted by somebody else in between: look again.
            Err(error) if is_there && error.code() == 404 && target.subresource.is_none() => {}
            Err(error) if !is_there && error.reason() == "AlreadyExists" => {}
            written => return written,
        }
    }
}

/// The configuration, which must say what it is for.
fn configuration(target: &Target<'_>, request: &Request, name: &str) -> Result<Decoded, ApiError> {
    let (resource, version) = (&target.served.resource, target.served.version());
    let decoded = yaml(&request.body)
        .map_err(|error| ApiError::bad_request(format!("error decoding YAML: {error}")))?;
    let config = &decoded.value;
    if !config.is_object() {
        let found = go_type(config);
        let message =
            format!("error decoding YAML: json: cannot unmarshal {found} into Go value of type map");
        return Err(ApiError::bad_request(message));
    }
    let text = |field: &str| config[field].as_str().unwrap_or_default();
    if text("apiVersion") != version.api_version || text("kind") != resource.kind {
        let said = match text("apiVersion") {
            // What cannot be read is shown as nothing.
            said if said.matches('/').count() > 1 => "/".to_owned(),
            said if said.contains('/') => said.to_owned(),
            said => format!("/{said}"),
        };
        return Err(ApiError::bad_request(format!("invalid object type: {said}, Kind={}", text("kind"))));
    }
    if !config["metadata"]["managedFields"].is_null() {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    // The namespace is looked at later.
    let mut named = config.clone();
    remove(&mut named["metadata"], "namespace");
    check_name(target, name, &named)?;
    Ok(decoded)
}

/// What becomes of an object, or of nothing, by a configuration.
fn merged(
    target: &Target<'_>,
    name: &str,
    live: Option<&Value>,
    config: &Value,
    is_forced: bool,
) -> Result<Value, ApiError> {
    let ownership = Ownership::of(target);
    // Preconditions are no fields that anybody owns.
    let mut fields = config.clone();
    for field in ["resourceVersion", "uid"] {
        remove(&mut fields["metadata"], field);
    }
    // Nobody reads it.
    if target.served.resource.custom.is_some() && !fields["metadata"]["creationTimestamp"].is_object() {
        remove(&mut fields["metadata"], "creationTimestamp");
    }
    let applied = merge(live, &fields, &ownership.writer(), is_forced).map_err(|error| match error {
        Error::Conflict { message, causes } => {
            ApiError::new(409, "Conflict", message, None).with_causes(&causes)
        }
        Error::Unsuitable(why) => {
            let place = place(target, name, config);
            ApiError::new(500, "", format!("failed to create typed patch object ({place}): {why}"), None)
        }
    })?;
    let mut object = applied.object;
    for field in ["resourceVersion", "uid"] {
        let said = meta_text(config, field);
        match said.is_empty() {
            true => metadata(&mut object).shift_remove(field),
            false => metadata(&mut object).insert(field.to_owned(), said.into()),
        };
    }
    Ok(object)
}

/// A configuration in messages: the namespace that it says itself, and its type.
fn place(target: &Target<'_>, name: &str, config: &Value) -> String {
    let version = &target.served.version().api_version;
    let version = if version.contains('/') { version.clone() } else { format!("/{version}") };
    let namespace = meta_text(config, "namespace");
    format!("{namespace}/{name}; {version}, Kind={}", target.served.resource.kind)
}

/// What was merged, as the type of the endpoint reads it.
fn converted(
    target: &Target<'_>,
    name: &str,
    config: &Value,
    value: Value,
    duplicates: &[String],
) -> Result<Checked, ApiError> {
    fitting(target, Decoded { value, duplicates: duplicates.to_vec() }, Nulls::Kept).map_err(|why| {
        if why.starts_with("strict decoding error") || target.served.resource.custom.is_some() {
            return cannot_be_handled(target.served, &why);
        }
        let place = place(target, name, config);
        let version = &target.served.version().api_version;
        let version = if version.contains('/') { version.clone() } else { format!("/{version}") };
        let message = format!(
            "failed to convert new object ({place}) to proper version: unable to convert unstructured object to \
             {version}, Kind={}: {}",
            target.served.resource.kind,
            go::conversion_error(&why)
        );
        ApiError::new(500, "", message, None)
    })
}

async fn change_by(
    target: &Target<'_>,
    name: &str,
    config: &Value,
    duplicates: &[String],
    is_forced: bool,
) -> Result<Written, ApiError> {
    change(target, name, Owned::Already, |current| {
        let value = merged(target, name, Some(current), config, is_forced)?;
        check_name(target, name, config)?;
        converted(target, name, config, value, duplicates)
    })
    .await
}

async fn create_by(
    target: &Target<'_>,
    name: &str,
    config: &Value,
    duplicates: &[String],
    is_forced: bool,
) -> Result<Written, ApiError> {
    if target.subresource.is_some() {
        return Err(not_found(target.served, name));
    }
    create::check_place(target, config)?;
    let mut value = merged(target, name, None, config, is_forced)?;
    create::check_namespace(target, config)?;
    let uid = meta_text(config, "uid");
    if !uid.is_empty() {
        let why = format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        );
        return Err(ApiError::conflict(target.subject(name), &why));
    }
    metadata(&mut value).shift_remove("resourceVersion");
    let Checked { mut value, warnings } = converted(target, name, config, value, duplicates)?;
    let created = async {
        let (asked, owned) = create::admitted(target, &mut value, Owned::Already).await?;
        match create::store_new(target, value, owned, asked).await {
            Ok(written) => Ok(written),
            Err(CreateError::Exists(_)) => Err(ApiError::already_exists(target.subject(name), false)),
            Err(CreateError::Refused(error)) => Err(error),
        }
    };
    create::with_warnings(created.await, warnings)
}
