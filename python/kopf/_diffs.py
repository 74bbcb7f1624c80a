"""Differences between two states of an object, as handlers see them. The engine computes them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, overload

from kopf._enums import DiffOperation
from kopf._typing import FieldPath

__all__ = ["Diff", "DiffItem"]


class DiffItem(NamedTuple):
    """One difference. `old` is `None` for what has appeared, `new` is `None` for what is gone."""

    operation: DiffOperation
    field: FieldPath
    old: Any
    new: Any

    @property
    def op(self) -> DiffOperation:
        """The same as `operation`."""
        return self.operation

    def __repr__(self) -> str:
        return repr(tuple(self))


class Diff(Sequence[DiffItem]):
    """All differences, in no particular order. Immutable; equal to any sequence of equal tuples."""

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[tuple[Any, ...]] = ()) -> None:
        self._items = tuple(_item(*item) for item in items)

    @overload
    def __getitem__(self, index: int) -> DiffItem: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[DiffItem, ...]: ...

    def __getitem__(self, index: int | slice) -> DiffItem | tuple[DiffItem, ...]:
        return self._items[index]

    def __iter__(self) -> Iterator[DiffItem]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(self._items)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Sequence) and not isinstance(other, str | bytes):
            return self._items == tuple(other)
        return NotImplemented

    def __repr__(self) -> str:
        return repr(self._items)

    def __reduce__(self) -> tuple[type["Diff"], tuple[tuple[tuple[Any, ...], ...]]]:
        return Diff, (tuple(tuple(item) for item in self._items),)


def _item(operation: str, field: Iterable[str], old: Any, new: Any) -> DiffItem:
    return DiffItem(DiffOperation(operation), tuple(field), old, new)
