//! What a namespace gets when it is new, and how it ends.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::server::Shared;
use crate::server::write::delete::{DeleteOptions, Propagation, by_controller};
use crate::server::write::prepare::{has_finalizers, is_being_deleted};
use crate::server::write::{Target, WriteOptions, create};
use crate::store::{Key, Object};
use crate::types::registry::Served;

/// The namespaces of a new cluster.
pub(crate) const INITIAL: &[&str] = &["default", "kube-node-lease", "kube-public", "kube-system"];

const ROOT_CERTIFICATE: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
                                endpoints such as the internal service IP or kubernetes.default.svc. No other usage \
                                is guaranteed across distributions of Kubernetes clusters.";

/// Creates the namespaces of a new cluster.
pub(crate) fn create_initial(shared: &Arc<Shared>) {
    for name in INITIAL {
        create_object(shared, "namespaces", "", &json!({"metadata": {"name": name}}));
    }
}

/// Puts into a new namespace what every namespace has (D-140).
pub(crate) fn fill(shared: &Arc<Shared>, name: &str) {
    if !shared.options.namespace_contents {
        return;
    }
    create_object(shared, "serviceaccounts", name, &json!({"metadata": {"name": "default"}}));
    let certificate = json!({
        "metadata": {
            "name": "kube-root-ca.crt",
            "annotations": {"kubernetes.io/description": ROOT_CERTIFICATE},
        },
        "data": {"ca.crt": ""},
    });
    create_object(shared, "configmaps", name, &certificate);
}

/// Whether this is made again when it is deleted.
pub(crate) fn is_permanent(store: &str, name: &str) -> bool {
    matches!((store, name), ("configmaps", "kube-root-ca.crt") | ("serviceaccounts", "default"))
}

fn create_object(shared: &Arc<Shared>, plural: &str, namespace: &str, value: &Value) {
    let Some(served) = shared.registry().find("", "v1", plural) else { return };
    let options = WriteOptions { manager: "controllers".to_owned(), ..WriteOptions::default() };
    let target = Target { shared, served: &served, namespace, subresource: None, options: &options };
    if let Err(error) = create::create_unasked(&target, value.clone()) {
        tracing::debug!(%error, plural, namespace, "not created");
    }
}

/// Empties a namespace that is being deleted, and removes it when it is empty; whether anything was done (D-141).
pub(crate) async fn finalize(shared: &Arc<Shared>, name: &str) -> bool {
    let Some(namespace) = shared.namespace(name) else { return false };
    if !is_being_deleted(&namespace.value) {
        return false;
    }
    let mut worked = false;
    let mut remaining = 0;
    for resource in shared.registry().resources() {
        let Some(version) = resource.versions.first() else { continue };
        let deletable = resource.namespaced && resource.verbs.contains(&"delete");
        let Some(served) = Served::new(Arc::clone(resource), &version.name).filter(|_| deletable) else {
            continue;
        };
        for (key, object) in shared.store.list(&resource.store, Some(name)).objects {
            if !is_being_deleted(&object.value) {
                let options =
                    DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
                worked |= by_controller(shared, &served, &key, &options).await;
            }
        }
        remaining += shared.store.list(&resource.store, Some(name)).objects.len();
    }
    if remaining > 0 { worked } else { remove(shared, name, &namespace) || worked }
}

fn remove(shared: &Arc<Shared>, name: &str, namespace: &Object) -> bool {
    let store: Arc<str> = Arc::from("namespaces");
    let key = Key::new("", name);
    let mut value = namespace.value.clone();
    let spec = value["spec"].as_object_mut();
    let had_finalizers = spec.is_some_and(|spec| spec.shift_remove("finalizers").is_some());
    if has_finalizers(&value) {
        return had_finalizers && shared.store.update(&store, key, namespace.revision, value).is_ok();
    }
    let removed = shared.store.remove(&store, key.clone(), namespace.revision, value).is_ok();
    if removed {
        shared.pending.note(&store, &key, Some(&namespace.value), None);
    }
    removed
}
