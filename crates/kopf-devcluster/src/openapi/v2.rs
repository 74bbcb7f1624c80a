//! OpenAPI v2: what kubectl falls back to for kinds that appeared while it was running, and older kubectl always.
//!
//! As JSON, and in the protobuf form of `gnostic-models`' OpenAPIv2.proto, of which only the messages are written that
//! kubectl looks into: the patch operations with their kind and their parameters. No schemas of built-in types.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{operations, schema};
use crate::server::body::Body;
use crate::server::encode::json as to_json;
use crate::server::negotiation::{Encoding, accepted, encoding};
use crate::server::reply::Reply;
use crate::server::{Request, Shared};
use crate::status::ApiError;
use crate::types::Registry;
use crate::types::registry::Served;

/// How media types of the protobuf form begin; what follows differs between versions of clients.
const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2";

/// What the protobuf form is answered as: clients ask for `v2@v1.0` too, which is no media type they can parse.
const PROTOBUF_ANSWER: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// `GET /openapi/v2`.
pub(crate) fn v2(shared: &Shared, request: &Request) -> Result<Reply, ApiError> {
    let registry = shared.registry();
    for clause in accepted(&request.headers) {
        if clause.media_type.starts_with(PROTOBUF) {
            let body = Body::whole(protobuf(&registry).into());
            return Ok(Reply::new(StatusCode::OK, PROTOBUF_ANSWER, body));
        }
        if encoding(&clause.media_type) == Some(Encoding::Json) {
            return Ok(Reply::new(
                StatusCode::OK,
                "application/json",
                Body::whole(to_json(&document(&registry))),
            ));
        }
    }
    Err(ApiError::discovery_not_acceptable(&["application/json", PROTOBUF]))
}

fn document(registry: &Registry) -> Value {
    let served = all(registry);
    let paths: Map<String, Value> = served.iter().flat_map(operations).collect();
    let definitions: Map<String, Value> = served.iter().filter_map(schema).collect();
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths,
        "definitions": definitions,
    })
}

fn all(registry: &Registry) -> Vec<Served> {
    let versions = registry.resources().iter().flat_map(|resource| {
        resource
            .versions
            .iter()
            .filter_map(|version| Served::new(std::sync::Arc::clone(resource), &version.name))
    });
    versions.collect()
}

fn protobuf(registry: &Registry) -> Vec<u8> {
    let mut paths = Vec::new();
    for (path, operations) in all(registry).iter().flat_map(operations) {
        let Some(patch) = operations.get("patch") else { continue };
        let item = message(&[(8, operation(patch))]);
        paths.push((2, message(&[(1, path.into_bytes()), (2, item)])));
    }
    let info = message(&[(1, b"Kubernetes".to_vec()), (2, b"unversioned".to_vec())]);
    message(&[(1, b"2.0".to_vec()), (2, info), (8, message(&paths))])
}

fn operation(operation: &Value) -> Vec<u8> {
    let mut fields = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default().as_bytes().to_vec();
        let query = message(&[(2, b"query".to_vec()), (4, name), (6, b"string".to_vec())]);
        // ParametersItem > Parameter > NonBodyParameter > QueryParameterSubSchema.
        fields.push((8, message(&[(1, message(&[(2, message(&[(3, query)]))]))])));
    }
    let kind = "x-kubernetes-group-version-kind";
    let any = message(&[(2, operation[kind].to_string().into_bytes())]);
    fields.push((13, message(&[(1, kind.as_bytes().to_vec()), (2, any)])));
    message(&fields)
}

/// A message of length-delimited fields: texts and messages, by their numbers.
fn message(fields: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, content) in fields {
        bytes.push(number << 3 | 2);
        varint(content.len(), &mut bytes);
        bytes.extend_from_slice(content);
    }
    bytes
}

fn varint(mut number: usize, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_a_number_and_a_length() {
        assert_eq!(
            message(&[(1, b"ab".to_vec()), (2, message(&[(3, Vec::new())]))]),
            b"\x0a\x02ab\x12\x02\x1a\x00"
        );
        let mut bytes = Vec::new();
        varint(300, &mut bytes);
        assert_eq!(bytes, [0xac, 0x02]);
    }
}
