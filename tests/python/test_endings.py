"""How things end while others are going on: stops, cancellations, deletions in the midst."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from helpers import PATIENCE, Api, Calls, Logs, RunningOperator, annotations, example, is_handled

import kopf

MakeOperator = Callable[..., RunningOperator]


def test_running_async_handlers_are_cancelled_and_run_again_after_a_restart(
    api: Api, operator: MakeOperator, calls: Calls
) -> None:
    """W-PRC-014, A-ERR-007."""
    settings = kopf.OperatorSettings()
    settings.queueing.exit_timeout = 0.1
    first = threading.Event()

    @kopf.on.create("kex", id="fn")
    async def fn(retry: int, **_: Any) -> None:
        calls.put(retry)
        if not first.is_set():
            first.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                calls.put("cancelled")
                raise

    with operator(settings=settings):
        api.create(example())
        assert calls.next() == 0
    assert calls.next() == "cancelled"
    assert not is_handled(api.get())
    with operator(settings=settings):
        assert calls.next() == 0
        api.wait(is_handled)


def test_running_handlers_may_finish_when_the_operator_stops(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """W-PRC-014: within `queueing.exit_timeout`."""
    settings = kopf.OperatorSettings()
    settings.queueing.exit_timeout = PATIENCE
    release = threading.Event()

    @kopf.on.create("kex")
    def fn(**_: Any) -> None:
        calls.put("begun")
        assert release.wait(PATIENCE)

    running = operator(settings=settings)
    with running:
        api.create(example())
        assert calls.next() == "begun"
        threading.Timer(0.3, release.set).start()
    assert is_handled(api.get())


def test_sync_handlers_are_never_abandoned(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-DEC-033, W-PRC-014: they are awaited, but their outcome is not stored."""
    settings = kopf.OperatorSettings()
    settings.queueing.exit_timeout = 0.1
    release = threading.Event()

    @kopf.on.create("kex")
    def fn(**_: Any) -> None:
        calls.put("begun")
        assert release.wait(PATIENCE)
        calls.put("ended")

    with operator(settings=settings):
        api.create(example())
        assert calls.next() == "begun"
        threading.Timer(1, release.set).start()
    assert calls.all() == ["ended"]


@pytest.mark.parametrize("error", [SystemExit(5), KeyboardInterrupt()])
def test_exits_in_handlers_stop_the_operator(
    api: Api, operator: MakeOperator, calls: Calls, error: BaseException
) -> None:
    """DEC-11: the outcome is not stored."""

    @kopf.on.create("kex", id="fn")
    async def fn(**_: Any) -> None:
        raise error

    running = operator()
    with running:
        api.create(example())
        assert running.ended.wait(PATIENCE)
        assert type(running.error) is type(error)
        running.error = None
    assert not is_handled(api.get())


def test_a_deletion_supersedes_what_is_going_on(api: Api, operator: MakeOperator, calls: Calls, logs: Logs) -> None:
    """A-CAU-034, A-LOG-123."""

    @kopf.on.create("kex", id="waiting")
    def waiting(**_: Any) -> None:
        calls.put("waiting")
        raise kopf.TemporaryError("later", delay=3600)

    @kopf.on.delete("kex", id="deleted")
    def deleted(retry: int, **_: Any) -> None:
        calls.put(("deleted", retry))

    with operator():
        api.create(example())
        assert calls.next() == "waiting"
        api.wait(lambda obj: "kopf.zalando.org/waiting" in annotations(obj))
        api.delete()
        assert calls.next() == ("deleted", 0)
        api.wait(lambda obj: obj is None)
        logs.wait("Creation is superseded by deletion")


