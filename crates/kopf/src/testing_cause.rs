//! Hand-made causes and kinds for the unit tests of this crate.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kopf_core::{
    cause::Cause as CoreCause,
    filter::Filters,
    handler::{Handler, HandlerId, Needs, Options, Trigger},
    machine::{Call, CallId},
    object::Object,
    patch::Patch as CorePatch,
    resource::Resource,
};
use serde_json::{Value, json};

use crate::{Cause, EventType, Patch, Reason, environment::Environment, prelude::*};

/// A kind for tests.
#[derive(CustomResource, Deserialize, Serialize, Clone, Debug, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Database", namespaced, status = "DatabaseStatus")]
pub(crate) struct DatabaseSpec {
    pub(crate) size: u32,
}

/// Its status.
#[derive(Deserialize, Serialize, Clone, Debug, Default, JsonSchema, PartialEq, Eq)]
pub(crate) struct DatabaseStatus {
    pub(crate) phase: String,
}

pub(crate) fn body() -> Value {
    json!({
        "apiVersion": "example.com/v1",
        "kind": "Database",
        "metadata": {
            "name": "main", "namespace": "prod", "uid": "uid-1",
            "labels": {"tier": "gold"}, "annotations": {"note": "x"},
        },
        "spec": {"size": 3},
    })
}

pub(crate) fn handler(id: &str, function: u64) -> Handler {
    Handler {
        id: HandlerId::from(id),
        trigger: Trigger::Create,
        filters: Filters::default(),
        options: Options::default(),
        function,
        needs: Needs::ALL,
    }
}

/// A call about an update of the size from 3 to what the body says.
pub(crate) fn call(id: u64, handler: Handler, body: Value) -> Call {
    let new = body.pointer("/spec/size").cloned();
    let cause = CoreCause {
        object_id: 1,
        cycle: 1,
        resource: Arc::default(),
        event_type: Some(EventType::Modified),
        object: Object::new(body),
        reason: Some(Reason::Update),
        initial: false,
        old: Some(Arc::new(json!(2))),
        new: new.map(Arc::new),
        diff: Arc::default(),
        waits: Default::default(),
    };
    Call {
        id: CallId(id),
        handler: Arc::new(handler),
        cause: Arc::new(cause),
        retry: 4,
        started: Timestamp::UNIX_EPOCH,
        runtime: SignedDuration::from_secs(9),
        patch: CorePatch::default(),
    }
}

pub(crate) fn cause_of(call: Call, environment: Environment) -> Cause<Database> {
    let patch = Patch::from_core(call.patch.clone());
    Cause::new(call, Arc::new(Resource::default()), &patch, Arc::new(environment))
}

pub(crate) fn cause(body: Value) -> Cause<Database> {
    cause_of(call(1, handler("update", 1), body), Environment::default())
}
