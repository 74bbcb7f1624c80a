"""Views of objects: what they share, and what becomes of changes in place (DEC-18)."""

import copy
import gc
import pickle
import threading
import weakref
from collections.abc import Mapping
from typing import Any

import pytest
from bridges import MakeBridge
from helpers import Calls

import kopf
from kopf import _native

OBJECT = {
    "apiVersion": "kopf.dev/v1",
    "kind": "KopfExample",
    "metadata": {"name": "one", "labels": {"a": "b"}, "annotations": {"c": "d"}},
    "spec": {"list": [1, {"x": 2.0}], "dict": {"nested": {"deep": "value"}}, "z": 1, "a": 2},
}


def body_of(bridge: MakeBridge, calls: Calls) -> Any:
    """A body as handlers get it: of the engine's tree, not of a dict."""

    @kopf.on.event("kex", id="fn")
    async def fn(**kwargs: Any) -> None:
        calls.put(kwargs)

    with bridge() as door:
        door.call("fn", OBJECT)
    return calls.next()


def test_nested_values_are_made_once_and_shared(bridge: MakeBridge, calls: Calls) -> None:
    kwargs = body_of(bridge, calls)
    body, spec = kwargs["body"], kwargs["spec"]
    nested = spec["dict"]
    assert type(nested) is dict
    assert type(spec["list"]) is list
    assert spec["dict"] is nested
    # A parent that is made later adopts what is there; and whoever reads through it finds the same.
    assert body["spec"]["dict"] is nested
    assert spec["list"] is body["spec"]["list"]
    assert kwargs["event"]["object"]["spec"] is body["spec"]
    assert kwargs["cause"].event is kwargs["event"]
    assert kwargs["labels"] is body.meta.labels
    assert kwargs["meta"] is body.meta is body.metadata


def test_changes_in_place_are_seen_everywhere(bridge: MakeBridge, calls: Calls) -> None:
    """A-VIEW-002."""
    kwargs = body_of(bridge, calls)
    body, spec = kwargs["body"], kwargs["spec"]
    spec["list"].append(3)
    body["spec"]["dict"]["more"] = True
    assert spec["list"] == [1, {"x": 2.0}, 3]
    assert spec["dict"]["more"] is True
    assert kwargs["event"]["object"]["spec"]["list"][-1] == 3
    body["spec"]["new"] = 1
    assert spec["new"] == 1
    assert len(spec) == 5


def test_changes_in_place_reach_no_other_call(bridge: MakeBridge) -> None:
    """Habit: they must not leak into differences, nor into what is compared."""

    @kopf.on.update("kex", id="change")
    async def change(spec: Any, new: Any, old: Any, diff: Any, **_: Any) -> Any:
        spec["dict"].clear()
        new["dict"]["mine"] = 1
        return [new["dict"], [list(item) for item in diff]]

    @kopf.on.update("kex", id="look")
    async def look(spec: Any, new: Any, **_: Any) -> Any:
        return [spec["dict"], new["dict"]]

    with bridge() as door:
        first = door.call("change", OBJECT, reason="update", old=OBJECT["spec"])
        assert first["result"] == [{"nested": {"deep": "value"}, "mine": 1}, []]
        assert door.call("look", OBJECT, reason="update")["result"] == [OBJECT["spec"]["dict"]] * 2  # type: ignore[index]


def test_views_are_mappings_of_python(bridge: MakeBridge, calls: Calls) -> None:
    """A-VIEW-001, A-VIEW-007."""
    body = body_of(bridge, calls)["body"]
    for view, raw in ((body, OBJECT), (body.spec, OBJECT["spec"]), (body.meta.labels, {"a": "b"}), (body.status, {})):
        assert isinstance(view, Mapping)
        assert not isinstance(view, dict)
        assert view == raw
        assert raw == view
        assert view != {"other": 1}
        assert dict(view) == {**view} == raw
        assert (repr(view), str(view), f"{view}") == (repr(raw),) * 3
        assert (list(view), len(view), bool(view)) == (list(raw), len(raw), bool(raw))
        assert list(view.items()) == list(raw.items())
        assert view.keys() - {"spec"} == raw.keys() - {"spec"}
        for made in (copy.copy(view), copy.deepcopy(view), pickle.loads(pickle.dumps(view))):
            assert (type(made), made) == (type(view), raw)
        with pytest.raises(TypeError):
            hash(view)
        with pytest.raises(TypeError):
            view["x"] = 1
        with pytest.raises(KeyError, match="absent"):
            view["absent"]
        assert view.get("absent") is None
        assert view.get("absent", 1) == 1
        assert "absent" not in view
        assert 1 not in view
    match body.spec:
        case {"z": 1, **rest}:
            assert set(rest) == {"list", "dict", "a"}
        case _:
            raise AssertionError("no mapping for match")


def test_copies_are_independent(bridge: MakeBridge, calls: Calls) -> None:
    spec = body_of(bridge, calls)["spec"]
    before = copy.deepcopy(spec)
    spec["dict"]["mine"] = 1
    after = copy.deepcopy(spec)
    after["dict"]["theirs"] = 1
    assert before == OBJECT["spec"]
    assert spec["dict"] == {"nested": {"deep": "value"}, "mine": 1}


def test_the_order_of_keys_and_the_kinds_of_numbers_are_kept(bridge: MakeBridge, calls: Calls) -> None:
    spec = body_of(bridge, calls)["spec"]
    assert [*spec] == ["list", "dict", "z", "a"]
    assert type(spec["z"]) is int
    assert type(spec["list"][1]["x"]) is float


@pytest.mark.parametrize("broken", [None, "text", 1, []])
def test_stanzas_that_are_no_mappings_are_empty(broken: Any) -> None:
    """FIX-20."""
    body = _native.Body({"spec": broken, "status": broken, "metadata": broken})
    for view in (body.spec, body.status, body.meta, body.meta.labels, body.meta.annotations):
        assert (dict(view), len(view), bool(view), view.get("x", 1), "x" in view) == ({}, 0, False, 1, False)
    assert (body.meta.name, body.meta.uid, body.meta.deletion_timestamp) == (None, None, None)


def test_views_of_dicts_show_what_they_become() -> None:
    """A-VIEW-008."""
    raw: dict[str, Any] = {}
    body = _native.Body(raw)
    spec, labels = _native.Spec(body), _native.Meta(body).labels
    raw["spec"] = {"x": 1}
    raw["metadata"] = {"labels": {"y": "z"}}
    assert (spec["x"], labels["y"]) == (1, "z")


def test_views_with_cycles_are_collected() -> None:
    class Node(dict[str, Any]):
        pass

    raw = Node()
    body = _native.Body(raw)
    raw["view"] = body
    ref = weakref.ref(raw)
    del raw, body
    gc.collect()
    assert ref() is None


def test_views_may_be_read_from_threads(bridge: MakeBridge, calls: Calls) -> None:
    """Habit: bodies are kept and read elsewhere. What is made at the same time is made once."""
    body = body_of(bridge, calls)["body"]
    made: list[Any] = []
    begin = threading.Barrier(8)

    def read() -> None:
        begin.wait(20)
        made.append((body.spec["dict"], body["spec"]["list"], body.meta.labels))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len({id(dictionary) for dictionary, _, _ in made}) == 1
    assert len({id(items) for _, items, _ in made}) == 1
