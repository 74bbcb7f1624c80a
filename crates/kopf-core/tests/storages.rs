//! Storages where upstream has no answer, or another: the essence of a cycle, broken data, several storages at once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use kopf_core::{
    error::ErrorInfo,
    field::FieldPath,
    handler::HandlerId,
    key::Prefix,
    object::Object,
    patch::{Patch, merge},
    storage::{
        AnnotationsDiffBaseStorage, AnnotationsProgressStorage, DiffBaseStorage, MultiDiffBaseStorage,
        MultiProgressStorage, ProgressStorage, RawRecord, SmartProgressStorage, StatusDiffBaseStorage,
        StatusProgressStorage,
    },
};
use serde_json::{Value, json};

fn builtin() -> Vec<Arc<dyn ProgressStorage>> {
    let prefix = Prefix::new("my-op.example.com").unwrap();
    vec![
        Arc::new(SmartProgressStorage::default()),
        Arc::new(AnnotationsProgressStorage { prefix, verbose: true, ..Default::default() }),
        Arc::new(StatusProgressStorage::named("op")),
        Arc::new(MultiProgressStorage(vec![
            Arc::new(StatusProgressStorage::default()),
            Arc::new(AnnotationsProgressStorage::default()),
        ])),
    ]
}

fn id() -> HandlerId {
    HandlerId::from("fn/spec.x")
}

fn object() -> Object {
    Object::new(json!({"kind": "Widget", "metadata": {"namespace": "ns", "name": "w"}, "spec": {"x": 1}}))
}

fn record() -> RawRecord {
    let record = json!({"started": "2030-01-01T00:00:00.000000+00:00", "stopped": null, "retries": 1, "success": false});
    record.as_object().cloned().unwrap()
}

/// The object after the server has applied what a storage has put into a patch.
fn patched(object: &Object, change: impl FnOnce(&mut Patch) -> Result<(), ErrorInfo>) -> Object {
    let mut patch = Patch::default();
    change(&mut patch).unwrap();
    let mut body = object.body().clone();
    merge(&mut body, &patch.merge.into());
    Object::new(body)
}

/// W-REC-015, W-REC-016: what is stored is not to be stored again.
#[test]
fn a_stored_record_reads_back_in_the_form_in_which_it_is_kept() {
    for storage in builtin() {
        let stored = patched(&object(), |patch| storage.store(&id(), &record(), &object(), patch));
        let fetched = storage.fetch(&id(), &stored).unwrap();
        assert_eq!(fetched, Some(storage.kept(&record())), "{storage:?}");
    }
}

/// W-PRG-005.
#[test]
fn a_purged_record_is_gone() {
    for storage in builtin() {
        let stored = patched(&object(), |patch| storage.store(&id(), &record(), &object(), patch));
        let purged = patched(&stored, |patch| storage.purge(&id(), &stored, patch));
        assert_eq!(storage.fetch(&id(), &purged).unwrap(), None, "{storage:?}");
    }
}

/// W-PRG-007, DEC-1: whatever the engine writes changes no essence.
#[test]
fn what_storages_keep_is_no_part_of_the_essence() {
    let diff_bases: [Arc<dyn DiffBaseStorage>; 3] = [
        Arc::new(AnnotationsDiffBaseStorage::default()),
        Arc::new(StatusDiffBaseStorage::default()),
        Arc::new(AnnotationsDiffBaseStorage {
            prefix: Prefix::new("my-op.example.com").unwrap(),
            ..Default::default()
        }),
    ];
    let fields = [FieldPath::dotted("spec.x")];
    for (progress, diff_base) in builtin().iter().flat_map(|p| diff_bases.iter().map(move |d| (p, d))) {
        let essence = |object: &Object| progress.clear(diff_base.build(object, &fields).unwrap()).unwrap();
        let before = essence(&object());
        let after = patched(&object(), |patch| {
            progress.store(&id(), &record(), &object(), patch)?;
            progress.store_cycle(&before, &object(), patch)?;
            progress.touch(&object(), patch, Some("now"))?;
            diff_base.store(&before, &object(), patch)
        });
        assert_eq!(essence(&after), before, "{progress:?} {diff_base:?}");
    }
}

/// DEC-2.
#[test]
fn the_essence_of_a_cycle_is_kept_and_purged() {
    let essence = json!({"spec": {"x": 1.0, "é": "\n"}});
    for storage in builtin() {
        assert_eq!(storage.fetch_cycle(&object()).unwrap(), None, "{storage:?}");
        let stored = patched(&object(), |patch| storage.store_cycle(&essence, &object(), patch));
        assert_eq!(storage.fetch_cycle(&stored).unwrap(), Some(essence.clone()), "{storage:?}");
        let purged = patched(&stored, |patch| storage.purge_cycle(&stored, patch));
        assert_eq!(storage.fetch_cycle(&purged).unwrap(), None, "{storage:?}");
        let mut patch = Patch::default();
        storage.store_cycle(&essence, &object(), &mut patch).unwrap();
        storage.purge_cycle(&object(), &mut patch).unwrap();
        let left = Value::Object(patch.merge).to_string();
        assert!(
            !left.contains("cycle-configuration"),
            "{storage:?}: purged before it was written, but {left}"
        );
    }
}

