//! OpenAPI v3: an index, and for each group-version a document with what clients look for.
//!
//! kubectl checks before it sends that the server validates fields: it looks for a patch operation with the
//! `fieldValidation` parameter. Documents have no content types of patches on purpose: kubectl would take its merge
//! keys from them (DEC-25).

mod v2;

pub(crate) use v2::v2;

use http::{StatusCode, header};
use serde_json::{Map, Value, json};

use crate::discovery::etag;
use crate::server::body::Body;
use crate::server::encode::{Sorted, json as to_json};
use crate::server::reply::Reply;
use crate::server::{Request, Shared};
use crate::status::ApiError;
use crate::types::Registry;
use crate::types::registry::Served;

/// `GET /openapi/v3` and the documents below it.
pub(crate) fn v3(shared: &Shared, request: &Request, path: Option<&str>) -> Result<Reply, ApiError> {
    let registry = shared.registry();
    let Some(path) = path else {
        return Ok(Reply::text(StatusCode::OK, index(&registry).to_string()));
    };
    let document = document_at(&registry, path).ok_or_else(ApiError::no_such_path)?;
    let body = to_json(&Sorted(&document));
    let etag = etag(&body);
    let hash = etag.trim_matches('"').to_owned();
    if request.query.text("hash").is_some_and(|asked| asked != hash) {
        let reply = Reply::new(StatusCode::MOVED_PERMANENTLY, "application/json", Body::empty());
        return Ok(reply.with_header(header::LOCATION, &format!("/openapi/v3/{path}?hash={hash}")));
    }
    let reply =
        Reply::new(StatusCode::OK, "application/json", Body::whole(body)).with_header(header::ETAG, &etag);
    Ok(reply.with_header(header::VARY, "Accept"))
}

fn index(registry: &Registry) -> Value {
    let mut paths = Map::new();
    for (group, versions) in registry.groups() {
        for version in versions {
            let path =
                if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
            let Some(document) = document_at(registry, &path) else { continue };
            let hash = etag(&to_json(&Sorted(&document)));
            let url = format!("/openapi/v3/{path}?hash={}", hash.trim_matches('"'));
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
    }
    json!({"paths": paths})
}

fn document_at(registry: &Registry, path: &str) -> Option<Value> {
    let (group, version) = match path.split('/').collect::<Vec<_>>().as_slice() {
        ["api", version] => (String::new(), (*version).to_owned()),
        ["apis", group, version] => ((*group).to_owned(), (*version).to_owned()),
        _ => return None,
    };
    let served = registry.of_group_version(&group, &version);
    (!served.is_empty()).then(|| document(&served))
}

fn document(served: &[Served]) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for served in served {
        if let Some((name, schema)) = schema(served) {
            schemas.insert(name, schema);
        }
        paths.extend(operations(served));
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

fn operations(served: &Served) -> Vec<(String, Value)> {
    let (resource, version) = (&served.resource, served.version());
    let prefix = if resource.group.is_empty() { "/api/" } else { "/apis/" };
    let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("{prefix}{}{scope}/{}", version.api_version, resource.plural);
    let gvk = json!({"group": resource.group, "version": version.name, "kind": resource.kind});
    let parameters: Vec<Value> = ["dryRun", "fieldManager", "fieldValidation"]
        .into_iter()
        .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}}))
        .collect();
    let operation = |action: &str| {
        json!({
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk,
            "parameters": parameters,
            "responses": {"200": {"description": "OK"}},
        })
    };
    let mut paths = Vec::new();
    if resource.verbs.contains(&"create") {
        paths.push((collection.clone(), json!({"post": operation("post")})));
    }
    if resource.verbs.contains(&"patch") {
        let item = json!({"patch": operation("patch"), "put": operation("put")});
        paths.push((format!("{collection}/{{name}}"), item));
    }
    paths
}

/// The schema of a custom resource, for `kubectl explain` (D-052).
fn schema(served: &Served) -> Option<(String, Value)> {
    let (resource, version) = (&served.resource, served.version());
    let definition = version.definition.as_ref()?;
    let mut schema = definition.spec["schema"]["openAPIV3Schema"].clone();
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    for field in ["apiVersion", "kind"] {
        if !schema["properties"][field].is_object() {
            schema["properties"][field] = json!({"type": "string"});
        }
    }
    if !schema["properties"]["metadata"].is_object() {
        schema["properties"]["metadata"] = json!({"type": "object"});
    }
    schema["x-kubernetes-group-version-kind"] =
        json!([{"group": resource.group, "version": version.name, "kind": resource.kind}]);
    let mut reversed: Vec<&str> = resource.group.split('.').collect();
    reversed.reverse();
    Some((format!("{}.{}.{}", reversed.join("."), version.name, resource.kind), schema))
}
