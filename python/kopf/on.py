"""Decorators that make functions handlers.

Example:
    ```python
    import kopf

    @kopf.on.create("zalando.org", "v1", "kopfexamples")
    def create_fn(spec, **kwargs):
        print(f"And here we are! Creating: {spec}")
    ```
"""

import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, NoReturn, TypeVar, cast

from kopf import _functions, _subhandlers
from kopf._declare import Decorator, criteria, make_id
from kopf._enums import ErrorsMode
from kopf._handlers import Activity, ActivityDeclaration, ChangingDeclaration, Trigger, WatchingDeclaration
from kopf._pending import Pending
from kopf._registry import OperatorRegistry, get_default_registry
from kopf._selectors import Marker, ResourceFn, Selector
from kopf._typing import FieldSpec, Operation

__all__ = [
    "cleanup",
    "create",
    "daemon",
    "delete",
    "event",
    "field",
    "index",
    "login",
    "mutate",
    "probe",
    "register",
    "resume",
    "startup",
    "subhandler",
    "timer",
    "update",
    "validate",
]

Fn = TypeVar("Fn", bound=Callable[..., Any])
Factory = TypeVar("Factory", bound=Callable[..., Any])
Name = str | Marker | ResourceFn
Criteria = Mapping[str, Any]

register = _subhandlers.register
subhandler = _subhandlers.subhandler


def _with_parentheses(factory: Factory) -> Factory:
    """Explains what is wrong when a decorator without positional arguments is used without parentheses."""

    @functools.wraps(factory)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if args:
            name = factory.__name__
            what = _functions.location(args[0]) if callable(args[0]) else repr(args[0])
            raise TypeError(
                f"@kopf.on.{name} accepts no positional arguments, but got {what}. Write @kopf.on.{name}()."
            )
        return factory(**kwargs)

    return cast(Factory, wrapper)


@_with_parentheses
def startup(
    *,
    id: str | None = None,
    param: Any | None = None,
    errors: ErrorsMode | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    backoff: float | None = None,
    registry: OperatorRegistry | None = None,
) -> Decorator:
    """Runs the function when the operator starts, before anything of the cluster is read."""
    options = {"param": param, "errors": errors, "timeout": timeout, "retries": retries, "backoff": backoff}
    return _activity("startup", id, registry, options)


@_with_parentheses
def cleanup(
    *,
    id: str | None = None,
    param: Any | None = None,
    errors: ErrorsMode | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    backoff: float | None = None,
    registry: OperatorRegistry | None = None,
) -> Decorator:
    """Runs the function when the operator stops, after everything else has ended."""
    options = {"param": param, "errors": errors, "timeout": timeout, "retries": retries, "backoff": backoff}
    return _activity("cleanup", id, registry, options)


@_with_parentheses
def login(
    *,
    id: str | None = None,
    param: Any | None = None,
    errors: ErrorsMode | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    backoff: float | None = None,
    registry: OperatorRegistry | None = None,
) -> Decorator:
    """Gets credentials from the function. Not available yet."""
    _not_available("on.login", "credentials come from the kubeconfig, or from the service account of the pod")


@_with_parentheses
def probe(
    *,
    id: str | None = None,
    param: Any | None = None,
    errors: ErrorsMode | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    backoff: float | None = None,
    registry: OperatorRegistry | None = None,
) -> Decorator:
    """Gets values for the liveness endpoint from the function. Not available yet."""
    _not_available("on.probe", "there is no liveness endpoint")


def event(
    # The resource:
    __group_or_name: Name | None = None,
    __version_or_name: Name | None = None,
    __name: Name | None = None,
    /,
    *,
    group: str | None = None,
    version: str | None = None,
    kind: str | None = None,
    plural: str | None = None,
    singular: str | None = None,
    shortcut: str | None = None,
    category: str | None = None,
    # The handler:
    id: str | None = None,
    param: Any | None = None,
    # The filters:
    labels: Criteria | None = None,
    annotations: Criteria | None = None,
    when: Callable[..., Any] | None = None,
    field: FieldSpec = None,
    value: Any = None,
    registry: OperatorRegistry | None = None,
) -> Decorator:
    """Runs the function on every watch event of the objects, without any memory in the objects.

    Functions for the same event run one after another, in the order of declaration; each gets the patch as the one before it
    has left it.
    """
    return _resource("event", locals())


