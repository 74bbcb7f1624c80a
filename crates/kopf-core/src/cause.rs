//! Causes: what happened to an object, as handlers see it.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use crate::{
    diff::Diff,
    field::FieldPath,
    handler::HandlerId,
    object::Object,
    reason::{EventType, Reason},
    resource::Resource,
};

/// What happened to an object. Shared by all handlers of one step, except that handlers with `field=` see `old`, `new` and
/// `diff` reduced to their field (A-KW-043).
#[derive(Clone, Debug)]
pub struct Cause {
    /// The engine's own number of the object: the door keeps memos and caches by it.
    pub object_id: u64,
    /// Counts the cycles of the object: one cycle has one patch, shared by its handlers (W-CYC-008).
    pub cycle: u64,
    /// The resource of the object: filters are told it, too.
    pub resource: Arc<Resource>,
    /// The type of the watch event that is handled; none for the initial listing.
    pub event_type: Option<EventType>,
    /// The object as that event shows it.
    pub object: Object,
    /// Why state-changing handlers run; none for event handlers.
    pub reason: Option<Reason>,
    /// The object is seen by this process for the first time, in a listing (W-CAU-002).
    pub initial: bool,
    /// The last handled essence, or the field in it; none if never handled, or absent.
    pub old: Option<Arc<Value>>,
    /// The current essence, or the field in it; none if absent.
    pub new: Option<Arc<Value>>,
    /// From `old` to `new`.
    pub diff: Arc<Diff>,
    /// Attempts of this object's handlers that have ended with unfinished sub-handlers, as far as this process knows. They are
    /// not the handlers' own (DEC-15). None = none.
    pub waits: Option<Arc<HashMap<HandlerId, u32>>>,
}

impl Cause {
    /// The cause as a handler of a field sees it: `old`, `new` and `diff` are those of the field (W-DFF-008, A-KW-043).
    #[must_use]
    pub fn reduced(&self, field: &FieldPath) -> Self {
        let resolve = |state: &Option<Arc<Value>>| Some(Arc::new(field.resolve(state.as_deref()?)?.clone()));
        Self {
            old: resolve(&self.old),
            new: resolve(&self.new),
            diff: Arc::new(self.diff.reduce(field)),
            ..self.clone()
        }
    }
}
