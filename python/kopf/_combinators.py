"""Filters made of filters: for `when=` and for values of labels, annotations and fields."""

from collections.abc import Callable, Collection
from typing import Any

from kopf._functions import reject_async

__all__ = ["all_", "any_", "none_", "not_"]

Filter = Callable[..., Any]


def not_(fn: Filter) -> Filter:
    """Passes if the filter does not."""
    reject_async(fn, "A filter")
    return lambda *args, **kwargs: not fn(*args, **kwargs)


def all_(fns: Collection[Filter]) -> Filter:
    """Passes if all the filters do."""
    _reject_async(fns)
    return lambda *args, **kwargs: all(fn(*args, **kwargs) for fn in fns)


def any_(fns: Collection[Filter]) -> Filter:
    """Passes if any of the filters does."""
    _reject_async(fns)
    return lambda *args, **kwargs: any(fn(*args, **kwargs) for fn in fns)


def none_(fns: Collection[Filter]) -> Filter:
    """Passes if none of the filters does."""
    _reject_async(fns)
    return lambda *args, **kwargs: not any(fn(*args, **kwargs) for fn in fns)


def _reject_async(fns: Collection[Filter]) -> None:
    # A generator cannot be looked at: that would use it up.
    for fn in fns if isinstance(fns, Collection) else ():
        reject_async(fn, "A filter")
