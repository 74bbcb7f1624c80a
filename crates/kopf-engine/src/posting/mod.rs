//! Kubernetes Events about objects: explicit ones, and the progress of handling (DEC-12).
//!
//! In the background: nothing here delays or fails the handling of objects. `event` is what is posted, `rates` how often,
//! `poster` does it.

mod event;
mod poster;
mod rates;

use std::time::Duration;

use kopf_core::{machine::Post, object::Object};
use serde_json::{Map, Value};
use tokio::sync::mpsc;

pub(crate) use poster::{Means, post_all};

use crate::shared::SettingsHandle;

/// The Events that wait to be posted, at most: more are refused; handling is never held.
const WAITING: usize = 10_000;

/// A Kubernetes Event that the operator's code wants posted (A-EVT-001): in the background, in order for each object.
#[derive(Clone, Debug)]
pub struct ExplicitEvent {
    /// What it is about: `apiVersion`, `kind`, `name`, `uid`, `namespace`.
    pub reference: Map<String, Value>,
    /// `Normal`, `Warning`, or what the code says (A-EVT-006).
    pub kind: String,
    /// The reason.
    pub reason: String,
    /// The message; longer ones are cut in the middle (W-EVT-005).
    pub message: String,
    /// The pauses between attempts; none = `posting.default_backoffs`.
    pub backoffs: Option<Vec<Duration>>,
}

/// An Event could not be taken: too many wait, or the operator has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event is dropped: too many wait to be posted, or the operator has ended")]
pub struct PostError;

/// What waits to be posted.
#[derive(Debug)]
pub(crate) enum Posting {
    Explicit(ExplicitEvent),
    Progress { reference: Map<String, Value>, post: Post },
}

/// Takes Events to be posted, from any thread.
#[derive(Clone, Debug)]
pub(crate) struct Poster {
    sender: mpsc::Sender<Posting>,
    settings: SettingsHandle,
}

impl Poster {
    pub(crate) fn new(settings: SettingsHandle) -> (Self, mpsc::Receiver<Posting>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { sender, settings }, receiver)
    }

    /// Takes an explicit Event, if Events are posted at all (A-EVT-004).
    pub(crate) fn explicit(&self, event: ExplicitEvent) -> Result<(), PostError> {
        if !self.settings.load().posting.enabled {
            return Ok(());
        }
        self.sender.try_send(Posting::Explicit(event)).map_err(|_| PostError)
    }

    /// Takes an Event on the progress of handling; what is too much is dropped.
    pub(crate) fn progress(&self, object: &Object, post: &Post) {
        let settings = self.settings.load();
        if settings.posting.enabled && settings.posting.progress {
            let posting = Posting::Progress { reference: reference(object), post: post.clone() };
            drop(self.sender.try_send(posting));
        }
    }
}

/// The reference to an object as explicit Events have it: without what is empty (W-EVT-004).
#[must_use]
pub fn reference(object: &Object) -> Map<String, Value> {
    let top = ["apiVersion", "kind"].map(|key| (key, object.body().get(key)));
    let meta = ["name", "uid", "namespace"].map(|key| (key, object.meta(key)));
    let present = top.into_iter().chain(meta).filter_map(|(key, value)| Some((key, value?)));
    present
        .filter(|(_, value)| !is_empty(value))
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .collect()
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    /// W-EVT-004; golden: `event_sources/ref-*`.
    #[test]
    fn objects_are_referred_to_as_upstream_does() {
        for case in golden::cases("event_sources", Some("object_reference")) {
            let reference = Value::Object(reference(&Object::new(case["input"].clone())));
            assert_eq!(reference, case["output"]["for_explicit_events"], "{}", case["id"]);
        }
    }
}
