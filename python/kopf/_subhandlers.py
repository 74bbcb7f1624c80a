"""Sub-handlers: handlers that are declared by a running handler, with a progress of their own."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from kopf import _functions
from kopf._declare import Decorator, criteria, make_id
from kopf._enums import ErrorsMode
from kopf._handlers import ChangingDeclaration, Declaration
from kopf._native import Invocation, current_invocation
from kopf._registry import OperatorRegistry
from kopf._typing import FieldSpec

__all__ = ["execute", "register", "subhandler"]

Fn = TypeVar("Fn", bound=Callable[..., Any])


def subhandler(
    *,
    id: str | None = None,
    param: Any | None = None,
    errors: ErrorsMode | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    backoff: float | None = None,
    labels: Mapping[str, Any] | None = None,
    annotations: Mapping[str, Any] | None = None,
    when: Callable[..., Any] | None = None,
    field: FieldSpec = None,
    value: Any = None,
    old: Any = None,
    new: Any = None,
) -> Decorator:
    """Makes the function a sub-handler of the handler that is running now.

    Raises:
        LookupError: When applied outside of handlers.
        TypeError: When applied in a handler that cannot have sub-handlers, or with filters that do not fit.
    """

    def decorator(fn: Fn) -> Fn:
        invocation = _current()
        parent = _parent(invocation, TypeError)
        filters = criteria(
            labels=labels, annotations=annotations, when=when, field=field, value=value, old=old, new=new
        )
        if (old is not None or new is not None) and not _sees_changes(parent):
            raise TypeError(
                f"The filters old= and new= need a parent handler of updates or of a field: {parent.id!r} is none."
            )
        options = {"param": param, "errors": errors, "timeout": timeout, "retries": retries, "backoff": backoff}
        _functions.warn_without_kwargs(fn)
        invocation.children.append(_child(parent, fn, id=id, **filters, **options))
        return fn

    return decorator


def register(
    fn: Fn,
    *,
    id: str | None = None,
    param: Any | None = None,
    errors: ErrorsMode | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    backoff: float | None = None,
    labels: Mapping[str, Any] | None = None,
    annotations: Mapping[str, Any] | None = None,
    when: Callable[..., Any] | None = None,
) -> Fn:
    """Makes the function a sub-handler of the handler that is running now, without a decorator."""
    decorator = subhandler(
        id=id,
        param=param,
        errors=errors,
        timeout=timeout,
        retries=retries,
        backoff=backoff,
        labels=labels,
        annotations=annotations,
        when=when,
    )
    return decorator(fn)


async def execute(
    *,
    fns: Iterable[Callable[..., Any]] | Mapping[str, Callable[..., Any]] | None = None,
    handlers: Iterable[Declaration] | None = None,
    registry: OperatorRegistry | None = None,
    lifecycle: Callable[..., Any] | None = None,
    cause: Any = None,
) -> None:
    """Runs sub-handlers now: the given ones, or those that were declared in the running handler.

    Args:
        fns: Functions, or functions by the ids of the sub-handlers.
        handlers: Ready declarations.
        registry: A registry with the handlers.
        lifecycle: Which of them run at a step; by default as for the running handler.
        cause: The cause of the running handler, and nothing else.

    Raises:
        TypeError: More than one source of sub-handlers is given.
        ValueError: The functions are neither a mapping nor iterable.
        LookupError: No handler with possible sub-handlers is running.
        RuntimeError: Functions are given in a handler that cannot have sub-handlers.
        HandlerChildrenRetry: Some sub-handlers are not finished yet. It must reach the framework.
    """
    from kopf import _engine  # which needs the whole package

    if sum(source is not None for source in (fns, handlers, registry)) > 1:
        raise TypeError("Only one of fns=, handlers=, registry= can be given.")
    invocation = _current()
    if cause is not None and cause is not invocation.cause:
        raise ValueError("Sub-handlers are called for the cause of the running handler; cause= can be no other.")
    if fns is None and handlers is None and registry is None:
        _parent(invocation, LookupError)
        await _engine.execute(invocation, None, lifecycle)
        return
    parent = _parent(invocation, RuntimeError)
    if fns is not None:
        chosen = _from_functions(parent, fns)
    elif registry is not None:
        chosen = list(registry._changing)
    else:
        chosen = list(handlers or ())
    await _engine.execute(invocation, chosen, lifecycle)


def _current() -> Invocation:
    try:
        return current_invocation()
    except LookupError:
        raise LookupError("Sub-handlers exist only inside of a running handler, and none is running here.") from None


def _parent(invocation: Invocation, refusal: type[Exception]) -> ChangingDeclaration:
    handler = invocation.handler
    if not isinstance(handler, ChangingDeclaration):
        raise refusal(f"The handler {handler.id!r} can have no sub-handlers: only handlers of changes can.")
    return handler


def _sees_changes(parent: ChangingDeclaration) -> bool:
    return parent.trigger in ("update", "field") or parent.needs_change


def _child(
    parent: ChangingDeclaration, fn: Callable[..., Any], *, id: str | None = None, **options: Any
) -> ChangingDeclaration:
    return ChangingDeclaration(
        fn=fn, id=make_id(fn, id=id, parent=parent.id), trigger="sub", needs_change=_sees_changes(parent), **options
    )


def _from_functions(parent: ChangingDeclaration, fns: Any) -> list[Declaration]:
    if isinstance(fns, Mapping):
        return [_child(parent, fn, id=id) for id, fn in fns.items()]
    if isinstance(fns, Iterable):
        return [_child(parent, fn) for fn in fns]
    raise ValueError(f"fns= must be functions, or a mapping of ids to functions, not {fns!r}.")
