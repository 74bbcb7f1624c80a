//! The garbage collector: what has lost its owners goes, owners wait for dependents or let them go (D-128, D-129).

use std::sync::Arc;

use serde_json::{Value, json};

use crate::machinery::fieldset::managed;
use crate::machinery::metadata::{FOREGROUND_DELETION, ORPHAN_DEPENDENTS};
use crate::server::Shared;
use crate::server::write::delete::{DeleteOptions, Propagation, by_controller};
use crate::server::write::ownership::Ownership;
use crate::server::write::prepare::{has_finalizers, is_being_deleted, meta_text, metadata};
use crate::server::write::{Target, WriteOptions, create};
use crate::store::{Key, Object, Place};
use crate::types::registry::Served;

/// Something to look into.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// The object with this uid is gone.
    Gone(String),
    /// An object with owners, or one whose deletion waits for the collector.
    Look(Place),
    /// The owner of an object that has changed or gone, which may have waited for it.
    Owner { reference: Value, namespace: String },
}

/// Whether the collector has to look at an object.
pub(crate) fn concerns(value: &Value) -> bool {
    references(value).next().is_some() || is_being_deleted(value) && waits(value).is_some()
}

/// The owner references of an object.
pub(crate) fn references(value: &Value) -> impl Iterator<Item = &Value> {
    value["metadata"]["ownerReferences"].as_array().into_iter().flatten()
}

/// The finalizer by which an object waits for the collector.
fn waits(value: &Value) -> Option<&'static str> {
    let finalizers = value["metadata"]["finalizers"].as_array()?;
    [ORPHAN_DEPENDENTS, FOREGROUND_DELETION]
        .into_iter()
        .find(|name| finalizers.iter().any(|there| there == name))
}

/// Looks into one item.
pub(crate) async fn collect(shared: &Arc<Shared>, item: Item) {
    match item {
        Item::Gone(uid) => {
            for place in shared.store.dependents(&uid) {
                shared.pending.look(place);
            }
        }
        Item::Owner { reference, namespace } => {
            if let Some((_, place)) = resolve(shared, &reference, &namespace)
                && shared.store.get(&place.0, &place.1).is_some_and(|owner| concerns(&owner.value))
            {
                shared.pending.look(place);
            }
        }
        Item::Look(place) => {
            if let Some(object) = shared.store.get(&place.0, &place.1) {
                look(shared, &place, &object).await;
            }
        }
    }
}

async fn look(shared: &Arc<Shared>, place: &Place, object: &Object) {
    if !is_being_deleted(&object.value) {
        return check_owners(shared, place, object).await;
    }
    match waits(&object.value) {
        Some(ORPHAN_DEPENDENTS) => orphan_dependents(shared, place, object),
        Some(_) => delete_dependents(shared, place, object),
        None => {}
    }
}

/// How an owner is, as far as its dependents go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    There,
    /// It is being deleted, and waits for its dependents.
    Waiting,
    Gone,
    /// Its kind is not known here, or cannot own this object: nothing is concluded.
    Unknown,
}

async fn check_owners(shared: &Arc<Shared>, place: &Place, object: &Object) {
    let owners: Vec<(Value, Owner)> = references(&object.value)
        .map(|reference| (reference.clone(), owner(shared, reference, &place.1, &object.value)))
        .collect();
    if owners.is_empty() || owners.iter().any(|(_, owner)| *owner == Owner::Unknown) {
        return;
    }
    if owners.iter().any(|(_, owner)| *owner == Owner::There) {
        let lost: Vec<&Value> = owners
            .iter()
            .filter(|(_, owner)| *owner != Owner::There)
            .map(|(reference, _)| &reference["uid"])
            .collect();
        if !lost.is_empty() {
            change(shared, place, |value| drop_references(value, |uid| lost.contains(&uid)));
        }
        return;
    }
    let is_waited_for = owners.iter().any(|(_, owner)| *owner == Owner::Waiting);
    let has_dependents = !shared.store.dependents(meta_text(&object.value, "uid")).is_empty();
    let propagation = match waits(&object.value) {
        Some(ORPHAN_DEPENDENTS) => Propagation::Orphan,
        Some(_) => Propagation::Foreground,
        None if is_waited_for && has_dependents => Propagation::Foreground,
        None => Propagation::Background,
    };
    let uid = Some(meta_text(&object.value, "uid").to_owned());
    let options = DeleteOptions { propagation: Some(propagation), uid, ..DeleteOptions::default() };
    if let Some(served) = served(shared, &place.0) {
        by_controller(shared, &served, &place.1, &options).await;
    }
}

fn owner(shared: &Arc<Shared>, reference: &Value, dependent: &Key, value: &Value) -> Owner {
    let Some((served, place)) = resolve(shared, reference, &dependent.namespace) else {
        return Owner::Unknown;
    };
    if served.resource.namespaced && dependent.namespace.is_empty() {
        report_wrong_namespace(shared, reference, dependent, value);
        return Owner::Unknown;
    }
    let uid = reference["uid"].as_str().unwrap_or_default();
    match shared.store.get(&place.0, &place.1).filter(|owner| meta_text(&owner.value, "uid") == uid) {
        Some(owner) if is_being_deleted(&owner.value) && waits(&owner.value) == Some(FOREGROUND_DELETION) => {
            Owner::Waiting
        }
        Some(_) => Owner::There,
        None => {
            let elsewhere = shared.store.list(&place.0, None).objects;
            if served.resource.namespaced
                && elsewhere.iter().any(|(_, owner)| meta_text(&owner.value, "uid") == uid)
            {
                report_wrong_namespace(shared, reference, dependent, value);
            }
            Owner::Gone
        }
    }
}

