"""Operators: started, embedded, stopped.

The engine does the work on its own threads; here are the tasks of the event loop around it: flags, signals, the order
of stopping. Their names and log lines are those that operators and their tests know.
"""

import asyncio
import contextlib
import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from kopf import _flags, _native, _pending, _settings, lifecycles
from kopf._context import event_queue_var, settings_var
from kopf._flags import Flag
from kopf._memo import Memo
from kopf._registry import OperatorRegistry, get_default_registry
from kopf._settings import OperatorSettings

__all__ = ["operator", "run", "run_tasks", "spawn_tasks"]

logger = logging.getLogger("kopf._core.reactor.running")

_HUNG_TASKS_TIMEOUT = 5.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

Task = asyncio.Task[None]


def run(*, loop: asyncio.AbstractEventLoop | None = None, **kwargs: Any) -> None:
    """Runs an operator until it is stopped. The arguments are those of `operator`.

    Args:
        loop: The event loop to run in; by default a new one.
        **kwargs: As of `operator`.
    """
    with contextlib.suppress(asyncio.CancelledError):
        if loop is None:
            asyncio.run(operator(**kwargs))
        else:
            loop.run_until_complete(operator(**kwargs))


async def operator(
    *,
    lifecycle: Callable[..., Any] | None = None,
    indexers: None = None,
    registry: OperatorRegistry | None = None,
    settings: OperatorSettings | None = None,
    memories: None = None,
    insights: None = None,
    identity: str | None = None,
    standalone: bool | None = None,
    priority: int | None = None,
    peering_name: str | None = None,
    liveness_endpoint: str | None = None,
    clusterwide: bool = False,
    namespaces: Collection[Any] = (),
    namespace: str | None = None,
    stop_flag: Flag | None = None,
    ready_flag: Flag | None = None,
    vault: Mapping[str, Any] | None = None,
    memo: object | None = None,
) -> None:
    """Runs an operator until it is stopped, in the current event loop.

    Args:
        lifecycle: Which handlers run at a step; by default `kopf.get_default_lifecycle()`.
        indexers: Only `None`.
        registry: The handlers; by default those of decorators without `registry=`.
        settings: The settings; by default new ones.
        memories: Only `None`.
        insights: Only `None`.
        identity: Who this operator is among others.
        standalone: Ignores other operators.
        priority: The priority among other operators.
        peering_name: The peering object.
        liveness_endpoint: The URL of the liveness endpoint.
        clusterwide: Serves the whole cluster.
        namespaces: Serves these namespaces: names, patterns, or regular expressions.
        namespace: Serves this namespace. Deprecated.
        stop_flag: Stops the operator when raised.
        ready_flag: Is raised when the handlers of startup have succeeded.
        vault: Credentials by names of one's own.
        memo: What handlers of startup and cleanup share, and what the memos of objects are copied from.

    Raises:
        TypeError: Arguments contradict each other, or are of kinds that cannot be used.
        NotImplementedError: A feature is asked for that is not available yet.
    """
    existing = asyncio.all_tasks()
    tasks = await spawn_tasks(
        lifecycle=lifecycle,
        indexers=indexers,
        registry=registry,
        settings=settings,
        memories=memories,
        insights=insights,
        identity=identity,
        standalone=standalone,
        priority=priority,
        peering_name=peering_name,
        liveness_endpoint=liveness_endpoint,
        clusterwide=clusterwide,
        namespaces=namespaces,
        namespace=namespace,
        stop_flag=stop_flag,
        ready_flag=ready_flag,
        vault=vault,
        memo=memo,
    )
    await run_tasks(tasks, ignored=existing)


