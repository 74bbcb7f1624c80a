//! PUT, and the common part of everything that changes an object.

use std::sync::Arc;

use serde_json::Value;

use super::create::Owned;
use super::ownership::Ownership;
use super::prepare::{has_finalizers, is_being_deleted, meta_text, metadata};
use super::validate::{Checked, check_said_type, check_type, decoded};
use super::{Target, Written, create, prepare, validate};
use crate::access::rbac;
use crate::admission::{self, Attempt, Operation};
use crate::machinery::cause::Cause;
use crate::machinery::fieldset::managed;
use crate::server::decode::Decoded;
use crate::server::encode::seen;
use crate::server::read::not_found;
use crate::status::ApiError;
use crate::store::{CreateError, Object, Stale};
use crate::types::flags::{CREATE_ON_UPDATE, UNCONDITIONAL_UPDATE};
use crate::types::strategy;

/// Replaces an object by the one in a body, or creates it where the type permits.
pub(crate) async fn update(target: &Target<'_>, name: &str, body: Decoded) -> Result<Written, ApiError> {
    let Checked { value, warnings } = decoded(target, body)?;
    create::with_warnings(replace(target, name, value).await, warnings)
}

async fn replace(target: &Target<'_>, name: &str, value: Value) -> Result<Written, ApiError> {
    check_type(target, &value)?;
    check_name(target, name, &value)?;
    let key = target.key(name);
    let may_create = target.served.resource.has(CREATE_ON_UPDATE) && target.subresource.is_none();
    if may_create && target.shared.store.get(&target.served.resource.store, &key).is_none() {
        return create_instead(target, value).await;
    }
    let unconditional = target.served.resource.has(UNCONDITIONAL_UPDATE);
    change(target, name, Owned::ByUpdate, |old| {
        check_uid(target, name, old, &value)?;
        if !unconditional && meta_text(&value, "resourceVersion").is_empty() {
            let cause =
                Cause::invalid("metadata.resourceVersion", &0.into(), "must be specified for an update");
            return Err(ApiError::invalid(target.subject(name), &[cause]));
        }
        check_said_type(target, &value)?;
        Ok(Checked { value: value.clone(), warnings: Vec::new() })
    })
    .await
}

async fn create_instead(target: &Target<'_>, mut value: Value) -> Result<Written, ApiError> {
    // There is nothing with this uid.
    let name = meta_text(&value, "name").to_owned();
    if !meta_text(&value, "uid").is_empty() {
        check_uid(target, &name, &Value::Null, &value)?;
    }
    metadata(&mut value).shift_remove("resourceVersion");
    let (warnings, owned) = create::admitted(target, &mut value, Owned::ByUpdate).await?;
    match create::store_new(target, value, owned, warnings).await {
        Ok(written) => Ok(written),
        Err(CreateError::Exists(_)) => Err(ApiError::modified(target.subject(&name))),
        Err(CreateError::Refused(error)) => Err(error),
    }
}

/// The object must say the name and namespace of the path.
pub(super) fn check_name(target: &Target<'_>, name: &str, value: &Value) -> Result<(), ApiError> {
    let said = meta_text(value, "name");
    if said.is_empty() {
        let message =
            format!("the name of the object ({name} based on URL) was undeterminable: name must be provided");
        return Err(ApiError::bad_request(message));
    }
    if said != name {
        let message = format!("the name of the object ({said}) does not match the name on the URL ({name})");
        return Err(ApiError::bad_request(message));
    }
    create::check_namespace(target, value)
}

/// Changes an object: `make` gets it as the endpoint shows it, and gives what it shall be. Done again on the newer
/// object if another writer comes between.
pub(crate) async fn change(
    target: &Target<'_>,
    name: &str,
    owned: Owned,
    make: impl Fn(&Value) -> Result<Checked, ApiError>,
) -> Result<Written, ApiError> {
    let key = target.key(name);
    let store = &target.served.resource.store;
    loop {
        let object = target.shared.store.get(store, &key).ok_or_else(|| not_found(target.served, name))?;
        let old = seen(target.served, &object.value);
        let Checked { value: new, warnings } = make(&old)?;
        let changed = match check_version(target, name, &old, &new) {
            Ok(()) => change_to(target, &object, &old, new, owned).await,
            Err(error) => Err(error.into()),
        };
        match changed {
            Ok(written) => return create::with_warnings(Ok(written), warnings),
            Err(Failed::Refused(error)) => return create::with_warnings(Err(error), warnings),
            Err(Failed::Stale) => {}
        }
    }
}

