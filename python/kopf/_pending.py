"""Decorators that were used without parentheses, or applied to nothing, and so have registered nothing (FIX-27, DEC-16).

`@kopf.on.create` above a function takes the function for a selector of resources, and waits to be applied. Nothing is
guessed from signatures: what is still unapplied when the handlers are loaded is an error.
"""

import itertools
import os.path
import sys
from collections.abc import Callable
from typing import Any

from kopf import _tracebacks
from kopf._functions import location

__all__ = ["Pending", "check"]

_PACKAGE = os.path.dirname(__file__)
_numbers = itertools.count()
_pending: dict[int, "Pending"] = {}


class Pending:
    """A decorator of handlers of resources, until it is applied.

    Args:
        decorator: Its name, as in `on.create`.
        selector: A function as its only selector, if it is one: most likely the handler, and the parentheses are missing.
    """

    def __init__(self, decorator: str, selector: Callable[..., Any] | None) -> None:
        self._number = next(_numbers)
        if selector is not None:
            self._text = (
                f"@kopf.{decorator} above {location(selector)} has no parentheses, or was applied to no function. "
                f"Write @kopf.{decorator}(...) with the resource in the parentheses."
            )
        else:
            self._text = (
                f"kopf.{decorator}(...) of {_user_line()} was applied to no function, so that it does nothing. "
                f"Write it as a decorator, @kopf.{decorator}(...), or apply it: kopf.{decorator}(...)(fn)."
            )
        _pending[self._number] = self

    def applied(self) -> None:
        """The decorator got its function."""
        _pending.pop(self._number, None)

    def __str__(self) -> str:
        return self._text


def _user_line() -> str:
    """The file and the line from which the framework was called."""
    frame = sys._getframe()
    while frame.f_back is not None and os.path.dirname(frame.f_code.co_filename) == _PACKAGE:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def check() -> None:
    """Fails if any decorator has not been applied; forgets them, so that the next loading starts anew.

    Raises:
        TypeError: Names the decorators, the functions, and where they are.
    """
    texts = [str(pending) for pending in _pending.values()]
    _pending.clear()
    if texts:
        raise _tracebacks.expected(TypeError("\n".join(texts)))