async def spawn_tasks(
    *,
    lifecycle: Callable[..., Any] | None = None,
    indexers: None = None,
    registry: OperatorRegistry | None = None,
    settings: OperatorSettings | None = None,
    memories: None = None,
    insights: None = None,
    identity: str | None = None,
    standalone: bool | None = None,
    priority: int | None = None,
    peering_name: str | None = None,
    liveness_endpoint: str | None = None,
    clusterwide: bool = False,
    namespaces: Collection[Any] = (),
    namespace: str | None = None,
    stop_flag: Flag | None = None,
    ready_flag: Flag | None = None,
    vault: Mapping[str, Any] | None = None,
    memo: object | None = None,
) -> Collection[Task]:
    """Makes the tasks of an operator, to be given to `run_tasks`. The arguments are those of `operator`."""
    from kopf import _engine  # which needs the whole package

    for name, container in (("indexers", indexers), ("memories", memories), ("insights", insights)):
        if container is not None:
            raise TypeError(f"{name}= is kept by the engine, and cannot be given: {container!r}.")
    if vault is not None and not isinstance(vault, Mapping):
        raise TypeError(f"vault= must be a mapping of names to kopf.ConnectionInfo, not {vault!r}.")
    _flags.check("stop_flag", stop_flag)
    _flags.check("ready_flag", ready_flag)
    _pending.check()
    clusterwide, scope = _scope(clusterwide, namespaces, namespace)
    settings = OperatorSettings() if settings is None else settings
    _apply_peering(settings, clusterwide, standalone, priority, peering_name)
    if liveness_endpoint is not None:
        raise NotImplementedError(f"The liveness endpoint {liveness_endpoint!r} is not available in this version yet.")

    loop = asyncio.get_running_loop()
    chosen = get_default_registry() if registry is None else registry
    engine = _native.Engine(
        _engine.host(settings),
        chosen.declarations(),
        settings,
        memo=Memo() if memo is None else memo,
        lifecycle=lifecycles.get_default_lifecycle() if lifecycle is None else lifecycle,
        clusterwide=clusterwide,
        namespaces=scope,
        identity=identity,
        credentials=[] if vault is None else list(vault.values()),
        on_ready=lambda: loop.call_soon_threadsafe(_raise_ready, ready_flag),
    )
    settings_var.set(settings)
    event_queue_var.set(engine)
    stopping = _Stopping(settings)
    return {
        asyncio.create_task(_run_engine(engine, settings, stopping), name="engine"),
        asyncio.create_task(_wait_for_stop(stop_flag, stopping), name="stop-flag checker"),
    }


async def run_tasks(root_tasks: Collection[Task], *, ignored: Collection[asyncio.Task[Any]] = frozenset()) -> None:
    """Runs the tasks of an operator until any of them ends, and stops the others.

    Args:
        root_tasks: What `spawn_tasks` has returned.
        ignored: Tasks that have nothing to do with the operator, and are left running.

    Raises:
        Exception: What the first failed task has failed with.
    """
    tasks = set(root_tasks)
    cancelled = False
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        cancelled = True
    await _stop(tasks)
    hung = asyncio.all_tasks() - tasks - set(ignored) - {asyncio.current_task()}
    if hung:
        await asyncio.wait(hung, timeout=_HUNG_TASKS_TIMEOUT)
        await _stop(hung)
        logger.debug(
            f"Hung tasks are stopped: {'cancelling' if cancelled else 'finishing'} normally; tasks left: set()"
        )
    if cancelled:
        raise asyncio.CancelledError
    _reraise([*(task for task in root_tasks), *hung])