/// DEC-2, W-DIF-001, W-KEY-020: the format and the place.
#[test]
fn the_essence_of_a_cycle_looks_like_the_last_handled_one() {
    let check = |body: Value, key: &str| {
        let object = Object::new(body);
        let mut patch = Patch::default();
        SmartProgressStorage::default().store_cycle(&json!({"spec": {}}), &object, &mut patch).unwrap();
        assert_eq!(
            Value::Object(patch.merge),
            json!({"metadata": {"annotations": {key: "{\"spec\":{}}\n"}}})
        );
    };
    check(json!({}), "kopf.zalando.org/cycle-configuration");
    check(
        json!({"kind": "ReplicaSet", "metadata": {"ownerReferences": [{"kind": "Deployment"}]}}),
        "kopf.zalando.org/cycle-configuration-ofDRS",
    );
}

/// DEC-2: users' storages know nothing of it, and need not.
#[test]
fn a_storage_of_a_user_keeps_no_essence_of_a_cycle() {
    let storage = Users::default();
    let mut patch = Patch::default();
    storage.store_cycle(&json!({}), &object(), &mut patch).unwrap();
    storage.purge_cycle(&object(), &mut patch).unwrap();
    assert!(patch.is_empty());
    assert_eq!(storage.fetch_cycle(&object()).unwrap(), None);
    assert_eq!(Value::Object(storage.kept(&record()))["stopped"], Value::Null);
    assert!(!storage.kept(&record()).contains_key("stopped"));
}

/// W-PRG-004, W-PRG-009, DEC-6.
#[test]
fn several_storages_are_flushed_and_are_a_plugin_if_one_is() {
    let users = Arc::new(Users::default());
    let storage =
        MultiProgressStorage(vec![Arc::new(StatusProgressStorage::default()), users.clone(), users.clone()]);
    storage.flush().unwrap();
    assert_eq!(users.flushed.load(Ordering::Relaxed), 2);
    assert!(storage.is_plugin());
    assert!(builtin().iter().all(|storage| !storage.is_plugin()));
    assert!(!MultiDiffBaseStorage(vec![Arc::new(StatusDiffBaseStorage::default())]).is_plugin());
}

