//! Keeps the status of definitions, and what is served, up to date with them.
//!
//! Runs right after a definition was written, so that it is served at once; removal of objects is left to the
//! controllers' task.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{CLEANUP, STORE, Views, resource};
use crate::clock::Clock;
use crate::machinery::fieldset::managed::{self, Writer};
use crate::server::Shared;
use crate::server::write::delete::{DeleteOptions, Propagation, by_controller};
use crate::server::write::prepare::{is_being_deleted, meta_text, metadata};
use crate::store::{Key, Object};

/// A definition was created, changed or removed.
pub(crate) fn definition_changed(shared: &Arc<Shared>, name: &str) {
    while let Some(object) = shared.store.get(STORE, &Key::new("", name)) {
        let mut value = object.value.clone();
        update_status(shared, &mut value, true);
        if value == object.value || store(shared, &object, value) {
            break;
        }
    }
    let delay = shared.options.establishing_delay;
    if !delay.is_zero() {
        let (shared, name) = (Arc::clone(shared), name.to_owned());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => {}
                () = shared.clock.sleep(delay) => establish(&shared, &name),
            }
        });
    }
    serve(shared);
}

/// Establishes a definition whose delay is over.
fn establish(shared: &Arc<Shared>, name: &str) {
    while let Some(object) = shared.store.get(STORE, &Key::new("", name)) {
        let mut value = object.value.clone();
        update_status(shared, &mut value, false);
        if value == object.value || store(shared, &object, value) {
            break;
        }
    }
    serve(shared);
}

fn store(shared: &Shared, object: &Object, mut value: Value) -> bool {
    let writer = Writer {
        manager: "apiserver",
        api_version: "apiextensions.k8s.io/v1",
        subresource: "status",
        now: &shared.clock.now_text(),
        view: managed::built_in_view("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
        reset: &managed::spec_and_metadata(),
    };
    managed::update(Some(&object.value), &mut value, &writer);
    let key = Key::new("", meta_text(&value, "name"));
    shared.store.update(&Arc::from(STORE), key, object.revision, value).is_ok()
}

/// Names and conditions (D-071, D-073).
fn update_status(shared: &Shared, definition: &mut Value, may_wait: bool) {
    if is_being_deleted(definition) {
        return;
    }
    let conflict = name_conflicts(shared, definition);
    let clock = &shared.clock;
    let accepted = conflict.is_none();
    match conflict {
        None => set_condition(definition, clock, "NamesAccepted", true, "NoConflicts", "no conflicts found"),
        Some((reason, message)) => set_condition(definition, clock, "NamesAccepted", false, reason, &message),
    }
    let waits =
        may_wait && !shared.options.establishing_delay.is_zero() && !is_true(definition, "Established");
    match (accepted, waits) {
        (true, false) => {
            let message = "the initial names have been accepted";
            set_condition(definition, clock, "Established", true, "InitialNamesAccepted", message);
        }
        (true, true) => {
            let message = "the initial names have been accepted";
            set_condition(definition, clock, "Established", false, "Installing", message);
        }
        (false, _) if is_true(definition, "Established") => {}
        (false, _) => {
            let message = "not all names are accepted";
            set_condition(definition, clock, "Established", false, "NotAccepted", message);
        }
    }
}

/// Accepts what names are free; the last conflict is reported, as the real server does.
fn name_conflicts(shared: &Shared, definition: &mut Value) -> Option<(&'static str, String)> {
    let taken = names_of_others(shared, definition);
    let requested = definition["spec"]["names"].clone();
    let mut accepted = definition["status"]["acceptedNames"].clone();
    if !accepted.is_object() {
        accepted = json!({"plural": "", "kind": ""});
    }
    let mut conflict = None;
    let mut free = |name: &str, reason: &'static str| {
        let is_taken = taken.contains(&name.to_owned());
        if is_taken {
            conflict = Some((reason, format!("\"{name}\" is already in use")));
        }
        !is_taken
    };
    for (field, reason) in [("plural", "PluralConflict"), ("singular", "SingularConflict")] {
        if let Some(name) = requested[field].as_str().filter(|name| free(name, reason)) {
            accepted[field] = name.into();
        }
    }
    let short_names = requested["shortNames"].as_array().cloned().unwrap_or_default();
    let all_free = short_names.iter().filter_map(Value::as_str).all(|name| free(name, "ShortNamesConflict"));
    match (all_free, short_names.is_empty()) {
        (true, false) => accepted["shortNames"] = short_names.into(),
        (true, true) => crate::server::write::prepare::remove(&mut accepted, "shortNames"),
        (false, _) => {}
    }
    for (field, reason) in [("kind", "KindConflict"), ("listKind", "ListKindConflict")] {
        if let Some(name) = requested[field].as_str().filter(|name| free(name, reason)) {
            accepted[field] = name.into();
        }
    }
    match requested["categories"].as_array().filter(|categories| !categories.is_empty()) {
        Some(categories) => accepted["categories"] = categories.clone().into(),
        None => crate::server::write::prepare::remove(&mut accepted, "categories"),
    }
    definition["status"]["acceptedNames"] = accepted;
    conflict
}

