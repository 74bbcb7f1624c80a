//! The API server.

use kopf_core::{
    error::ErrorInfo,
    json_patch,
    machine::{Answer, PatchBody, Request},
    object::Object,
    patch,
    reason::EventType,
};
use serde_json::{Map, Value, json};

/// An API server with at most one object.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    object: Option<Value>,
    /// The version of the last change.
    version: u64,
    /// The uid of the object, which changes when it is created anew.
    creations: u64,
    /// `status` can only be changed by its own subresource.
    status_is_separate: bool,
    api_version: String,
    kind: String,
}

/// An event of the stream.
pub(crate) type Event = (Option<EventType>, Object);

impl Server {
    pub(crate) fn new(api_version: &str, kind: &str, status_is_separate: bool) -> Self {
        Self {
            object: None,
            version: 100,
            creations: 0,
            status_is_separate,
            api_version: api_version.into(),
            kind: kind.into(),
        }
    }

    pub(crate) fn object(&self) -> Option<Object> {
        self.object.clone().map(Object::new)
    }

    pub(crate) fn create(&mut self, object: Value) -> Event {
        self.creations += 1;
        self.version += 1;
        let mut body = object;
        patch::merge(
            &mut body,
            &json!({
                "apiVersion": self.api_version,
                "kind": self.kind,
                "metadata": {
                    "name": "ex1",
                    "namespace": "ns1",
                    "uid": format!("uid{}", self.creations),
                    "resourceVersion": self.version.to_string(),
                },
            }),
        );
        self.object = Some(body.clone());
        (Some(EventType::Added), Object::new(body))
    }

    /// Changes the object as another client does.
    pub(crate) fn merge(&mut self, change: &Value) -> Option<Event> {
        let mut body = self.object.clone()?;
        patch::merge(&mut body, change);
        self.store(body)
    }

    /// Marks the object for deletion, or removes it if nothing holds it.
    pub(crate) fn delete(&mut self) -> Option<Event> {
        let mut body = self.object.clone()?;
        patch::merge(&mut body, &json!({"metadata": {"deletionTimestamp": "2030-01-01T00:00:00Z"}}));
        self.store(body)
    }

    /// Removes the object whatever holds it; the event shows its last version.
    pub(crate) fn vanish(&mut self) -> Option<Event> {
        Some((Some(EventType::Deleted), Object::new(self.object.take()?)))
    }

    /// Answers a request, and gives the event that it causes.
    pub(crate) fn patch(&mut self, request: &Request) -> (Answer, Option<Event>) {
        let Some(object) = self.object.clone() else { return (Answer::Gone, None) };
        let mut body = object.clone();
        let is_status = request.subresource.is_some();
        match &request.body {
            PatchBody::Merge(change) => patch::merge(&mut body, &self.writable(change, is_status)),
            PatchBody::Json(operations) => {
                if json_patch::apply(&mut body, operations).is_err() {
                    return (rejected(422), None);
                }
                body = self.restrict(&object, body, is_status);
            }
        }
        let event = self.store(body);
        let answer = self.object.clone().map_or_else(
            || event.clone().map_or(Answer::Gone, |(_, object)| Answer::Object(object)),
            |body| Answer::Object(Object::new(body)),
        );
        (answer, event)
    }

    /// Stores a body: a new version if anything has changed, and the end of an object that nothing holds any more.
    fn store(&mut self, mut body: Value) -> Option<Event> {
        drop_empty(&mut body);
        if self.object.as_ref() == Some(&body) {
            return None;
        }
        self.version += 1;
        body["metadata"]["resourceVersion"] = self.version.to_string().into();
        let object = Object::new(body.clone());
        let is_held = object.meta("finalizers").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
        if object.is_deleting() && !is_held {
            self.object = None;
            return Some((Some(EventType::Deleted), object));
        }
        self.object = Some(body);
        Some((Some(EventType::Modified), object))
    }

    fn writable(&self, change: &Value, is_status: bool) -> Value {
        let Some(fields) = change.as_object() else { return change.clone() };
        let is_writable = |key: &str| !self.status_is_separate || (key == "status") == is_status;
        fields
            .iter()
            .filter(|(key, _)| is_writable(key))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect::<Map<_, _>>()
            .into()
    }

    fn restrict(&self, before: &Value, mut after: Value, is_status: bool) -> Value {
        if !self.status_is_separate {
            return after;
        }
        let (from, mut to) = if is_status { (after, before.clone()) } else { (before.clone(), after.take()) };
        match from.get("status") {
            Some(status) => to["status"] = status.clone(),
            None => {
                to.as_object_mut().unwrap().shift_remove("status");
            }
        }
        to
    }
}

/// The refusal of a request.
pub(crate) fn rejected(status: u16) -> Answer {
    let error = error(status);
    match status {
        409 => Answer::Conflict(error),
        404 => Answer::Gone,
        400..500 => Answer::Rejected { status, error },
        _ => Answer::Unknown(error),
    }
}

/// The error of a refused request, as upstream shows it.
fn error(status: u16) -> ErrorInfo {
    let class = match status {
        409 => "APIConflictError",
        422 => "APIUnprocessableEntityError",
        400..500 => "APIClientError",
        _ => "APIServerError",
    };
    ErrorInfo {
        text: "simulated".into(),
        repr: format!(
            "{class}('simulated', {{'kind': 'Status', 'code': {status}, 'message': 'simulated'}}, status={status})"
        ),
        origin: None,
    }
}

fn drop_empty(body: &mut Value) {
    let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    for key in ["annotations", "labels", "finalizers"] {
        let is_empty = |value: &Value| match value {
            Value::Object(map) => map.is_empty(),
            Value::Array(list) => list.is_empty(),
            _ => value.is_null(),
        };
        if metadata.get(key).is_some_and(is_empty) {
            metadata.shift_remove(key);
        }
    }
}
