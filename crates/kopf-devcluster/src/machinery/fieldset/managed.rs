//! The entries of `metadata.managedFields`, and what an ordinary write does to them (D-157, D-160).

use serde_json::{Map, Value, json};

use super::{compare::Comparison, set::Set, view::View};
use crate::machinery::types::{self, decode};

/// Entries of updates beyond this number are joined into one.
const MAX_UPDATE_MANAGERS: usize = 10;
/// Who owns the fields of joined entries.
const ANCIENT_CHANGES: &str = "ancient-changes";
/// A manager is a text of at most so many bytes.
const MAX_MANAGER_LENGTH: usize = 128;

/// How an entry came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

/// An entry of `metadata.managedFields`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) manager: String,
    pub(crate) operation: Operation,
    pub(crate) api_version: String,
    /// Empty for the object itself.
    pub(crate) subresource: String,
    /// As a `Time`; none if the entry never changed the object.
    pub(crate) time: Option<String>,
    pub(crate) fields: Set,
}

/// Who writes, and what is known about the object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer<'a> {
    /// The manager, as [`manager_name`] gives it.
    pub(crate) manager: &'a str,
    /// The version that the request is made in.
    pub(crate) api_version: &'a str,
    /// Empty for the object itself.
    pub(crate) subresource: &'a str,
    /// The moment of the write, as a `Time`.
    pub(crate) now: &'a str,
    /// The type of the object.
    pub(crate) view: View<'a>,
    /// What this endpoint does not write, e.g. `status` on the main one: nobody gets to own it here.
    pub(crate) reset: &'a Set,
}

/// The manager of a request: its `fieldManager`, or else the User-Agent up to the first slash.
pub(crate) fn manager_name(field_manager: &str, user_agent: &str) -> String {
    if !field_manager.is_empty() {
        return field_manager.to_owned();
    }
    let mut name = String::new();
    let printable =
        user_agent.split('/').next().unwrap_or_default().chars().filter(|char| !char.is_control());
    for char in printable {
        if name.len() + char.len_utf8() > MAX_MANAGER_LENGTH {
            break;
        }
        name.push(char);
    }
    if name.is_empty() { "unknown".to_owned() } else { name }
}

/// Brings the managed fields of an object about to be stored up to date.
///
/// `live` is the stored object, none on create. An object that has no entries stays without, so that what was
/// untracked is so until an apply.
pub(crate) fn update(live: Option<&Value>, new: &mut Value, writer: &Writer<'_>) {
    let requested = take_managed_fields(new);
    let mut live_value = live.cloned().unwrap_or_else(|| empty_object(writer.view));
    let stored = take_managed_fields(&mut live_value);
    let entries = entries_to_start_from(requested.as_ref(), stored.as_ref(), writer);
    if entries.is_empty() && live.is_some() {
        return;
    }
    let entries = record_update(&live_value, new, entries, writer);
    put_managed_fields(new, &entries);
}

/// Gives back the old managed fields if nothing but their times would change (D-109).
pub(crate) fn keep_times(live: &Value, new: &mut Value) {
    let without_times = |object: &Value| {
        let mut object = object.clone();
        let entries = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten().filter_map(Value::as_object_mut) {
            entry.shift_remove("time");
        }
        // The order of entries depends on their times.
        if let Some(entries) = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut) {
            entries.sort_by_key(Value::to_string);
        }
        object
    };
    if without_times(live) == without_times(new) {
        *new = live.clone();
    }
}

/// An object of a type with nothing set, as its type writes it.
pub(super) fn empty_object(view: View<'_>) -> Value {
    let nothing = Value::Object(Map::new());
    match view {
        View::BuiltIn(id) => decode::decode(&nothing, id, "").map_or(nothing, |decoded| decoded.value),
        _ => nothing,
    }
}

