"""What real operators do, each thing of which would break a naive re-implementation. Others are tested beside their parts."""

import asyncio
import copy
import functools
import hashlib
import json
import logging
import pickle
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pydantic
import pytest
from helpers import CRD, EXAMPLES, PATIENCE, Api, Calls, Cluster, Logs, RunningOperator, example, has_status, is_handled

import kopf

MakeOperator = Callable[..., RunningOperator]

BODY: dict[str, Any] = {
    "apiVersion": "kopf.dev/v1",
    "kind": "KopfExample",
    "metadata": {"name": "n", "namespace": "ns", "labels": {"x": "y"}, "annotations": {"a": "b"}},
    "spec": {"items": [{"a": 1}], "name": "text", "float": 1.0, "nothing": None},
    "status": {},
}


def test_private_names_in_annotations() -> None:
    """`from kopf._cogs.structs.bodies import Body`."""
    from kopf._cogs.structs.bodies import Body

    assert Body is kopf.Body


def test_lengths_of_the_parts_of_registries(registry: kopf.OperatorRegistry) -> None:
    """`registry._activities._handlers` and so on, with `len()`."""

    def fn(**_: Any) -> None: ...

    kopf.on.startup()(fn)
    kopf.on.create("kex")(fn)
    kopf.on.update("kex")(fn)
    kopf.on.event("kex")(fn)
    parts = ("_activities", "_indexing", "_watching", "_spawning", "_changing", "_webhooks")
    assert [len(getattr(registry, part)._handlers) for part in parts] == [1, 0, 1, 0, 2, 0]


def test_former_names_of_errors() -> None:
    """`kopf.HandlerFatalError`, `class X(kopf.PermanentError)`."""
    with pytest.warns(DeprecationWarning, match="PermanentError"):
        assert kopf.HandlerFatalError is kopf.PermanentError  # type: ignore[attr-defined]
    assert issubclass(type("X", (kopf.TemporaryError,), {}), Exception)


def test_types_in_annotations_that_are_evaluated_at_import() -> None:
    """`kopf.Index[Any, Any]` and others."""

    def fn(
        logger: kopf.Logger | kopf.ObjectLogger,
        labels: kopf.Labels,
        annotations: kopf.Annotations,
        meta: kopf.Meta,
        spec: kopf.Spec,
        status: kopf.Status,
        patch: kopf.Patch,
        body: kopf.Body,
        diff: kopf.Diff,
        stopped: kopf.DaemonStopped,
        reason: kopf.Reason,
        event: kopf.RawEvent,
        memo: kopf.Memo,
        index: kopf.Index[Any, Any],
        store: kopf.Store[Any],
        **_: Any,
    ) -> None: ...

    assert fn.__annotations__["body"] is kopf.Body


