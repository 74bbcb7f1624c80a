"""Storages as classes: parameters, subclasses, several at once (A-PUB-078 to A-PUB-089). The formats are the engine's."""

import json
from typing import Any

import pytest

import kopf

BODY: dict[str, Any] = {"metadata": {"name": "n"}, "spec": {"x": 1}, "status": {}}

RECORD: kopf.ProgressRecord = {
    "started": "2030-01-01T00:00:00.000000+00:00",
    "stopped": None,
    "delayed": None,
    "purpose": "create",
    "retries": 0,
    "success": False,
    "failure": False,
    "message": None,
    "subrefs": None,
}
TEXT = '{"started":"2030-01-01T00:00:00.000000+00:00","purpose":"create","retries":0,"success":false,"failure":false}'


@pytest.mark.parametrize("storage", [kopf.AnnotationsProgressStorage, kopf.AnnotationsDiffBaseStorage])
def test_annotations_need_a_prefix(storage: Any) -> None:
    """A-PUB-087, W-KEY-010."""
    with pytest.raises(ValueError, match="prefix"):
        storage(prefix="")
    with pytest.warns(UserWarning, match="longer than 189"):
        storage(prefix="x" * 190)


def test_fields_have_the_name_in_them() -> None:
    """A-PUB-088."""
    storage = kopf.StatusProgressStorage(name="my", touch_field=["status", "{name}"])
    assert storage.field == ("status", "my", "progress")
    assert storage.touch_field == ("status", "{name}")
    storage.field = "spec.progress"  # type: ignore[assignment]
    assert storage.field == ("spec", "progress")
    assert kopf.StatusDiffBaseStorage(field="status.{name}.x", name="y").field == ("status", "y", "x")


def test_annotations_keep_records_as_json() -> None:
    """W-REC-003, W-KEY-021."""
    storage = kopf.AnnotationsProgressStorage(prefix="my.example.com")
    patch = kopf.Patch()
    storage.store(key="fn/spec.x", record=RECORD, body=kopf.Body(BODY), patch=patch)
    assert patch.meta.annotations == {"my.example.com/fn.spec.x": TEXT, "my.example.com/kopf-managed": "yes"}
    body = {"metadata": {"annotations": {"my.example.com/fn.spec.x": TEXT}}}
    found = storage.fetch(key="fn/spec.x", body=kopf.Body(body))
    assert found is not None
    assert (found["purpose"], found["retries"]) == ("create", 0)
    assert storage.fetch(key="other", body=kopf.Body(body)) is None
    patch = kopf.Patch()
    storage.purge(key="fn/spec.x", body=kopf.Body(body), patch=patch)
    assert patch == {"metadata": {"annotations": {"my.example.com/fn.spec.x": None}}}
    assert storage.clear(essence=body) == {}


def test_the_status_keeps_records_as_they_are() -> None:
    """W-REC-004, W-PRG-002."""
    storage = kopf.StatusProgressStorage(field="status.kopf.progress")
    patch = kopf.Patch()
    storage.store(key="a/b", record=RECORD, body=BODY, patch=patch)
    assert patch == {"status": {"kopf": {"progress": {"a/b": RECORD}}}}
    storage.touch(body=BODY, patch=patch, value="now")
    assert patch.status["kopf"]["dummy"] == "now"


def test_the_default_storage_reads_the_status_and_writes_annotations() -> None:
    """A-PUB-089, W-PRG-003."""
    storage = kopf.SmartProgressStorage()
    body = {"metadata": {}, "status": {"kopf": {"progress": {"fn": RECORD}}}}
    assert storage.fetch(key="fn", body=body) == RECORD
    patch = kopf.Patch()
    storage.store(key="fn", record=RECORD, body=body, patch=patch)
    assert patch == {"metadata": {"annotations": {"kopf.zalando.org/fn": TEXT}}}


def test_several_storages_are_all_written_and_the_first_with_a_record_is_read() -> None:
    """A-PUB-086."""
    storage = kopf.MultiProgressStorage([kopf.AnnotationsProgressStorage(), kopf.StatusProgressStorage()])
    patch = kopf.Patch()
    storage.store(key="fn", record=RECORD, body=BODY, patch=patch)
    assert patch.keys() == {"metadata", "status"}
    assert storage.fetch(key="fn", body={"metadata": {}, "status": patch["status"]}) == RECORD
    storage.flush()


def test_a_storage_of_the_users_own_among_several_is_called() -> None:
    """A-PUB-084, A-OPEN-008: then the engine has no format for them all."""

    class Mine(kopf.StatusProgressStorage):
        pass

    assert kopf.MultiProgressStorage([kopf.StatusProgressStorage()])._native is not None
    assert kopf.MultiProgressStorage([kopf.StatusProgressStorage(), Mine()])._native is None