def test_changes_meanwhile_are_seen_by_the_handlers_that_wait(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-CAU-030, A-CAU-033."""

    @kopf.on.create("kex", id="fn")
    def fn(spec: Any, reason: Any, retry: int, **_: Any) -> None:
        calls.put((str(reason), spec["x"], retry))
        if retry == 0:
            raise kopf.TemporaryError("again", delay=1)

    with operator():
        api.create(example(spec={"x": 1}))
        assert calls.next() == ("create", 1, 0)
        api.wait(lambda obj: "kopf.zalando.org/fn" in annotations(obj))
        api.patch({"spec": {"x": 2}})
        assert calls.next() == ("create", 2, 1)
        api.wait(is_handled)


def test_no_change_is_lost_on_the_way(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """FIX-2, DEC-1: a handler that has finished sees a change that came while others were not finished."""

    @kopf.on.create("kex", id="quick")
    @kopf.on.update("kex", id="quick")
    def quick(spec: Any, **_: Any) -> None:
        calls.put(spec["x"])

    @kopf.on.create("kex", id="slow")
    def slow(retry: int, **_: Any) -> None:
        if retry == 0:
            raise kopf.TemporaryError("again", delay=1)

    with operator():
        api.create(example(spec={"x": 1}))
        assert calls.next() == 1
        api.wait(lambda obj: "kopf.zalando.org/slow" in annotations(obj))
        api.patch({"spec": {"x": 2}})
        assert calls.next() == 2
        api.wait(is_handled)


def test_a_change_that_is_reverted_leaves_nothing_behind(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-CAU-035, FIX-2, DEC-2."""

    @kopf.on.create("kex", id="create_fn")
    def create_fn(**_: Any) -> None: ...

    @kopf.on.update("kex", id="update_fn")
    def update_fn(retry: int, **_: Any) -> None:
        calls.put(retry)
        raise kopf.TemporaryError("later", delay=3600)

    with operator():
        api.create(example(spec={"x": 1}))
        api.wait(is_handled)
        api.patch({"spec": {"x": 2}})
        assert calls.next() == 0
        api.wait(lambda obj: "kopf.zalando.org/update_fn" in annotations(obj))
        api.patch({"spec": {"x": 1}})
        api.wait(lambda obj: "kopf.zalando.org/update_fn" not in annotations(obj))
        api.patch({"spec": {"x": 3}})
        assert calls.next() == 0


def test_objects_that_are_gone_at_once_do_no_harm(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-PATCH-024, A-LOG-133."""

    @kopf.on.create("kex")
    async def fn(name: str, patch: Any, **_: Any) -> None:
        calls.put(name)
        if name == "gone":
            await asyncio.to_thread(api.delete, "gone")
        patch.status["x"] = 1

    with operator():
        api.create(example("gone"))
        assert calls.next() == "gone"
        api.create(example("other"))
        assert calls.next() == "other"
        api.wait(is_handled, "other")
    assert api.get("gone") is None


def test_cluster_scoped_objects_have_no_namespace(api: Api, operator: MakeOperator, calls: Calls, logs: Logs) -> None:
    """A-KW-031, A-LOG-004."""

    @kopf.on.create("v1", "namespaces", labels={"mine": kopf.PRESENT})
    def fn(namespace: Any, name: str, resource: Any, logger: Any, **_: Any) -> None:
        logger.info("seen")
        calls.put((namespace, name, resource.namespaced))

    with operator():
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mine", "labels": {"mine": ""}}}
        api.create(body, "/api/v1/namespaces")
        assert calls.next() == (None, "mine", False)
        record = logs.wait("seen")
    assert record.k8s_ref["namespace"] is None  # type: ignore[attr-defined]


def test_everything_may_be_watched(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-SEL-004, A-SEL-005, A-SEL-023."""

    @kopf.on.event(kopf.EVERYTHING, labels={"mine": kopf.PRESENT})
    def everything(resource: Any, **_: Any) -> None:
        calls.put(("everything", resource.plural))

    @kopf.on.event(lambda resource: resource.kind == "ConfigMap", labels={"mine": kopf.PRESENT})
    def chosen(resource: Any, **_: Any) -> None:
        calls.put(("chosen", resource.plural))

    metadata = {"name": "x", "labels": {"mine": ""}}
    with operator():
        api.create(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}, "/api/v1/namespaces/default/configmaps"
        )
        assert {calls.next(), calls.next()} == {("everything", "configmaps"), ("chosen", "configmaps")}
        api.create(example("y", labels={"mine": ""}))
        assert calls.next() == ("everything", "kopfexamples")
