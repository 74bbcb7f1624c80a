//! DELETE: of one object and of a collection.
//!
//! An object without finalizers goes at once; with them, deletion begins: it is marked, and goes with the last one.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::Target;
use super::options::dry_run;
use super::prepare::{has_finalizers, is_being_deleted, meta_text, metadata};
use crate::admission::{self, Attempt, Operation};
use crate::machinery::cause::Cause;
use crate::machinery::metadata::{FOREGROUND_DELETION, ORPHAN_DEPENDENTS};
use crate::server::encode::seen;
use crate::server::read::not_found;
use crate::server::{Request, Shared, decode};
use crate::status::{ApiError, Subject};
use crate::store::{Key, Object, Stale};
use crate::types::flags::{DELETE_RETURNS_OBJECT, GRACEFUL, ORPHAN_BY_DEFAULT};

/// What becomes of the dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Propagation {
    Background,
    Foreground,
    Orphan,
}

/// The options of a deletion, from its body or its query.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) propagation: Option<Propagation>,
    pub(crate) grace_seconds: Option<i64>,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) dry_run: bool,
}

/// What a deletion has done.
#[derive(Debug)]
pub(crate) enum Deleted {
    /// The object is gone; this was it, as the endpoint answers it.
    Gone(Arc<Object>),
    /// Deletion has begun, or had begun before.
    Begun(Arc<Object>),
}

/// Namespaces that cannot be deleted (D-142).
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];
/// Of Pods whose spec does not say.
const DEFAULT_GRACE_SECONDS: i64 = 30;

impl DeleteOptions {
    /// Reads the body, if there is one, and the query (D-120).
    pub(crate) fn of(request: &Request) -> Result<Self, ApiError> {
        let body = match request.body.is_empty() {
            true => json!({}),
            false => decode::object(request, "v1", "DeleteOptions")?.value,
        };
        let mut causes = Vec::new();
        // With a body, the query counts for nothing.
        let query = request.body.is_empty().then_some(&request.query);
        let policy = body["propagationPolicy"].as_str().or_else(|| query?.text("propagationPolicy"));
        let orphan = body["orphanDependents"].as_bool().or_else(|| query?.optional_flag("orphanDependents"));
        let propagation = propagation(policy, orphan, &mut causes);
        let dry_runs: Vec<&str> = match query {
            None => body["dryRun"].as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
            Some(query) => query.all("dryRun"),
        };
        let dry_run = dry_run(&dry_runs, &mut causes);
        let grace_seconds = match query {
            None => body["gracePeriodSeconds"].as_i64(),
            Some(query) => query.number("gracePeriodSeconds")?,
        };
        if !causes.is_empty() {
            return Err(ApiError::invalid_options("DeleteOptions", &causes));
        }
        let precondition = |name: &str| body["preconditions"][name].as_str().map(ToOwned::to_owned);
        let (uid, resource_version) = (precondition("uid"), precondition("resourceVersion"));
        Ok(Self { propagation, grace_seconds, uid, resource_version, dry_run })
    }
}

fn propagation(policy: Option<&str>, orphan: Option<bool>, causes: &mut Vec<Cause>) -> Option<Propagation> {
    if policy.is_some() && orphan.is_some() {
        let detail = "orphanDependents and deletionPropagation cannot be both set";
        causes.push(Cause::invalid("propagationPolicy", &policy.unwrap_or_default().into(), detail));
    }
    match (policy, orphan) {
        (Some("Background"), _) | (None, Some(false)) => Some(Propagation::Background),
        (Some("Foreground"), _) => Some(Propagation::Foreground),
        (Some("Orphan"), _) | (None, Some(true)) => Some(Propagation::Orphan),
        (Some(other), _) => {
            let supported = ["Foreground", "Background", "Orphan", "nil"];
            causes.push(Cause::not_supported("propagationPolicy", &other.into(), &supported));
            None
        }
        (None, None) => None,
    }
}

/// What one should know who deletes an object without saying what becomes of its dependents.
pub(crate) fn warnings(target: &Target<'_>, options: &DeleteOptions) -> Vec<String> {
    let resource = &target.served.resource;
    let is_job = (resource.group.as_str(), resource.kind.as_str()) == ("batch", "Job");
    let text = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to \
                remove them or set propagationPolicy=Orphan to suppress this warning";
    (is_job && options.propagation.is_none()).then(|| text.to_owned()).into_iter().collect()
}

