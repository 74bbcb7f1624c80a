"""Settings of an operator: plain attributes in groups, with the names and defaults of Kopf 1.45.2.

They may be changed at any time: whoever runs an operator watches them, and gives each change to the engine, which reads
a snapshot of its own. What is ours, and not of Kopf, says so.
"""

import concurrent.futures
import dataclasses
import logging
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from kopf._diffbase import AnnotationsDiffBaseStorage, DiffBaseStorage
from kopf._progress import ProgressStorage, SmartProgressStorage
from kopf._selectors import SelectorMapping

__all__ = ["OperatorSettings", "watch"]

Backoffs = float | Iterable[float]

_watchers: list[Callable[[], None]] = []


def watch(callback: Callable[[], None]) -> Callable[[], None]:
    """Calls back after every change of any settings, in the thread of the change. Returns what ends it."""
    _watchers.append(callback)
    return lambda: _watchers.remove(callback)


class _Group:
    """A group of settings: tells about changes, warns of names that nobody reads (FIX-33)."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not hasattr(type(self), name) and name not in _names(type(self)):
            warnings.warn(
                f"The settings have no {name!r} among {', '.join(sorted(_names(type(self))))}: it has no effect.",
                UserWarning,
                stacklevel=2,
            )
        object.__setattr__(self, name, value)
        for callback in tuple(_watchers):
            callback()


def _names(group: type) -> frozenset[str]:
    return frozenset(field.name for field in dataclasses.fields(group))


@dataclasses.dataclass
class ProcessSettings(_Group):
    """The process of the operator."""

    ultimate_exiting_timeout: float | None = 10 * 60
    """Seconds from the beginning of a stop to the kill of the process; `None` means never."""


@dataclasses.dataclass
class PostingSettings(_Group):
    """Kubernetes Events."""

    enabled: bool = True
    """Whether Events are posted at all."""

    progress: bool = True
    """Whether the progress of handling is posted: one Event per finished cycle, one per failed attempt. Not of Kopf."""

    loggers: bool = False
    """Whether log messages about objects are posted."""

    level: int = logging.INFO
    """The least level of log messages and of `kopf.info`, `kopf.warn`, `kopf.exception` that is posted."""

    default_backoffs: Backoffs = (1, 1, 2, 3, 5, 8, 13, 21)
    """Seconds between the attempts to post an Event of `kopf.event` and the like."""

    logging_backoffs: Backoffs = (1, 1, 2, 3, 5)
    """Seconds between the attempts to post a log message."""

    worker_limit: int | None = None
    """How many Events of different objects are posted at the same time; `None` means all."""

    idle_timeout: float = 1.0
    """Seconds after which nothing is kept for an object without Events."""

    reporting_component: str = "kopf"
    """Who reports."""

    reporting_instance: str = "dev"
    """Which instance of it."""

    event_name_prefix: str = "kopf-event-"
    """How the names of Events begin."""


@dataclasses.dataclass
class PeeringSettings(_Group):
    """Operators that know of each other."""

    name: str = "default"
    """The peering object."""

    stealth: bool = False
    """Whether keep-alives are not logged."""

    priority: int = 0
    """The operator with the highest priority works; the others pause."""

    lifetime: int = 60
    """Seconds after which an operator without keep-alives counts as dead."""

    mandatory: bool = False
    """Whether the operator pauses without the peering object."""

    standalone: bool = False
    """Whether the operator ignores all others."""

    clusterwide: bool = False
    """Whether the peering object is of the cluster. Set from the scope of the operator."""

    @property
    def namespaced(self) -> bool:
        """Whether the peering object is of a namespace."""
        return not self.clusterwide

    @namespaced.setter
    def namespaced(self, value: bool) -> None:
        self.clusterwide = not value


@dataclasses.dataclass
class WatchingSettings(_Group):
    """Listing and watching."""

    server_timeout: float | None = None
    """Seconds after which the server is asked to end a watch."""

    client_timeout: float | None = None
    """Seconds after which the operator ends a watch."""

    connect_timeout: float | None = None
    """Seconds for connecting; by default as in the networking settings."""

    reconnect_backoff: float = 0.1
    """Seconds between watches."""

    inactivity_timeout: float | None = 70.0
    """Seconds after which a silent watch is taken for dead."""

    chunk_size: int | None = None
    """How many objects a list asks for at once; `None` means all."""

    initial_streaming: bool = False
    """Whether the initial list comes as a stream."""

    label_selectors: Mapping[Any, str] = dataclasses.field(default_factory=SelectorMapping)
    """Label selectors by selectors of resources."""

    field_selectors: Mapping[Any, str] = dataclasses.field(default_factory=SelectorMapping)
    """Field selectors by selectors of resources."""

    shard_selectors: Mapping[Any, str] = dataclasses.field(default_factory=SelectorMapping)
    """Shard selectors by selectors of resources."""


@dataclasses.dataclass
class QueueingSettings(_Group):
    """The handling of objects side by side."""

    worker_limit: int | None = None
    """How many objects are handled at the same time; `None` means all."""

    idle_timeout: float = 5.0
    """Seconds after which nothing runs for an object without events."""

    exit_timeout: float = 2.0
    """Seconds for running handlers to finish when the operator stops."""

    error_delays: Iterable[float] = (1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610)
    """Seconds of pauses of an object after unexpected errors; the last repeats."""

    @property
    def batch_window(self) -> float:
        """Has no effect. Deprecated."""
        _deprecated("settings.queueing.batch_window has no effect any more.")
        return float(self.__dict__.get("_batch_window", 0.1))

    @batch_window.setter
    def batch_window(self, value: float) -> None:
        _deprecated("settings.queueing.batch_window has no effect any more.")
        self.__dict__["_batch_window"] = value


@dataclasses.dataclass
class ScanningSettings(_Group):
    """Discovery of resources and namespaces."""

    disabled: bool = False
    """Whether they are looked for only once, when the operator starts."""


@dataclasses.dataclass
class AdmissionSettings(_Group):
    """Admission webhooks."""

    server: Any | None = None
    """What serves the webhooks."""

    managed: str | None = None
    """The name of the configurations that the operator keeps in the cluster."""


class _DefaultExecutor(concurrent.futures.ThreadPoolExecutor):
    """The executor that nobody has replaced, so that the engine may use threads of its own instead."""


class _LazyExecutor:
    """Makes the executor when it is asked for: most operators never do. What is assigned wins over it."""

    def __get__(self, instance: "ExecutionSettings | None", owner: type) -> Any:
        if instance is None:
            return self
        return instance.__dict__.setdefault("executor", _DefaultExecutor(instance.max_workers))


@dataclasses.dataclass
class ExecutionSettings(_Group):
    """The running of handlers."""

    default_backoff: float = 60
    """Seconds until the next attempt after an arbitrary error of a handler without `backoff=`."""

    executor: ClassVar[Any] = _LazyExecutor()
    """The pool of threads for sync handlers; may be replaced."""

    @property
    def max_workers(self) -> int | None:
        """How many sync handlers run at the same time; `None` means the default of Python's executors."""
        return self.__dict__.get("max_workers")

    @max_workers.setter
    def max_workers(self, value: int) -> None:
        if value is None:
            raise TypeError("settings.execution.max_workers must be a number, not None.")
        if value < 1:
            raise ValueError(f"settings.execution.max_workers must be at least 1, not {value!r}.")
        executor = self.__dict__.get("executor")
        if executor is not None:
            if not hasattr(executor, "_max_workers"):
                raise TypeError(f"The executor {executor!r} cannot be resized: make it with the number of workers.")
            executor._max_workers = value
        self.__dict__["max_workers"] = value

    @property
    def has_own_executor(self) -> bool:
        """Whether the executor was replaced, so that sync handlers must run in it. Not of Kopf."""
        executor = self.__dict__.get("executor")
        return executor is not None and not isinstance(executor, _DefaultExecutor)