/// Where the owner of an object in `namespace` would be.
fn resolve(shared: &Shared, reference: &Value, namespace: &str) -> Option<(Served, Place)> {
    let api_version = reference["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let served =
        shared.registry().find_kind(group, version, reference["kind"].as_str().unwrap_or_default())?;
    let namespace = if served.resource.namespaced { namespace } else { "" };
    let key = Key::new(namespace, reference["name"].as_str().unwrap_or_default());
    let place = (Arc::clone(&served.resource.store), key);
    Some((served, place))
}

/// The owner lets its dependents go, then goes itself.
fn orphan_dependents(shared: &Arc<Shared>, place: &Place, object: &Object) {
    let uid = meta_text(&object.value, "uid");
    for dependent in shared.store.dependents(uid) {
        change(shared, &dependent, |value| drop_references(value, |other| *other == uid));
    }
    drop_finalizer(shared, place, ORPHAN_DEPENDENTS);
}

/// The owner goes when no dependent blocks it any more; until then all of them are being deleted.
fn delete_dependents(shared: &Arc<Shared>, place: &Place, object: &Object) {
    let uid = meta_text(&object.value, "uid");
    let mut is_blocked = false;
    for dependent in shared.store.dependents(uid) {
        let Some(there) = shared.store.get(&dependent.0, &dependent.1) else { continue };
        is_blocked |= references(&there.value)
            .any(|reference| reference["uid"] == uid && reference["blockOwnerDeletion"] == true);
        if !is_being_deleted(&there.value) {
            shared.pending.look(dependent);
        }
    }
    if !is_blocked {
        drop_finalizer(shared, place, FOREGROUND_DELETION);
    }
}

fn drop_finalizer(shared: &Arc<Shared>, place: &Place, finalizer: &str) {
    change(shared, place, |value| {
        let finalizers = metadata(value).get_mut("finalizers").and_then(Value::as_array_mut);
        if let Some(finalizers) = finalizers {
            finalizers.retain(|name| name != finalizer);
        }
    });
}

fn drop_references(value: &mut Value, is_dropped: impl Fn(&Value) -> bool) {
    let references = metadata(value).get_mut("ownerReferences").and_then(Value::as_array_mut);
    if let Some(references) = references {
        references.retain(|reference| !is_dropped(&reference["uid"]));
    }
}

/// Changes an object as a controller does; removes it if that was all that kept it.
fn change(shared: &Arc<Shared>, place: &Place, edit: impl Fn(&mut Value)) {
    let (store, key) = place;
    let Some(served) = served(shared, store) else { return };
    let options = options();
    let target =
        Target { shared, served: &served, namespace: &key.namespace, subresource: None, options: &options };
    while let Some(object) = shared.store.get(store, key) {
        let mut value = object.value.clone();
        edit(&mut value);
        metadata(&mut value).retain(|_, field| field.as_array().is_none_or(|items| !items.is_empty()));
        if value == object.value {
            return;
        }
        managed::update(Some(&object.value), &mut value, &Ownership::of(&target).writer());
        let grace = value["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
        let done = if is_being_deleted(&value) && !has_finalizers(&value) && grace == 0 {
            let removed = shared.store.remove(store, key.clone(), object.revision, object.value.clone());
            removed.map(|_| shared.pending.note(store, key, Some(&object.value), None))
        } else {
            let changed = shared.store.update(store, key.clone(), object.revision, value);
            changed.map(|changed| shared.pending.note(store, key, Some(&object.value), Some(&changed.value)))
        };
        if done.is_ok() {
            return;
        }
    }
}

fn options() -> WriteOptions {
    WriteOptions { manager: "controllers".to_owned(), ..WriteOptions::default() }
}

fn served(shared: &Shared, store: &str) -> Option<Served> {
    let registry = shared.registry();
    let resource = registry.resources().iter().find(|resource| &*resource.store == store)?;
    Served::new(Arc::clone(resource), &resource.versions.first()?.name)
}

/// An owner in another namespace is no owner; the user is told.
fn report_wrong_namespace(shared: &Arc<Shared>, reference: &Value, dependent: &Key, value: &Value) {
    let Some(events) = shared.registry().find("", "v1", "events") else { return };
    let namespace = if dependent.namespace.is_empty() { "default" } else { &dependent.namespace };
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let message = format!(
        "ownerRef [{}/{}, namespace: {}, name: {}, uid: {}] does not exist in namespace \"{}\"",
        text("apiVersion"),
        text("kind"),
        dependent.namespace,
        text("name"),
        text("uid"),
        dependent.namespace
    );
    let now = shared.clock.now_text();
    let event = json!({
        "metadata": {"name": shared.random.name(&format!("{}.", dependent.name))},
        "involvedObject": {
            "apiVersion": value["apiVersion"], "kind": value["kind"], "name": dependent.name,
            "namespace": dependent.namespace, "uid": meta_text(value, "uid"),
        },
        "reason": "OwnerRefInvalidNamespace", "message": message, "type": "Warning", "count": 1,
        "firstTimestamp": now, "lastTimestamp": now, "source": {"component": "garbage-collector-controller"},
    });
    let options = options();
    let target = Target { shared, served: &events, namespace, subresource: None, options: &options };
    if let Err(error) = create::create_unasked(&target, event) {
        tracing::debug!(%error, "an event about a wrong namespace was not created");
    }
}
