"""Checks of what decorators are given, before it becomes a declaration."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from kopf import _fields
from kopf._enums import Presence
from kopf._functions import function_id, reject_async
from kopf._typing import FieldPath, FieldSpec, HandlerId

__all__ = ["Decorator", "criteria", "make_id"]

Fn = TypeVar("Fn", bound=Callable[..., Any])


class Decorator(Protocol):
    """Gives back the very function that it was applied to, so that its type stays."""

    def __call__(self, fn: Fn, /) -> Fn: ...


def make_id(
    fn: Callable[..., Any] | None,
    *,
    id: str | None = None,
    parent: str | None = None,
    field: FieldPath | None = None,
) -> HandlerId:
    """The full id: `parent/own/field`, with what is absent left out (A-HID-001 to A-HID-006).

    Raises:
        ValueError: No id is given, and the function has no name.
    """
    own = function_id(fn) if id is None else id
    prefix = "" if not parent else f"{parent}/"
    suffix = "" if not field else "/" + ".".join(field)
    return HandlerId(prefix + own + suffix)


def criteria(*, field: FieldSpec = None, **filters: Any) -> dict[str, Any]:
    """The filters as a declaration keeps them: checked, and with the path of the field.

    Raises:
        TypeError: Filters contradict each other, or are async functions.
        ValueError: The field or a criterion of the metadata cannot be understood.
        AttributeError: The labels or annotations are no mapping.
    """
    path = _fields.parse(field) or None
    given = {name for name in ("value", "old", "new") if filters.get(name) is not None}
    if path is None and given:
        raise TypeError(f"The filters {_listed(given)} need a field=.")
    if "value" in given and len(given) > 1:
        raise TypeError("Either value= or old=/new= can be used, not both.")
    for name in ("labels", "annotations"):
        _check_metadata(name, filters.get(name))
    for name in ("when", "value", "old", "new"):
        reject_async(filters.get(name), f"The filter {name}=")
    if filters.get("when") is not None and not callable(filters["when"]):
        raise TypeError(f"The filter when= must be a function, not {filters['when']!r}.")
    return {"field": path, **filters}


def _listed(names: set[str]) -> str:
    return ", ".join(f"{name}=" for name in sorted(names))


def _check_metadata(name: str, criteria: Any) -> None:
    if criteria is None:
        return
    if not isinstance(criteria, Mapping):
        raise AttributeError(f"The filter {name}= must be a mapping of keys to criteria, not {criteria!r}.")
    for key, criterion in criteria.items():
        if criterion is None:
            raise ValueError(f"The filter {name}= has None for {key!r}: use kopf.PRESENT or kopf.ABSENT.")
        if not isinstance(criterion, str | Presence) and not callable(criterion):
            raise ValueError(f"The filter {name}= has {criterion!r} for {key!r}: neither a string nor a function.")
        reject_async(criterion, f"The filter {name}= for {key!r}")