/// The names that other definitions of the group hold.
fn names_of_others(shared: &Shared, definition: &Value) -> Vec<String> {
    let others = shared.store.list(STORE, None).objects;
    let others = others.iter().map(|(_, object)| &object.value).filter(|other| {
        other["spec"]["group"] == definition["spec"]["group"]
            && other["metadata"]["name"] != definition["metadata"]["name"]
    });
    let mut names = Vec::new();
    for other in others {
        let accepted = &other["status"]["acceptedNames"];
        for field in ["plural", "singular", "kind", "listKind"] {
            names.extend(accepted[field].as_str().filter(|name| !name.is_empty()).map(ToOwned::to_owned));
        }
        let short_names = accepted["shortNames"].as_array().into_iter().flatten();
        names.extend(short_names.filter_map(Value::as_str).map(ToOwned::to_owned));
    }
    names
}

/// The condition of a definition whose deletion begins.
pub(crate) fn mark_terminating(definition: &mut Value, clock: &Clock) {
    let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    set_condition(definition, clock, "Terminating", true, "InstanceDeletionPending", message);
}

fn set_condition(
    definition: &mut Value,
    clock: &Clock,
    kind: &str,
    status: bool,
    reason: &str,
    message: &str,
) {
    let status = if status { "True" } else { "False" };
    let conditions = &mut definition["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(conditions) = conditions.as_array_mut() else { return };
    let mut condition = json!({
        "type": kind, "status": status, "lastTransitionTime": clock.now_text(), "reason": reason, "message": message,
    });
    match conditions.iter_mut().find(|condition| condition["type"] == kind) {
        Some(there) => {
            if there["status"] == status {
                condition["lastTransitionTime"] = there["lastTransitionTime"].clone();
            }
            *there = condition;
        }
        None => conditions.push(condition),
    }
}

fn is_true(definition: &Value, kind: &str) -> bool {
    let conditions = definition["status"]["conditions"].as_array().into_iter().flatten();
    conditions.filter(|condition| condition["type"] == kind).any(|condition| condition["status"] == "True")
}

/// Serves exactly the definitions that are established.
pub(crate) fn serve(shared: &Shared) {
    let mut gone = HashMap::new();
    shared.change_registry(|before| {
        // Read while the registry is held: of two changes at once the later one wins.
        let definitions = shared.store.list(STORE, None).objects;
        for custom in before.resources().iter().filter_map(|resource| resource.custom.as_ref()) {
            gone.insert(custom.uid.clone(), custom.gone.clone());
        }
        let established: Vec<&Value> = definitions
            .iter()
            .map(|(_, object)| &object.value)
            .filter(|definition| is_true(definition, "NamesAccepted") && is_true(definition, "Established"))
            .collect();
        for definition in &established {
            gone.remove(meta_text(definition, "uid"));
        }
        let mut views = Views::after(before);
        let custom: Vec<_> =
            established.into_iter().map(|definition| resource(definition, before, &mut views)).collect();
        before.with_custom(custom, views.0)
    });
    for token in gone.into_values() {
        token.cancel();
    }
}

/// Removes the objects of a definition that is being deleted, then the definition; whether anything was done.
pub(crate) async fn finalize(shared: &Arc<Shared>, name: &str) -> bool {
    let key = Key::new("", name);
    let Some(object) = shared.store.get(STORE, &key) else { return false };
    let finalizers = object.value["metadata"]["finalizers"].as_array();
    let has_cleanup = finalizers.is_some_and(|finalizers| finalizers.iter().any(|name| name == CLEANUP));
    is_being_deleted(&object.value) && has_cleanup && finalize_one(shared, &key, &object).await
}

async fn finalize_one(shared: &Arc<Shared>, key: &Key, object: &Object) -> bool {
    let mut worked = false;
    let (group, plural) = (&object.value["spec"]["group"], &object.value["spec"]["names"]["plural"]);
    let registry = shared.registry();
    let served = registry.resources().iter().find(|r| r.group == *group && r.plural == *plural);
    let store = served.map_or_else(|| key.name.clone(), |resource| resource.store.to_string());
    let served = served.and_then(|resource| {
        let version = resource.versions.first()?.name.clone();
        crate::types::registry::Served::new(Arc::clone(resource), &version)
    });
    let instances = shared.store.list(&store, None).objects;
    if let Some(served) = served {
        let options =
            DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
        for (instance, _) in instances.iter().filter(|(_, instance)| !is_being_deleted(&instance.value)) {
            worked |= by_controller(shared, &served, instance, &options).await;
        }
    }
    if !shared.store.list(&store, None).objects.is_empty() {
        return worked;
    }
    remove_cleanup(shared, key, object) || worked
}

/// The objects are gone: so goes the definition, unless other finalizers keep it.
fn remove_cleanup(shared: &Arc<Shared>, key: &Key, object: &Object) -> bool {
    let mut value = object.value.clone();
    let finalizers = value["metadata"]["finalizers"].as_array_mut();
    let is_last = finalizers.is_none_or(|finalizers| {
        finalizers.retain(|name| name != CLEANUP);
        finalizers.is_empty()
    });
    let store: Arc<str> = Arc::from(STORE);
    let done = if is_last {
        shared.store.remove(&store, key.clone(), object.revision, object.value.clone()).is_ok()
    } else {
        metadata(&mut value);
        shared.store.update(&store, key.clone(), object.revision, value).is_ok()
    };
    serve(shared);
    done
}
