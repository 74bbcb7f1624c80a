"""The Python side of the engine: what the native module calls, and the driving of sub-handlers.

Nothing here decides anything about objects. What runs per call is in the native module; what is here runs when something
is logged, constructed, or has sub-handlers.
"""

import dataclasses
import datetime
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import kopf
from kopf import _diffbase, _errors, _loggers, _native, _progress, _selectors, _signatures
from kopf._handlers import Declaration

__all__ = ["Host", "execute", "host"]

objects = logging.getLogger("kopf.objects")

_WHERE_CLUSTERS_ARE = (
    "The cluster is the one of the current context in the file that KUBECONFIG names, or in ~/.kube/config; in a pod, that of "
    "its service account. What was tried, and why it failed, is logged above. Without a cluster at hand, try `kopf dev`."
)
_BUILTIN_LIFECYCLES = ("all_at_once", "one_by_one", "randomized", "shuffled", "asap")


@dataclasses.dataclass(frozen=True)
class HandlerState:
    """What a lifecycle sees of the progress of a handler."""

    retries: int
    started: datetime.datetime
    runtime: datetime.timedelta


class Host:
    """What the native module needs of the package. See `_Host` in its stub.

    Args:
        settings: The settings of the operator.
    """

    Patch = kopf.Patch
    Memo = kopf.Memo
    Diff = kopf.Diff
    DiffItem = kopf.DiffItem
    DiffOperation = kopf.DiffOperation
    Reason = kopf.Reason
    Resource = kopf.Resource
    TemporaryError = kopf.TemporaryError
    PermanentError = kopf.PermanentError
    HandlerChildrenRetry = _errors.HandlerChildrenRetry
    PRESENT = kopf.PRESENT
    ABSENT = kopf.ABSENT
    EVERYTHING = kopf.EVERYTHING
    ObjectLogger = _loggers.ObjectLogger
    LocalObjectLogger = _loggers.LocalObjectLogger
    TerseObjectLogger = _loggers.TerseObjectLogger
    lifecycles: Mapping[str, Callable[..., Any]] = {
        name: getattr(kopf.lifecycles, name) for name in _BUILTIN_LIFECYCLES
    }
    storages: tuple[type[Any], ...] = (*_progress.BUILTIN, *_diffbase.BUILTIN)

    wanted = staticmethod(_signatures.wanted)
    handler_state = HandlerState

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def log_object(
        self, level: int, message: str, ref: dict[str, Any], local: bool, error: BaseException | None
    ) -> None:
        """Logs a line of the engine about an object, as its logger would, but without a search for who has called."""
        if objects.isEnabledFor(level):
            exc_info = (type(error), error, error.__traceback__) if error is not None else None
            extra = {"k8s_ref": ref, "k8s_skip": local, "settings": self.settings}
            record = objects.makeRecord(objects.name, level, __file__, 0, message, (), exc_info, "log_object", extra)
            objects.handle(record)

    def object_level(self) -> int:
        """The lowest level of lines about objects that is wanted."""
        return max(objects.getEffectiveLevel(), logging.root.manager.disable + 1)

    def executor(self, settings: Any) -> Any:
        """The executor that the user has set for sync handlers; `None` for threads of the engine."""
        return settings.execution.executor if settings.execution.has_own_executor else None

    def selectors(self, texts: Mapping[Any, str]) -> list[tuple[Any, str]]:
        """The pairs of a mapping in the settings, with parsed selectors."""
        return list(_selectors.SelectorMapping(texts).items())

    def credentials(self, credentials: Any) -> dict[str, Any]:
        """What a login handler has returned, as the engine takes it (A-ACT-020).

        Raises:
            TypeError: It is no credentials.
        """
        if not isinstance(credentials, kopf.ConnectionInfo):
            raise TypeError(f"Only ConnectionInfo/AiohttpSession instances are accepted. Got: {type(credentials)}")
        fields = {field.name: getattr(credentials, field.name) for field in dataclasses.fields(credentials)}
        return {name: _plain(value) for name, value in fields.items() if value is not None}

    def failure(self, kind: str, message: str, cause: BaseException | None) -> BaseException:
        """The exception for what has ended the engine."""
        if kind == "plugin" and cause is not None:
            return cause
        classes = {"activity": _errors.ActivityError, "login": kopf.LoginError}
        error = classes.get(kind, RuntimeError)(message)
        error.__cause__ = cause
        if kind == "login":
            error.add_note(_WHERE_CLUSTERS_ARE)
        return error

    async def run_parent(self, invocation: _native.Invocation, awaitable: Any) -> Any:
        """Awaits a handler, and then, in the same task, the sub-handlers that it has declared (A-SUB-002)."""
        result = await awaitable
        if invocation.children:
            await execute(invocation, None, None)
        return result

    async def run_children(self, invocation: _native.Invocation, result: Any) -> Any:
        """Runs the sub-handlers that a sync handler has declared, after it has returned."""
        if invocation.children:
            await execute(invocation, None, None)
        return result


host = Host


async def execute(
    invocation: _native.Invocation, children: Iterable[Declaration] | None, lifecycle: Callable[..., Any] | None
) -> None:
    """Runs one step of the sub-handlers of a running handler.

    Args:
        invocation: The running handler.
        children: The sub-handlers; `None` for those that it has declared itself, which then are not run implicitly.
        lifecycle: Which of them run at a step; by default as of the operator.

    Raises:
        HandlerChildrenRetry: Some are not finished: the parent will be called again.
    """
    if children is None:
        children = list(invocation.children)
        invocation.children.clear()
    steps = invocation.subcycle(list(children), lifecycle)
    for child in steps:
        try:
            result = await _run(child)
        except Exception as error:
            steps.finished(child, None, error)
        else:
            steps.finished(child, result, None)
    if not steps.done:
        raise _errors.HandlerChildrenRetry("Not all sub-handlers have succeeded yet.", delay=steps.delay)


async def _run(child: _native.Invocation) -> Any:
    """Runs one sub-handler with its own sub-handlers in the current task."""
    with child:
        result = child.run()
        while inspect.isawaitable(result):
            result = await result
        if child.children:
            await execute(child, None, None)
        return result


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, datetime.datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=datetime.UTC)
        return aware.isoformat()
    return value
