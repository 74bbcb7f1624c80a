"""Lifecycles: which of the handlers that may run now do run at a step, and in which order.

A lifecycle is a plain function: it gets the handlers that are neither finished nor asleep, in the order of registration,
and returns those to run. The engine knows the ones of this module by identity and runs them without calling Python.
"""

import logging
import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from kopf._functions import reject_async

__all__ = [
    "all_at_once",
    "asap",
    "get_default_lifecycle",
    "one_by_one",
    "randomized",
    "set_default_lifecycle",
    "shuffled",
]

logger = logging.getLogger("kopf._core.actions.lifecycles")

H = TypeVar("H")


LifeCycleFn = Callable[..., Sequence[Any]]
"""A lifecycle function: called with the handlers, `state=` (by ids of handlers), and what handlers are called with."""


def all_at_once(handlers: Sequence[H], **_: Any) -> Sequence[H]:
    """All handlers, one after another in one step."""
    return handlers


def one_by_one(handlers: Sequence[H], **_: Any) -> Sequence[H]:
    """The first handler only."""
    return handlers[:1]


def randomized(handlers: Sequence[H], **_: Any) -> Sequence[H]:
    """One handler, by chance."""
    return [random.choice(handlers)] if handlers else []


def shuffled(handlers: Sequence[H], **_: Any) -> Sequence[H]:
    """All handlers, in an order by chance."""
    return random.sample(handlers, len(handlers))


def asap(handlers: Sequence[H], *, state: Any, **_: Any) -> Sequence[H]:
    """The handler with the fewest attempts so far; of equal ones, the first registered. The default."""

    def attempts(handler: Any) -> int:
        return state[handler.id].retries or 0

    return [min(handlers, key=attempts)] if handlers else []


_default: LifeCycleFn = asap


def get_default_lifecycle() -> LifeCycleFn:
    """The lifecycle of operators that were given none."""
    return _default


def set_default_lifecycle(lifecycle: LifeCycleFn | None) -> None:
    """Sets the lifecycle of operators that were given none.

    Args:
        lifecycle: The new default; `None` restores `asap`.

    Raises:
        TypeError: The lifecycle is an async function.
    """
    global _default
    if lifecycle is not None:
        reject_async(lifecycle, "The lifecycle")
    fresh = asap if lifecycle is None else lifecycle
    logger.warning(f"The default lifecycle is already set to {_default}, overriding it to {fresh}.")
    _default = fresh
