//! POST: create.

use std::sync::Arc;

use serde_json::Value;

use super::ownership::Ownership;
use super::prepare::{is_being_deleted, meta_text, metadata};
use super::validate::{Checked, check_said_type, check_type, decoded};
use super::{Target, Written, prepare, validate};
use crate::access::rbac;
use crate::admission::{self, Attempt, Operation};
use crate::machinery::cause::Cause;
use crate::machinery::fieldset::managed;
use crate::server::decode::Decoded;
use crate::status::{ApiError, Subject};
use crate::store::{CreateError, Key, Object, Reader};
use crate::types::strategy;

/// How often a generated name is tried (D-102).
const NAME_TRIES: usize = 8;

/// Creates the object in a body.
pub(crate) async fn create(target: &Target<'_>, body: Decoded) -> Result<Written, ApiError> {
    let Checked { value, warnings } = accepted(target, body)?;
    with_warnings(create_accepted(target, value).await, warnings)
}

/// What was said about a body is said also if it is refused later.
pub(super) fn with_warnings(
    result: Result<Written, ApiError>,
    warnings: Vec<String>,
) -> Result<Written, ApiError> {
    match result {
        Ok(written) => Ok(Written { warnings: [warnings, written.warnings].concat(), ..written }),
        Err(error) => Err(error.with_warnings(warnings)),
    }
}

async fn create_accepted(target: &Target<'_>, mut value: Value) -> Result<Written, ApiError> {
    let (warnings, owned) = admitted(target, &mut value, Owned::ByUpdate).await?;
    if meta_text(&value, "name").is_empty() && !meta_text(&value, "generateName").is_empty() {
        return create_named(target, &value, owned, warnings).await;
    }
    let name = meta_text(&value, "name").to_owned();
    let is_generated = !meta_text(&value, "generateName").is_empty();
    match store_new(target, value, owned, warnings).await {
        Ok(written) => Ok(written),
        Err(CreateError::Exists(there)) => {
            let (subject, is_ending) = (target.subject(&name), is_being_deleted(&there.value));
            Err(match is_generated {
                true => ApiError::name_not_generated(subject, is_ending),
                false => ApiError::already_exists(subject, is_ending),
            })
        }
        Err(CreateError::Refused(error)) => Err(error),
    }
}

/// Creates an object of the server's own, about which nobody is asked.
pub(crate) fn create_unasked(target: &Target<'_>, value: Value) -> Result<(), ApiError> {
    let Checked { mut value, .. } = accepted(target, Decoded { value, duplicates: Vec::new() })?;
    if meta_text(&value, "name").is_empty() {
        let name = target.shared.random.name(meta_text(&value, "generateName"));
        metadata(&mut value).insert("name".to_owned(), name.into());
    }
    new_object(target, &mut value, Owned::ByUpdate)?;
    match commit(target, value) {
        Ok(_) | Err(CreateError::Exists(_)) => Ok(()),
        Err(CreateError::Refused(error)) => Err(error),
    }
}

/// The object in a body, if it can be created here at all.
fn accepted(target: &Target<'_>, body: Decoded) -> Result<Checked, ApiError> {
    let checked = decoded(target, body)?;
    match check_new(target, &checked.value) {
        Ok(()) => Ok(checked),
        Err(error) => Err(error.with_warnings(checked.warnings)),
    }
}

fn check_new(target: &Target<'_>, value: &Value) -> Result<(), ApiError> {
    check_type(target, value)?;
    check_namespace(target, value)?;
    if !meta_text(value, "resourceVersion").is_empty() {
        return Err(ApiError::new(
            500,
            "",
            "resourceVersion should not be set on objects to be created",
            None,
        ));
    }
    check_place(target, value)?;
    check_said_type(target, value)
}

/// Asks the mutating webhooks about a new object. What they change is nobody's (DEC-34): the managed fields are made
/// before, and are there if there was a change.
pub(super) async fn admitted(
    target: &Target<'_>,
    value: &mut Value,
    owned: Owned,
) -> Result<(Vec<String>, Owned), ApiError> {
    if !admission::may_mutate(target) {
        return Ok((Vec::new(), owned));
    }
    prepare::wipe(value);
    let mut complete = value.clone();
    validate::complete(target, &mut complete, None);
    if owned == Owned::ByUpdate {
        managed::update(None, &mut complete, &Ownership::of(target).writer());
    }
    let before = complete.clone();
    let name = meta_text(value, "name").to_owned();
    let attempt = Attempt::new(target, Operation::Create, &name, None);
    let warnings = admission::mutate(attempt, Some(&mut complete)).await?;
    if complete == before {
        return Ok((warnings, owned));
    }
    *value = complete;
    Ok((warnings, Owned::Already))
}

