//! Detection of causes: why an object needs handling, told from its state alone (W-CAU-001).
//!
//! Which handlers run for the cause is decided in [`select`](crate::select).

use crate::{
    object::Object,
    reason::{EventType, Reason},
};

/// What the detection of a cause looks at.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The type of the event.
    pub event_type: Option<EventType>,
    /// The object as the event shows it.
    pub object: &'a Object,
    /// Our finalizer.
    pub finalizer: &'a str,
    /// Whether a last handled essence is stored; `{}` is one (W-CAU-003).
    pub is_handled: bool,
    /// Whether the essence differs from the last handled one.
    pub is_changed: bool,
    /// Whether this process has first seen the object in a listing, and has not finished a cycle of it (W-CAU-002).
    pub is_initial: bool,
}

/// A detected cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detected {
    /// The reason.
    pub reason: Reason,
    /// Whether resume handlers may run.
    pub initial: bool,
}

/// Detects the cause: the first condition that holds decides.
#[must_use]
pub fn detect(situation: Situation<'_>) -> Detected {
    let Situation { event_type, object, finalizer, is_handled, is_changed, is_initial } = situation;
    let reason = if event_type == Some(EventType::Deleted) {
        Reason::Gone
    } else if object.is_deleting() && !object.has_finalizer(finalizer) {
        Reason::Free
    } else if object.is_deleting() {
        Reason::Delete
    } else if !is_handled {
        Reason::Create
    } else if is_changed {
        Reason::Update
    } else if is_initial {
        Reason::Resume
    } else {
        Reason::Noop
    };
    // An object that was never handled is created, not resumed, even if it was there before (A-CAU-042).
    Detected { reason, initial: is_initial && reason != Reason::Create }
}