/// Deletes an object, or begins to.
pub(crate) async fn delete(
    target: &Target<'_>,
    name: &str,
    options: &DeleteOptions,
) -> Result<Deleted, ApiError> {
    loop {
        let key = target.key(name);
        let object = target
            .shared
            .store
            .get(&target.served.resource.store, &key)
            .ok_or_else(|| not_found(target.served, name))?;
        check_preconditions(target, name, &object, options)?;
        check_mortal(target, name)?;
        let old = seen(target.served, &object.value);
        let mut attempt = Attempt::new(target, Operation::Delete, name, Some(&old));
        attempt.dry_run |= options.dry_run;
        admission::mutate(attempt, None).await?;
        admission::check(attempt, None).await?;
        if let Ok(deleted) = delete_version(target, &key, &object, options) {
            return Ok(deleted);
        }
    }
}

fn check_preconditions(
    target: &Target<'_>,
    name: &str,
    object: &Object,
    options: &DeleteOptions,
) -> Result<(), ApiError> {
    let subject = Subject { group: &target.served.resource.group, what: &target.served.resource.kind, name };
    let (uid, version) = (meta_text(&object.value, "uid"), object.revision.to_string());
    if let Some(wanted) = options.uid.as_deref().filter(|wanted| *wanted != uid) {
        let why = format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have \
             been deleted and then recreated"
        );
        return Err(ApiError::conflict(subject, &why));
    }
    if let Some(wanted) = options.resource_version.as_deref().filter(|wanted| *wanted != version) {
        let why = format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record \
             ({version}). The object might have been modified"
        );
        return Err(ApiError::conflict(subject, &why));
    }
    Ok(())
}

fn check_mortal(target: &Target<'_>, name: &str) -> Result<(), ApiError> {
    if &*target.served.resource.store == "namespaces" && IMMORTAL.contains(&name) {
        return Err(ApiError::forbidden(target.subject(name), "this namespace may not be deleted"));
    }
    Ok(())
}

fn delete_version(
    target: &Target<'_>,
    key: &Key,
    object: &Arc<Object>,
    options: &DeleteOptions,
) -> Result<Deleted, Stale> {
    let mut value = object.value.clone();
    set_finalizers(target, &mut value, options);
    let grace = grace_seconds(target, &object.value, options);
    let stays = has_finalizers(&value) || grace > 0 || keeps_itself(target, &value);
    mark(target, &mut value, grace, stays);
    let dry_run = target.options.dry_run || options.dry_run;
    let (store, shared) = (&target.served.resource.store, target.shared);
    if !stays {
        let answer = Arc::new(Object::new(object.revision, value));
        if dry_run {
            return Ok(Deleted::Gone(answer));
        }
        let last =
            if target.served.resource.has(GRACEFUL) { answer.value.clone() } else { object.value.clone() };
        let gone = shared.store.remove(store, key.clone(), object.revision, last)?;
        target.after_commit(key, Some(&object.value), None);
        return Ok(Deleted::Gone(if target.served.resource.has(GRACEFUL) { gone } else { answer }));
    }
    if value == object.value {
        return Ok(Deleted::Begun(Arc::clone(object)));
    }
    if dry_run {
        return Ok(Deleted::Begun(Arc::new(Object::new(object.revision, value))));
    }
    let marked = shared.store.update(store, key.clone(), object.revision, value)?;
    if grace > 0 {
        end_after(target, key, meta_text(&marked.value, "uid"), grace);
    }
    target.after_commit(key, Some(&object.value), Some(&marked.value));
    Ok(Deleted::Begun(marked))
}

/// Does the kubelet's part: removes the object when its grace is over.
fn end_after(target: &Target<'_>, key: &Key, uid: &str, grace: i64) {
    let (shared, served, key) = (Arc::clone(target.shared), target.served.clone(), key.clone());
    let grace = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
    let options =
        DeleteOptions { grace_seconds: Some(0), uid: Some(uid.to_owned()), ..DeleteOptions::default() };
    tokio::spawn(async move {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => {}
            () = shared.clock.sleep(grace) => {
                by_controller(&shared, &served, &key, &options).await;
            }
        }
    });
}

