//! A write that is under way: its requests, and what is known of the object since it began.
//!
//! Up to four requests, in this order: a merge patch of the object, one of its status, a JSON patch of the object, one of its
//! status (W-PAT-001). What becomes of the answers is decided in [`apply`](super::apply) and [`failure`](super::failure).

use std::{collections::VecDeque, sync::Arc};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    RequestId, Turn,
    phase::{Cycle, Phase},
};
use crate::{
    error::ErrorInfo,
    json_patch,
    object::Object,
    patch::{Patch, Transform, merge},
    resource::Resource,
};

/// A write that is under way.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) cycle: Box<Cycle>,
    /// When it was decided what to write.
    pub(super) since: Timestamp,
    /// The requests to be sent, in order.
    pub(super) parts: VecDeque<Part>,
    /// The request that is under way.
    pub(super) sent: Option<(RequestId, Part)>,
    /// The newest known version of the object, and whether it is an answer to this write.
    pub(super) freshest: Object,
    pub(super) is_answered: bool,
    /// Merge patches that were accepted.
    pub(super) accepted: Vec<Arc<Value>>,
    /// The versions that this write has made.
    pub(super) versions: Vec<String>,
    /// The server refuses the handlers' part for good.
    pub(super) refusal: Option<ErrorInfo>,
    /// Functions have met a newer version, and are to be applied again.
    pub(super) is_left_over: bool,
    pub(super) is_gone: bool,
    /// An event of this very write, to be processed after it.
    pub(super) postponed: Option<Box<Cycle>>,
}

/// One request, or what becomes one or two.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Merge {
        is_status: bool,
        /// A mapping.
        body: Arc<Value>,
    },
    /// All functions, applied to the newest version when their turn has come.
    Functions,
    Json {
        is_status: bool,
        operations: Arc<Vec<Value>>,
    },
}

impl Write {
    /// The write of a patch at the end of a cycle.
    pub(super) fn new(cycle: Box<Cycle>, patch: Patch, turn: Turn<'_>) -> Self {
        let has_functions = !cycle.patch.transforms.is_empty() || cycle.finalizer.is_some();
        let mut parts = merge_parts(patch.merge, &turn.plan.resource);
        parts.extend(has_functions.then_some(Part::Functions));
        Self {
            freshest: cycle.event.object.clone(),
            cycle,
            since: turn.now,
            parts,
            sent: None,
            is_answered: false,
            accepted: Vec::new(),
            versions: Vec::new(),
            refusal: None,
            is_left_over: false,
            is_gone: false,
            postponed: None,
        }
    }

    /// Whether no request is under way.
    pub(super) fn is_ready(&self) -> bool {
        self.sent.is_none()
    }

    /// Whether every request was answered, and none is to be sent in place of a refused one.
    pub(super) fn is_over(&self) -> bool {
        self.sent.is_none() && self.parts.is_empty() && self.refusal.is_none()
    }

    pub(super) fn awaits(&self, request: RequestId) -> bool {
        self.sent.as_ref().is_some_and(|(sent, _)| *sent == request)
    }

    /// The operations of all functions for the newest version: those on the object, and those on its status (W-PAT-004).
    pub(super) fn operations(&self, resource: &Resource) -> Result<[Vec<Value>; 2], ErrorInfo> {
        let mut body = self.freshest.body().clone();
        for transform in &self.cycle.patch.transforms {
            transform.apply(&mut body)?;
        }
        if let Some(change) = &self.cycle.finalizer {
            change.apply(&mut body)?;
        }
        let operations = json_patch::between(self.freshest.body(), &body);
        let is_separate = resource.has_subresource("status");
        let (on_status, on_object) =
            operations.into_iter().partition(|operation| is_separate && is_on_status(operation));
        Ok([on_object, on_status])
    }

    /// Puts the refused part back, to be sent again.
    pub(super) fn again(mut self, part: Part) -> Phase {
        self.parts.push_front(part);
        Phase::Applying(Box::new(self))
    }

    pub(super) fn accept(&mut self, part: &Part, object: Object) {
        if let Part::Merge { body, .. } = part {
            self.accepted.push(body.clone());
        }
        self.versions.extend(object.resource_version().map(str::to_owned));
        self.freshest = object;
        self.is_answered = true;
    }

    /// The merge patches that are not accepted yet.
    pub(super) fn pending_merges(&self) -> impl Iterator<Item = &Value> {
        self.parts.iter().filter_map(|part| match part {
            Part::Merge { body, .. } => Some(&**body),
            Part::Functions | Part::Json { .. } => None,
        })
    }

    /// Accepts the next merge patches that an object shows: they were applied, and their answers lost. Gives whether any was.
    pub(super) fn accept_shown(&mut self, object: &Object) -> bool {
        let mut is_any_shown = false;
        while let Some(Part::Merge { body, .. }) = self.parts.front() {
            let mut merged = object.body().clone();
            merge(&mut merged, body);
            if merged != *object.body() {
                break;
            }
            self.parts.pop_front();
            is_any_shown = true;
        }
        // An answer is newer than what the stream shows.
        if is_any_shown && !self.is_answered {
            self.freshest = object.clone();
        }
        is_any_shown
    }
}

impl Part {
    pub(super) fn is_for_subresource(&self, resource: &Resource) -> bool {
        match self {
            Self::Merge { is_status, .. } | Self::Json { is_status, .. } => {
                *is_status && resource.has_subresource("status")
            }
            Self::Functions => false,
        }
    }
}

/// One merge patch, or two if the status is a resource of its own (W-PAT-001, W-PAT-002).
fn merge_parts(mut patch: Map<String, Value>, resource: &Resource) -> VecDeque<Part> {
    let status = if resource.has_subresource("status") { patch.shift_remove_entry("status") } else { None };
    let on_object = (!patch.is_empty()).then_some(merge_part(false, patch));
    let on_status = status.map(|entry| merge_part(true, Map::from_iter([entry])));
    on_object.into_iter().chain(on_status).collect()
}

fn merge_part(is_status: bool, patch: Map<String, Value>) -> Part {
    Part::Merge { is_status, body: Arc::new(Value::Object(patch)) }
}

fn is_on_status(operation: &Value) -> bool {
    let path = operation.get("path").and_then(Value::as_str).unwrap_or_default();
    path == "/status" || path.starts_with("/status/")
}
