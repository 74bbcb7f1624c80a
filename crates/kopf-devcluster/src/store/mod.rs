//! Objects, their versions, and the log of changes.
//!
//! In memory, with one writer at a time: expensive work (patching, validating, encoding) is done by the caller outside
//! the lock on what it has read, and committed only if nobody else has written since. Knows nothing of schemas, types
//! or HTTP.

mod log;
mod object;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use crate::clock::{Clock, Moment};
use crate::status::ApiError;
use log::Log;
pub(crate) use log::{Change, ChangeKind};
pub(crate) use object::{Key, Object};

/// How much of the past is kept for each resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retention {
    pub(crate) changes: usize,
    pub(crate) age: Duration,
}

/// The store of one cluster.
#[derive(Debug)]
pub(crate) struct Store {
    state: Mutex<State>,
    retention: Retention,
    clock: Clock,
}

#[derive(Debug, Default)]
struct State {
    revision: u64,
    collections: HashMap<Arc<str>, Collection>,
    /// By the uid of an owner: the objects that name it.
    dependents: HashMap<String, BTreeSet<Place>>,
}

/// How far back to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ago {
    /// So many changes.
    Changes(usize),
    /// So long.
    Time(Duration),
}

/// Where an object is: its resource's place in the store, and its key.
pub(crate) type Place = (Arc<str>, Key);

/// All objects of a resource and what has happened to them.
#[derive(Debug)]
struct Collection {
    objects: BTreeMap<Arc<Key>, Arc<Object>>,
    log: Log,
    /// The revision of the newest change; wakes the watchers of this resource only.
    changed: watch::Sender<u64>,
}

impl Default for Collection {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), log: Log::default(), changed: watch::Sender::new(0) }
    }
}

/// Objects of a resource at one moment, in the order of their keys.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) revision: u64,
    pub(crate) objects: Vec<(Arc<Key>, Arc<Object>)>,
}

/// Why an object was not created.
#[derive(Debug)]
pub(crate) enum CreateError {
    /// The key is taken by this object.
    Exists(Arc<Object>),
    /// The guard refused.
    Refused(ApiError),
}

/// The object has changed since it was read, or is gone.
#[derive(Debug)]
pub(crate) struct Stale;

/// The log no longer reaches back to the revision asked for.
#[derive(Debug)]
pub(crate) struct Compacted {
    /// The oldest revision that can be continued from.
    pub(crate) oldest: u64,
}

/// What changed after a revision.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) changes: Vec<Arc<Change>>,
    /// Everything up to here is contained in `changes`.
    pub(crate) up_to: u64,
    /// How many more there are.
    pub(crate) remaining: usize,
}

/// Reads under the store's lock, for guards of a commit.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a State);

impl Reader<'_> {
    pub(crate) fn get(&self, store: &str, key: &Key) -> Option<&Arc<Object>> {
        self.0.collections.get(store)?.objects.get(key)
    }
}

impl Store {
    pub(crate) fn new(retention: Retention, clock: Clock) -> Self {
        Self { state: Mutex::default(), retention, clock }
    }

    /// The number of the newest change of all resources.
    pub(crate) fn revision(&self) -> u64 {
        self.lock().revision
    }

    pub(crate) fn get(&self, store: &str, key: &Key) -> Option<Arc<Object>> {
        self.lock().collections.get(store)?.objects.get(key).cloned()
    }

    /// An object as it was at `revision`.
    pub(crate) fn get_at(&self, store: &str, key: &Key, revision: u64) -> Option<Arc<Object>> {
        let state = self.lock();
        let collection = state.collections.get(store)?;
        let changes = collection.log.newest_first().take_while(|change| change.revision > revision);
        // The oldest of the changes since then knows what was there before it.
        match changes.filter(|change| *change.key == *key).last() {
            Some(change) => change.previous.clone(),
            None => collection.objects.get(key).cloned(),
        }
    }

    /// Whether a resource has no objects.
    pub(crate) fn is_empty(&self, store: &str) -> bool {
        self.lock().collections.get(store).is_none_or(|collection| collection.objects.is_empty())
    }