def create(
    # The resource:
    __group_or_name: Name | None = None,
    __version_or_name: Name | None = None,
    __name: Name | None = None,
    /,
    *,
    group: str | None = None,
    version: str | None = None,
    kind: str | None = None,
    plural: str | None = None,
    singular: str | None = None,
    shortcut: str | None = None,
    category: str | None = None,
    # The handler:
    id: str | None = None,
    param: Any | None = None,
    errors: ErrorsMode | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    backoff: float | None = None,
    # The filters:
    labels: Criteria | None = None,
    annotations: Criteria | None = None,
    when: Callable[..., Any] | None = None,
    field: FieldSpec = None,
    value: Any = None,
    registry: OperatorRegistry | None = None,
) -> Decorator:
    """Runs the function once for every object that has not been handled yet."""
    return _resource("create", locals())


def update(
    # The resource:
    __group_or_name: Name | None = None,
    __version_or_name: Name | None = None,
    __name: Name | None = None,
    /,
    *,
    group: str | None = None,
    version: str | None = None,
    kind: str | None = None,
    plural: str | None = None,
    singular: str | None = None,
    shortcut: str | None = None,
    category: str | None = None,
    # The handler:
    id: str | None = None,
    param: Any | None = None,
    errors: ErrorsMode | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    backoff: float | None = None,
    # The filters:
    labels: Criteria | None = None,
    annotations: Criteria | None = None,
    when: Callable[..., Any] | None = None,
    field: FieldSpec = None,
    value: Any = None,
    old: Any = None,
    new: Any = None,
    registry: OperatorRegistry | None = None,
) -> Decorator:
    """Runs the function once for every change of an object; with `field=`, for changes of the field."""
    return _resource("update", locals())


def delete(
    # The resource:
    __group_or_name: Name | None = None,
    __version_or_name: Name | None = None,
    __name: Name | None = None,
    /,
    *,
    group: str | None = None,
    version: str | None = None,
    kind: str | None = None,
    plural: str | None = None,
    singular: str | None = None,
    shortcut: str | None = None,
    category: str | None = None,
    # The handler:
    id: str | None = None,
    param: Any | None = None,
    errors: ErrorsMode | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    backoff: float | None = None,
    optional: bool | None = None,
    # The filters:
    labels: Criteria | None = None,
    annotations: Criteria | None = None,
    when: Callable[..., Any] | None = None,
    field: FieldSpec = None,
    value: Any = None,
    registry: OperatorRegistry | None = None,
) -> Decorator:
    """Runs the function once before an object is gone. Unless `optional=True`, a finalizer holds the object until then."""
    return _resource("delete", locals())


def resume(
    # The resource:
    __group_or_name: Name | None = None,
    __version_or_name: Name | None = None,
    __name: Name | None = None,
    /,
    *,
    group: str | None = None,
    version: str | None = None,
    kind: str | None = None,
    plural: str | None = None,
    singular: str | None = None,
    shortcut: str | None = None,
    category: str | None = None,
    # The handler:
    id: str | None = None,
    param: Any | None = None,
    errors: ErrorsMode | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    backoff: float | None = None,
    deleted: bool | None = None,
    # The filters:
    labels: Criteria | None = None,
    annotations: Criteria | None = None,
    when: Callable[..., Any] | None = None,
    field: FieldSpec = None,
    value: Any = None,
    registry: OperatorRegistry | None = None,
) -> Decorator:
    """Runs the function once per start of the operator for every object that was handled before."""
    return _resource("resume", locals())