def test_the_essence_is_stored_and_read() -> None:
    """A-CAU-004, W-DIF-001, W-DIF-004."""
    storage = kopf.AnnotationsDiffBaseStorage(ignored_fields=["spec.ignored", ("spec", "a.b")])
    body = {
        **BODY,
        "spec": {"x": 1, "ignored": 2, "a.b": 3},
        "metadata": {"name": "n", "labels": {"l": "1"}},
        "status": {"phase": "x"},
    }
    essence = storage.build(body=kopf.Body(body))
    assert essence == {"spec": {"x": 1}, "metadata": {"labels": {"l": "1"}}}
    assert storage.build(body=body, extra_fields=["status.phase"])["status"] == {"phase": "x"}
    patch = kopf.Patch()
    storage.store(body=body, patch=patch, essence=essence)
    text = patch.meta.annotations["kopf.zalando.org/last-handled-configuration"]
    assert text == '{"spec":{"x":1},"metadata":{"labels":{"l":"1"}}}\n'
    assert storage.fetch(body={"metadata": {"annotations": dict(patch.meta.annotations)}}) == essence
    assert storage.fetch(body=BODY) is None


def test_several_essences() -> None:
    """A-PUB-086, W-DIF-003."""
    storage = kopf.MultiDiffBaseStorage([kopf.AnnotationsDiffBaseStorage(), kopf.StatusDiffBaseStorage()])
    patch = kopf.Patch()
    storage.store(body=BODY, patch=patch, essence=storage.build(body=BODY))
    assert json.loads(patch.status["kopf"]["last-handled-configuration"]) == {"spec": {"x": 1}}
    assert storage.fetch(body={"metadata": {}, "status": patch["status"]}) == {"spec": {"x": 1}}


def test_a_base_class_builds_the_essence() -> None:
    """A-PUB-085."""

    class Mine(kopf.DiffBaseStorage):
        def fetch(self, *, body: Any) -> Any: ...

        def store(self, *, body: Any, patch: Any, essence: Any) -> None: ...

    assert Mine(ignored_fields=["spec.x"]).build(body={**BODY, "apiVersion": "v1", "kind": "X"}) == {}
    with pytest.raises(TypeError):
        kopf.DiffBaseStorage()  # type: ignore[abstract]
    with pytest.raises(TypeError):
        kopf.ProgressStorage()  # type: ignore[abstract]


def test_habit_storages_are_subclassed() -> None:
    """Habit: `name=`, `prefix=` are given to `super().__init__()`."""

    class Progress(kopf.SmartProgressStorage):
        def __init__(self) -> None:
            super().__init__(name="my", prefix="my.example.com")

    class DiffBase(kopf.AnnotationsDiffBaseStorage):
        def __init__(self) -> None:
            super().__init__(prefix="my.example.com", key="last")

        def build(self, *, body: Any, extra_fields: Any = None) -> Any:
            essence: Any = super().build(body=body, extra_fields=extra_fields)
            essence.setdefault("spec", {}).pop("x", None)
            return essence

    patch = kopf.Patch()
    Progress().store(key="fn", record=RECORD, body=BODY, patch=patch)
    DiffBase().store(body=BODY, patch=patch, essence=DiffBase().build(body=BODY))
    assert patch.meta.annotations == {
        "my.example.com/fn": TEXT,
        "my.example.com/last": '{"spec":{}}\n',
        "my.example.com/kopf-managed": "yes",
    }


def test_habit_keys_of_other_handlers_are_made() -> None:
    """Habit: `AnnotationsProgressStorage(v1=False, prefix=).make_v2_key(id)`."""
    storage = kopf.AnnotationsProgressStorage(v1=False, prefix="kopf.zalando.org")
    assert storage.make_v2_key("fn/spec.x") == "kopf.zalando.org/fn.spec.x"
    assert storage.make_keys("x" * 64) == ["kopf.zalando.org/" + "x" * 56 + "-SItAqA"]


def test_both_generations_of_keys_are_written() -> None:
    """W-KEY-013 to W-KEY-020."""
    storage = kopf.AnnotationsProgressStorage()
    assert storage.make_keys("x" * 64) == [
        "kopf.zalando.org/" + "x" * 56 + "-SItAqA",
        "kopf.zalando.org/" + "x" * 39 + "-SItAqA",
    ]
    replicaset = {"kind": "ReplicaSet", "metadata": {"ownerReferences": [{"kind": "Deployment"}]}}
    assert storage.make_keys("create_fn", replicaset) == ["kopf.zalando.org/create_fn-ofDRS"]