/// W-PRG-004: an error of one storage is none of the others' absence.
#[test]
fn the_first_record_counts_and_so_does_an_error_before_it() {
    let fetch = |annotation: &str| {
        let object = Object::new(json!({
            "metadata": {"annotations": {"kopf.zalando.org/fn.spec.x": annotation}},
            "status": {"kopf": {"progress": {"fn/spec.x": {"retries": 9}}}},
        }));
        let storage = MultiProgressStorage(vec![
            Arc::new(AnnotationsProgressStorage::default()),
            Arc::new(StatusProgressStorage::default()),
        ]);
        storage.fetch(&id(), &object)
    };
    assert_eq!(fetch(r#"{"retries":1}"#).unwrap().unwrap()["retries"], 1);
    assert_eq!(fetch("null").unwrap().unwrap()["retries"], 9);
    assert!(fetch("{oops").is_err());
}

/// W-DIF-003, W-DIF-007: extra fields survive the rebuilding by each storage.
#[test]
fn the_essence_of_several_storages_has_the_extra_fields() {
    let storage = MultiDiffBaseStorage(vec![
        Arc::new(StatusDiffBaseStorage::default()),
        Arc::new(AnnotationsDiffBaseStorage::default()),
    ]);
    let object = Object::new(json!({"metadata": {"generation": 3}, "status": {"x": 1, "y": 2}}));
    let fields = ["status.x", "metadata.generation"].map(FieldPath::dotted);
    assert_eq!(
        storage.build(&object, &fields).unwrap(),
        json!({"metadata": {"generation": 3}, "status": {"x": 1}})
    );
}

/// W-DIF-008, W-DIF-012: in the status as in annotations.
#[test]
fn the_storage_in_the_status_ignores_fields_and_empty_stanzas_and_nulls() {
    let storage = StatusDiffBaseStorage {
        ignored_fields: vec![FieldPath::dotted("spec.b"), FieldPath::dotted("status.x")],
        ..StatusDiffBaseStorage::default()
    };
    let essence = |body: Value| storage.build(&Object::new(body), &[FieldPath::dotted("status")]).unwrap();
    assert_eq!(essence(json!({"spec": {"a": 1, "b": 2}, "status": {}})), json!({"spec": {"a": 1}}));
    assert_eq!(essence(json!({"spec": {"b": 2}, "status": {"x": 1, "y": 2}})), json!({"status": {"y": 2}}));
    for stored in [json!(null), json!("null")] {
        let object = Object::new(json!({"status": {"kopf": {"last-handled-configuration": stored}}}));
        assert_eq!(storage.fetch(&object).unwrap(), None);
    }
}

/// W-REC-008, W-DIF-012: an error says where to look and what to do.
#[test]
fn errors_of_broken_data_name_the_object_and_the_place() {
    let object = Object::new(json!({
        "kind": "Widget",
        "metadata": {"namespace": "ns", "name": "w", "annotations": {
            "kopf.zalando.org/fn.spec.x": "123",
            "kopf.zalando.org/last-handled-configuration": "{",
        }},
        "status": {"kopf": {"progress": {"fn/spec.x": "text"}, "last-handled-configuration": {"not": "text"}}},
    }));
    let check = |result: Result<(), ErrorInfo>, text: &str| {
        assert_eq!(result.unwrap_err().text, format!("{text}; remove it to have the object handled anew"));
    };
    let progress = |storage: &dyn ProgressStorage| storage.fetch(&id(), &object).map(drop);
    let diff_base = |storage: &dyn DiffBaseStorage| storage.fetch(&object).map(drop);
    check(
        progress(&AnnotationsProgressStorage::default()),
        "annotation \"kopf.zalando.org/fn.spec.x\" of Widget ns/w cannot be read: expected a progress record, not 123",
    );
    check(
        diff_base(&AnnotationsDiffBaseStorage::default()),
        "annotation \"kopf.zalando.org/last-handled-configuration\" of Widget ns/w cannot be read: \
         EOF while parsing an object at line 1 column 1",
    );
    check(
        progress(&StatusProgressStorage::default()),
        "field status.kopf.progress.fn/spec.x of Widget ns/w cannot be read: expected a progress record, not \"text\"",
    );
    check(
        diff_base(&StatusDiffBaseStorage::default()),
        "field status.kopf.last-handled-configuration of Widget ns/w cannot be read: expected text with JSON",
    );
}

/// W-TCH-001: nothing is sent if the touch is as it should be.
#[test]
fn a_touch_is_set_only_if_it_differs() {
    for storage in builtin() {
        let touched = patched(&object(), |patch| storage.touch(&object(), patch, Some("a")));
        let change = |object: &Object, value: Option<&str>| {
            let mut patch = Patch::default();
            storage.touch(object, &mut patch, value).unwrap();
            !patch.is_empty()
        };
        assert!(
            !change(&touched, Some("a")) && change(&touched, Some("b")) && change(&touched, None),
            "{storage:?}"
        );
        assert!(!change(&object(), None) && change(&object(), Some("a")), "{storage:?}");
    }
}

/// FIX-20, W-PRG-008: stanzas that are no mappings are as absent.
#[test]
fn malformed_objects_can_be_read_and_written() {
    let bodies = [
        json!(null),
        json!([]),
        json!({"metadata": null, "status": null, "spec": null}),
        json!({"metadata": "text", "status": 5}),
        json!({"metadata": {"annotations": [], "labels": 1, "ownerReferences": {}}, "status": {"kopf": []}, "kind": "ReplicaSet"}),
    ];
    let fields =
        [FieldPath::dotted("status.x"), FieldPath::dotted("metadata.annotations.x"), FieldPath::default()];
    for (body, storage) in
        bodies.iter().flat_map(|body| builtin().into_iter().map(move |storage| (body, storage)))
    {
        let object = Object::new(body.clone());
        assert_eq!(storage.fetch(&id(), &object).unwrap(), None);
        let stored = patched(&object, |patch| storage.store(&id(), &record(), &object, patch));
        assert_eq!(storage.fetch(&id(), &stored).unwrap(), Some(storage.kept(&record())));
        let essence = AnnotationsDiffBaseStorage::default().build(&object, &fields).unwrap();
        assert!(storage.clear(essence).unwrap().is_object());
    }
}

/// A user's own storage: keeps nothing, counts.
#[derive(Debug, Default)]
struct Users {
    flushed: AtomicUsize,
}

impl ProgressStorage for Users {
    fn fetch(&self, _: &HandlerId, _: &Object) -> Result<Option<RawRecord>, ErrorInfo> {
        Ok(None)
    }

    fn store(&self, _: &HandlerId, _: &RawRecord, _: &Object, _: &mut Patch) -> Result<(), ErrorInfo> {
        Ok(())
    }

    fn purge(&self, _: &HandlerId, _: &Object, _: &mut Patch) -> Result<(), ErrorInfo> {
        Ok(())
    }

    fn touch(&self, _: &Object, _: &mut Patch, _: Option<&str>) -> Result<(), ErrorInfo> {
        Ok(())
    }

    fn clear(&self, essence: Value) -> Result<Value, ErrorInfo> {
        Ok(essence)
    }

    fn flush(&self) -> Result<(), ErrorInfo> {
        self.flushed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
