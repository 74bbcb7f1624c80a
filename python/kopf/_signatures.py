"""What a function tells about how it wants to be called: async or not, and with which keyword arguments.

Nothing is called here, and nothing but signatures and bytecode is looked at.
"""

from __future__ import annotations

import dis
import functools
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

# Functions that can reach the dictionary behind ``**kwargs`` without naming it.
_INTROSPECTING = frozenset({"locals", "vars", "eval", "exec", "dir", "_getframe", "currentframe", "stack"})


def is_async(fn: Callable[..., Any]) -> bool:
    """Whether calling ``fn`` makes a coroutine: looks at the outermost callable first, then at what it wraps (FIX-28)."""
    return any(map(_is_coroutine_function, _unwrapped(fn)))


def wanted(fn: Callable[..., Any]) -> tuple[str, ...] | None:
    """The names of the keyword arguments that ``fn`` takes, or ``None`` if it must get everything there is (DEC-8).

    A function gets only the named ones if it has a ``**`` parameter that its code never reads. One without a ``**``
    parameter gets everything, so that it fails as the framework's contract says (A-DEC-035).
    """
    call = fn
    while isinstance(call, functools.partial):
        call = call.func
    bound = isinstance(call, types.MethodType)
    function = call.__func__ if isinstance(call, types.MethodType) else call
    if not isinstance(function, types.FunctionType):
        return None
    code = function.__code__
    if not code.co_flags & inspect.CO_VARKEYWORDS or _reads_kwargs(code):
        return None
    start = max(code.co_posonlyargcount, 1 if bound else 0)
    return code.co_varnames[start : code.co_argcount + code.co_kwonlyargcount]


def _unwrapped(fn: Any) -> Iterator[Any]:
    seen: set[int] = set()
    while fn is not None and id(fn) not in seen:
        seen.add(id(fn))
        yield fn
        fn = fn.func if isinstance(fn, functools.partial) else getattr(fn, "__wrapped__", None)


def _is_coroutine_function(fn: Any) -> bool:
    return inspect.iscoroutinefunction(fn) or (
        not isinstance(fn, (types.FunctionType, types.MethodType, type, functools.partial))
        and inspect.iscoroutinefunction(inspect.getattr_static(type(fn), "__call__", None))
    )


def _reads_kwargs(code: types.CodeType) -> bool:
    name = code.co_varnames[code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)]
    if name in code.co_cellvars or any(not _INTROSPECTING.isdisjoint(c.co_names) for c in _nested(code)):
        return True
    return any(_loads(instruction, name) for instruction in dis.get_instructions(code))


def _loads(instruction: dis.Instruction, name: str) -> bool:
    # Two variables at once in 3.13: the argument is a tuple of names then.
    names = instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,)
    return "LOAD_FAST" in instruction.opname and name in names


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _nested(const)
