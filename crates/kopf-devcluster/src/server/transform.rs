//! Other forms of objects than the objects themselves: only their metadata.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::encode::{self, Sorted, json as to_json};
use super::negotiation::{Form, Transform};
use super::reply::Reply;
use crate::store::Object;
use crate::types::registry::Served;

/// One object in the form that was asked for.
pub(crate) fn object_reply(served: &Served, form: Form, status: StatusCode, object: &Object) -> Reply {
    let bytes = match form.transform {
        Transform::None => encode::object(served, object),
        Transform::Metadata => to_json(&Sorted(&metadata_only(&object.value))),
    };
    Reply::document(status, form.encoding, bytes)
}

/// A list in the form that was asked for.
pub(crate) fn list_bytes<'a>(
    served: &Served,
    form: Form,
    metadata: &Map<String, Value>,
    objects: impl Iterator<Item = &'a Object>,
) -> Bytes {
    match form.transform {
        Transform::None => {
            let items: Vec<Bytes> = objects.map(|object| encode::object(served, object)).collect();
            encode::list(served, metadata, &items)
        }
        Transform::Metadata => {
            let items: Vec<Value> = objects.map(|object| metadata_only(&object.value)).collect();
            to_json(&json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": metadata,
                "items": items,
            }))
        }
    }
}

/// The object of a watch event in another form; only the first Table of a stream describes its columns.
pub(crate) fn event_bytes(served: &Served, form: Form, object: &Object) -> Bytes {
    match form.transform {
        Transform::None => encode::object(served, object),
        Transform::Metadata => to_json(&Sorted(&metadata_only(&object.value))),
    }
}

/// The object of a bookmark in the form of its stream.
pub(crate) fn bookmark(served: &Served, form: Form, metadata: &Value) -> Value {
    let (kind, api_version) = match form.transform {
        Transform::None => (served.resource.kind.as_str(), served.version().api_version.as_str()),
        Transform::Metadata => ("PartialObjectMetadata", "meta.k8s.io/v1"),
    };
    json!({"kind": kind, "apiVersion": api_version, "metadata": metadata})
}

/// The metadata of an object as an object of its own (D-204).
pub(crate) fn metadata_only(value: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": value["metadata"]})
}
