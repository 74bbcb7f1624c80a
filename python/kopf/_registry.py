"""Registries: where decorators put handlers, and where operators find them."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from kopf._enums import ErrorsMode
from kopf._functions import location
from kopf._handlers import (
    ActivityDeclaration,
    AdmissionDeclaration,
    ChangingDeclaration,
    DaemonDeclaration,
    Declaration,
    IndexingDeclaration,
    TimerDeclaration,
    WatchingDeclaration,
)

__all__ = ["OperatorRegistry", "Section", "get_default_registry", "set_default_registry"]

D = TypeVar("D", bound=Declaration)


class Section(Generic[D]):
    """Handlers of one kind, in the order of registration."""

    def __init__(self) -> None:
        self._handlers: list[D] = []

    def append(self, handler: D) -> None:
        """Adds a handler after the others."""
        self._handlers.append(handler)

    def __iter__(self) -> Iterator[D]:
        return iter(self._handlers)

    def __len__(self) -> int:
        return len(self._handlers)


class OperatorRegistry:
    """The handlers of an operator. A new one is empty: it has no fallbacks for logging in."""

    def __init__(self) -> None:
        self._activities: Section[ActivityDeclaration] = Section()
        self._indexing: Section[IndexingDeclaration] = Section()
        self._watching: Section[WatchingDeclaration] = Section()
        self._spawning: Section[DaemonDeclaration | TimerDeclaration] = Section()
        self._changing: Section[ChangingDeclaration] = Section()
        self._webhooks: Section[AdmissionDeclaration] = Section()

    def declarations(self) -> list[Declaration]:
        """All handlers, each kind in the order of registration; fallbacks only if there is nothing else (A-ACT-021)."""
        logins = [handler for handler in self._activities if handler.activity == "authentication"]
        superseded = {handler for handler in logins if handler.is_fallback and not all(h.is_fallback for h in logins)}
        activities = [handler for handler in self._activities if handler not in superseded]
        return [
            *activities,
            *self._indexing,
            *self._watching,
            *self._spawning,
            *self._changing,
            *self._webhooks,
        ]

    def add_changing(self, handler: ChangingDeclaration) -> None:
        """Adds a handler of changes, with a warning if it shares its id with another function (FIX-26)."""
        for other in self._changing:
            if handler.selector == other.selector and _are_twins(handler, other):
                _warn_of_twins(handler, other)
        self._changing.append(handler)


def _are_twins(one: ChangingDeclaration, other: ChangingDeclaration) -> bool:
    # A file that is loaded again, as in tests, registers the same functions again.
    is_other = one.fn != other.fn and location(one.fn) != location(other.fn)
    return one.id == other.id and is_other and _may_meet(one, other)


def _may_meet(one: ChangingDeclaration, other: ChangingDeclaration) -> bool:
    """Whether both can run for one cause, and so would share the progress under one id (A-HID-011)."""
    triggers = {one.trigger, other.trigger}
    if len(triggers) == 1 or "field" in triggers:
        return True
    if "resume" not in triggers or "create" in triggers:
        return False
    return "delete" not in triggers or bool(one.deleted or other.deleted)


def _warn_of_twins(one: ChangingDeclaration, other: ChangingDeclaration) -> None:
    warnings.warn(
        f"Two handlers of one resource have the same id {one.id!r}: {location(other.fn)} and {location(one.fn)}. "
        f"They share their progress: when one has succeeded, the other is not called. Give one of them another id=...",
        UserWarning,
        stacklevel=4,
    )


_default: OperatorRegistry | None = None


def get_default_registry() -> OperatorRegistry:
    """The registry of decorators without `registry=`; made on first use, with the fallbacks for logging in."""
    global _default
    if _default is None:
        _default = OperatorRegistry()
        _add_login_fallbacks(_default)
    return _default


def set_default_registry(registry: OperatorRegistry) -> None:
    """Sets the registry of decorators without `registry=`."""
    global _default
    _default = registry


def _add_login_fallbacks(registry: OperatorRegistry) -> None:
    from kopf import _logins  # it looks for installed libraries, which only the default registry needs

    for fn in _logins.fallbacks():
        registry._activities.append(_login_fallback(fn))


def _login_fallback(fn: Callable[..., Any]) -> ActivityDeclaration:
    return ActivityDeclaration(
        fn=fn, id=fn.__name__, activity="authentication", errors=ErrorsMode.IGNORED, is_fallback=True
    )
