//! Somebody else, who writes to an object between a client's read and its write (D-227).

use std::sync::Arc;

use serde_json::{Value, json};

use super::path::Path;
use super::write::create::Owned;
use super::write::delete::{self, DeleteOptions};
use super::write::prepare::metadata;
use super::write::validate::Checked;
use super::write::{Target, WriteOptions, update};
use super::{Request, Shared};
use crate::faults::Interference;
use crate::machinery::merge_patch;
use crate::store::Key;

/// The annotation that counts the changes that concern nobody.
const TOUCHED: &str = "dev-cluster/touched";

/// Writes to the object of a request as somebody else; does nothing if there is none.
pub(super) async fn interfere(shared: &Arc<Shared>, request: &Request, interference: &Interference) {
    let Path::Object(path) = &request.path else { return };
    let (Some(served), Some(name)) =
        (shared.registry().find(&path.group, &path.version, &path.plural), &path.name)
    else {
        return;
    };
    let namespace = path.namespace.as_deref().unwrap_or_default();
    if interference.deletes {
        let key = Key::new(namespace, name);
        delete::by_controller(shared, &served, &key, &DeleteOptions::default()).await;
        return;
    }
    let options = WriteOptions { manager: "interference".to_owned(), ..WriteOptions::default() };
    let target = Target { shared, served: &served, namespace, subresource: None, options: &options };
    let changed = update::change(&target, name, Owned::ByUpdate, |current| {
        let mut value = current.clone();
        apply(interference, &mut value);
        Ok(Checked { value, warnings: Vec::new() })
    });
    if let Err(error) = changed.await {
        tracing::debug!(%error, path = request.raw_path, "nothing to interfere with");
    }
}

fn apply(interference: &Interference, value: &mut Value) {
    let Interference { patch, add_finalizers, remove_finalizers, deletes: _ } = interference;
    if let Some(patch) = patch {
        merge_patch::apply(value, patch);
    }
    if patch.is_none() && add_finalizers.is_empty() && remove_finalizers.is_empty() {
        let count =
            value["metadata"]["annotations"][TOUCHED].as_str().and_then(|text| text.parse::<u64>().ok());
        let count = count.unwrap_or(0).wrapping_add(1).to_string();
        merge_patch::apply(value, &json!({"metadata": {"annotations": {TOUCHED: count}}}));
        return;
    }
    let there = value["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let mut finalizers: Vec<Value> = there;
    finalizers.retain(|there| !remove_finalizers.iter().any(|removed| there == removed));
    for added in add_finalizers {
        if !finalizers.iter().any(|there| there == added) {
            finalizers.push(added.as_str().into());
        }
    }
    if finalizers.is_empty() {
        metadata(value).shift_remove("finalizers");
    } else {
        metadata(value).insert("finalizers".to_owned(), finalizers.into());
    }
}
