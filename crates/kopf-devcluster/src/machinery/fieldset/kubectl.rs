//! How objects of client-side `kubectl apply` change over to server-side apply (D-160).
//!
//! `kubectl apply` notes what it applied in an annotation. When the manager `kubectl` applies on the server,
//! fields in that note are no conflict, and the note is kept up to date, so that one can go back.

use serde_json::{Map, Value};

use super::{compare::Comparison, extent, managed::Writer, set::Set};
use crate::machinery::json::canonical;

const MANAGER: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The most bytes that all annotations of an object may have.
const MAX_BYTES: usize = 256 * 1024;

/// Whether a writer is the one for whom all this is done.
pub(super) fn is_writer(writer: &Writer<'_>) -> bool {
    writer.manager == MANAGER
}

/// The fields that were applied on the client's side and are still as applied.
pub(super) fn client_side_fields(live: &Value, writer: &Writer<'_>) -> Set {
    let noted = live["metadata"]["annotations"][ANNOTATION].as_str().unwrap_or_default();
    match serde_json::from_str::<Value>(noted) {
        Ok(noted) if noted["apiVersion"] == writer.api_version => {
            let Comparison { added, modified, removed } = Comparison::of(&noted, live, writer.view);
            extent::of(&noted, writer.view).difference(&added).difference(&modified).difference(&removed)
        }
        _ => Set::default(),
    }
}

/// Notes a configuration in an object that has such a note; gives whether the note changed.
pub(super) fn renew_annotation(object: &mut Value, config: &Value) -> bool {
    let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) else {
        return false;
    };
    let Some(old) = annotations.get(ANNOTATION).and_then(Value::as_str).filter(|note| !note.is_empty())
    else {
        return false;
    };
    let new = note(config);
    if old == new {
        return false;
    }
    annotations.insert(ANNOTATION.to_owned(), new.into());
    if size(annotations) > MAX_BYTES {
        annotations.shift_remove(ANNOTATION);
    }
    true
}

/// The configuration without an earlier note, as a line of JSON.
fn note(config: &Value) -> String {
    let mut config = canonical(config);
    if let Some(annotations) = config.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.shift_remove(ANNOTATION);
    }
    let has_none =
        config.pointer("/metadata/annotations").is_some_and(|left| left == &Value::Object(Map::new()));
    if let (true, Some(metadata)) = (has_none, config.get_mut("metadata").and_then(Value::as_object_mut)) {
        metadata.shift_remove("annotations");
    }
    format!("{config}\n")
}

fn size(annotations: &Map<String, Value>) -> usize {
    annotations.iter().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machinery::fieldset::{
        apply::{Error, apply},
        managed::{built_in_view, update},
    };
    use serde_json::json;

    fn applied(manager: &str, value: &str) -> Result<Value, Error> {
        let noted = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "1", "o": "1"}});
        let mut live = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "a", "annotations": {ANNOTATION: noted.to_string()}},
            "data": {"k": "1", "o": "changed"},
        });
        let reset = Set::default();
        let writer = |manager| Writer {
            manager,
            api_version: "v1",
            subresource: "",
            now: "t",
            view: built_in_view("", "v1", "ConfigMap"),
            reset: &reset,
        };
        update(None, &mut live, &writer("kubectl-client-side-apply"));
        let config =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": value}});
        apply(Some(&live), &config, &writer(manager), false).map(|applied| applied.object)
    }

    /// D-160.
    #[test]
    fn what_was_applied_on_the_clients_side_is_no_conflict_for_kubectl() {
        let object = applied("kubectl", "2").unwrap();
        assert_eq!(object["data"], json!({"k": "2", "o": "changed"}));
        assert_eq!(
            object["metadata"]["annotations"][ANNOTATION],
            "{\"apiVersion\":\"v1\",\"data\":{\"k\":\"2\"},\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"a\"}}\n"
        );
        assert!(matches!(applied("other", "2"), Err(Error::Conflict { .. })));
    }
}
