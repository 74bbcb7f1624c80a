"""Names for annotations. At run time they are plain dictionaries, strings and callables."""

import logging
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, Literal, NewType, Protocol, TypedDict

__all__ = [
    "Annotations",
    "BodyEssence",
    "FieldPath",
    "FieldSpec",
    "HandlerId",
    "Headers",
    "Labels",
    "Logger",
    "ObjectReference",
    "Operation",
    "OwnerReference",
    "PatchFn",
    "ProgressRecord",
    "RawBody",
    "RawEvent",
    "RawEventType",
    "SSLPeer",
    "UserInfo",
    "WebhookClientConfig",
    "WebhookClientConfigService",
    "WebhookFn",
    "WebhookServerProtocol",
]

Labels = Mapping[str, str]
Annotations = Mapping[str, str]

FieldPath = tuple[str, ...]
FieldSpec = str | FieldPath | list[str] | None

HandlerId = NewType("HandlerId", str)

Logger = logging.Logger | logging.LoggerAdapter[Any]

Headers = Mapping[str, str]
SSLPeer = Mapping[str, Any]
Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]

RawEventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"] | None


class RawBody(TypedDict, total=False):
    """An object as the API shows it."""

    apiVersion: str
    kind: str
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]
    status: Mapping[str, Any]


class RawEvent(TypedDict, total=True):
    """A watch event. The type of an object from the initial listing is `None`."""

    type: RawEventType
    object: RawBody


class BodyEssence(TypedDict, total=False):
    """The part of an object whose changes are handled."""

    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]
    status: Mapping[str, Any]


class ObjectReference(TypedDict, total=False):
    """What names an object, in Kubernetes Events and logs."""

    apiVersion: str
    kind: str
    namespace: str | None
    name: str
    uid: str


class OwnerReference(TypedDict, total=False):
    """What names the owner of an object, in `metadata.ownerReferences`."""

    controller: bool
    blockOwnerDeletion: bool
    apiVersion: str
    kind: str
    name: str
    uid: str


class ProgressRecord(TypedDict, total=True):
    """The progress of one handler, as it is stored in the object between attempts."""

    started: str | None
    stopped: str | None
    delayed: str | None
    purpose: str | None
    retries: int | None
    success: bool | None
    failure: bool | None
    message: str | None
    subrefs: Sequence[str] | None


class UserInfo(TypedDict, total=False):
    """Who has sent an admission request."""

    username: str
    uid: str
    groups: list[str]


class WebhookClientConfigService(TypedDict, total=False):
    """A service through which the API server reaches a webhook."""

    namespace: str | None
    name: str | None
    path: str | None
    port: int | None


class WebhookClientConfig(TypedDict, total=False):
    """How the API server reaches a webhook."""

    caBundle: str | None
    url: str | None
    service: WebhookClientConfigService | None


PatchFn = Callable[[MutableMapping[str, Any]], None]


class WebhookFn(Protocol):
    """What a webhook server calls with an admission review; it answers with one."""

    async def __call__(
        self,
        request: Mapping[str, Any],
        *,
        webhook: str | None = None,
        headers: Mapping[str, str] | None = None,
        sslpeer: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any]: ...


WebhookServerProtocol = Callable[[WebhookFn], Any]
