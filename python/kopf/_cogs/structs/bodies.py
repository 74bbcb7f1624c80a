"""Names that operators import for annotations."""

from kopf._hierarchies import build_object_reference, build_owner_reference
from kopf._native import Body, Meta, Spec, Status
from kopf._typing import (
    Annotations,
    BodyEssence,
    Labels,
    ObjectReference,
    OwnerReference,
    RawBody,
    RawEvent,
    RawEventType,
)

__all__ = [
    "Annotations",
    "Body",
    "BodyEssence",
    "Labels",
    "Meta",
    "ObjectReference",
    "OwnerReference",
    "RawBody",
    "RawEvent",
    "RawEventType",
    "Spec",
    "Status",
    "build_object_reference",
    "build_owner_reference",
]