/// An explicit policy beats the finalizers that are there, which beat the type's default (D-128).
fn set_finalizers(target: &Target<'_>, value: &mut Value, options: &DeleteOptions) {
    let orphans_by_default = target.served.resource.has(ORPHAN_BY_DEFAULT);
    let there: Vec<Value> = value["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let has = |name: &str| there.iter().any(|finalizer| finalizer == name);
    let wanted = match options.propagation {
        Some(Propagation::Orphan) => Some(ORPHAN_DEPENDENTS),
        Some(Propagation::Foreground) => Some(FOREGROUND_DELETION),
        Some(Propagation::Background) => None,
        None if has(ORPHAN_DEPENDENTS) => Some(ORPHAN_DEPENDENTS),
        None if has(FOREGROUND_DELETION) => Some(FOREGROUND_DELETION),
        None if orphans_by_default => Some(ORPHAN_DEPENDENTS),
        None => None,
    };
    let mut finalizers: Vec<Value> = there
        .iter()
        .filter(|name| {
            let is_policy = *name == ORPHAN_DEPENDENTS || *name == FOREGROUND_DELETION;
            !is_policy || wanted.is_some_and(|wanted| *name == wanted)
        })
        .cloned()
        .collect();
    if let Some(wanted) = wanted.filter(|wanted| !has(wanted)) {
        finalizers.push(wanted.into());
    }
    if &*target.served.resource.store == crate::crd::STORE
        && !is_being_deleted(value)
        && !finalizers.iter().any(|finalizer| finalizer == crate::crd::CLEANUP)
    {
        finalizers.push(crate::crd::CLEANUP.into());
    }
    match finalizers.is_empty() {
        true => metadata(value).shift_remove("finalizers"),
        false => metadata(value).insert("finalizers".to_owned(), finalizers.into()),
    };
}

/// How long a Pod may take to end; nothing else has grace (D-126).
fn grace_seconds(target: &Target<'_>, value: &Value, options: &DeleteOptions) -> i64 {
    if !target.served.resource.has(GRACEFUL) {
        return 0;
    }
    let has_ended = matches!(value["status"]["phase"].as_str(), Some("Failed" | "Succeeded"));
    if value["spec"]["nodeName"].as_str().unwrap_or_default().is_empty() || has_ended {
        return 0;
    }
    let asked = options.grace_seconds.or_else(|| value["spec"]["terminationGracePeriodSeconds"].as_i64());
    let asked = asked.unwrap_or(DEFAULT_GRACE_SECONDS).max(0);
    match value["metadata"]["deletionGracePeriodSeconds"].as_i64() {
        Some(running) => asked.min(running),
        None => asked,
    }
}

/// A namespace is kept by its own kind of finalizer.
fn keeps_itself(target: &Target<'_>, value: &Value) -> bool {
    &*target.served.resource.store == "namespaces"
        && value["spec"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}

/// Marks the object as being deleted, if that is to be seen at all.
fn mark(target: &Target<'_>, value: &mut Value, grace: i64, stays: bool) {
    let store = &*target.served.resource.store;
    let is_graceful = target.served.resource.has(GRACEFUL);
    if !stays && !is_graceful {
        return;
    }
    let clock = &target.shared.clock;
    let begun = is_being_deleted(value);
    // Namespaces and definitions are only marked with a time (DEC-31).
    if store == "namespaces" || store == crate::crd::STORE {
        if !begun {
            metadata(value).insert("deletionTimestamp".to_owned(), clock.now_text().into());
            if store == "namespaces" {
                value["status"]["phase"] = "Terminating".into();
            } else {
                crate::crd::controller::mark_terminating(value, clock);
            }
        }
        return;
    }
    let running = value["metadata"]["deletionGracePeriodSeconds"].as_i64();
    if begun && running.is_some_and(|running| running <= grace) {
        return;
    }
    let generation = value["metadata"]["generation"].as_i64().unwrap_or(0);
    let fields = metadata(value);
    if !begun && generation > 0 {
        fields.insert("generation".to_owned(), (generation + 1).into());
    }
    fields.insert("deletionTimestamp".to_owned(), clock.text_after(grace).into());
    fields.insert("deletionGracePeriodSeconds".to_owned(), grace.into());
}

/// The answer to a deletion: the object if it stays or its type says so, else a Status with its uid (D-121).
pub(crate) fn answer(
    target: &Target<'_>,
    name: &str,
    deleted: &Deleted,
) -> (StatusCode, Option<Arc<Object>>, Value) {
    match deleted {
        Deleted::Begun(object) => (StatusCode::OK, Some(Arc::clone(object)), Value::Null),
        Deleted::Gone(object) if target.served.resource.has(DELETE_RETURNS_OBJECT) => {
            (StatusCode::OK, Some(Arc::clone(object)), Value::Null)
        }
        Deleted::Gone(object) => {
            let resource = &target.served.resource;
            let mut details = Map::new();
            details.insert("name".to_owned(), name.into());
            if !resource.group.is_empty() {
                details.insert("group".to_owned(), resource.group.as_str().into());
            }
            details.insert("kind".to_owned(), resource.plural.as_str().into());
            details.insert("uid".to_owned(), meta_text(&object.value, "uid").into());
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
            });
            (StatusCode::OK, None, status)
        }
    }
}

/// Deletes an object on behalf of a controller; whether it was there.
pub(crate) async fn by_controller(
    shared: &Arc<Shared>,
    served: &crate::types::registry::Served,
    key: &Key,
    options: &DeleteOptions,
) -> bool {
    let write_options = super::WriteOptions::default();
    let target =
        Target { shared, served, namespace: &key.namespace, subresource: None, options: &write_options };
    match delete(&target, &key.name, options).await {
        Ok(_) => true,
        Err(error) => {
            tracing::debug!(%error, resource = served.resource.qualified(), ?key, "not deleted");
            false
        }
    }
}
