"""The engine, as Python sees it. Private: everything here is reached through the ``kopf`` package.

Who does what:

- The native side runs the engine on its own threads, calls handlers in the event loop and in worker threads, makes their
  kwargs, converts results and patches, and keeps memos and views. It reads declarations (``kopf._handlers``) and settings
  by the names of their attributes.
- The Python side declares handlers, owns the classes that users subclass, instantiate or type-check against, formats and
  configures logging, and drives sub-handlers inside their parent's task (``kopf._engine``).
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self, final

from typing_extensions import disjoint_base

from kopf._handlers import Declaration

__all__ = [
    "Body",
    "Cause",
    "DevCluster",
    "DiffBaseFormat",
    "Engine",
    "Invocation",
    "MappingView",
    "Meta",
    "ProgressFormat",
    "Spec",
    "Status",
    "Subcycle",
    "current_invocation",
    "diff",
    "json_patch",
    "load_yaml",
    "make_v1_key",
    "make_v2_key",
    "merge_patch",
]

class _Host(Protocol):
    """The Python classes and functions that the engine needs; `kopf._engine.Host` takes them from the package."""

    Patch: Any  # Patch(src, /, body=None, fns=())
    Memo: Any
    Diff: Any  # Diff(iterable of DiffItem)
    DiffItem: Any  # DiffItem(operation, field, old, new)
    DiffOperation: Any  # DiffOperation(str)
    Reason: Any  # Reason(str)
    Resource: Any  # Resource(**the attributes of A-PUB-071)
    TemporaryError: Any
    PermanentError: Any
    HandlerChildrenRetry: Any
    PRESENT: Any
    ABSENT: Any
    EVERYTHING: Any
    ObjectLogger: Any  # ObjectLogger(body=, settings=): changing handlers, daemons, timers
    LocalObjectLogger: Any  # LocalObjectLogger(body=, settings=): event and admission handlers
    TerseObjectLogger: Any  # TerseObjectLogger(body=, settings=): indexers
    lifecycles: Any  # a dict: built-in lifecycles by name: recognised by identity (DEC-6)
    storages: Any  # a tuple of classes: built-in storages: recognised by exact type; each has an attribute `_native`
    wanted: Any  # of `kopf._signatures`
    handler_state: Any  # handler_state(retries, started, runtime): an item of `state` of lifecycles

    def log_object(
        self, level: int, message: str, ref: dict[str, Any], local: bool, error: BaseException | None, /
    ) -> None: ...
    def object_level(self) -> int: ...  # the lowest level of lines about objects that is wanted
    def executor(self, settings: Any, /) -> Any: ...  # the executor of sync handlers; None for the engine's own threads
    def selectors(
        self, texts: Any, /
    ) -> list[tuple[Any, str]]: ...  # the parsed selectors of a mapping in the settings
    def credentials(self, credentials: Any, /) -> dict[str, Any]: ...  # a `ConnectionInfo` as JSON-like values
    def failure(
        self, kind: str, message: str, cause: BaseException | None, /
    ) -> BaseException: ...  # "activity", "login", ...
    def run_parent(
        self, invocation: Invocation, awaitable: Any, /
    ) -> Any: ...  # async: awaits it, then runs its sub-handlers
    def run_children(
        self, invocation: Invocation, result: Any, /
    ) -> Any: ...  # async: only its sub-handlers, returns the result

# Views of objects (A-VIEW). `Spec(body)`, `Meta(body)`, `Status(body)` take a body; `Body(mapping)` takes anything.

@disjoint_base
class MappingView(Mapping[str, Any]):
    """A read-only view of a mapping somewhere in an object; empty if it is absent or no mapping."""

    def __getitem__(self, key: str, /) -> Any: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __copy__(self) -> dict[str, Any]: ...
    def __deepcopy__(self, memo: Any, /) -> dict[str, Any]: ...
    def get(self, key: str, default: Any = None, /) -> Any: ...
    def keys(self) -> Any: ...
    def values(self) -> Any: ...
    def items(self) -> Any: ...

@disjoint_base
class Body(MappingView):
    """The whole object."""

    def __new__(cls, source: Mapping[str, Any], /) -> Self: ...
    @property
    def metadata(self) -> Meta: ...
    @property
    def meta(self) -> Meta: ...
    @property
    def spec(self) -> Spec: ...
    @property
    def status(self) -> Status: ...

class Spec(MappingView):
    def __new__(cls, source: Mapping[str, Any], /) -> Self: ...

class Status(MappingView):
    def __new__(cls, source: Mapping[str, Any], /) -> Self: ...

@disjoint_base
class Meta(MappingView):
    def __new__(cls, source: Mapping[str, Any], /) -> Self: ...
    @property
    def name(self) -> str | None: ...
    @property
    def namespace(self) -> str | None: ...
    @property
    def uid(self) -> str | None: ...
    @property
    def labels(self) -> MappingView: ...
    @property
    def annotations(self) -> MappingView: ...
    @property
    def creation_timestamp(self) -> str | None: ...
    @property
    def deletion_timestamp(self) -> str | None: ...

# What is being handled.

@final
class Cause:
    """What handlers get as ``cause``: every kwarg of a resource handler is an attribute, but for those of the attempt
    (A-KW-014, A-OPEN-002). Made lazily, shared by all handlers of one step."""

    @property
    def reason(self) -> Any: ...
    @property
    def initial(self) -> bool: ...
    @property
    def deleted(self) -> bool: ...
    @property
    def type(self) -> str | None: ...
    @property
    def event(self) -> dict[str, Any]: ...
    @property
    def body(self) -> Body: ...
    @property
    def spec(self) -> Spec: ...
    @property
    def meta(self) -> Meta: ...
    @property
    def status(self) -> Status: ...
    @property
    def labels(self) -> MappingView: ...
    @property
    def annotations(self) -> MappingView: ...
    @property
    def name(self) -> str | None: ...
    @property
    def namespace(self) -> str | None: ...
    @property
    def uid(self) -> str | None: ...
    @property
    def resource(self) -> Any: ...
    @property
    def patch(self) -> Any: ...
    @property
    def memo(self) -> Any: ...
    @property
    def logger(self) -> Any: ...
    @property
    def old(self) -> Any: ...
    @property
    def new(self) -> Any: ...
    @property
    def diff(self) -> Any: ...

@final
class Invocation:
    """One attempt of one handler. The running one is what `kopf.adopt`, `kopf.event`, `kopf.execute` and the like refer to.
    As a context manager it makes itself the running one."""

    @property
    def engine(self) -> Engine: ...
    @property
    def handler(self) -> Declaration: ...
    @property
    def cause(self) -> Cause | None: ...  # None in activities
    @property
    def settings(self) -> Any: ...
    @property
    def children(self) -> list[Declaration]: ...  # declared by `subhandler` and `register`, not executed yet
    def kwargs(self) -> dict[str, Any]: ...  # all of them, whatever the handler names
    def subcycle(self, children: Sequence[Declaration], lifecycle: Callable[..., Any] | None, /) -> Subcycle: ...
    def run(self) -> Any: ...  # an awaitable of the result, in the current task or, if sync, in a thread
    def __enter__(self) -> Self: ...
    def __exit__(self, *_arguments: object) -> None: ...

@final
class Subcycle:
    """One step of the sub-handlers of a running handler (DEC-5): iterate, run each invocation, and report how it ended.
    Nothing else may run between an item and its report."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Invocation: ...
    def finished(self, invocation: Invocation, result: Any, error: BaseException | None, /) -> None: ...
    @property
    def done(self) -> bool: ...
    @property
    def delay(self) -> float | None: ...  # to the earliest unfinished child