    /// The objects of a resource now, in one namespace or in all.
    pub(crate) fn list(&self, store: &str, namespace: Option<&str>) -> Snapshot {
        let state = self.lock();
        let objects = state.collections.get(store).map(|c| c.select(namespace)).unwrap_or_default();
        Snapshot { revision: state.revision, objects }
    }

    /// The objects of a resource as they were at `revision`.
    pub(crate) fn list_at(
        &self,
        store: &str,
        namespace: Option<&str>,
        revision: u64,
    ) -> Result<Snapshot, Compacted> {
        let state = self.lock();
        let Some(collection) = state.collections.get(store) else {
            return Ok(Snapshot { revision, objects: Vec::new() });
        };
        collection.log.check(revision)?;
        let mut objects: BTreeMap<Arc<Key>, Arc<Object>> = collection.select(namespace).into_iter().collect();
        for change in collection.log.newest_first().take_while(|change| change.revision > revision) {
            if namespace.is_some_and(|namespace| change.key.namespace != namespace) {
                continue;
            }
            match &change.previous {
                Some(previous) => objects.insert(Arc::clone(&change.key), Arc::clone(previous)),
                None => objects.remove(&change.key),
            };
        }
        Ok(Snapshot { revision, objects: objects.into_iter().collect() })
    }