@dataclasses.dataclass
class BackgroundSettings(_Group):
    """Daemons and timers."""

    cancellation_polling: float = 60
    """Seconds between looks at a daemon that is asked to exit."""

    instant_exit_timeout: float | None = None
    """Seconds for a daemon to exit before that is logged."""

    instant_exit_zero_time_cycles: int | None = 10
    """Turns of the event loop for a daemon to exit before that is logged."""


@dataclasses.dataclass
class NetworkingSettings(_Group):
    """Requests to the API."""

    request_timeout: float | None = 5 * 60
    """Seconds for a request that is no watch."""

    connect_timeout: float | None = None
    """Seconds for connecting."""

    error_backoffs: Backoffs = (1, 1, 2, 3, 5, 8, 13, 21)
    """Seconds between the attempts of a request after errors that may pass."""

    enforce_retry_after: bool = False
    """Whether a `Retry-After` of the server holds even if it is shorter than the pause."""

    trust_env: bool = False
    """Whether proxies are taken from the environment."""


@dataclasses.dataclass
class PersistenceSettings(_Group):
    """What is kept in objects."""

    finalizer: str = "kopf.zalando.org/KopfFinalizerMarker"
    """What holds an object until its handlers of deletion have run."""

    progress_storage: ProgressStorage = dataclasses.field(default_factory=SmartProgressStorage)
    """Where the progress of handlers is kept."""

    diffbase_storage: DiffBaseStorage = dataclasses.field(default_factory=AnnotationsDiffBaseStorage)
    """Where the last handled state is kept."""

    consistency_timeout: float | None = 5.0
    """Seconds for the operator's own patch to come back in the stream."""


@dataclasses.dataclass
class OperatorSettings(_Group):
    """All settings of an operator, by groups."""

    process: ProcessSettings = dataclasses.field(default_factory=ProcessSettings)
    posting: PostingSettings = dataclasses.field(default_factory=PostingSettings)
    peering: PeeringSettings = dataclasses.field(default_factory=PeeringSettings)
    watching: WatchingSettings = dataclasses.field(default_factory=WatchingSettings)
    queueing: QueueingSettings = dataclasses.field(default_factory=QueueingSettings)
    scanning: ScanningSettings = dataclasses.field(default_factory=ScanningSettings)
    admission: AdmissionSettings = dataclasses.field(default_factory=AdmissionSettings)
    execution: ExecutionSettings = dataclasses.field(default_factory=ExecutionSettings)
    background: BackgroundSettings = dataclasses.field(default_factory=BackgroundSettings)
    networking: NetworkingSettings = dataclasses.field(default_factory=NetworkingSettings)
    persistence: PersistenceSettings = dataclasses.field(default_factory=PersistenceSettings)

    @property
    def batching(self) -> QueueingSettings:
        """The former name of `queueing`. Deprecated."""
        _deprecated("settings.batching is settings.queueing now.")
        return self.queueing


def _deprecated(message: str) -> None:
    warnings.warn(message, DeprecationWarning, stacklevel=3)
