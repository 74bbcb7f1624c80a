"""Handlers as they are declared: what the decorators make, and what the native engine reads.

The engine reads the attributes by their names, once per operator, when it is constructed. It never changes a declaration
and keeps it alive as long as the operator. What the values mean is in the documentation of the decorators.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from kopf import _signatures

if TYPE_CHECKING:
    import kopf

Kind = Literal["activity", "admission", "changing", "daemon", "index", "timer", "watching"]
Activity = Literal["startup", "cleanup", "authentication", "probe"]
Trigger = Literal["create", "update", "delete", "resume", "field", "sub"]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Declaration:
    """What all handlers have in common. ``None`` means "not set" everywhere."""

    kind: ClassVar[Kind]

    fn: Callable[..., Any]
    """The function as it was decorated: the identity of the handler."""
    id: str
    """The full id: with the parent's id before it and the field behind it (A-HID-004, A-HID-006)."""
    param: Any = None
    errors: kopf.ErrorsMode | None = None
    timeout: float | None = None
    retries: int | None = None
    backoff: float | None = None

    is_async: bool = dataclasses.field(init=False)
    """Whether the function is run in the event loop; else in a thread."""
    wanted: tuple[str, ...] | None = dataclasses.field(init=False)
    """The kwargs it takes by name; ``None`` if it must get all (DEC-8)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_async", _signatures.is_async(self.fn))
        object.__setattr__(self, "wanted", _signatures.wanted(self.fn))


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ActivityDeclaration(Declaration):
    """A handler of the operator as a whole: ``on.startup``, ``on.cleanup``, ``on.login``, ``on.probe``."""

    kind = "activity"

    activity: Activity
    is_fallback: bool = False
    """Runs only if there is no other handler of the activity (A-ACT-021)."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ResourceDeclaration(Declaration):
    """A handler of objects. Values of filters are literals, ``PRESENT``, ``ABSENT`` or callables."""

    selector: Any = None
    """A selector of resources, with the attributes ``group``, ``version``, ``kind``, ``plural``, ``singular``, ``shortcut``,
    ``category`` (``str | None``) and ``any_name`` (``str``, ``EVERYTHING``, a callable, or ``None``); ``None`` for sub-handlers."""
    labels: Mapping[str, Any] | None = None
    annotations: Mapping[str, Any] | None = None
    when: Callable[..., Any] | None = None
    field: tuple[str, ...] | None = None
    value: Any = None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class WatchingDeclaration(ResourceDeclaration):
    """``on.event``."""

    kind = "watching"


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class ChangingDeclaration(ResourceDeclaration):
    """``on.create``, ``on.update``, ``on.delete``, ``on.resume``, ``on.field``, and sub-handlers of these."""

    kind = "changing"

    trigger: Trigger
    old: Any = None
    new: Any = None
    deleted: bool | None = None
    """Of ``resume``: also for objects that are being deleted."""
    optional: bool | None = None
    """Of ``delete``: needs no finalizer."""
    needs_change: bool = False
    """Of ``sub``: the parent is an update or field handler, or a sub-handler of one (A-SUB-008)."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class IndexingDeclaration(ResourceDeclaration):
    """``index``. The id is the name of the index."""

    kind = "index"


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class DaemonDeclaration(ResourceDeclaration):
    """``daemon``."""

    kind = "daemon"

    initial_delay: float | Callable[..., float] | None = None
    cancellation_backoff: float | None = None
    cancellation_timeout: float | None = None
    cancellation_polling: float | None = None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class TimerDeclaration(ResourceDeclaration):
    """``timer``."""

    kind = "timer"

    interval: float | None = None
    initial_delay: float | Callable[..., float] | None = None
    sharp: bool | None = None
    idle: float | None = None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class AdmissionDeclaration(ResourceDeclaration):
    """``on.validate`` and ``on.mutate``."""

    kind = "admission"

    mutates: bool
    operations: Collection[str] | None = None
    subresource: str | None = None
    persistent: bool | None = None
    side_effects: bool | None = None
    ignore_failures: bool | None = None