def test_foreign_decorators_around_handlers(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """Decorators above or below, made with `functools.wraps` or not; `when=` being a decorated function."""

    def timed(fn: Any) -> Any:
        @functools.wraps(fn)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return fn(*args, **kwargs)

        return wrapper

    @timed
    def condition(spec: Any, **_: Any) -> bool:
        return "field" in spec

    @timed
    @kopf.on.create("kex", when=condition)
    @timed
    async def asynchronous(name: str, **_: Any) -> None:
        calls.put(name)

    @kopf.on.create("kex", id="partial")
    @functools.partial
    def synchronous(name: str, **_: Any) -> None:
        calls.put(name)

    with operator():
        api.create(example())
        assert [calls.next(), calls.next()] == ["one", "one"]
        api.wait(is_handled)


def test_handlers_call_each_other(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """With `**kwargs`, even `del kwargs['new']; other(new=..., **kwargs)`; keyword-only and `*args` signatures."""

    def other(new: Any, name: str, **_: Any) -> None:
        calls.put((new, name))

    @kopf.on.create("kex")
    def one(*, spec: Any, **kwargs: Any) -> None:
        del kwargs["new"]
        other(new=1, **kwargs)

    @kopf.on.create("kex")
    def two(logger: Any, *args: Any, **_: Any) -> None:
        calls.put((args, logger is not None))

    with operator():
        api.create(example())
        assert [calls.next(), calls.next()] == [(1, "one"), ((), True)]
        api.wait(is_handled)


def test_callable_objects_as_subhandlers(api: Api, operator: MakeOperator) -> None:
    """`kopf.register(fn=SubHandlerObject(...), id='...')`."""

    class SubHandler:
        async def __call__(self, **_: Any) -> str:
            return "called"

    @kopf.on.create("kex", id="fn")
    def fn(**_: Any) -> None:
        kopf.register(fn=SubHandler(), id="x")

    with operator():
        api.create(example())
        assert api.wait(has_status("fn/x"))["status"] == {"fn/x": "called"}


def test_pydantic_models_of_views() -> None:
    """`Model(**spec)`, `Model.model_validate(body)`."""

    class Spec(pydantic.BaseModel):
        items: list[dict[str, int]]
        name: str

    class Body(pydantic.BaseModel):
        spec: Spec
        metadata: dict[str, Any]

    body = kopf.Body(BODY)
    assert Spec(**body.spec).items == [{"a": 1}]
    assert Spec.model_validate(body.spec).name == "text"
    assert Body.model_validate(body).metadata["name"] == "n"
    assert Body(**body).spec.name == "text"


def test_dictionaries_of_views() -> None:
    """`dict(labels) | {...}`, `labels.update(view)`, `copy.deepcopy(spec)`, `json.dumps` of what is nested."""
    body = kopf.Body(BODY)
    assert dict(body.meta.labels) | {"z": "1"} == {"x": "y", "z": "1"}
    labels = {"z": "1"}
    labels.update(body.meta.labels)
    assert labels == {"x": "y", "z": "1"}
    assert copy.deepcopy(body.spec) == BODY["spec"]
    assert copy.copy(body) == BODY
    assert pickle.loads(pickle.dumps(body)) == BODY
    assert json.loads(json.dumps({key: body[key] for key in body})) == BODY
    with pytest.raises(TypeError):
        json.dumps(body)


def test_what_is_nested_is_real() -> None:
    """`isinstance(spec['list'], list)`, `isinstance(item, dict)`; views are mappings and not changeable."""
    spec = kopf.Body(BODY).spec
    assert type(spec["items"]) is list
    assert type(spec["items"][0]) is dict
    assert type(spec["float"]) is float
    assert spec["nothing"] is None
    assert isinstance(spec, Mapping)
    assert not isinstance(spec, dict)
    with pytest.raises(TypeError):
        spec["x"] = 1  # type: ignore[index]
    with pytest.raises(TypeError):
        hash(spec)


def test_attributes_of_views() -> None:
    """`body.metadata.annotations`, `body.meta.labels`, `meta.name`, `KeyError`, `meta.get('resourceVersion')`."""
    body = kopf.Body(BODY)
    assert body.metadata.annotations == {"a": "b"}
    assert body.meta.labels == {"x": "y"}
    assert (body.meta.name, body.meta.namespace, body.meta.uid) == ("n", "ns", None)
    assert (body.meta.creation_timestamp, body.meta.deletion_timestamp) == (None, None)
    assert body.meta.get("resourceVersion") is None
    with pytest.raises(KeyError):
        body.meta.labels["absent"]


def test_texts_of_views_depend_on_the_content_only(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """`hashlib.md5(str(spec).encode())` compared between retries, even after restarts."""

    @kopf.on.create("kex")
    def fn(spec: Any, retry: int, **_: Any) -> None:
        calls.put((hashlib.md5(str(spec).encode()).hexdigest(), f"{spec}"))
        if not retry:
            raise kopf.TemporaryError("again", delay=0.5)

    content = {"a": [{"x": None, "y": 1.5}], "b": 1, "t": "it's"}  # sorted, as the server keeps it
    with operator():
        api.create(example(spec=content))
        first = calls.next()
    with operator():
        assert calls.next() == first
        api.wait(is_handled)
    assert first[1] == str(content)


def test_changes_of_what_is_nested_stay_in_the_handler(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """`domain['url'] = ...` must not fail, is seen on the next access, and must not leak to the differences."""

    @kopf.on.create("kex")
    @kopf.on.update("kex")
    def fn(spec: Any, body: Any, diff: Any, **_: Any) -> None:
        spec["box"]["mine"] = 1
        spec["items"].append("mine")
        calls.put((spec["box"], body["spec"]["items"], [tuple(item)[:2] for item in diff][-1]))

    with operator():
        api.create(example(spec={"box": {"a": 1}, "items": []}))
        assert calls.next()[:2] == ({"a": 1, "mine": 1}, ["mine"])
        obj = api.wait(is_handled)
        assert obj["spec"] == {"box": {"a": 1}, "items": []}
        api.patch({"spec": {"box": {"a": 2}}})
        assert calls.next() == ({"a": 2, "mine": 1}, ["mine"], ("change", ("spec", "box", "a")))
        api.wait(is_handled)


def test_bodies_are_kept_and_used_later_and_elsewhere(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """In global dictionaries, in other handlers, in other threads."""
    kept: dict[str, Any] = {}

    @kopf.on.event("kex")
    def fn(body: Any, name: str, **_: Any) -> None:
        kept[name] = body
        calls.put(name)

    with operator():
        api.create(example("a", spec={"x": {"y": 1}}))
        api.create(example("b"))
        assert {calls.next(), calls.next()} == {"a", "b"}
    assert kept["a"].spec["x"]["y"] == 1
    assert isinstance(kept["a"], kopf.Body)


def test_the_previous_state_is_in_the_annotation_during_updates(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """Parsing `kopf.zalando.org/last-handled-configuration` as JSON with the previous `spec`."""

    @kopf.on.create("kex")
    def create_fn(**_: Any) -> None: ...

    @kopf.on.update("kex")
    def update_fn(annotations: Any, **_: Any) -> None:
        calls.put(json.loads(annotations["kopf.zalando.org/last-handled-configuration"])["spec"])

    with operator():
        api.create(example(spec={"x": 1}))
        api.wait(is_handled)
        api.patch({"spec": {"x": 2}})
        assert calls.next() == {"x": 1}


def test_handlers_of_fields_see_what_others_patch(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """on.field of a `status.*` field that another handler sets by `patch.status[...]`."""

    @kopf.on.create("kex")
    def create_fn(patch: Any, **_: Any) -> None:
        patch.status["phase"] = "ready"

    @kopf.on.field("kex", field="status.phase")
    def phase(old: Any, new: Any, **_: Any) -> None:
        calls.put((old, new))

    with operator():
        api.create(example())
        assert calls.next() == (None, "ready")


def test_own_changes_of_the_spec_are_updates(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """In on.create: `patch.spec['id'] = ...`, then on.update by itself, recognised by the diff."""

    @kopf.on.create("kex")
    def create_fn(patch: Any, **_: Any) -> None:
        patch.spec["id"] = "x"

    @kopf.on.update("kex")
    def update_fn(diff: Any, **_: Any) -> None:
        calls.put(diff[0][:3] == ("add", ("spec", "id"), None))

    with operator():
        api.create(example())
        assert calls.next() is True
        api.wait(is_handled)


def test_filters_of_log_lines_by_their_text(api: Api, operator: MakeOperator, logs: Logs) -> None:
    """A filter on `logging.getLogger('kopf.objects')`: "Handler ... succeeded."."""
    logger = logging.getLogger("kopf.objects")
    dropped: list[str] = []

    def drop(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if message.startswith("Handler ") and message.endswith(" succeeded."):
            dropped.append(message)
            return False
        return True

    @kopf.on.create("kex", id="fn")
    def fn(**_: Any) -> None: ...

    logger.addFilter(drop)
    try:
        with operator():
            api.create(example())
            logs.wait("Creation is processed")
    finally:
        logger.removeFilter(drop)
    assert dropped == ["Handler 'fn' succeeded."]


def test_levels_of_the_loggers_hold_for_the_engine(api: Api, operator: MakeOperator, logs: Logs) -> None:
    """`logging.getLogger('kopf').setLevel()`; DEC-17."""
    logger = logging.getLogger("kopf")

    @kopf.on.create("kex")
    def fn(**_: Any) -> None: ...

    logger.setLevel(logging.WARNING)
    try:
        with operator():
            api.create(example())
            api.wait(is_handled)
    finally:
        logger.setLevel(logging.NOTSET)
    assert [record for record in logs.records if record.name.startswith("kopf") and record.levelno < 30] == []


def test_lines_come_in_the_order_of_what_happens(api: Api, operator: MakeOperator, logs: Logs) -> None:
    """Lines of the engine and of handlers, in order."""

    @kopf.on.create("kex", id="fn")
    def fn(logger: Any, **_: Any) -> None:
        logger.info("mine")

    with operator():
        api.create(example())
        logs.wait("Creation is processed")
    wanted = [
        "Handler 'fn' is invoked.",
        "mine",
        "Handler 'fn' succeeded.",
        "Creation is processed: 1 succeeded; 0 failed.",
    ]
    assert [message for message in logs.messages if message in wanted] == wanted


def test_libraries_bound_to_the_loop_work_in_all_handlers(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-OPEN-007: what is made in startup handlers can be used in all async handlers."""
    kept: dict[str, Any] = {}

    @kopf.on.startup()
    async def start(**_: Any) -> None:
        kept["loop"] = asyncio.get_running_loop()
        kept["queue"] = asyncio.Queue()

    @kopf.on.create("kex")
    async def fn(**_: Any) -> None:
        assert asyncio.get_running_loop() is kept["loop"]
        await kept["queue"].put(1)
        async with asyncio.timeout(5):
            calls.put(await kept["queue"].get())

    with operator():
        api.create(example())
        assert calls.next() == 1


def test_endless_backoffs_are_iterated_anew(api: Api, operator: MakeOperator) -> None:
    """`settings.networking.error_backoffs = ` an endless iterable object, not a list."""

    class Endless:
        def __iter__(self) -> Any:
            while True:
                yield 0.01

    settings = kopf.OperatorSettings()
    settings.networking.error_backoffs = Endless()

    @kopf.on.create("kex")
    def fn(**_: Any) -> None: ...

    with operator(settings=settings):
        api.create(example())
        api.wait(is_handled)


def test_the_official_client_works_in_handlers(
    api: Api, operator: MakeOperator, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`kubernetes.client.*Api()` with no `load_*_config()`: configured by the default login. W-LOG-006."""
    import os

    import kubernetes.client
    import kubernetes.config

    from kopf import _registry

    location = os.environ["KUBECONFIG"]
    monkeypatch.setattr(kubernetes.config.kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", location)
    monkeypatch.setattr(kubernetes.client.Configuration, "_default", None)
    monkeypatch.setattr(_registry, "_default", None)
    registry = kopf.get_default_registry()

    @kopf.on.create("kex")
    def fn(namespace: str, **_: Any) -> None:
        body = {"metadata": {"name": "child"}, "data": {"a": "b"}}
        kopf.adopt(body)
        calls.put(kubernetes.client.CoreV1Api().create_namespaced_config_map(namespace, body).metadata)

    with RunningOperator(registry):
        api.create(example())
        meta = calls.next()
    assert (meta.name, meta.owner_references[0].kind) == ("child", "KopfExample")


def test_definitions_are_created_in_startup_handlers(cluster: Cluster, operator: MakeOperator, calls: Calls) -> None:
    """CRDs are created in on.startup, and watched in a second."""

    @kopf.on.startup()
    def start(**_: Any) -> None:
        cluster.apply(CRD)

    @kopf.on.create("kex")
    def fn(name: str, **_: Any) -> None:
        calls.put(name)

    with operator():
        Api.on(cluster).create(example())
        assert calls.next() == "one"


def test_a_pattern_of_namespaces_for_all(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """`--namespace=*`."""

    @kopf.on.create("kex")
    def fn(namespace: str, **_: Any) -> None:
        calls.put(namespace)

    with operator(clusterwide=False, namespaces=["*"]):
        api.create(example())
        assert calls.next() == "default"
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "later"}}, "/api/v1/namespaces")
        api.create(example(), EXAMPLES.replace("default", "later"))
        assert calls.next() == "later"


def test_scanning_may_be_disabled(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """`settings.scanning.disabled = True`."""
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True

    @kopf.on.create("kex")
    def fn(name: str, **_: Any) -> None:
        calls.put(name)

    with operator(settings=settings):
        api.create(example())
        assert calls.next() == "one"


def test_storages_in_the_status(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """`StatusDiffBaseStorage(field='status.diffBase')`, `StatusProgressStorage(field='status.kopf.progress')`."""
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = kopf.StatusDiffBaseStorage(
        field="status.diffBase", ignored_fields=["spec.ignored"]
    )
    settings.persistence.progress_storage = kopf.StatusProgressStorage(field="status.kopf.progress")

    @kopf.on.create("kex", id="fn")
    @kopf.on.update("kex", id="fn")
    def fn(retry: int, reason: Any, **_: Any) -> None:
        calls.put((str(reason), retry))
        if not retry:
            raise kopf.TemporaryError("again", delay=0)

    def is_stored(x: int) -> Any:
        return lambda obj: f'"x":{x}' in ((obj or {}).get("status") or {}).get("diffBase", "")

    with operator(settings=settings):
        api.create(example(spec={"x": 1, "ignored": 1}))
        obj = api.wait(is_stored(1))
        assert not obj["status"].get("kopf", {}).get("progress")
        assert not obj["metadata"].get("annotations")
        api.patch({"spec": {"ignored": 2}})
        api.patch({"spec": {"x": 2}})
        api.wait(is_stored(2))
    assert calls.all() == [("create", 0), ("create", 1), ("update", 0), ("update", 1)]


def test_results_are_read_back_by_other_handlers(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """`status.{handler_id}.*`."""

    @kopf.on.create("kex", id="create_fn")
    def create_fn(**_: Any) -> Any:
        return {"size": 5}

    @kopf.on.update("kex")
    def update_fn(status: Any, **_: Any) -> None:
        calls.put(status["create_fn"]["size"])

    with operator():
        api.create(example())
        api.wait(has_status("create_fn"))
        api.patch({"spec": {"x": 1}})
        assert calls.next() == 5


def test_operators_run_in_uvloop(api: Api, registry: kopf.OperatorRegistry, calls: Calls) -> None:
    """`uvloop.run(kopf.operator(...))` in a thread; flags of threading. A-EMB-030."""
    import uvloop

    ready, stop = threading.Event(), threading.Event()

    @kopf.on.create("kex")
    async def fn(**_: Any) -> None:
        calls.put(type(asyncio.get_running_loop()).__module__)

    @kopf.on.create("kex")
    def sync(**_: Any) -> None:
        calls.put("sync")

    thread = threading.Thread(
        target=lambda: uvloop.run(kopf.operator(registry=registry, clusterwide=True, ready_flag=ready, stop_flag=stop))
    )
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        api.create(example())
        assert {calls.next(), calls.next()} == {"uvloop", "sync"}
        api.wait(is_handled)
    finally:
        stop.set()
        thread.join(PATIENCE)
    assert not thread.is_alive()
