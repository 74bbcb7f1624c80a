//! Decoding objects of built-in types: their fields, and no others (D-067, D-068).
//!
//! Types of groups whose fields are not known have a spec and a status, and what lies in them is kept as it is sent.

use serde_json::Value;

use super::registry::Served;
use crate::machinery::object_meta;
use crate::machinery::types::{self, TypeId};
use crate::server::decode::go_type;

/// The type of a built-in resource, if its fields are known.
pub(crate) fn id_of(served: &Served) -> Option<TypeId> {
    types::of_kind(&served.resource.group, &served.version().name, &served.resource.kind)
}

/// Brings the metadata of an object into its type and removes unknown fields; gives their paths.
///
/// # Errors
///
/// What has the wrong type, in Go's words.
pub(crate) fn decode(served: &Served, value: &mut Value) -> Result<Vec<String>, String> {
    if let Some(id) = id_of(served) {
        let decoded = types::decode::decode(value, id, "")?;
        *value = decoded.value;
        return Ok(decoded.unknown);
    }
    let known = ["spec", "status"];
    let decoded = object_meta::decode(&value["metadata"], "metadata")?;
    let mut unknown = decoded.unknown;
    value["metadata"] = decoded.value;
    let Value::Object(fields) = value else { return Ok(unknown) };
    fields.retain(|key, _| {
        let is_known =
            matches!(key.as_str(), "apiVersion" | "kind" | "metadata") || known.contains(&key.as_str());
        if !is_known {
            unknown.push(key.clone());
        }
        is_known
    });
    for field in known {
        let found = fields.get(field).unwrap_or(&Value::Null);
        if !found.is_object() && !found.is_null() {
            let (kind, found) = (&served.resource.kind, go_type(found));
            return Err(format!(
                "json: cannot unmarshal {found} into Go struct field {kind}.{field} of type object"
            ));
        }
    }
    fields.retain(|_, value| !value.is_null());
    Ok(unknown)
}