/// A client may send entries of its own or clear them, but not through a subresource.
fn entries_to_start_from(
    requested: Option<&Value>,
    stored: Option<&Value>,
    writer: &Writer<'_>,
) -> Vec<Entry> {
    let stored = || stored.and_then(|stored| decode_entries(stored).ok()).unwrap_or_default();
    if !writer.subresource.is_empty() {
        return stored();
    }
    match requested {
        Some(requested) if is_reset(requested) => Vec::new(),
        Some(requested) => match decode_entries(requested) {
            Ok(entries) if !entries.is_empty() => entries,
            _ => stored(),
        },
        None => stored(),
    }
}

/// `[]` and `[{}]` clear.
fn is_reset(requested: &Value) -> bool {
    requested.as_array().is_some_and(|entries| match &entries[..] {
        [] => true,
        [entry] => entry.as_object().is_some_and(Map::is_empty),
        _ => false,
    })
}

/// The entries after an update: what it changed is no longer others', and is the writer's.
pub(super) fn record_update(
    live: &Value,
    new: &Value,
    entries: Vec<Entry>,
    writer: &Writer<'_>,
) -> Vec<Entry> {
    let comparison = Comparison::of(live, new, writer.view).without(writer.reset);
    let changed = comparison.modified.union(&comparison.added);
    let mut entries = entries;
    for entry in &mut entries {
        entry.fields = entry.fields.difference(&changed).difference(&comparison.removed);
    }
    entries.retain(|entry| !entry.fields.is_empty());
    let own = without_identity(&changed);
    if !own.is_empty() {
        let entry = writer.entry(Operation::Update, own, Some(writer.now.to_owned()));
        match entries.iter_mut().find(|other| other.is_same_manager(&entry)) {
            Some(previous) => {
                previous.fields = previous.fields.union(&entry.fields);
                previous.time = entry.time;
            }
            None => entries.push(entry),
        }
    }
    join_oldest(entries)
}

impl Writer<'_> {
    pub(super) fn entry(&self, operation: Operation, fields: Set, time: Option<String>) -> Entry {
        Entry {
            manager: self.manager.to_owned(),
            operation,
            api_version: self.api_version.to_owned(),
            subresource: self.subresource.to_owned(),
            time,
            fields,
        }
    }
}

