//! The `scale` subresource: replicas of workloads and of custom resources, as an object of its own (D-082, D-164).

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};

use super::create::Owned;
use super::prepare::{meta_text, remove};
use super::validate::Checked;
use super::{Target, update};
use crate::machinery::cause::Cause;
use crate::machinery::{json_patch, merge_patch};
use crate::server::encode::seen;
use crate::server::negotiation::{self, Encoding};
use crate::server::read::not_found;
use crate::server::reply::Reply;
use crate::server::{Request, decode};
use crate::status::ApiError;

/// JSON pointers to what a Scale shows.
#[derive(Debug)]
struct Paths {
    spec_replicas: String,
    status_replicas: String,
    selector: Option<String>,
}

fn paths(target: &Target<'_>) -> Paths {
    let pointer = |path: &Value| path.as_str().map(|path| path.replace('.', "/"));
    match &target.served.version().definition {
        Some(definition) => {
            let scale = &definition.spec["subresources"]["scale"];
            Paths {
                spec_replicas: pointer(&scale["specReplicasPath"]).unwrap_or_default(),
                status_replicas: pointer(&scale["statusReplicasPath"]).unwrap_or_default(),
                selector: pointer(&scale["labelSelectorPath"]),
            }
        }
        None => Paths {
            spec_replicas: "/spec/replicas".to_owned(),
            status_replicas: "/status/replicas".to_owned(),
            selector: Some("/spec/selector".to_owned()),
        },
    }
}

/// `GET …/scale`.
pub(crate) fn get(target: &Target<'_>, request: &Request, name: &str) -> Result<Reply, ApiError> {
    let encoding = negotiation::plain(&request.headers)?;
    let object = target
        .shared
        .store
        .get(&target.served.resource.store, &target.key(name))
        .ok_or_else(|| not_found(target.served, name))?;
    let scale = scale_of(&paths(target), &seen(target.served, &object.value));
    Ok(Reply::value(StatusCode::OK, encoding, &scale))
}

fn scale_of(paths: &Paths, object: &Value) -> Value {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if !meta_text(object, field).is_empty() {
            metadata[field] = meta_text(object, field).into();
        }
    }
    let mut spec = json!({});
    if let Some(replicas) = number(&paths.spec_replicas).filter(|replicas| *replicas != 0) {
        spec["replicas"] = replicas.into();
    }
    let mut status = json!({"replicas": number(&paths.status_replicas).unwrap_or(0)});
    if let Some(selector) =
        paths.selector.as_ref().and_then(|pointer| object.pointer(pointer)).map(selector_text)
        && !selector.is_empty()
    {
        status["selector"] = selector.into();
    }
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status})
}

/// A selector as text; of built-in types it is an object.
fn selector_text(selector: &Value) -> String {
    if let Some(text) = selector.as_str() {
        return text.to_owned();
    }
    let labels = selector["matchLabels"].as_object().or_else(|| selector.as_object());
    let mut terms: Vec<String> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| value.as_str().map(|value| format!("{key}={value}")))
        .collect();
    terms.sort();
    terms.join(",")
}

/// `PUT` and `PATCH …/scale`: sets the replicas and nothing else.
pub(crate) async fn write(target: &Target<'_>, request: &Request, name: &str) -> Result<Reply, ApiError> {
    let encoding: Encoding = negotiation::plain(&request.headers)?;
    let paths = paths(target);
    let is_patch = request.method == http::Method::PATCH;
    let body = if is_patch { None } else { Some(decode::object(request, "autoscaling/v1", "Scale")?.value) };
    let written = update::change(target, name, Owned::ByUpdate, |current| {
        let scale = scale_of(&paths, current);
        let scale = match &body {
            Some(body) => body.clone(),
            None => patched(request, scale)?,
        };
        if !meta_text(&scale, "name").is_empty() {
            update::check_name(target, name, &scale)?;
        }
        let value = with_replicas(target, &paths, current, &scale, name)?;
        Ok(Checked { value, warnings: Vec::new() })
    })
    .await?;
    let scale = scale_of(&paths, &seen(target.served, &Arc::clone(&written.object).value));
    Ok(Reply::value(StatusCode::OK, encoding, &scale).with_warnings(written.warnings))
}

fn patched(request: &Request, mut scale: Value) -> Result<Value, ApiError> {
    let document = decode::json(&request.body)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?
        .value;
    match negotiation::media_type(&request.headers).as_deref() {
        Some("application/json-patch+json") => {
            json_patch::apply(&mut scale, &document).map_err(|_| ApiError::patch_not_applicable())?;
        }
        Some("application/merge-patch+json" | "application/strategic-merge-patch+json") => {
            // A Scale has no lists, so that both kinds of merge do the same.
            merge_patch::apply(&mut scale, &document);
        }
        _ => {
            let accepted = [
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
            ];
            return Err(ApiError::unsupported_media_type(&accepted));
        }
    }
    Ok(scale)
}

fn with_replicas(
    target: &Target<'_>,
    paths: &Paths,
    current: &Value,
    scale: &Value,
    name: &str,
) -> Result<Value, ApiError> {
    let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
    if replicas < 0 {
        let cause = Cause::invalid("spec.replicas", &replicas.into(), "must be greater than or equal to 0");
        return Err(target.invalid(name, &[cause]));
    }
    let mut value = current.clone();
    for field in ["uid", "resourceVersion"] {
        let said = meta_text(scale, field);
        match said.is_empty() {
            true => remove(&mut value["metadata"], field),
            false => value["metadata"][field] = said.into(),
        }
    }
    let mut place = &mut value;
    for segment in paths.spec_replicas.split('/').filter(|segment| !segment.is_empty()) {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[segment];
    }
    *place = replicas.into();
    Ok(value)
}
