//! What a stream has shown lately. A server that continues a watch from too early a version shows it again: handlers would run
//! for states that are long past.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
};

use kopf_core::{object::Object, reason::EventType};

/// So many events are remembered.
const LIMIT: usize = 1_000;

/// The last events of a stream, by the hashes of their types, objects and versions.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    hasher: RandomState,
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Shown {
    /// Remembers an event; gives whether it was not shown before. Without a uid or a version none is known.
    pub(crate) fn is_new(&mut self, event_type: EventType, object: &Object) -> bool {
        let [uid, version] =
            [object.uid(), object.resource_version()].map(|text| text.filter(|text| !text.is_empty()));
        let (Some(uid), Some(version)) = (uid, version) else {
            return true;
        };
        let hash = self.hasher.hash_one((event_type.as_str(), uid, version));
        if !self.known.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > LIMIT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_events_are_known_by_type_object_and_version() {
        let object = |uid: &str, version: usize| {
            Object::new(json!({"metadata": {"uid": uid, "resourceVersion": version.to_string()}}))
        };
        let nameless = Object::new(json!({}));
        let mut shown = Shown::default();
        assert!(shown.is_new(EventType::Added, &object("a", 1)));
        assert!(shown.is_new(EventType::Deleted, &object("a", 1)));
        assert!(shown.is_new(EventType::Added, &object("b", 1)));
        assert!(!shown.is_new(EventType::Added, &object("a", 1)));
        for version in 0..LIMIT {
            assert!(shown.is_new(EventType::Modified, &object("c", version)));
        }
        assert!(shown.is_new(EventType::Added, &object("a", 1)));
        assert!(shown.is_new(EventType::Added, &nameless) && shown.is_new(EventType::Added, &nameless));
    }
}
