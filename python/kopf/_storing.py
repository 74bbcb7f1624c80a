"""What the storages of progress and of the last handled state have in common."""

import warnings
from typing import Any

from kopf import _fields, _native
from kopf._typing import FieldPath, FieldSpec

__all__ = ["AnnotationKeys", "named"]

_LONGEST_PREFIX = 189  # of 253 for the whole name: a slash and 63 are for the part after the prefix


class AnnotationKeys:
    """A storage in annotations: how the ids of handlers become names of annotations."""

    def __init__(self, *, prefix: str, v1: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not prefix:
            raise ValueError("Annotations storages must be prefixed: prefix= must not be empty.")
        if len(prefix) > _LONGEST_PREFIX:
            warnings.warn(
                f"The annotations prefix {prefix!r} is longer than {_LONGEST_PREFIX} characters: "
                f"Kubernetes may refuse the annotations.",
                UserWarning,
                stacklevel=4,
            )
        self.prefix = prefix
        self.v1 = v1

    def make_keys(self, key: str, body: Any = None) -> list[str]:
        """The names of the annotations of an id, the newest format first.

        Args:
            key: The id of a handler.
            body: The object: annotations of ReplicaSets differ from those of the Deployments that they are copied from.
        """
        key = f"{key}-ofDRS" if _is_replicaset_of_deployment(body) else key
        names = [self.make_v2_key(key), *([self.make_v1_key(key)] if self.v1 else [])]
        return list(dict.fromkeys(names))

    def make_v1_key(self, key: str) -> str:
        """The name of the annotation as older versions made it."""
        return _native.make_v1_key(self.prefix, key)

    def make_v2_key(self, key: str) -> str:
        """The name of the annotation."""
        return _native.make_v2_key(self.prefix, key)


def named(field: FieldSpec, name: str) -> FieldPath:
    """The path of a field, with `{name}` replaced if it is a string."""
    return _fields.parse(field.format(name=name) if isinstance(field, str) else field)


def _is_replicaset_of_deployment(body: Any) -> bool:
    if body is None or body.get("kind") != "ReplicaSet":
        return False
    owners = _fields.resolve(body, ("metadata", "ownerReferences")) or []
    return any(owner.get("kind") == "Deployment" for owner in owners)
