"""Decorators that were used without parentheses, and so have registered nothing (FIX-27).

`@kopf.on.create` above a function takes the function for a selector of resources, and waits to be applied. Nothing is
guessed from signatures: what is still unapplied when the handlers are loaded is an error.
"""

import itertools
from collections.abc import Callable
from typing import Any

from kopf import _tracebacks
from kopf._functions import location

__all__ = ["Pending", "check"]

_numbers = itertools.count()
_pending: dict[int, "Pending"] = {}


class Pending:
    """A decorator with a function as its selector, until it is applied."""

    def __init__(self, decorator: str, selector: Callable[..., Any]) -> None:
        self._number = next(_numbers)
        self._text = (
            f"@kopf.{decorator} above {location(selector)} has no parentheses, or was applied to no function. "
            f"Write @kopf.{decorator}(...) with the resource in the parentheses."
        )
        _pending[self._number] = self

    def applied(self) -> None:
        """The decorator got its function."""
        _pending.pop(self._number, None)

    def __str__(self) -> str:
        return self._text


def check() -> None:
    """Fails if any decorator has not been applied; forgets them, so that the next loading starts anew.

    Raises:
        TypeError: Names the decorators, the functions, and where they are.
    """
    texts = [str(pending) for pending in _pending.values()]
    _pending.clear()
    if texts:
        raise _tracebacks.expected(TypeError("\n".join(texts)))
