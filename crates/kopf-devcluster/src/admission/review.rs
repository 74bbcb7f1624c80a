//! The question to a webhook and its answer: AdmissionReview (D-212, D-215).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::hooks::{Hook, Phase};
use super::{Attempt, Operation};
use crate::reviews::user_info;
use crate::status::ApiError;
use crate::types::registry::Served;

/// What a webhook has said.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) denial: Option<ApiError>,
    pub(super) patch: Option<Value>,
    pub(super) warnings: Vec<String>,
}

/// The version of the review: the first one that the webhook names and that there is.
fn version(hook: &Hook) -> String {
    let versions = hook.spec["admissionReviewVersions"].as_array().into_iter().flatten();
    let version = versions.filter_map(Value::as_str).find(|version| matches!(*version, "v1" | "v1beta1"));
    format!("admission.k8s.io/{}", version.unwrap_or("v1"))
}

/// What a webhook is asked.
pub(super) fn question(attempt: Attempt<'_>, hook: &Hook, object: Option<&Value>, uid: &str) -> Value {
    let (target, seen) = (attempt.target, &hook.seen_as);
    let kind = |served: &Served| {
        let resource = &served.resource;
        json!({"group": resource.group, "version": served.version().name, "kind": resource.kind})
    };
    let resource = |served: &Served| {
        let resource = &served.resource;
        json!({"group": resource.group, "version": served.version().name, "resource": resource.plural})
    };
    let mut request = Map::new();
    let mut set = |field: &str, value: Value| request.insert(field.to_owned(), value);
    set("uid", uid.into());
    set("kind", kind(seen));
    set("resource", resource(seen));
    if let Some(subresource) = target.subresource {
        set("subResource", subresource.into());
        set("requestSubResource", subresource.into());
    }
    set("requestKind", kind(target.served));
    set("requestResource", resource(target.served));
    if !attempt.name.is_empty() {
        set("name", attempt.name.into());
    }
    if !target.namespace.is_empty() {
        set("namespace", target.namespace.into());
    }
    set("operation", attempt.operation.name().into());
    set("userInfo", user_info(&attempt.options().user));
    set("object", shown(seen, object));
    set("oldObject", shown(seen, attempt.old));
    set("dryRun", attempt.dry_run.into());
    set("options", options(attempt));
    json!({"kind": "AdmissionReview", "apiVersion": version(hook), "request": request})
}

/// An object through the version that the webhook knows.
fn shown(seen: &Served, object: Option<&Value>) -> Value {
    let Some(object) = object else { return Value::Null };
    let mut object = object.clone();
    object["apiVersion"] = seen.version().api_version.as_str().into();
    object
}

fn options(attempt: Attempt<'_>) -> Value {
    let kind = match attempt.operation {
        Operation::Create => "CreateOptions",
        Operation::Update => "UpdateOptions",
        Operation::Delete => "DeleteOptions",
    };
    let mut options = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
    if attempt.dry_run {
        options["dryRun"] = json!(["All"]);
    }
    if attempt.operation != Operation::Delete && !attempt.options().manager.is_empty() {
        options["fieldManager"] = attempt.options().manager.as_str().into();
    }
    options
}

/// Reads an answer.
///
/// # Errors
///
/// Why it is none, which counts as a failed call.
pub(super) fn answer(hook: &Hook, review: &Value, uid: &str) -> Result<Answer, String> {
    let expected = version(hook);
    if review["kind"] != "AdmissionReview" || review["apiVersion"] != expected.as_str() {
        return Err(format!(
            "received invalid webhook response: expected webhook response of {expected}, Kind=AdmissionReview, got \
             {}, Kind={}",
            review["apiVersion"].as_str().unwrap_or_default(),
            review["kind"].as_str().unwrap_or_default()
        ));
    }
    let response = &review["response"];
    if !response.is_object() {
        return Err("received invalid webhook response: webhook response was absent".to_owned());
    }
    let said = response["uid"].as_str().unwrap_or_default();
    if said != uid {
        let message =
            format!("received invalid webhook response: expected response.uid={uid:?}, got {said:?}");
        return Err(message);
    }
    let warnings = response["warnings"].as_array().into_iter().flatten();
    let warnings = warnings.filter_map(Value::as_str).map(ToOwned::to_owned).collect();
    if response["allowed"] != true {
        return Ok(Answer { denial: Some(denial(hook, &response["status"])), warnings, ..Answer::default() });
    }
    Ok(Answer { patch: patch(hook, response)?, warnings, denial: None })
}

fn denial(hook: &Hook, status: &Value) -> ApiError {
    let denied = format!("admission webhook \"{}\" denied the request", hook.name);
    let text = |field: &str| status[field].as_str().filter(|text| !text.is_empty());
    let message = match text("message").or(text("reason")) {
        Some(why) => format!("{denied}: {why}"),
        None => format!("{denied} without explanation"),
    };
    let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok()).unwrap_or(0).max(400);
    let reason = text("reason").unwrap_or_default().to_owned();
    ApiError::new(code, reason, message, status.get("details").filter(|details| details.is_object()).cloned())
}

fn patch(hook: &Hook, response: &Value) -> Result<Option<Value>, String> {
    let (patch, kind) = (response["patch"].as_str().unwrap_or_default(), response["patchType"].as_str());
    match (patch.is_empty(), kind, hook.phase) {
        (true, None, _) => Ok(None),
        (_, _, Phase::Validating) => {
            Err("received invalid webhook response: validating webhook may not return response.patch"
                .to_owned())
        }
        (true, Some(_), _) => Err("received invalid webhook response: patchType without patch".to_owned()),
        (false, Some("JSONPatch"), _) => {
            let bytes =
                STANDARD.decode(patch).map_err(|error| format!("response.patch is no base64: {error}"))?;
            let patch: Value = serde_json::from_slice(&bytes)
                .map_err(|error| format!("response.patch is no JSON: {error}"))?;
            Ok(Some(patch).filter(|patch| !patch.as_array().is_some_and(Vec::is_empty)))
        }
        (false, Some(other), _) => Err(format!(
            "received invalid webhook response: invalid value of webhook response.patchType: {other:?}, should be \
             \"JSONPatch\""
        )),
        (false, None, _) => Err(
            "received invalid webhook response: webhook returned response.patch but not response.patchType"
                .to_owned(),
        ),
    }
}