def field(
    # The resource:
    __group_or_name: Name | None = None,
    __version_or_name: Name | None = None,
    __name: Name | None = None,
    /,
    *,
    group: str | None = None,
    version: str | None = None,
    kind: str | None = None,
    plural: str | None = None,
    singular: str | None = None,
    shortcut: str | None = None,
    category: str | None = None,
    # The handler:
    id: str | None = None,
    param: Any | None = None,
    errors: ErrorsMode | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    backoff: float | None = None,
    # The filters:
    labels: Criteria | None = None,
    annotations: Criteria | None = None,
    when: Callable[..., Any] | None = None,
    field: FieldSpec,
    value: Any = None,
    old: Any = None,
    new: Any = None,
    registry: OperatorRegistry | None = None,
) -> Decorator:
    """Runs the function once for every change of a field, also when the object appears or is deleted with one."""
    return _resource("field", locals())


def validate(
    # The resource:
    __group_or_name: Name | None = None,
    __version_or_name: Name | None = None,
    __name: Name | None = None,
    /,
    *,
    group: str | None = None,
    version: str | None = None,
    kind: str | None = None,
    plural: str | None = None,
    singular: str | None = None,
    shortcut: str | None = None,
    category: str | None = None,
    # The handler:
    id: str | None = None,
    param: Any | None = None,
    operation: Operation | None = None,
    operations: Collection[Operation] | None = None,
    subresource: str | None = None,
    persistent: bool | None = None,
    side_effects: bool | None = None,
    ignore_failures: bool | None = None,
    # The filters:
    labels: Criteria | None = None,
    annotations: Criteria | None = None,
    when: Callable[..., Any] | None = None,
    field: FieldSpec = None,
    value: Any = None,
    registry: OperatorRegistry | None = None,
) -> Decorator:
    """Checks objects before they are stored. Not available yet."""
    _not_available("on.validate", "there are no admission webhooks")


def mutate(
    # The resource:
    __group_or_name: Name | None = None,
    __version_or_name: Name | None = None,
    __name: Name | None = None,
    /,
    *,
    group: str | None = None,
    version: str | None = None,
    kind: str | None = None,
    plural: str | None = None,
    singular: str | None = None,
    shortcut: str | None = None,
    category: str | None = None,
    # The handler:
    id: str | None = None,
    param: Any | None = None,
    operation: Operation | None = None,
    operations: Collection[Operation] | None = None,
    subresource: str | None = None,
    persistent: bool | None = None,
    side_effects: bool | None = None,
    ignore_failures: bool | None = None,
    # The filters:
    labels: Criteria | None = None,
    annotations: Criteria | None = None,
    when: Callable[..., Any] | None = None,
    field: FieldSpec = None,
    value: Any = None,
    registry: OperatorRegistry | None = None,
) -> Decorator:
    """Changes objects before they are stored. Not available yet."""
    _not_available("on.mutate", "there are no admission webhooks")


def index(
    # The resource:
    __group_or_name: Name | None = None,
    __version_or_name: Name | None = None,
    __name: Name | None = None,
    /,
    *,
    group: str | None = None,
    version: str | None = None,
    kind: str | None = None,
    plural: str | None = None,
    singular: str | None = None,
    shortcut: str | None = None,
    category: str | None = None,
    # The handler:
    id: str | None = None,
    param: Any | None = None,
    errors: ErrorsMode | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    backoff: float | None = None,
    # The filters:
    labels: Criteria | None = None,
    annotations: Criteria | None = None,
    when: Callable[..., Any] | None = None,
    field: FieldSpec = None,
    value: Any = None,
    registry: OperatorRegistry | None = None,
) -> Decorator:
    """Keeps what the function returns in an index in memory. Not available yet."""
    _not_available("index", "there are no indices")


