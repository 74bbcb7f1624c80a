"""Memos: what handlers remember of an object in memory."""

from typing import Any

__all__ = ["Memo"]


class Memo(dict[Any, Any]):
    """A dictionary whose keys are attributes too.

    Names of dictionary methods read as the methods (`memo.items`), but assigning them stores a key as any other name.

    Example:
        >>> memo = Memo()
        >>> memo.seen = 1
        >>> memo["seen"]
        1
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"The memo has no {name!r}: nothing has stored it yet.") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f"The memo has no {name!r}: nothing has stored it yet.") from None
