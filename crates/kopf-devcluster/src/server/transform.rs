//! Other forms of objects than the objects themselves: only their metadata, or Tables.

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::encode::{self, json as to_json, seen};
use super::negotiation::{Form, Transform};
use super::reply::Reply;
use super::{Request, Shared};
use crate::status::ApiError;
use crate::store::Object;
use crate::types::registry::Served;

/// What the rows of a Table carry beside the cells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Include {
    #[default]
    Metadata,
    Object,
    Nothing,
}

impl Include {
    pub(crate) fn of(request: &Request) -> Result<Self, ApiError> {
        match request.query.text("includeObject") {
            None | Some("Metadata") => Ok(Self::Metadata),
            Some("Object") => Ok(Self::Object),
            Some("None") => Ok(Self::Nothing),
            Some(other) => {
                Err(ApiError::bad_request(format!("unrecognized includeObject value: \"{other}\"")))
            }
        }
    }
}

/// How Tables are made for one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub(crate) include: Include,
    pub(crate) describes_columns: bool,
    /// What ages are counted to.
    pub(crate) now: Timestamp,
}

impl Table {
    pub(crate) fn of(request: &Request, shared: &Shared) -> Result<Self, ApiError> {
        Ok(Self { include: Include::of(request)?, describes_columns: true, now: shared.clock.now() })
    }
}

/// One object in the form that was asked for.
pub(crate) fn object_reply(
    served: &Served,
    form: Form,
    table: Table,
    status: StatusCode,
    object: &Object,
) -> Reply {
    Reply::document(status, form.encoding, event_bytes(served, form, table, object))
}

/// A list in the form that was asked for.
pub(crate) fn list_bytes<'a>(
    served: &Served,
    form: Form,
    table: Table,
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
            // Go's nil slice.
            let items = if items.is_empty() { Value::Null } else { items.into() };
            to_json(&json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": without_empty(metadata),
                "items": items,
            }))
        }
        Transform::Table(version) => {
            to_json(&table_of(served, version, table, &without_empty(metadata), objects))
        }
    }
}

/// One object, alone or in a watch, in the form that was asked for.
pub(crate) fn event_bytes(served: &Served, form: Form, table: Table, object: &Object) -> Bytes {
    match form.transform {
        Transform::None => encode::object(served, object),
        Transform::Metadata => to_json(&metadata_only(&object.value)),
        Transform::Table(version) => {
            let metadata = json!({"resourceVersion": object.revision.to_string()});
            to_json(&table_of(served, version, table, &metadata, std::iter::once(object)))
        }
    }
}

/// The object of a bookmark in the form of its stream.
pub(crate) fn bookmark(served: &Served, form: Form, metadata: &Value) -> Value {
    let (kind, api_version) = match form.transform {
        Transform::None => (served.resource.kind.as_str(), served.version().api_version.as_str()),
        Transform::Metadata => ("PartialObjectMetadata", "meta.k8s.io/v1"),
        Transform::Table(version) => {
            return json!({
                "kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": metadata,
                "columnDefinitions": null, "rows": [],
            });
        }
    };
    json!({"kind": kind, "apiVersion": api_version, "metadata": metadata})
}

/// A Table with a row for each object (D-200).
fn table_of<'a>(
    served: &Served,
    version: &str,
    table: Table,
    metadata: &Value,
    objects: impl Iterator<Item = &'a Object>,
) -> Value {
    let printer = &served.version().printer;
    let rows: Vec<Value> = objects
        .map(|object| {
            let shown = seen(served, &object.value);
            let cells = printer.cells(&shown, table.now);
            let object = match table.include {
                Include::Metadata => metadata_only(&object.value),
                Include::Object => shown,
                Include::Nothing => Value::Null,
            };
            json!({"cells": cells, "object": object})
        })
        .collect();
    // Where nothing but the age is printed, Go makes no list.
    let is_plain = printer.is_default() && rows.is_empty();
    let rows = if is_plain { Value::Null } else { rows.into() };
    let columns = if table.describes_columns { printer.column_definitions() } else { Value::Null };
    json!({
        "kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": metadata,
        "columnDefinitions": columns, "rows": rows,
    })
}

/// The metadata of an object as an object of its own (D-204).
fn metadata_only(value: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": value["metadata"]})
}

/// Lists of custom resources say an empty `continue`, other forms of them do not.
fn without_empty(metadata: &Map<String, Value>) -> Value {
    let fields = metadata.iter().filter(|(_, value)| *value != "");
    Value::Object(fields.map(|(key, value)| (key.clone(), value.clone())).collect())
}
