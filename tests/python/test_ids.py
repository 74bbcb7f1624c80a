"""Ids of handlers are persistent: they name progress records and results (A-HID, golden: handler_ids)."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
from helpers import golden

import kopf
from kopf import _fields
from kopf._declare import make_id


def top_fn(**_: Any) -> None:
    pass


@functools.wraps(top_fn)
def wrapper(**_: Any) -> None:
    pass


class C:
    def method(self, **_: Any) -> None:
        pass

    @staticmethod
    def static(**_: Any) -> None:
        pass


def outer() -> Callable[..., None]:
    def inner(**_: Any) -> None:
        pass

    return inner


CALLABLES = {
    "function with qualname top_fn": top_fn,
    "functools.partial of top_fn": functools.partial(top_fn, x=1),
    "partial of partial of top_fn": functools.partial(functools.partial(top_fn, x=1), y=2),
    "functools.wraps wrapper of top_fn": wrapper,
    "bound method of class C": C().method,
    "static method of class C": C.static,
    "nested function": outer(),
}

AVAILABLE = {
    "on.create": kopf.on.create,
    "on.update": kopf.on.update,
    "on.delete": kopf.on.delete,
    "on.resume": kopf.on.resume,
    "on.field": kopf.on.field,
    "on.event": kopf.on.event,
}


@pytest.mark.parametrize("case", golden("handler_ids"), ids=lambda case: case["id"])
def test_ids_are_as_recorded(case: dict[str, Any], registry: kopf.OperatorRegistry) -> None:
    given = case["input"]
    fn = CALLABLES[given["callable"]]
    assert identify(fn, given, registry) == case["output"]


def identify(fn: Callable[..., Any], given: dict[str, Any], registry: kopf.OperatorRegistry) -> str:
    decorator = given.get("decorator")
    options = {"id": given["id"]} if "id" in given else {}
    if decorator in AVAILABLE:
        AVAILABLE[decorator]("kopfexamples", field=given["field"], **options)(fn)
        return registry.declarations()[0].id
    if decorator == "on.startup":
        kopf.on.startup()(fn)
        return registry.declarations()[0].id
    # Indexers have no suffix (A-HID-005); the other decorators are not there yet, but the ids are made in one place.
    field = None if decorator == "index" else _fields.parse(given.get("field") or given.get("suffix"))
    return make_id(fn, id=given.get("id"), parent=given.get("prefix"), field=field)


def test_lambdas_are_named_by_file_and_line() -> None:
    """A-HID-003."""
    fn = lambda **_: None  # noqa: E731
    assert make_id(fn) == f"lambda:{__file__}:{fn.__code__.co_firstlineno}"


@pytest.mark.parametrize("fn", [None, len, object(), type("Callable", (), {"__call__": top_fn})()])
def test_functions_without_a_name_need_an_explicit_id(fn: Any) -> None:
    """A-DEC-034."""
    with pytest.raises(ValueError, match="id"):
        make_id(fn)
    assert make_id(fn, id="x") == "x"