def current_invocation() -> Invocation:
    """The running one. LookupError outside of handlers."""

# The engine.

@final
class Engine:
    """One operator. Not started by construction; refuses to be used in a forked child."""

    def __new__(
        cls,
        host: _Host,
        declarations: Iterable[Declaration],
        settings: Any,
        *,
        memo: Any = None,
        lifecycle: Callable[..., Any] | None = None,
        clusterwide: bool = False,
        namespaces: Sequence[Any] | None = None,
        identity: str | None = None,
        credentials: Iterable[Any] | None = None,
        on_ready: Callable[[], object] | None = None,
    ) -> Self: ...
    def start(self) -> asyncio.Future[None]:
        """Starts in the running loop, with a copy of the current context for every call. The future ends when the operator
        has ended, with the error that ended it. To be called once."""
    def stop(self) -> None:
        """Begins a graceful stop. Any thread, any number of times."""
    def push_settings(self, settings: Any, /) -> None:
        """Takes a snapshot of the settings. Any thread."""
    def post(
        self,
        reference: Mapping[str, Any],
        type: str,
        reason: str,
        message: str,
        backoffs: Sequence[float] | None = None,
        /,
    ) -> None:
        """Posts a Kubernetes Event in the background. Any thread."""

# Storages: the formats in which progress and the last handled state are kept in objects. `body` is a mapping, `patch` a dict.