async def _stop(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancels the tasks and waits for them; a cancellation meanwhile is passed on to them."""
    for task in tasks:
        task.cancel()
    pending: set[asyncio.Task[Any]] = {task for task in tasks if not task.done()}
    while pending:
        try:
            _, pending = await asyncio.wait(pending)
        except asyncio.CancelledError:
            for task in pending:
                task.cancel()


def _reraise(tasks: Sequence[asyncio.Task[Any]]) -> None:
    errors = [task.exception() for task in tasks if not task.cancelled()]
    first = next((error for error in errors if error is not None), None)
    if first is not None:
        raise first


async def _run_engine(engine: _native.Engine, settings: OperatorSettings, stopping: "_Stopping") -> None:
    """The engine as a task: its end is the task's end, a cancellation is a stop."""
    ended = engine.start()
    unwatch = _settings.watch(lambda: engine.push_settings(settings))
    try:
        await asyncio.shield(ended)
    except asyncio.CancelledError:
        engine.stop()
        await _wait_out(ended)
        raise
    finally:
        unwatch()
        stopping.over()


async def _wait_out(ended: asyncio.Future[None]) -> None:
    """Waits for a stop that has begun, however often this is cancelled; its failure is the outcome."""
    while not ended.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(ended)
    ended.result()


async def _wait_for_stop(stop_flag: Flag | None, stopping: "_Stopping") -> None:
    """Ends when the operator is to stop: by a signal or by the flag. Then `run_tasks` stops the rest."""
    received = stopping.listen()
    waits: list[asyncio.Future[Any]] = [received]
    if stop_flag is not None:
        waits.append(asyncio.ensure_future(_flags.wait_flag(stop_flag)))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits[1:]:
            wait.cancel()
    if received.done():
        logger.info(f"Signal {received.result().name} is received. Operator is stopping.")
        stopping.begin()
        return
    result = waits[1].result()
    what = "raised" if result is None else f"set to {result!r}"
    logger.info(f"Stop-flag is {what}. Operator is stopping.")


class _Stopping:
    """What a stop needs: the signals that ask for it, and the kill of the process if it takes too long."""

    def __init__(self, settings: OperatorSettings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._installed: list[signal.Signals] = []
        self._timer: threading.Timer | None = None

    def listen(self) -> asyncio.Future[signal.Signals]:
        """The first of the signals that end processes, if they can be had here.

        They are caught until the operator has ended: a second one must not break the stop that the first has begun.
        """
        received: asyncio.Future[signal.Signals] = self._loop.create_future()

        def receive(which: signal.Signals) -> None:
            if not received.done():
                received.set_result(which)

        if threading.current_thread() is not threading.main_thread():
            logger.warning("OS signals are ignored: running not in the main thread.")
            return received
        try:
            for which in _SIGNALS:
                self._loop.add_signal_handler(which, receive, which)
                self._installed.append(which)
        except NotImplementedError:
            logger.warning("OS signals are ignored: can't add signal handler in Windows.")
        return received

    def begin(self) -> None:
        """The stop has begun: it has `settings.process.ultimate_exiting_timeout`."""
        timeout = self._settings.process.ultimate_exiting_timeout
        if timeout is not None and self._timer is None:
            self._timer = threading.Timer(timeout, os.kill, (os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM)))
            self._timer.daemon = True
            self._timer.start()

    def over(self) -> None:
        """The operator has ended."""
        for which in self._installed:
            self._loop.remove_signal_handler(which)
        if self._timer is not None:
            self._timer.cancel()


def _raise_ready(ready_flag: Flag | None) -> None:
    if ready_flag is not None:
        _flags.raise_flag(ready_flag)


def _scope(clusterwide: bool, namespaces: Collection[Any], namespace: str | None) -> tuple[bool, tuple[Any, ...]]:
    if namespace is not None:
        if namespaces:
            raise TypeError("Either namespaces= or the deprecated namespace= can be used, not both.")
        warnings.warn("namespace= is namespaces=[...] now.", DeprecationWarning, stacklevel=3)
        namespaces = [namespace]
    if clusterwide and namespaces:
        raise TypeError("The operator can be either clusterwide, or for namespaces, not both.")
    if not clusterwide and not namespaces:
        warnings.warn(
            "Absence of either namespaces or cluster-wide flag will become an error soon. "
            "For now, switching to the cluster-wide mode for backward compatibility.",
            FutureWarning,
            stacklevel=3,
        )
        return True, ()
    return clusterwide, (namespaces,) if isinstance(namespaces, str) else tuple(namespaces)


def _apply_peering(
    settings: OperatorSettings, clusterwide: bool, standalone: bool | None, priority: int | None, name: str | None
) -> None:
    settings.peering.clusterwide = clusterwide
    if standalone is not None:
        settings.peering.standalone = standalone
    if priority is not None:
        settings.peering.priority = priority
    if name is not None:
        settings.peering.name = name
        settings.peering.mandatory = True
    if settings.peering.standalone:
        return
    if settings.peering.mandatory:
        raise NotImplementedError(
            f"Peering (here with {settings.peering.name!r}) is not available in this version yet. "
            f"Run the operator with --standalone, and only once."
        )
    if settings.peering.priority:
        logger.warning("Peering is not available in this version yet: the priority has no effect on other operators.")
