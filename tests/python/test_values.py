"""Errors, enums, memos, diffs and patches (A-PUB-050 to 059, A-MEM, A-DIF, A-PATCH)."""

import copy
import pickle
from typing import Any

import pytest

import kopf


def test_temporary_errors_have_a_delay() -> None:
    """A-PUB-050, KEEP-17."""
    assert str(kopf.TemporaryError()) == "None"
    assert kopf.TemporaryError().delay == 60
    assert kopf.TemporaryError("oops", delay=5).delay == 5
    assert kopf.TemporaryError("oops", 5).delay == 5
    assert kopf.TemporaryError("oops", delay=None).delay is None
    with pytest.raises(TypeError):
        kopf.TemporaryError(msg="oops")  # type: ignore[call-arg]


def test_the_tree_of_errors_is_that_of_kopf() -> None:
    """A-PUB-051 to A-PUB-053."""
    assert kopf.PermanentError.__bases__ == kopf.TemporaryError.__bases__ == (Exception,)
    for kind in (kopf.HandlerTimeoutError, kopf.HandlerRetriesError, kopf.AdmissionError):
        assert issubclass(kind, kopf.PermanentError)
    assert not issubclass(kopf.LoginError, kopf.PermanentError)
    assert kopf.AdmissionError().code == 500
    assert str(kopf.AdmissionError("no", code=403)) == "no"


def test_enums_are_strings_where_operators_compare_them_with_strings() -> None:
    """A-PUB-055 to A-PUB-058."""
    assert kopf.Reason.CREATE == "create"
    assert f"{kopf.Reason.UPDATE} {kopf.Reason.DELETE!s}" == "update delete"
    assert [reason.value for reason in kopf.Reason] == [
        "create",
        "update",
        "delete",
        "resume",
        "noop",
        "free",
        "gone",
    ]
    assert repr(kopf.DiffOperation.ADD) == "'add'"
    assert [mode.name for mode in kopf.ErrorsMode] == ["IGNORED", "TEMPORARY", "PERMANENT"]
    assert [flag.value for flag in kopf.DaemonStoppingReason] == [1, 2, 4, 8, 16, 32, 64, 128]
    assert kopf.LogFormat.PLAIN.value == "%(message)s"
    assert kopf.PRESENT is not kopf.ABSENT


def test_memos_have_keys_as_attributes() -> None:
    """A-MEM-001."""
    memo = kopf.Memo(a=1)
    memo.b = 2
    assert (memo.a, memo["b"]) == (1, 2)
    del memo.a
    assert "a" not in memo
    assert not hasattr(memo, "a")
    with pytest.raises(AttributeError):
        del memo.a
    with pytest.raises(KeyError):
        memo["a"]


def test_memos_keep_the_methods_of_dictionaries() -> None:
    """A-MEM-002, KEEP-21."""
    memo = kopf.Memo()
    memo.items = 5
    assert callable(memo.items)
    assert memo["items"] == 5


def test_copies_of_memos_are_shallow() -> None:
    """A-MEM-004, A-MEM-005."""
    memo = kopf.Memo(shared=[])
    duplicate = copy.copy(memo)
    duplicate.own = 1
    duplicate.shared.append(1)
    assert type(duplicate) is kopf.Memo
    assert memo == {"shared": [1]}


DIFF = kopf.Diff([("add", ("spec", "id"), None, 1), ("change", ("spec", "x"), 1, 2), ("remove", (), 3, None)])


def test_diffs_are_sequences_of_tuples() -> None:
    """A-DIF-001, A-DIF-002; habit: `diff[0][:3] == ('add', ('spec', 'id'), None)`."""
    assert DIFF[0][:3] == ("add", ("spec", "id"), None)
    assert DIFF == (("add", ("spec", "id"), None, 1), ("change", ("spec", "x"), 1, 2), ("remove", (), 3, None))
    assert [".".join(item[1]) for item in DIFF] == ["spec.id", "spec.x", ""]
    assert [(op, field) for op, field, old, new in DIFF][2] == ("remove", ())
    assert DIFF[0].op is DIFF[0].operation is kopf.DiffOperation.ADD
    assert DIFF[1:] == tuple(DIFF)[1:]
    assert repr(DIFF[:1]) == "(('add', ('spec', 'id'), None, 1),)"
    assert repr(kopf.Diff([DIFF[0]])) == "(('add', ('spec', 'id'), None, 1),)"
    assert hash(DIFF) == hash(kopf.Diff(DIFF))
    assert not kopf.Diff()
    assert DIFF != "add"
    assert DIFF != 5
    assert DIFF != None  # noqa: E711 - by its own comparison
    assert pickle.loads(pickle.dumps(DIFF)) == DIFF


def test_patches_make_the_stanzas_that_are_written() -> None:
    """A-PATCH-001 to A-PATCH-003."""
    patch = kopf.Patch()
    assert (dict(patch.status), patch.spec.get("x"), "a" in patch.meta.labels) == ({}, None, False)
    assert patch == {}
    patch.status["a"] = 1
    patch.spec["b"] = None
    patch.meta.labels["c"] = "d"
    patch.metadata.annotations["e"] = None
    patch["data"] = {"f": "g"}
    assert patch == {
        "status": {"a": 1},
        "spec": {"b": None},
        "metadata": {"labels": {"c": "d"}, "annotations": {"e": None}},
        "data": {"f": "g"},
    }
    patch["status"]["a"] = 2
    assert patch.status["a"] == 2
    patch.status.setdefault("handler", {})["x"] = 1
    assert patch["status"]["handler"] == {"x": 1}