impl Entry {
    /// Whether two entries are of one manager: an applier is one whatever the version.
    pub(super) fn is_same_manager(&self, other: &Self) -> bool {
        let key = |entry: &Self| (entry.manager.clone(), entry.operation, entry.subresource.clone());
        key(self) == key(other)
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    /// As messages name it: `"m"`, `"m" with subresource "status" using v1`.
    pub(super) fn describe(&self) -> String {
        let quote = crate::machinery::cause::quote;
        let mut text = quote(&self.manager);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {}", quote(&self.subresource)));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }
}

/// The fields that belong to nobody: what an object is, and what the server sets.
pub(super) fn without_identity(fields: &Set) -> Set {
    fields.difference(&Set::of(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ]))
}

/// Joins the oldest entries of updates, per version, until there are no more than allowed.
fn join_oldest(mut entries: Vec<Entry>) -> Vec<Entry> {
    let count =
        |entries: &[Entry]| entries.iter().filter(|entry| entry.operation == Operation::Update).count();
    let mut position = 0;
    entries.sort_by_key(|entry| {
        (entry.operation == Operation::Apply, entry.time.clone(), entry.manager.clone())
    });
    while count(&entries) > MAX_UPDATE_MANAGERS && position < entries.len() {
        let older = entries[..position].iter().position(|older| {
            older.operation == Operation::Update && older.api_version == entries[position].api_version
        });
        match older.filter(|_| entries[position].operation == Operation::Update) {
            None => position += 1,
            Some(older) => {
                let joined = entries.remove(position);
                let bucket = &mut entries[older];
                ANCIENT_CHANGES.clone_into(&mut bucket.manager);
                bucket.subresource.clear();
                bucket.fields = bucket.fields.union(&joined.fields);
                bucket.time = joined.time;
            }
        }
    }
    entries
}

/// Removes the managed fields from an object and gives them.
pub(super) fn take_managed_fields(object: &mut Value) -> Option<Value> {
    object
        .get_mut("metadata")?
        .as_object_mut()?
        .shift_remove("managedFields")
        .filter(|fields| !fields.is_null())
}

/// Writes entries into an object, in the order of the real server.
pub(super) fn put_managed_fields(object: &mut Value, entries: &[Entry]) {
    let Some(object) = object.as_object_mut() else { return };
    let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    let Some(metadata) = metadata.as_object_mut() else { return };
    if entries.is_empty() {
        metadata.shift_remove("managedFields");
        return;
    }
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by_key(|entry| {
        (entry.operation, &entry.time, &entry.manager, &entry.api_version, &entry.subresource)
    });
    metadata.insert("managedFields".to_owned(), sorted.into_iter().map(encode_entry).collect());
}

fn encode_entry(entry: &Entry) -> Value {
    let operation = match entry.operation {
        Operation::Apply => "Apply",
        Operation::Update => "Update",
    };
    let mut encoded = Map::new();
    encoded.insert("manager".to_owned(), entry.manager.as_str().into());
    encoded.insert("operation".to_owned(), operation.into());
    encoded.insert("apiVersion".to_owned(), entry.api_version.as_str().into());
    if let Some(time) = &entry.time {
        encoded.insert("time".to_owned(), time.as_str().into());
    }
    encoded.insert("fieldsType".to_owned(), "FieldsV1".into());
    encoded.insert("fieldsV1".to_owned(), entry.fields.encode());
    if !entry.subresource.is_empty() {
        encoded.insert("subresource".to_owned(), entry.subresource.as_str().into());
    }
    Value::Object(encoded)
}

/// Reads `metadata.managedFields`.
///
/// # Errors
///
/// An entry has no known operation, no version, or fields in another form.
pub(super) fn decode_entries(encoded: &Value) -> Result<Vec<Entry>, String> {
    let entries = encoded.as_array().map(Vec::as_slice).unwrap_or_default();
    entries.iter().enumerate().map(|(index, entry)| decode_entry(index, entry)).collect()
}

fn decode_entry(index: usize, entry: &Value) -> Result<Entry, String> {
    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let operation = match text("operation").as_str() {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return Err("operation must be `Apply` or `Update`".to_owned()),
    };
    if text("apiVersion").is_empty() {
        return Err("apiVersion must not be empty".to_owned());
    }
    match text("fieldsType").as_str() {
        "FieldsV1" => {}
        "" => return Err(format!("missing fieldsType in managed fields entry {index}")),
        other => return Err(format!("invalid fieldsType {other:?} in managed fields entry {index}")),
    }
    let fields = match &entry["fieldsV1"] {
        Value::Null => json!({}),
        fields => fields.clone(),
    };
    Ok(Entry {
        manager: text("manager"),
        operation,
        api_version: text("apiVersion"),
        subresource: text("subresource"),
        time: entry["time"].as_str().map(str::to_owned),
        fields: Set::decode(&fields)?,
    })
}

/// The set of `status` alone: what the main endpoint of a resource with a status subresource resets.
pub(crate) fn status_only() -> Set {
    Set::of(&[&["status"]])
}

/// What the status endpoint of a custom resource resets.
pub(crate) fn spec_only() -> Set {
    Set::of(&[&["spec"]])
}

/// What the status endpoint of a built-in type resets.
pub(crate) fn spec_and_metadata() -> Set {
    Set::of(&[&["spec"], &["metadata"]])
}

/// The table's type of a built-in object, to look at its fields.
pub(crate) fn built_in_view(group: &str, version: &str, kind: &str) -> View<'static> {
    types::of_kind(group, version, kind).map_or(View::Unknown, View::BuiltIn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer<'a>(manager: &'a str, now: &'a str, reset: &'a Set) -> Writer<'a> {
        let view = built_in_view("", "v1", "ConfigMap");
        Writer { manager, api_version: "v1", subresource: "", now, view, reset }
    }

    /// D-157.
    #[test]
    fn the_manager_is_named_by_the_request_or_its_user_agent() {
        assert_eq!(manager_name("me", "curl/8"), "me");
        assert_eq!(manager_name("", "kubectl/v1.37 (linux)"), "kubectl");
        assert_eq!(manager_name("", ""), "unknown");
        assert_eq!(manager_name("", &"x".repeat(200)).len(), 128);
    }

    /// DEC-34: an empty set makes no entry, and what is untracked stays so.
    #[test]
    fn an_object_without_entries_stays_untracked() {
        let reset = Set::default();
        let mut created = json!({"metadata": {"name": "a", "namespace": "ns"}});
        update(None, &mut created, &writer("m", "t1", &reset));
        assert_eq!(created["metadata"].get("managedFields"), None);
        let mut updated = json!({"metadata": {"name": "a", "namespace": "ns"}, "data": {"k": "v"}});
        update(Some(&created), &mut updated, &writer("m", "t2", &reset));
        assert_eq!(updated["metadata"].get("managedFields"), None);
    }

    /// D-160: at most ten entries of updates.
    #[test]
    fn the_oldest_entries_are_joined() {
        let reset = Set::default();
        let mut object = json!({"data": {"k0": ""}});
        update(None, &mut object, &writer("m0", "t00", &reset));
        for index in 1..12 {
            let live = object.clone();
            object["data"][format!("k{index}")] = "".into();
            let (manager, now) = (format!("m{index}"), format!("t{index:02}"));
            update(Some(&live), &mut object, &writer(&manager, &now, &reset));
        }
        let entries = decode_entries(&object["metadata"]["managedFields"]).unwrap();
        let managers: Vec<_> = entries.iter().map(|entry| entry.manager.as_str()).collect();
        assert_eq!(managers.len(), 10);
        assert_eq!(managers[0], "ancient-changes");
        assert_eq!(entries[0].fields.paths(), [".data", ".data.k0", ".data.k1", ".data.k2"]);
    }

    /// D-157.
    #[test]
    fn another_update_of_the_same_manager_renews_its_entry() {
        let reset = Set::default();
        let mut object = json!({"data": {"a": "1"}});
        update(None, &mut object, &writer("m", "t1", &reset));
        let live = object.clone();
        object["data"]["b"] = "2".into();
        update(Some(&live), &mut object, &writer("m", "t2", &reset));
        let entries = decode_entries(&object["metadata"]["managedFields"]).unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].time.as_deref(), Some("t2"));
        assert_eq!(entries[0].fields.paths(), [".data", ".data.a", ".data.b"]);
    }

    /// D-109.
    #[test]
    fn a_change_of_times_alone_is_none() {
        let object = |time: &str, value: &str| json!({"metadata": {"managedFields": [{"manager": "m", "time": time}]}, "data": {"k": value}});
        let mut new = object("t2", "v");
        keep_times(&object("t1", "v"), &mut new);
        assert_eq!(new, object("t1", "v"));
        let mut new = object("t2", "w");
        keep_times(&object("t1", "v"), &mut new);
        assert_eq!(new, object("t2", "w"));
    }

    /// D-112.
    #[test]
    fn a_client_may_send_entries_of_its_own() {
        let reset = Set::default();
        let mut live = json!({"data": {"k": "v"}});
        update(None, &mut live, &writer("m", "t1", &reset));
        let mut sent = live.clone();
        sent["metadata"]["managedFields"][0]["manager"] = "other".into();
        update(Some(&live), &mut sent, &writer("m", "t2", &reset));
        assert_eq!(sent["metadata"]["managedFields"][0]["manager"], "other");
        let mut broken = live.clone();
        broken["metadata"]["managedFields"] = json!([{"operation": "Guess"}]);
        update(Some(&live), &mut broken, &writer("m", "t2", &reset));
        assert_eq!(broken, live);
    }
}
