"""Kubernetes operators of a few functions. The engine is in Rust.

Example:
    ```python
    import kopf

    @kopf.on.create("zalando.org", "v1", "kopfexamples")
    def create_fn(spec, **kwargs):
        print(f"And here we are! Creating: {spec}")
    ```
"""

import warnings
from typing import Any

from kopf import lifecycles, on
from kopf._combinators import all_, any_, none_, not_
from kopf._credentials import AiohttpSession, ConnectionInfo, LoginError
from kopf._diffbase import (
    AnnotationsDiffBaseStorage,
    DiffBaseStorage,
    MultiDiffBaseStorage,
    StatusDiffBaseStorage,
)
from kopf._diffs import Diff, DiffItem
from kopf._enums import ABSENT, PRESENT, DaemonStoppingReason, DiffOperation, ErrorsMode, LogFormat, Reason
from kopf._errors import (
    AdmissionError,
    HandlerRetriesError,
    HandlerTimeoutError,
    PermanentError,
    TemporaryError,
)
from kopf._events import event, exception, info, warn
from kopf._hierarchies import (
    adjust_namespace,
    adopt,
    append_owner_reference,
    build_object_reference,
    build_owner_reference,
    harmonize_naming,
    label,
    remove_owner_reference,
)
from kopf._indices import Index, Store
from kopf._loggers import LocalObjectLogger, ObjectLogger, configure
from kopf._logins import (
    login_via_async_client,
    login_via_client,
    login_via_pykube,
    login_with_kubeconfig,
    login_with_service_account,
)
from kopf._memo import Memo
from kopf._native import Body, Meta, Spec, Status
from kopf._patches import Patch
from kopf._progress import (
    AnnotationsProgressStorage,
    MultiProgressStorage,
    ProgressStorage,
    SmartProgressStorage,
    StatusProgressStorage,
)
from kopf._registry import OperatorRegistry, get_default_registry, set_default_registry
from kopf._resource import Resource
from kopf._running import operator, run, run_tasks, spawn_tasks
from kopf._selectors import EVERYTHING
from kopf._settings import OperatorSettings
from kopf._stoppers import AsyncDaemonStopperChecker, DaemonStopped, SyncDaemonStopperChecker
from kopf._subhandlers import execute
from kopf._typing import (
    Annotations,
    BodyEssence,
    FieldPath,
    FieldSpec,
    HandlerId,
    Headers,
    Labels,
    Logger,
    ObjectReference,
    Operation,
    OwnerReference,
    PatchFn,
    ProgressRecord,
    RawBody,
    RawEvent,
    RawEventType,
    SSLPeer,
    UserInfo,
    WebhookClientConfig,
    WebhookClientConfigService,
    WebhookFn,
    WebhookServerProtocol,
)
from kopf._version import __commit_id__, __version__, __version_tuple__  # noqa: F401 - public, but not for stars
from kopf._webhooks import (
    WebhookAutoServer,
    WebhookAutoTunnel,
    WebhookDockerDesktopServer,
    WebhookK3dServer,
    WebhookMinikubeServer,
    WebhookNgrokTunnel,
    WebhookServer,
)
from kopf.lifecycles import get_default_lifecycle, set_default_lifecycle
from kopf.on import daemon, index, register, subhandler, timer

__all__ = [
    "ABSENT",
    "EVERYTHING",
    "PRESENT",
    "AdmissionError",
    "AiohttpSession",
    "Annotations",
    "AnnotationsDiffBaseStorage",
    "AnnotationsProgressStorage",
    "AsyncDaemonStopperChecker",
    "Body",
    "BodyEssence",
    "ConnectionInfo",
    "DaemonStopped",
    "DaemonStoppingReason",
    "Diff",
    "DiffBaseStorage",
    "DiffItem",
    "DiffOperation",
    "ErrorsMode",
    "FieldPath",
    "FieldSpec",
    "HandlerId",
    "HandlerRetriesError",
    "HandlerTimeoutError",
    "Headers",
    "Index",
    "Labels",
    "LocalObjectLogger",
    "LogFormat",
    "Logger",
    "LoginError",
    "Memo",
    "Meta",
    "MultiDiffBaseStorage",
    "MultiProgressStorage",
    "ObjectLogger",
    "ObjectReference",
    "Operation",
    "OperatorRegistry",
    "OperatorSettings",
    "OwnerReference",
    "Patch",
    "PatchFn",
    "PermanentError",
    "ProgressRecord",
    "ProgressStorage",
    "RawBody",
    "RawEvent",
    "RawEventType",
    "Reason",
    "Resource",
    "SSLPeer",
    "SmartProgressStorage",
    "Spec",
    "Status",
    "StatusDiffBaseStorage",
    "StatusProgressStorage",
    "Store",
    "SyncDaemonStopperChecker",
    "TemporaryError",
    "UserInfo",
    "WebhookAutoServer",
    "WebhookAutoTunnel",
    "WebhookClientConfig",
    "WebhookClientConfigService",
    "WebhookDockerDesktopServer",
    "WebhookFn",
    "WebhookK3dServer",
    "WebhookMinikubeServer",
    "WebhookNgrokTunnel",
    "WebhookServer",
    "WebhookServerProtocol",
    "adjust_namespace",
    "adopt",
    "all_",
    "any_",
    "append_owner_reference",
    "build_object_reference",
    "build_owner_reference",
    "configure",
    "daemon",
    "event",
    "exception",
    "execute",
    "get_default_lifecycle",
    "get_default_registry",
    "harmonize_naming",
    "index",
    "info",
    "label",
    "lifecycles",
    "login_via_async_client",
    "login_via_client",
    "login_via_pykube",
    "login_with_kubeconfig",
    "login_with_service_account",
    "none_",
    "not_",
    "on",
    "operator",
    "register",
    "remove_owner_reference",
    "run",
    "run_tasks",
    "set_default_lifecycle",
    "set_default_registry",
    "spawn_tasks",
    "subhandler",
    "timer",
    "warn",
]

_FORMER_NAMES: dict[str, type[Exception]] = {
    "HandlerFatalError": PermanentError,
    "HandlerRetryError": TemporaryError,
}


def __getattr__(name: str) -> Any:
    if name in _FORMER_NAMES:
        current = _FORMER_NAMES[name]
        warnings.warn(f"kopf.{name} is kopf.{current.__name__} now.", DeprecationWarning, stacklevel=2)
        return current
    raise AttributeError(f"module 'kopf' has no attribute {name!r}")