/// Why a change was not stored.
enum Failed {
    Refused(ApiError),
    Stale,
}

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl From<Stale> for Failed {
    fn from(_: Stale) -> Self {
        Self::Stale
    }
}

/// A uid in the new object must be that of the old one (D-107). A patch finds it immutable instead.
fn check_uid(target: &Target<'_>, name: &str, old: &Value, new: &Value) -> Result<(), ApiError> {
    let (uid, there) = (meta_text(new, "uid"), meta_text(old, "uid"));
    if !uid.is_empty() && uid != there {
        let (resource, namespace) = (&target.served.resource, target.namespace);
        let place = if resource.group.is_empty() || resource.custom.is_none() {
            resource.plural.clone()
        } else {
            format!("{}/{}", resource.group, resource.plural)
        };
        let scope = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{place}/{scope}{name}, ResourceVersion: 0, \
             AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {there}"
        );
        return Err(ApiError::conflict(target.subject(name), &why));
    }
    Ok(())
}

fn check_version(target: &Target<'_>, name: &str, old: &Value, new: &Value) -> Result<(), ApiError> {
    let version = meta_text(new, "resourceVersion");
    if !version.is_empty() && version != meta_text(old, "resourceVersion") {
        return Err(ApiError::modified(target.subject(name)));
    }
    Ok(())
}

async fn change_to(
    target: &Target<'_>,
    object: &Arc<Object>,
    old: &Value,
    mut new: Value,
    owned: Owned,
) -> Result<Written, Failed> {
    let mut warnings = validate::complete(target, &mut new, Some(old));
    if owned == Owned::ByUpdate {
        managed::update(Some(old), &mut new, &Ownership::of(target).writer());
        drop_times_of_scale(&mut new);
    }
    // What webhooks change is nobody's (DEC-34).
    let name = meta_text(old, "name").to_owned();
    let attempt = Attempt::new(target, Operation::Update, &name, Some(old));
    warnings.extend(admission::mutate(attempt, Some(&mut new)).await?);
    prepare::for_update(target, old, &mut new);
    strategy::on_update(target, &mut new, old);
    warnings.extend(validate::changed_object(target, &new, old)?);
    rbac::check_grant(target, &new)?;
    warnings.extend(admission::check(attempt, Some(&new)).await?);
    let written = |object| Written { object, created: false, warnings };
    let key = target.key(meta_text(old, "name"));
    let (store, shared) = (&target.served.resource.store, target.shared);
    let ends = is_being_deleted(&new) && !has_finalizers(&new) && is_released(target, &new);
    if ends {
        // The answer shows what was asked for at the old version; watchers see the last state that was stored.
        let mut answer = validate::stored_form(target.served, new);
        metadata(&mut answer).insert("resourceVersion".to_owned(), meta_text(old, "resourceVersion").into());
        if !target.options.dry_run {
            shared.store.remove(store, key.clone(), object.revision, object.value.clone())?;
            target.after_commit(&key, Some(&object.value), None);
        }
        return Ok(written(Arc::new(Object::new(object.revision, answer))));
    }
    let mut stored = validate::stored_form(target.served, new);
    metadata(&mut stored).insert("resourceVersion".to_owned(), meta_text(old, "resourceVersion").into());
    managed::keep_times(&object.value, &mut stored);
    if stored == object.value {
        return Ok(written(Arc::clone(object)));
    }
    if target.options.dry_run {
        return Ok(written(Arc::new(Object::new(object.revision, stored))));
    }
    let changed = shared.store.update(store, key.clone(), object.revision, stored)?;
    target.after_commit(&key, Some(&object.value), Some(&changed.value));
    Ok(written(changed))
}

/// The real server loses the times of entries that come from `/scale`.
fn drop_times_of_scale(object: &mut Value) {
    let entries = object["metadata"]["managedFields"].as_array_mut().into_iter().flatten();
    for entry in entries.filter(|entry| entry["subresource"] == "scale") {
        prepare::remove(entry, "time");
    }
}

/// Whether nothing but finalizers keeps an object whose deletion has begun: no grace period is left, and a namespace
/// has been emptied.
fn is_released(target: &Target<'_>, new: &Value) -> bool {
    if &*target.served.resource.store == "namespaces" {
        return new["spec"]["finalizers"].as_array().is_none_or(Vec::is_empty);
    }
    new["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
}