def test_what_is_deleted_from_patches_leaves_nothing_empty_behind() -> None:
    """W-PRG-005."""
    patch = kopf.Patch({"status": {"a": {"b": 1}, "c": 1}})
    patch.meta.labels["x"] = "y"
    del patch.meta.labels["x"]
    assert patch == {"status": {"a": {"b": 1}, "c": 1}}
    del patch.status["c"]
    assert patch == {"status": {"a": {"b": 1}}}


def test_patches_refuse_what_cannot_be() -> None:
    """A-PATCH-004, A-PATCH-005."""
    patch = kopf.Patch()
    with pytest.raises(KeyError):
        del patch.status["absent"]
    patch["status"] = "text"
    with pytest.raises(TypeError, match="status"):
        patch.status["a"] = 1
    with pytest.raises(AttributeError):
        patch.fns = []  # type: ignore[misc]


def test_patches_are_true_if_anything_is_to_be_done() -> None:
    """A-PATCH-006, A-PATCH-007."""

    def fn(body: Any) -> None:
        body["x"] = 1

    patch = kopf.Patch()
    assert not patch
    assert repr(patch) == "Patch()"
    patch.fns.append(fn)
    assert patch
    assert len(patch) == 0
    assert repr(patch) == f"Patch(fns=[{fn!r}])"
    patch.spec["x"] = 1
    duplicate = kopf.Patch(patch)
    assert (duplicate, duplicate.fns) == (patch, [fn])
    assert duplicate.fns is not patch.fns
    assert type(patch | {}) is dict
    patch.clear()
    assert not patch
    assert patch.fns == []


def test_patches_become_json_patches() -> None:
    """A-PATCH-008."""
    body = {"spec": {"a": 1, "b": 2}}
    patch = kopf.Patch({"spec": {"a": 3}}, body=body, fns=[lambda body: body["spec"].update(a=4)])
    assert patch.as_json_patch() == [{"op": "replace", "path": "/spec/a", "value": 4}]
    assert patch.as_json_patch({"spec": {"a": 4}}) == []
    assert body == {"spec": {"a": 1, "b": 2}}
    assert kopf.Patch().as_json_patch() == []
    with pytest.raises(ValueError, match="body"):
        kopf.Patch({"spec": {}}).as_json_patch()


def test_patches_become_json_patches_by_the_rules_of_merge_patches() -> None:
    """A-PATCH-009, FIX-21: removing the last key keeps the emptied mapping; empty mappings are set."""
    assert kopf.Patch({"spec": {"x": None}}).as_json_patch({"spec": {"x": 1}}) == [{"op": "remove", "path": "/spec/x"}]
    assert kopf.Patch({"spec": {"new": {}}}).as_json_patch({"spec": {}}) == [
        {"op": "add", "path": "/spec/new", "value": {}}
    ]


def test_combinators_combine() -> None:
    """A-FLT-042."""

    def yes(*_: Any, **__: Any) -> bool:
        return True

    def no(*_: Any, **__: Any) -> bool:
        return False

    assert (kopf.not_(yes)(), kopf.not_(no)("value", spec={})) == (False, True)
    assert (kopf.all_([yes, no])(), kopf.any_([no, yes])(), kopf.none_([no, no])()) == (False, True, True)
    assert (kopf.all_([])(), kopf.any_([])(), kopf.none_([])()) == (True, False, True)


class Handler:
    def __init__(self, id: str, retries: int) -> None:
        self.id = id
        self.retries = retries


def test_lifecycles_choose_of_the_handlers() -> None:
    """A-LIF-003, A-LIF-004."""
    handlers = [Handler("a", 1), Handler("b", 0), Handler("c", 0)]
    state = {handler.id: handler for handler in handlers}
    chosen = {
        name: [handler.id for handler in getattr(kopf.lifecycles, name)(handlers, state=state)]
        for name in ("all_at_once", "one_by_one", "randomized", "shuffled", "asap")
    }
    assert (chosen["all_at_once"], chosen["one_by_one"], chosen["asap"]) == (["a", "b", "c"], ["a"], ["b"])
    assert len(chosen["randomized"]) == 1
    assert sorted(chosen["shuffled"]) == ["a", "b", "c"]
    for name in chosen:
        assert list(getattr(kopf.lifecycles, name)([], state={})) == []
    assert kopf.get_default_lifecycle() is kopf.lifecycles.asap


def test_setting_the_default_lifecycle_is_always_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """A-LIF-005, A-LOG-164, KEEP-22."""
    kopf.set_default_lifecycle(kopf.lifecycles.all_at_once)
    assert kopf.get_default_lifecycle() is kopf.lifecycles.all_at_once
    kopf.set_default_lifecycle(None)
    assert kopf.get_default_lifecycle() is kopf.lifecycles.asap
    assert [record.name for record in caplog.records] == ["kopf._core.actions.lifecycles"] * 2
    assert "The default lifecycle is already set to" in caplog.text


def test_async_lifecycles_are_refused() -> None:
    """FIX-23."""

    async def lifecycle(*_: Any, **__: Any) -> list[Any]:
        return []

    with pytest.raises(TypeError, match="async"):
        kopf.set_default_lifecycle(lifecycle)  # type: ignore[arg-type]
