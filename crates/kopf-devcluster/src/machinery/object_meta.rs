//! `metadata` as the type that it is: known fields only, of the right types, without empty ones.
//!
//! The real server decodes metadata into a struct and encodes it again, for built-in types and custom
//! resources alike. Rules on the values are in [`super::metadata`].

use serde_json::{Map, Value};

use super::types::{
    self,
    decode::{self, Decoded},
};

/// Decodes metadata; a missing one is an empty one.
///
/// `path` is how its own path is written in what is reported, e.g. `metadata` or `spec.template.metadata`.
///
/// # Errors
///
/// The text of a type error, which the caller puts into its answer.
pub(crate) fn decode(metadata: &Value, path: &str) -> Result<Decoded, String> {
    match metadata {
        Value::Null => Ok(Decoded { value: Value::Object(Map::new()), unknown: Vec::new() }),
        metadata => decode::decode(metadata, types::object_meta(), path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// D-068, D-076.
    #[test]
    fn metadata_keeps_known_fields_in_order_and_drops_empty_ones() {
        let decoded = decode(
            &json!({
                "finalizers": [], "labels": {"b": "2", "a": null}, "what": 1, "name": "n", "generation": 0,
                "creationTimestamp": "2020-01-01T02:00:00+02:00", "annotations": {}, "namespace": "",
                "deletionGracePeriodSeconds": 0,
                "ownerReferences": [{"kind": "A", "odd": 1, "controller": false}],
            }),
            "metadata",
        )
        .unwrap();
        assert_eq!(
            decoded.value.to_string(),
            json!({
                "name": "n", "creationTimestamp": "2020-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0,
                "labels": {"a": "", "b": "2"},
                "ownerReferences": [{"apiVersion": "", "kind": "A", "name": "", "uid": "", "controller": false}],
            })
            .to_string()
        );
        assert_eq!(decoded.unknown, ["metadata.ownerReferences[0].odd", "metadata.what"]);
    }

    #[test]
    fn a_field_of_the_wrong_type_is_an_error() {
        let error = decode(&json!({"labels": {"a": 1}}), "metadata").unwrap_err();
        assert_eq!(
            error,
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"
        );
        for wrong in [json!([]), json!({"name": 1}), json!({"finalizers": "x"}), json!({"generation": 1.5})] {
            assert!(decode(&wrong, "metadata").is_err(), "{wrong}");
        }
    }
}
