"""Paths of fields inside of objects."""

from collections.abc import Mapping, MutableMapping
from typing import Any

from kopf._typing import FieldPath, FieldSpec

__all__ = ["ensure", "parse", "remove", "resolve"]


def parse(field: FieldSpec) -> FieldPath:
    """The keys of a dotted string, a tuple or a list; of nothing, no keys.

    Raises:
        ValueError: It is neither.
    """
    if field is None or field == "":
        return ()
    if isinstance(field, str):
        return tuple(field.split("."))
    if isinstance(field, list | tuple):
        return tuple(field)
    raise ValueError(f"A field must be a dotted string, or a list or tuple of keys, not {field!r}.")


def resolve(source: Any, path: FieldPath, default: Any = None) -> Any:
    """The value at the path; the default if any part of it is absent or no mapping."""
    for key in path:
        if not isinstance(source, Mapping) or key not in source:
            return default
        source = source[key]
    return source


def ensure(target: MutableMapping[str, Any], path: FieldPath, value: Any) -> None:
    """Sets the value at the path, making the mappings on the way."""
    *parents, last = path
    for key in parents:
        inner = target.setdefault(key, {})
        if not isinstance(inner, MutableMapping):
            raise TypeError(f"The field {'.'.join(path)} cannot be set: {key!r} is no mapping but {inner!r}.")
        target = inner
    target[last] = value


def remove(target: MutableMapping[str, Any], path: FieldPath) -> None:
    """Removes the value at the path, if any, and the mappings on the way that it has emptied."""
    key, *rest = path
    if not isinstance(target, MutableMapping) or key not in target:
        return
    if not rest:
        del target[key]
        return
    remove(target[key], tuple(rest))
    if target[key] == {}:
        del target[key]
