"""The types of indices, for annotations. Indices themselves are not available yet."""

from collections.abc import Collection, Mapping
from typing import TypeVar

__all__ = ["Index", "Store"]

K = TypeVar("K")
V = TypeVar("V")


class Store(Collection[V]):
    """The values that objects have put into an index under one key: never empty, in no particular order."""


class Index(Mapping[K, Store[V]]):
    """What an indexer has returned for all objects, by keys."""
