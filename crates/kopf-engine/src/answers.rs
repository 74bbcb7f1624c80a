//! The machine's requests as HTTP, and the answers as the machine understands them.

use http::Method;
use kopf_core::{
    machine::{Answer, PatchBody, Request},
    object::Object,
    resource::Resource,
};
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value};

use crate::client::{ApiError, ApiRequest};

/// The HTTP request that patches the object (W-PAT-001, W-PAT-003).
///
/// A merge patch says which object it is for: one that is deleted and made anew under the same name meanwhile must not get
/// what was meant for its predecessor (W-PAT-012). JSON patches are safe by their test of the resource version.
///
/// # Errors
/// If the object has no URL: a namespaced one without a namespace, say.
pub(crate) fn prepare(
    resource: &Resource,
    object: &Object,
    request: &Request,
) -> Result<ApiRequest, ApiError> {
    let path = resource
        .path(object.namespace(), Some(object.name()), request.subresource)
        .map_err(|error| ApiError::Request(error.to_string()))?;
    Ok(match &request.body {
        PatchBody::Merge(body) => {
            let body = ForUid { body, uid: object.uid() };
            ApiRequest::with_body(Method::PATCH, path, "application/merge-patch+json", &body)
        }
        PatchBody::Json(operations) => {
            ApiRequest::with_body(Method::PATCH, path, "application/json-patch+json", &**operations)
        }
    })
}

/// A merge patch with `metadata.uid`, written without a copy of what may be the larger part of the object.
struct ForUid<'a> {
    body: &'a Value,
    uid: Option<&'a str>,
}

impl Serialize for ForUid<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (Value::Object(body), Some(uid)) = (self.body, self.uid) else {
            return self.body.serialize(serializer);
        };
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in body {
            match value {
                Value::Object(metadata) if key == "metadata" => {
                    map.serialize_entry(key, &Identified { metadata, uid })?;
                }
                value => map.serialize_entry(key, value)?,
            }
        }
        if !body.contains_key("metadata") {
            map.serialize_entry("metadata", &Identified { metadata: &Map::new(), uid })?;
        }
        map.end()
    }
}

/// Metadata with a uid.
struct Identified<'a> {
    metadata: &'a Map<String, Value>,
    uid: &'a str,
}

impl Serialize for Identified<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let others = self.metadata.iter().filter(|(key, _)| *key != "uid");
        let mut map = serializer.serialize_map(None)?;
        others.into_iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
        map.serialize_entry("uid", self.uid)?;
        map.end()
    }
}

/// Whether the patch was for an object whose name is another's by now: the uid cannot be changed (W-PAT-012).
fn is_for_predecessor(error: &ApiError) -> bool {
    let ApiError::Status(error) = error else { return false };
    let causes = error.payload.as_ref().and_then(|status| status.get("details")?.get("causes")?.as_array());
    error.status == 422 && causes.into_iter().flatten().any(|cause| cause["field"] == "metadata.uid")
}

/// What an answer means (DEC-7): refused for good, somebody else was faster, or nobody knows.
pub(crate) fn answer(result: Result<Value, ApiError>) -> Answer {
    let error = match result {
        Ok(body) => return Answer::Object(Object::new(body)),
        Err(error) => error,
    };
    if is_for_predecessor(&error) {
        return Answer::Gone;
    }
    let info = error.info();
    match (error.status(), &error) {
        (Some(404), _) => Answer::Gone,
        (Some(409), _) => Answer::Conflict(info),
        // Too many requests, and the server's own troubles: later it may be accepted.
        (Some(429 | 500..), _) => Answer::Unknown(info),
        (Some(status), _) => Answer::Rejected { status, error: info },
        (None, ApiError::Request(_)) => Answer::Rejected { status: 400, error: info },
        (None, _) => Answer::Unknown(info),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kopf_core::machine::RequestId;
    use serde_json::json;

    use super::*;
    use crate::client::StatusError;

    fn resource() -> Resource {
        Resource {
            group: "kopf.dev".into(),
            version: "v1".into(),
            plural: "kopfexamples".into(),
            namespaced: true,
            ..Resource::default()
        }
    }

    /// W-PAT-001, W-PAT-003, W-PAT-012.
    #[test]
    fn patches_go_to_the_object_or_its_subresource() {
        let object = Object::new(json!({"metadata": {"namespace": "ns", "name": "n"}}));
        let check = |subresource, body, url: &str, content_type, sent: &str| {
            let request = Request { id: RequestId(1), subresource, body };
            let request = prepare(&resource(), &object, &request).unwrap();
            assert_eq!((request.method, request.url.as_str()), (Method::PATCH, url));
            assert_eq!((request.content_type, request.body.as_ref()), (Some(content_type), sent.as_bytes()));
        };
        let base = "/apis/kopf.dev/v1/namespaces/ns/kopfexamples/n";
        let merge = PatchBody::Merge(Arc::new(json!({"spec": {}})));
        check(None, merge, base, "application/merge-patch+json", r#"{"spec":{}}"#);
        let merge = PatchBody::Merge(Arc::new(json!({"metadata": {"labels": null}, "spec": {}})));
        let sent = r#"{"metadata":{"labels":null,"uid":"u"},"spec":{}}"#;
        let with_uid = Object::new(json!({"metadata": {"namespace": "ns", "name": "n", "uid": "u"}}));
        let request = Request { id: RequestId(1), subresource: None, body: merge };
        assert_eq!(prepare(&resource(), &with_uid, &request).unwrap().body.as_ref(), sent.as_bytes());
        let operations = PatchBody::Json(Arc::new(vec![json!({"op": "remove"})]));
        let status = format!("{base}/status");
        check(Some("status"), operations, &status, "application/json-patch+json", r#"[{"op":"remove"}]"#);
    }

    /// DEC-7.
    #[test]
    fn answers_are_told_apart_by_what_can_be_done_about_them() {
        let of = |status| {
            let error = StatusError { status, message: Some("m".into()), payload: None };
            answer(Err(ApiError::Status(Box::new(error))))
        };
        assert!(matches!(of(404), Answer::Gone));
        assert!(matches!(of(409), Answer::Conflict(_)));
        for status in [400, 403, 405, 413, 422] {
            assert!(matches!(of(status), Answer::Rejected { status: s, .. } if s == status));
        }
        for status in [429, 500, 503] {
            assert!(matches!(of(status), Answer::Unknown(_)), "{status}");
        }
        assert!(matches!(answer(Err(ApiError::Timeout)), Answer::Unknown(_)));
        let nameless = Object::new(json!({"metadata": {"name": "n"}}));
        let request =
            Request { id: RequestId(1), subresource: None, body: PatchBody::Merge(Arc::new(json!({}))) };
        let refused = prepare(&resource(), &nameless, &request).map(|_| Value::Null);
        assert!(matches!(answer(refused), Answer::Rejected { .. }));
    }
}