def daemon(
    # The resource:
    __group_or_name: Name | None = None,
    __version_or_name: Name | None = None,
    __name: Name | None = None,
    /,
    *,
    group: str | None = None,
    version: str | None = None,
    kind: str | None = None,
    plural: str | None = None,
    singular: str | None = None,
    shortcut: str | None = None,
    category: str | None = None,
    # The handler:
    id: str | None = None,
    param: Any | None = None,
    errors: ErrorsMode | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    backoff: float | None = None,
    initial_delay: float | Callable[..., float] | None = None,
    cancellation_backoff: float | None = None,
    cancellation_timeout: float | None = None,
    cancellation_polling: float | None = None,
    # The filters:
    labels: Criteria | None = None,
    annotations: Criteria | None = None,
    when: Callable[..., Any] | None = None,
    field: FieldSpec = None,
    value: Any = None,
    registry: OperatorRegistry | None = None,
) -> Decorator:
    """Runs the function in the background as long as the object exists. Not available yet."""
    _not_available("daemon", "there are no background handlers")


def timer(
    # The resource:
    __group_or_name: Name | None = None,
    __version_or_name: Name | None = None,
    __name: Name | None = None,
    /,
    *,
    group: str | None = None,
    version: str | None = None,
    kind: str | None = None,
    plural: str | None = None,
    singular: str | None = None,
    shortcut: str | None = None,
    category: str | None = None,
    # The handler:
    id: str | None = None,
    param: Any | None = None,
    errors: ErrorsMode | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    backoff: float | None = None,
    interval: float | None = None,
    initial_delay: float | Callable[..., float] | None = None,
    sharp: bool | None = None,
    idle: float | None = None,
    # The filters:
    labels: Criteria | None = None,
    annotations: Criteria | None = None,
    when: Callable[..., Any] | None = None,
    field: FieldSpec = None,
    value: Any = None,
    registry: OperatorRegistry | None = None,
) -> Decorator:
    """Runs the function regularly as long as the object exists. Not available yet."""
    _not_available("timer", "there are no background handlers")


_POSITIONAL = ("__group_or_name", "__version_or_name", "__name")
_SELECTION = ("group", "version", "kind", "plural", "singular", "shortcut", "category")
_OPTIONS = ("param", "errors", "timeout", "retries", "backoff")
_SPECIFIC = ("deleted", "optional")
_FILTERS = ("labels", "annotations", "when", "field", "value", "old", "new")


def _activity(
    activity: Activity, id: str | None, registry: OperatorRegistry | None, options: dict[str, Any]
) -> Decorator:
    def decorator(fn: Fn) -> Fn:
        target = get_default_registry() if registry is None else registry
        _functions.warn_without_kwargs(fn)
        target._activities.append(ActivityDeclaration(fn=fn, id=make_id(fn, id=id), activity=activity, **options))
        return fn

    return decorator


def _resource(trigger: Trigger | Literal["event"], given: dict[str, Any]) -> Decorator:
    """The decorator for the arguments of one of the factories above; they are checked when it is applied (A-DEC-002)."""
    args = _without_trailing_nones([given[name] for name in _POSITIONAL])
    pending = Pending(f"on.{trigger}", args[0] if len(args) == 1 and callable(args[0]) else None)

    def decorator(fn: Fn) -> Fn:
        pending.applied()
        target = get_default_registry() if given["registry"] is None else given["registry"]
        filters = criteria(**_only(given, _FILTERS))
        common = {
            "fn": fn,
            "id": make_id(fn, id=given["id"], field=filters["field"]),
            "selector": Selector.parse(*args, **_only(given, _SELECTION)),
            **filters,
            **_only(given, _OPTIONS),
        }
        _functions.warn_without_kwargs(fn)
        if trigger == "event":
            target._watching.append(WatchingDeclaration(**common))
        else:
            target.add_changing(ChangingDeclaration(trigger=trigger, **common, **_only(given, _SPECIFIC)))
        return fn

    return decorator


def _only(given: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: given[name] for name in names if name in given}


def _without_trailing_nones(args: list[Any]) -> list[Any]:
    while args and args[-1] is None:
        args.pop()
    return args


def _not_available(decorator: str, consequence: str) -> NoReturn:
    raise NotImplementedError(
        f"@kopf.{decorator} is not available in this version of kopf-rs yet: {consequence}. "
        f"The operator is not started, because the handler would silently never be called."
    )
