"""Logging: what a line about an object carries, and how lines look. All of it is Python's own `logging`."""

import datetime
import json
import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

from kopf._context import event_queue_var
from kopf._enums import LogFormat
from kopf._native import Body

__all__ = [
    "LocalObjectLogger",
    "LogFormat",
    "ObjectFormatter",
    "ObjectJsonFormatter",
    "ObjectLogger",
    "ObjectTextFormatter",
    "TerseObjectLogger",
    "configure",
]

objects = logging.getLogger("kopf.objects")

_Adapter = logging.LoggerAdapter[logging.Logger]


class ObjectLogger(_Adapter):
    """The logger of an object. Its lines may become Kubernetes Events (`settings.posting.loggers`).

    Records have the attributes `k8s_ref` (what names the object), `k8s_skip` and `settings`.

    Args:
        body: The object.
        settings: The settings of the operator.
    """

    skip = False
    _extra: Mapping[str, object] | None = None

    def __init__(self, *, body: Mapping[str, Any], settings: Any) -> None:
        super().__init__(objects, None)
        self._body = body
        self._settings = settings

    @property
    def extra(self) -> Mapping[str, object]:
        """What every line carries. Made for the first of them: most handlers log nothing."""
        if self._extra is None:
            ref = _reference(self._body)
            self._extra = {"k8s_ref": ref, "k8s_skip": self.skip, "settings": self._settings}
        return self._extra

    @extra.setter
    def extra(self, extra: Mapping[str, object] | None) -> None:
        self._extra = extra

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Adds what names the object to what the caller gives as `extra=`."""
        kwargs["extra"] = {**self.extra, **(kwargs.get("extra") or {})}
        return msg, kwargs


class LocalObjectLogger(ObjectLogger):
    """The logger of an object whose lines never become Kubernetes Events."""

    skip = True


class TerseObjectLogger(LocalObjectLogger):
    """The logger of an object for what is too frequent to be shown: information is shown where debugging is."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - of logging
        """Whether a line of the level is shown."""
        return super().isEnabledFor(logging.DEBUG if level <= logging.INFO else level)


def _reference(body: Mapping[str, Any]) -> dict[str, Any]:
    # A view makes no objects of what is not asked for, and reads a broken stanza as an empty one.
    meta = body.meta if isinstance(body, Body) else body.get("metadata") or {}
    return {
        "apiVersion": body.get("apiVersion"),
        "kind": body.get("kind"),
        "name": meta.get("name"),
        "uid": meta.get("uid"),
        "namespace": meta.get("namespace"),
    }


class ObjectFormatter(logging.Formatter):
    """A formatter that knows of objects. `kopf.configure` makes only such."""


class ObjectTextFormatter(ObjectFormatter):
    """Lines of text, with the object before the message.

    Args:
        fmt: The format of the line.
        prefix: Whether messages about objects begin with `[namespace/name]`.
    """

    def __init__(self, fmt: str, *, prefix: bool = False) -> None:
        super().__init__(fmt)
        self.prefix = prefix

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return super().format(_prefixed(record) if self.prefix else record)


class ObjectJsonFormatter(ObjectFormatter):
    """Lines of JSON, with the object under a key of its own.

    Args:
        refkey: The key of the object.
        prefix: Whether messages about objects begin with `[namespace/name]`.
    """

    def __init__(self, *, refkey: str | None = None, prefix: bool = False) -> None:
        super().__init__()
        self.refkey = refkey or "object"
        self.prefix = prefix

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        shown = _prefixed(record) if self.prefix else record
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {
            "message": shown.getMessage(),
            **{key: value for key, value in vars(record).items() if key not in _HIDDEN},
            "timestamp": moment.isoformat(),
            "severity": _severity(record.levelno),
        }
        if record.exc_info:
            line["exc_info"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack_info"] = self.formatStack(record.stack_info)
        if hasattr(record, "k8s_ref"):
            line[self.refkey] = record.k8s_ref
        return json.dumps(line, default=str)


_HIDDEN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "k8s_ref", "k8s_skip", "settings"}