    /// Stores a new object if `guard` permits, and writes its resource version.
    pub(crate) fn create(
        &self,
        store: &Arc<str>,
        key: Key,
        value: Value,
        guard: &dyn Fn(&Reader<'_>) -> Result<(), ApiError>,
    ) -> Result<Arc<Object>, CreateError> {
        let mut state = self.lock();
        if let Some(object) = Reader(&state).get(store, &key) {
            return Err(CreateError::Exists(Arc::clone(object)));
        }
        guard(&Reader(&state)).map_err(CreateError::Refused)?;
        Ok(state.commit(store, key, ChangeKind::Added, value, (self.retention, self.clock.moment())))
    }

    /// Replaces an object if it is still at `read`, and writes its resource version.
    pub(crate) fn update(
        &self,
        store: &Arc<str>,
        key: Key,
        read: u64,
        value: Value,
    ) -> Result<Arc<Object>, Stale> {
        let mut state = self.lock();
        state.check(store, &key, read)?;
        Ok(state.commit(store, key, ChangeKind::Modified, value, (self.retention, self.clock.moment())))
    }

    /// Removes an object if it is still at `read`. `last` is the state that watchers see, with a new resource version.
    pub(crate) fn remove(
        &self,
        store: &Arc<str>,
        key: Key,
        read: u64,
        last: Value,
    ) -> Result<Arc<Object>, Stale> {
        let mut state = self.lock();
        state.check(store, &key, read)?;
        Ok(state.commit(store, key, ChangeKind::Deleted, last, (self.retention, self.clock.moment())))
    }

    /// The objects that name the object with this uid as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<Place> {
        self.lock().dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Wakes with every change of the resource.
    pub(crate) fn subscribe(&self, store: &Arc<str>) -> watch::Receiver<u64> {
        self.lock().collections.entry(Arc::clone(store)).or_default().changed.subscribe()
    }

    /// Whether a watch may begin after `revision`.
    pub(crate) fn check_revision(&self, store: &str, revision: u64) -> Result<(), Compacted> {
        self.lock().collections.get(store).map_or(Ok(()), |collection| collection.log.check(revision))
    }

    /// At most `limit` changes of a resource after `cursor`, for a watcher that has seen everything up to there.
    pub(crate) fn changes(&self, store: &str, cursor: u64, limit: usize) -> Result<Changes, Compacted> {
        let state = self.lock();
        let Some(collection) = state.collections.get(store) else {
            return Ok(Changes { changes: Vec::new(), up_to: state.revision.max(cursor), remaining: 0 });
        };
        let (changes, remaining) = collection.log.after(cursor, limit)?;
        let up_to = match changes.last() {
            Some(last) if remaining > 0 => last.revision,
            _ => state.revision.max(cursor),
        };
        Ok(Changes { changes, up_to, remaining })
    }

    /// The revision at which a resource was as it was so long ago, as far back as is known.
    pub(crate) fn revision_ago(&self, store: &str, ago: Ago) -> u64 {
        let state = self.lock();
        let Some(collection) = state.collections.get(store) else { return state.revision };
        match ago {
            Ago::Changes(0) => state.revision,
            Ago::Changes(changes) => collection.log.before(u64::MAX, changes),
            Ago::Time(time) => collection.log.revision_at(self.clock.moment(), time),
        }
    }

    /// The revision so many changes of a resource before another one, as far back as is known.
    pub(crate) fn revision_before(&self, store: &str, revision: u64, changes: usize) -> u64 {
        let state = self.lock();
        let collection = state.collections.get(store);
        collection.map_or(revision, |collection| collection.log.before(revision, changes).min(revision))
    }

    /// Takes back the newest changes of all resources, as far as they are known: they never happened. Gives the new
    /// revision.
    pub(crate) fn take_back(&self, ago: Ago) -> u64 {
        let mut state = self.lock();
        let target = match ago {
            Ago::Changes(changes) => {
                state.revision.saturating_sub(u64::try_from(changes).unwrap_or(u64::MAX))
            }
            Ago::Time(time) => {
                let now = self.clock.moment();
                state
                    .collections
                    .values()
                    .map(|collection| collection.log.revision_at(now, time))
                    .max()
                    .unwrap_or(0)
            }
        };
        state.take_back(target);
        state.revision
    }

    /// Forgets all changes up to `revision`, of all resources.
    pub(crate) fn compact(&self, revision: u64) {
        let mut state = self.lock();
        let revision = revision.min(state.revision);
        for collection in state.collections.values_mut() {
            collection.log.compact(revision);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every commit leaves the state whole before anything in it could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check(&self, store: &str, key: &Key, read: u64) -> Result<(), Stale> {
        let reader = Reader(self);
        let current = reader.get(store, key).ok_or(Stale)?;
        if current.revision == read { Ok(()) } else { Err(Stale) }
    }

    fn commit(
        &mut self,
        store: &Arc<str>,
        key: Key,
        kind: ChangeKind,
        mut value: Value,
        (retention, now): (Retention, Moment),
    ) -> Arc<Object> {
        self.revision += 1;
        let revision = self.revision;
        value["metadata"]["resourceVersion"] = revision.to_string().into();
        let object = Arc::new(Object::new(revision, value));
        self.index_owners(store, &key, kind, &object.value);
        let collection = self.collections.entry(Arc::clone(store)).or_default();
        let key = Arc::new(key);
        let previous = match kind {
            ChangeKind::Deleted => collection.objects.remove(&key),
            ChangeKind::Added | ChangeKind::Modified => {
                collection.objects.insert(Arc::clone(&key), Arc::clone(&object))
            }
        };
        collection.log.append(Change::new(key, kind, Arc::clone(&object), previous, now), retention);
        collection.changed.send_replace(revision);
        object
    }

    fn take_back(&mut self, revision: u64) {
        for collection in self.collections.values_mut() {
            for change in collection.log.take_back(revision) {
                match &change.previous {
                    Some(previous) => {
                        collection.objects.insert(Arc::clone(&change.key), Arc::clone(previous))
                    }
                    None => collection.objects.remove(&change.key),
                };
            }
        }
        // Further back than the logs reach nothing is lost.
        let newest = self.collections.values().flat_map(|collection| collection.objects.values());
        let known = self.collections.values().map(|collection| collection.log.oldest());
        let oldest = newest.map(|object| object.revision).chain(known).max().unwrap_or(0);
        self.revision = self.revision.min(revision.max(oldest));
        let mut dependents: HashMap<String, BTreeSet<Place>> = HashMap::new();
        for (store, collection) in &self.collections {
            for (key, object) in &collection.objects {
                for uid in owners(&object.value) {
                    dependents
                        .entry(uid.to_owned())
                        .or_default()
                        .insert((Arc::clone(store), (**key).clone()));
                }
            }
            collection.changed.send_replace(self.revision);
        }
        self.dependents = dependents;
    }

    fn index_owners(&mut self, store: &Arc<str>, key: &Key, kind: ChangeKind, value: &Value) {
        let place = || (Arc::clone(store), key.clone());
        let previous = self.collections.get(store).and_then(|collection| collection.objects.get(key));
        for uid in previous.map(|previous| owners(&previous.value)).into_iter().flatten() {
            if let Some(dependents) = self.dependents.get_mut(uid) {
                dependents.remove(&place());
                if dependents.is_empty() {
                    self.dependents.remove(uid);
                }
            }
        }
        if kind != ChangeKind::Deleted {
            for uid in owners(value) {
                self.dependents.entry(uid.to_owned()).or_default().insert(place());
            }
        }
    }
}

/// The uids of an object's owners.
fn owners(value: &Value) -> impl Iterator<Item = &str> {
    let references = value["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    references.filter_map(|reference| reference["uid"].as_str())
}

impl Collection {
    fn select(&self, namespace: Option<&str>) -> Vec<(Arc<Key>, Arc<Object>)> {
        let copy = |(key, object): (&Arc<Key>, &Arc<Object>)| (Arc::clone(key), Arc::clone(object));
        match namespace {
            None => self.objects.iter().map(copy).collect(),
            Some(namespace) => self
                .objects
                .range::<Key, _>(Key::new(namespace, "")..)
                .take_while(|(key, _)| key.namespace == namespace)
                .map(copy)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn store() -> (Store, Arc<str>) {
        let retention = Retention { changes: 100, age: Duration::from_secs(300) };
        let clock = Clock::frozen_at(jiff::Timestamp::UNIX_EPOCH);
        (Store::new(retention, clock), Arc::from("widgets.test.dev"))
    }

    fn create(store: &Store, resource: &Arc<str>, name: &str) -> Arc<Object> {
        store
            .create(resource, Key::new("ns", name), json!({"metadata": {"name": name}}), &|_| Ok(()))
            .unwrap()
    }

    /// D-110.
    #[test]
    fn all_resources_share_one_counter_and_a_delete_takes_a_number_too() {
        let (store, widgets) = store();
        let gadgets: Arc<str> = Arc::from("gadgets.test.dev");
        let first = create(&store, &widgets, "a");
        let second = create(&store, &gadgets, "a");
        assert_eq!((first.revision, second.revision), (1, 2));
        let last = store.remove(&widgets, Key::new("ns", "a"), 1, first.value.clone()).unwrap();
        assert_eq!(last.value["metadata"]["resourceVersion"], "3");
    }

    #[test]
    fn a_write_on_what_has_changed_since_is_refused() {
        let (store, widgets) = store();
        let first = create(&store, &widgets, "a");
        let key = Key::new("ns", "a");
        store.update(&widgets, key.clone(), 1, first.value.clone()).unwrap();
        assert!(store.update(&widgets, key.clone(), 1, first.value.clone()).is_err());
        assert!(store.remove(&widgets, key, 1, first.value.clone()).is_err());
    }

    /// D-173: pages come from one snapshot.
    #[test]
    fn a_list_at_an_old_revision_shows_what_was_there() {
        let (store, widgets) = store();
        let first = create(&store, &widgets, "a");
        create(&store, &widgets, "b");
        store.remove(&widgets, Key::new("ns", "a"), 1, first.value.clone()).unwrap();
        create(&store, &widgets, "c");
        let names = |revision| -> Vec<String> {
            let snapshot = store.list_at("widgets.test.dev", Some("ns"), revision).unwrap();
            snapshot.objects.iter().map(|(key, _)| key.name.clone()).collect()
        };
        assert_eq!(names(1), ["a"]);
        assert_eq!(names(2), ["a", "b"]);
        assert_eq!(names(4), ["b", "c"]);
    }

    /// D-222.
    #[test]
    fn compaction_refuses_old_revisions_but_not_watchers_that_have_seen_all() {
        let (store, widgets) = store();
        create(&store, &widgets, "a");
        create(&store, &Arc::from("gadgets.test.dev"), "a");
        store.compact(2);
        assert!(store.check_revision(&widgets, 1).is_err());
        assert!(store.check_revision(&widgets, 2).is_ok());
        assert!(store.changes(&widgets, 1, 10).is_ok(), "a watcher at 1 has missed nothing");
        assert!(store.changes(&widgets, 0, 10).is_err(), "a watcher at 0 has missed the creation");
    }
}
