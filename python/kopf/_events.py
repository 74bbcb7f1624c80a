"""Kubernetes Events that handlers post themselves. They are posted in the background, in the order of the calls."""

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kopf import _thirdparty
from kopf._context import event_queue_var, settings_var
from kopf._hierarchies import build_object_reference
from kopf._settings import OperatorSettings

__all__ = ["event", "exception", "info", "warn"]

Backoffs = float | Iterable[float] | None


def event(objs: Any, *, type: str, reason: str, message: str = "", backoffs: Backoffs = None) -> None:
    """Posts an Event of any type about each of the objects.

    Args:
        objs: An object, or any nesting of iterables of objects.
        type: The type: `Normal`, `Warning`, or any other word.
        reason: The reason, in one CamelCase word.
        message: The message.
        backoffs: Seconds between the attempts to post; by default `settings.posting.default_backoffs`.

    Raises:
        LookupError: When called outside of an operator.
    """
    if _settings().posting.enabled:
        _post(objs, type, reason, message, backoffs)


def info(objs: Any, *, reason: str, message: str = "", backoffs: Backoffs = None) -> None:
    """Posts an Event of the type `Normal` about each of the objects."""
    _post_at(logging.INFO, objs, "Normal", reason, message, backoffs)


def warn(objs: Any, *, reason: str, message: str = "", backoffs: Backoffs = None) -> None:
    """Posts an Event of the type `Warning` about each of the objects."""
    _post_at(logging.WARNING, objs, "Warning", reason, message, backoffs)


def exception(
    objs: Any,
    *,
    reason: str = "",
    message: str = "",
    exc: BaseException | None = None,
    backoffs: Backoffs = None,
) -> None:
    """Posts an Event of the type `Error` about each of the objects.

    Args:
        objs: An object, or any nesting of iterables of objects.
        reason: The reason; by default the class of the exception.
        message: What is put before the text of the exception.
        exc: The exception; by default the one that is being handled.
        backoffs: Seconds between the attempts to post.
    """
    error = sys.exception() if exc is None else exc
    words = [message, str(error) if error is not None else ""]
    default = "Error" if error is None else error.__class__.__name__
    _post_at(logging.ERROR, objs, "Error", reason or default, " ".join(word for word in words if word), backoffs)


def _post_at(level: int, objs: Any, type: str, reason: str, message: str, backoffs: Backoffs) -> None:
    posting = _settings().posting
    if posting.enabled and posting.level <= level:
        _post(objs, type, reason, message, backoffs)


def _post(objs: Any, type: str, reason: str, message: str, backoffs: Backoffs) -> None:
    queue = _queue()
    pauses = None if backoffs is None else as_pauses(backoffs)
    for body in _bodies(objs):
        reference = build_object_reference(body)
        if not _is_event(reference):
            queue.post(reference, type, reason, message, pauses)


def as_pauses(backoffs: float | Iterable[float]) -> list[float]:
    """A number, or several, as a list."""
    return list(backoffs) if isinstance(backoffs, Iterable) else [backoffs]


def _is_event(reference: Mapping[str, Any]) -> bool:
    """Events about Events would never end."""
    return reference.get("apiVersion") == "v1" and reference.get("kind") == "Event"


def _bodies(objs: Any) -> Iterator[Any]:
    if objs is None:
        return
    if isinstance(objs, Iterable) and not isinstance(objs, Mapping | str | bytes) and not _thirdparty.is_pykube(objs):
        for obj in objs:
            yield from _bodies(obj)
    else:
        yield objs


def _settings() -> OperatorSettings:
    try:
        return settings_var.get()
    except LookupError:
        # The queue alone may have been carried over to another context.
        _queue()
        return OperatorSettings()


def _queue() -> Any:
    try:
        return event_queue_var.get()
    except LookupError:
        raise LookupError("Kubernetes Events can be posted only from an operator, and none runs here.") from None