def _prefixed(record: logging.LogRecord) -> logging.LogRecord:
    ref = getattr(record, "k8s_ref", None)
    if not ref:
        return record
    name, namespace = ref.get("name"), ref.get("namespace")
    # What `copy.copy` does, at a quarter of the time.
    shown = object.__new__(type(record))
    vars(shown).update(vars(record))
    shown.msg = f"[{namespace}/{name}] {record.getMessage()}" if namespace else f"[{name}] {record.getMessage()}"
    shown.args = None
    return shown


def _severity(level: int) -> str:
    limits = [(logging.DEBUG, "debug"), (logging.INFO, "info"), (logging.WARNING, "warn"), (logging.ERROR, "error")]
    return next((word for limit, word in limits if level <= limit), "fatal")


def configure(
    debug: bool | None = None,
    verbose: bool | None = None,
    quiet: bool | None = None,
    log_format: LogFormat | str = LogFormat.FULL,
    log_prefix: bool | None = False,
    log_refkey: str | None = None,
) -> None:
    """Sets up the root logger: one handler to stderr, which replaces the one of the call before.

    Args:
        debug: Shows debugging, that of asyncio included.
        verbose: Shows debugging.
        quiet: Shows only warnings and errors.
        log_format: One of `kopf.LogFormat`, or a format string of `logging`.
        log_prefix: Whether messages about objects begin with `[namespace/name]`; `None` means in text only.
        log_refkey: The key of the object in JSON.

    Raises:
        ValueError: The format is neither.
    """
    handler = _ConsoleHandler()
    handler.setFormatter(_formatter(log_format, log_prefix, log_refkey))
    root = logging.getLogger()
    for previous in [other for other in root.handlers if isinstance(other, _ConsoleHandler)]:
        root.removeHandler(previous)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if debug or verbose else logging.WARNING if quiet else logging.INFO)
    asyncio_logger = logging.getLogger("asyncio")
    asyncio_logger.propagate = bool(debug)
    if not any(isinstance(other, logging.NullHandler) for other in asyncio_logger.handlers):
        asyncio_logger.addHandler(logging.NullHandler())


def _formatter(log_format: LogFormat | str, prefix: bool | None, refkey: str | None) -> ObjectFormatter:
    if log_format is LogFormat.JSON:
        return ObjectJsonFormatter(refkey=refkey, prefix=bool(prefix))
    text = log_format.value if isinstance(log_format, LogFormat) else log_format
    if not isinstance(text, str):
        raise ValueError(f"The log format must be one of kopf.LogFormat, or a format string, not {log_format!r}.")
    return ObjectTextFormatter(text, prefix=prefix is None or prefix)


class _ConsoleHandler(logging.StreamHandler[TextIO]):
    """Writes to what is stderr at the moment: tests replace it and close it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the line."""
        self.stream = sys.stderr
        super().emit(record)


class _PostingHandler(logging.Handler):
    """Makes Kubernetes Events of lines about objects, where the settings ask for it (A-EVT-012)."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line becomes an Event."""
        posting = getattr(getattr(record, "settings", None), "posting", None)
        if posting is None or getattr(record, "k8s_skip", False) or not hasattr(record, "k8s_ref"):
            return False
        return bool(posting.enabled and posting.loggers and record.levelno >= posting.level)

    def emit(self, record: logging.LogRecord) -> None:
        """Posts the Event, if an operator runs here."""
        queue = event_queue_var.get(None)
        ref: dict[str, Any] = getattr(record, "k8s_ref", {})
        if queue is None or (ref.get("apiVersion"), ref.get("kind")) == ("v1", "Event"):
            return
        backoffs = record.settings.posting.logging_backoffs  # type: ignore[attr-defined] # checked by the filter
        pauses = [backoffs] if isinstance(backoffs, int | float) else list(backoffs)
        queue.post(ref, _event_type(record.levelno), "Logging", record.getMessage(), pauses)


def _event_type(level: int) -> str:
    words = {10: "Debug", 20: "Normal", 30: "Warning", 40: "Error", 50: "Fatal"}
    return next((word for limit, word in words.items() if level <= limit), logging.getLevelName(level))


objects.addHandler(_PostingHandler())