@final
class ProgressFormat:
    """What a built-in progress storage delegates to, as its attribute `_native`."""

    @staticmethod
    def annotations(prefix: str, verbose: bool, touch_key: str, v1: bool, /) -> ProgressFormat: ...
    @staticmethod
    def status(field: Sequence[str], touch_field: Sequence[str], /) -> ProgressFormat: ...
    @staticmethod
    def smart(annotations: ProgressFormat, status: ProgressFormat, /) -> ProgressFormat: ...
    @staticmethod
    def multi(formats: Sequence[ProgressFormat], /) -> ProgressFormat: ...
    def fetch(self, key: str, body: Mapping[str, Any], /) -> dict[str, Any] | None: ...
    def store(self, key: str, record: Mapping[str, Any], body: Mapping[str, Any], patch: dict[str, Any], /) -> None: ...
    def purge(self, key: str, body: Mapping[str, Any], patch: dict[str, Any], /) -> None: ...
    def touch(self, body: Mapping[str, Any], patch: dict[str, Any], value: str | None, /) -> None: ...
    def clear(self, essence: Mapping[str, Any], /) -> dict[str, Any]: ...

@final
class DiffBaseFormat:
    """What a built-in diff-base storage delegates to, as its attribute `_native`."""

    @staticmethod
    def annotations(prefix: str, key: str, ignored_fields: Sequence[Sequence[str]], v1: bool, /) -> DiffBaseFormat: ...
    @staticmethod
    def status(field: Sequence[str], ignored_fields: Sequence[Sequence[str]], /) -> DiffBaseFormat: ...
    @staticmethod
    def multi(formats: Sequence[DiffBaseFormat], /) -> DiffBaseFormat: ...
    @staticmethod
    def plain(ignored_fields: Sequence[Sequence[str]], /) -> DiffBaseFormat: ...  # only builds: for user's own storages
    def build(
        self, body: Mapping[str, Any], extra_fields: Iterable[Sequence[str]] | None = None, /
    ) -> dict[str, Any]: ...
    def fetch(self, body: Mapping[str, Any], /) -> dict[str, Any] | None: ...
    def store(self, body: Mapping[str, Any], patch: dict[str, Any], essence: Mapping[str, Any], /) -> None: ...

def make_v1_key(prefix: str, key: str, /) -> str: ...
def make_v2_key(prefix: str, key: str, /) -> str: ...

# Values.

def diff(old: Any, new: Any, /) -> list[tuple[str, tuple[str, ...], Any, Any]]:
    """The differences of two JSON-like values (A-DIF)."""

def json_patch(old: Any, new: Any, /) -> list[dict[str, Any]]:
    """The operations (RFC 6902) that turn one JSON-like value into the other."""

def merge_patch(value: Any, patch: Any, /) -> Any:
    """A copy of the value with a merge patch (RFC 7386) applied."""

def load_yaml(text: str, /) -> Any:
    """The first document of a YAML text."""

# The dev cluster.

@final
class DevCluster:
    """A Kubernetes API server in this process, on threads of its own, behind an HTTP listener."""

    def __new__(
        cls,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = False,
        control: bool = False,
        rbac: bool = False,
        seed: int | None = None,
        deterministic: int | None = None,
    ) -> Self: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    @property
    def url(self) -> str: ...
    @property
    def kubeconfig(self) -> str: ...  # the text of the file
    def control(self, method: str, path: str, body: str, /) -> str: ...  # JSON in and out; the path after /_dev/
    def apply(self, manifests: str, /) -> list[str]: ...  # YAML documents; returns "kind/name created" and the like