/// Prepares, validates and stores a new object; the validating webhooks are asked in between.
pub(super) async fn store_new(
    target: &Target<'_>,
    mut value: Value,
    owned: Owned,
    mut warnings: Vec<String>,
) -> Result<Written, CreateError> {
    warnings.extend(new_object(target, &mut value, owned).map_err(CreateError::Refused)?);
    rbac::check_grant(target, &value).map_err(CreateError::Refused)?;
    let name = meta_text(&value, "name").to_owned();
    let attempt = Attempt::new(target, Operation::Create, &name, None);
    warnings.extend(admission::check(attempt, Some(&value)).await.map_err(CreateError::Refused)?);
    let object = commit(target, value)?;
    Ok(Written { object, created: true, warnings })
}

/// Creates an object whose name the server makes.
async fn create_named(
    target: &Target<'_>,
    value: &Value,
    owned: Owned,
    warnings: Vec<String>,
) -> Result<Written, ApiError> {
    let base = meta_text(value, "generateName");
    let mut taken = String::new();
    for _ in 0..NAME_TRIES {
        let mut value = value.clone();
        let name = target.shared.random.name(base);
        metadata(&mut value).insert("name".to_owned(), name.clone().into());
        match store_new(target, value, owned, warnings.clone()).await {
            Ok(written) => return Ok(written),
            Err(CreateError::Exists(_)) => taken = name,
            Err(CreateError::Refused(error)) => return Err(error),
        }
    }
    Err(ApiError::name_not_generated(target.subject(&taken), false))
}

/// Whether the managed fields of an object are still to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owned {
    /// They are to be made: whoever writes owns what is written.
    ByUpdate,
    /// They are there: an apply has made them, or they were made before webhooks were asked.
    Already,
}

/// Prepares and validates an object that is about to be created; gives warnings.
fn new_object(target: &Target<'_>, value: &mut Value, owned: Owned) -> Result<Vec<String>, ApiError> {
    prepare::wipe(value);
    let mut warnings = validate::complete(target, value, None);
    warnings.extend(strategy::warning(target));
    if owned == Owned::ByUpdate {
        managed::update(None, value, &Ownership::of(target).writer());
    }
    prepare::for_create(target, value);
    strategy::on_create(target, value);
    warnings.extend(validate::new_object(target, value)?);
    Ok(warnings)
}

/// Stores a new object, or shows what would be stored.
fn commit(target: &Target<'_>, value: Value) -> Result<Arc<Object>, CreateError> {
    let key = target.key(meta_text(&value, "name"));
    let store = &target.served.resource.store;
    let value = validate::stored_form(target.served, value);
    if target.options.dry_run {
        return match target.shared.store.get(store, &key) {
            Some(object) => Err(CreateError::Exists(object)),
            None => Ok(Arc::new(Object::new(0, value))),
        };
    }
    let guard = |reader: &Reader<'_>| {
        let namespaces = |name: &str| reader.get("namespaces", &Key::new("", name)).cloned();
        namespace_guard(target, &value, namespaces)?;
        definition_guard(target, &value, reader)
    };
    let object = target.shared.store.create(store, key.clone(), value.clone(), &guard)?;
    target.after_commit(&key, None, Some(&object.value));
    Ok(object)
}

/// Refuses early what the commit would refuse: before the object is validated.
pub(super) fn check_place(target: &Target<'_>, value: &Value) -> Result<(), ApiError> {
    namespace_guard(target, value, |name| target.shared.namespace(name))
}

/// New objects need a namespace that is there and stays (D-104, D-141).
fn namespace_guard(
    target: &Target<'_>,
    value: &Value,
    namespace: impl Fn(&str) -> Option<Arc<Object>>,
) -> Result<(), ApiError> {
    if !target.served.resource.namespaced {
        return Ok(());
    }
    let name = target.namespace;
    let Some(found) = namespace(name) else {
        return Err(ApiError::not_found(Subject { group: "", what: "namespaces", name }));
    };
    if !is_being_deleted(&found.value) {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {name} because it is being terminated");
    let cause = Cause {
        reason: "NamespaceTerminating",
        message: format!("namespace {name} is being terminated"),
        field: "metadata.namespace".to_owned(),
    };
    Err(ApiError::forbidden(target.subject(meta_text(value, "name")), &why).with_causes(&[cause]))
}

/// No new objects of a kind that is being removed or gone (D-088).
fn definition_guard(target: &Target<'_>, value: &Value, reader: &Reader<'_>) -> Result<(), ApiError> {
    if target.served.resource.custom.is_none() {
        return Ok(());
    }
    match reader.get(crate::crd::STORE, &Key::new("", target.served.resource.qualified())) {
        None => Err(ApiError::no_such_path()),
        Some(definition) if is_being_deleted(&definition.value) => {
            let why = "create not allowed while custom resource definition is terminating";
            Err(ApiError::forbidden(target.subject(meta_text(value, "name")), why))
        }
        Some(_) => Ok(()),
    }
}

/// The body may leave its namespace out, but not name another one.
pub(super) fn check_namespace(target: &Target<'_>, value: &Value) -> Result<(), ApiError> {
    let namespace = meta_text(value, "namespace");
    if namespace.is_empty() || namespace == target.namespace {
        return Ok(());
    }
    Err(ApiError::bad_request(
        "the namespace of the provided object does not match the namespace sent on the request",
    ))
}
