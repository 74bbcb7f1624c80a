"""What is known of functions that users hand over: their ids, their kinds, where they are written."""

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

from kopf._signatures import is_async

__all__ = ["function_id", "location", "reject_async", "warn_without_kwargs"]


def unwrap(fn: Any) -> Any:
    """The innermost function below partials and `functools.wraps` decorators."""
    while True:
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif hasattr(fn, "__wrapped__"):
            fn = fn.__wrapped__
        else:
            return fn


def function_id(fn: Any) -> str:
    """The id that a handler gets from its function.

    Raises:
        ValueError: The function has no name of its own, so that an explicit `id=` is needed.
    """
    if fn is None:
        raise ValueError("Cannot build a persistent id of None: there is no function.")
    inner = unwrap(fn)
    name = getattr(inner, "__qualname__", None) or getattr(inner, "__name__", None)
    if not isinstance(name, str) or not hasattr(inner, "__code__"):
        raise ValueError(f"Cannot get id of {fn!r}. Give it an explicit id=...")
    if getattr(inner, "__name__", None) == "<lambda>":
        return f"lambda:{inner.__code__.co_filename}:{inner.__code__.co_firstlineno}"
    return name


def reject_async(fn: Any, what: str) -> None:
    """Refuses async functions where the answer is needed at once (FIX-23).

    Raises:
        TypeError: The function is async.
    """
    if callable(fn) and is_async(fn):
        raise TypeError(
            f"{what} must be a plain function, not an async one: {location(fn)}. "
            f"It is called for its result at once, and a coroutine would always count as true."
        )


def location(fn: Any) -> str:
    """Where a function is written, for messages: `fn (file.py:12)`, or its repr."""
    inner = unwrap(fn)
    if inspect.ismethod(inner):
        inner = inner.__func__
    code = getattr(inner, "__code__", None)
    if code is None:
        return repr(fn)
    return f"{inner.__qualname__} ({code.co_filename}:{code.co_firstlineno})"


def warn_without_kwargs(fn: Callable[..., Any]) -> None:
    """Warns about a handler that cannot accept the arguments it does not name (FIX-36)."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):  # builtins tell no signature
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    message = (
        f"The handler {location(fn)} has no **kwargs: it will fail with TypeError when it is called, "
        f"because handlers are given more arguments than they name. Add **kwargs or **_ to it."
    )
    code = getattr(unwrap(fn), "__code__", None)
    if code is None:
        warnings.warn(message, UserWarning, stacklevel=4)
    else:
        warnings.warn_explicit(message, UserWarning, code.co_filename, code.co_firstlineno)
