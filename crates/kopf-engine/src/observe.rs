//! What is watched for the sake of discovery: definitions of custom resources, and namespaces.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kopf_core::{object::Object, reason::EventType, resource::Resource};
use serde_json::Value;
use tokio::sync::Notify;

use crate::{
    log::Logger,
    namespaces::{Revision, revise},
    watch::Consumer,
};

/// Definitions of custom resources as the stream tells of them.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    state: Mutex<DefinitionsState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct DefinitionsState {
    known: HashMap<String, Definition>,
    /// Those that the list under way has shown.
    shown: HashSet<String>,
    /// The groups whose resources may not be what they were.
    changed: BTreeSet<String>,
    listed_once: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Definition {
    group: String,
    plural: String,
    /// The versions that are to be served; none as long as the server has not accepted the names.
    versions: BTreeSet<String>,
    resource_version: Option<String>,
}

impl Definitions {
    /// Waits until something may have changed.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The groups that have changed since the last time.
    pub(crate) fn take_changed(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.lock().changed)
    }

    /// The groups with resources that are to be served but are not discovered: discovery lags behind, or a definition has
    /// come between the scan and the list.
    pub(crate) fn missing(&self, resources: &[Arc<Resource>]) -> BTreeSet<String> {
        let found: HashSet<_> = resources.iter().map(|r| (&r.group, &r.version, &r.plural)).collect();
        let state = self.lock();
        let is_missing = |definition: &&Definition| {
            let versions = definition.versions.iter();
            let mut wanted = versions.map(|version| (&definition.group, version, &definition.plural));
            wanted.any(|identity| !found.contains(&identity))
        };
        state.known.values().filter(is_missing).map(|definition| definition.group.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, DefinitionsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Consumer for Definitions {
    fn listing(&self) {
        self.lock().shown.clear();
    }

    fn event(&self, event_type: Option<EventType>, object: Object) {
        let Some((name, definition)) = Definition::of(&object) else { return };
        let mut state = self.lock();
        state.shown.insert(name.clone());
        let group = definition.group.clone();
        let before = match event_type {
            Some(EventType::Deleted) => state.known.remove(&name),
            _ => state.known.insert(name, definition.clone()),
        };
        // Of the first list nothing is new: the scan has seen it (W-DSC-013).
        if event_type.is_some() || state.listed_once && before.as_ref() != Some(&definition) {
            state.changed.insert(group);
            self.changed.notify_one();
        }
    }

    fn listed(&self, _: Option<&str>) -> bool {
        let mut state = self.lock();
        let DefinitionsState { known, shown, changed, .. } = &mut *state;
        known.retain(|name, definition| {
            let is_there = shown.contains(name);
            if !is_there {
                changed.insert(definition.group.clone());
            }
            is_there
        });
        state.listed_once = true;
        self.changed.notify_one();
        true
    }
}

impl Definition {
    fn of(object: &Object) -> Option<(String, Self)> {
        let spec = object.body().get("spec")?;
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let is_true = |value: Option<&Value>| value.and_then(Value::as_bool).unwrap_or(false);
        let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
        let established = list(object.body().pointer("/status/conditions"))
            .iter()
            .any(|condition| condition["type"] == "Established" && condition["status"] == "True");
        let versions = list(spec.get("versions"))
            .iter()
            .filter(|version| established && is_true(version.get("served")) && !object.is_deleting())
            .filter_map(|version| text(version.get("name")))
            .collect();
        let definition = Self {
            group: text(spec.get("group"))?,
            plural: text(spec.pointer("/names/plural"))?,
            versions,
            resource_version: object.resource_version().map(str::to_owned),
        };
        Some((object.name().to_owned(), definition))
    }
}

/// The namespaces that are there, as the stream tells of them.
#[derive(Debug)]
pub(crate) struct Namespaces {
    logger: Logger,
    state: Mutex<NamespacesState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct NamespacesState {
    /// The namespaces; whether the list under way has shown them.
    known: BTreeMap<String, bool>,
    listed: bool,
}

impl Namespaces {
    pub(crate) fn new(logger: Logger) -> Self {
        Self { logger, state: Mutex::default(), changed: Notify::new() }
    }

    /// Waits until something may have changed.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The namespaces, once they are known.
    pub(crate) fn names(&self) -> Option<Vec<String>> {
        let state = self.lock();
        state.listed.then(|| state.known.keys().cloned().collect())
    }

    /// Assumes these to exist: they cannot be listed (W-NS-005).
    pub(crate) fn assume(&self, names: BTreeSet<String>) {
        let mut state = self.lock();
        state.known = names.into_iter().map(|name| (name, true)).collect();
        state.listed = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, NamespacesState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Consumer for Namespaces {
    fn listing(&self) {
        self.lock().known.values_mut().for_each(|shown| *shown = false);
    }

    fn event(&self, event_type: Option<EventType>, object: Object) {
        let name = object.name().to_owned();
        let mut state = self.lock();
        let has_changed = match revise(event_type, &object) {
            Revision::Gone => state.known.remove(&name).is_some(),
            Revision::Served => state.known.insert(name, true).is_none(),
            Revision::Terminating(lines) => {
                lines.iter().for_each(|line| self.logger.debug(line));
                state.known.insert(name, true).is_none()
            }
        };
        // Only a whole list tells.
        if state.listed && has_changed {
            self.changed.notify_one();
        }
    }

    fn listed(&self, _: Option<&str>) -> bool {
        let mut state = self.lock();
        state.known.retain(|_, shown| *shown);
        state.listed = true;
        self.changed.notify_one();
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(plural: &str, version: &str, established: bool) -> Object {
        Object::new(json!({
            "metadata": {"name": format!("{plural}.g"), "resourceVersion": "1"},
            "spec": {
                "group": "g",
                "names": {"plural": plural},
                "versions": [{"name": version, "served": true}, {"name": "old", "served": false}],
            },
            "status": {"conditions": [
                {"type": "Established", "status": if established { "True" } else { "False" }},
            ]},
        }))
    }

    fn groups(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    /// W-DSC-013.
    #[test]
    fn listed_definitions_are_ignored_and_all_later_events_count() {
        let definitions = Definitions::default();
        definitions.listing();
        definitions.event(None, definition("a", "v1", true));
        definitions.listed(None);
        assert_eq!(definitions.take_changed(), groups(&[]));
        for event_type in [EventType::Added, EventType::Modified, EventType::Deleted] {
            definitions.event(Some(event_type), definition("b", "v1", true));
            assert_eq!(definitions.take_changed(), groups(&["g"]), "{event_type:?}");
        }
    }

    #[test]
    fn a_later_list_tells_what_was_missed() {
        let definitions = Definitions::default();
        definitions.listing();
        definitions.event(None, definition("a", "v1", true));
        definitions.listed(None);
        definitions.listing();
        definitions.event(None, definition("a", "v1", true));
        definitions.listed(None);
        assert_eq!(definitions.take_changed(), groups(&[]));
        definitions.listing();
        definitions.event(None, definition("a", "v2", true));
        definitions.listed(None);
        assert_eq!(definitions.take_changed(), groups(&["g"]));
        definitions.listing();
        definitions.listed(None);
        assert_eq!(definitions.take_changed(), groups(&["g"]));
    }

    #[test]
    fn what_is_established_and_not_discovered_is_missing() {
        let definitions = Definitions::default();
        definitions.event(Some(EventType::Added), definition("a", "v1", false));
        assert_eq!(definitions.missing(&[]), groups(&[]));
        definitions.event(Some(EventType::Modified), definition("a", "v1", true));
        assert_eq!(definitions.missing(&[]), groups(&["g"]));
        let resource =
            Resource { group: "g".into(), version: "v1".into(), plural: "a".into(), ..Resource::default() };
        assert_eq!(definitions.missing(&[Arc::new(resource)]), groups(&[]));
    }
}
