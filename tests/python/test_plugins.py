"""Python inside of the engine's decisions: filters, lifecycles, storages, executors, functions of patches (DEC-6)."""

import concurrent.futures
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from helpers import LAST_HANDLED, Api, Calls, Logs, RunningOperator, annotations, example, has_status, is_handled

import kopf

MakeOperator = Callable[..., RunningOperator]


class OwnProgress(kopf.ProgressStorage):
    """A storage as users write them: it keeps an annotation for each handler."""

    def fetch(self, *, key: Any, body: Any) -> Any:
        return json.loads(body.metadata.annotations.get(f"my.example.com/{key}", "null"))

    def store(self, *, key: Any, record: Any, body: Any, patch: Any) -> None:
        patch.metadata.annotations[f"my.example.com/{key}"] = json.dumps(record)

    def purge(self, *, key: Any, body: Any, patch: Any) -> None:
        patch.metadata.annotations[f"my.example.com/{key}"] = None

    def touch(self, *, body: Any, patch: Any, value: Any) -> None: ...

    def clear(self, *, essence: Any) -> Any:
        essence = super().clear(essence=essence)
        annotations = essence.get("metadata", {}).get("annotations", {})
        for key in [key for key in annotations if key.startswith("my.example.com/")]:
            del annotations[key]
        return essence


def test_an_error_in_a_filter_is_not_the_end(api: Api, operator: MakeOperator, calls: Calls, logs: Logs) -> None:
    """A-FLT-041, FIX-3: the object is throttled, others are not, and the same state is handled after the pause."""
    settings = kopf.OperatorSettings()
    settings.queueing.error_delays = [0.2]
    broken = threading.Event()
    broken.set()

    def condition(name: str, **_: Any) -> bool:
        if name == "bad" and broken.is_set():
            broken.clear()
            raise ZeroDivisionError("boo")
        return True

    @kopf.on.create("kex", when=condition)
    def fn(name: str, **_: Any) -> None:
        calls.put(name)

    with operator(settings=settings):
        api.create(example("bad"))
        record = logs.wait("Throttling for 0.2 seconds due to an unexpected error: ZeroDivisionError('boo')")
        assert record.exc_info is not None
        api.create(example("good"))
        assert {calls.next(), calls.next()} == {"bad", "good"}
        logs.wait("Throttling is over. Switching back to normal operations.")
        api.wait(is_handled, "bad")


def test_filters_get_what_handlers_get(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """Chapter 5.1: but for the attempt."""

    def condition(**kwargs: Any) -> bool:
        calls.put(kwargs)
        return False

    @kopf.on.event("kex", when=condition)
    def fn(**_: Any) -> None: ...

    api.create(example(labels={"a": "b"}))
    with operator():
        kwargs = calls.next()
    expected = {
        *("logger", "memo", "resource", "patch", "body", "spec", "meta", "status", "uid", "name", "namespace"),
        *("labels", "annotations", "event", "cause", "type"),
    }
    assert kwargs.keys() == expected
    assert (kwargs["name"], kwargs["labels"], kwargs["type"]) == ("one", {"a": "b"}, None)


def test_values_of_fields_are_given_to_callbacks(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-FLT-022, A-FLT-031, FIX-5: absent values are `None`."""

    def grown(value: Any, old: Any, new: Any, **_: Any) -> bool:
        calls.put(("value", value, old, new))
        return True

    @kopf.on.create("kex")
    def create_fn(**_: Any) -> None: ...

    @kopf.on.update("kex", field="spec.size", old=lambda value, **_: value is None, new=lambda value, **_: value == 5)
    def fn(old: Any, new: Any, **_: Any) -> None:
        calls.put((old, new))

    with operator():
        api.create(example(spec={}))
        api.wait(is_handled)
        api.patch({"spec": {"size": 5}})
        assert calls.next() == (None, 5)
        api.wait(is_handled)
        api.patch({"spec": {"size": 6}})
        api.wait(is_handled)
    assert calls.all() == []


def test_lifecycles_of_the_users_own_choose_the_handlers(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-LIF-001, A-LIF-002."""

    def last_first(handlers: Any, *, state: Any, name: str, **kwargs: Any) -> Any:
        calls.put((name, [(handler.id, state[handler.id].retries) for handler in handlers], "reason" in kwargs))
        return [handlers[-1]]

    for id in ("a", "b"):

        @kopf.on.create("kex", id=id)
        def fn(**_: Any) -> None: ...

    with operator(lifecycle=last_first):
        api.create(example())
        api.wait(is_handled)
    assert calls.all() == [("one", [("a", 0), ("b", 0)], True), ("one", [("a", 0)], True)]


def test_all_at_once_is_one_patch(api: Api, operator: MakeOperator, logs: Logs) -> None:
    """A-LIF-003, A-LIF-007."""
    for id in ("a", "b", "c"):

        @kopf.on.create("kex", id=id)
        async def fn(**_: Any) -> int:
            return 1

    with operator(lifecycle=kopf.lifecycles.all_at_once):
        api.create(example())
        obj = api.wait(has_status("a", "b", "c"))
    assert is_handled(obj)
    assert len([message for message in logs.messages if message.startswith("Merge-patching the resource")]) == 1


def test_storages_of_the_users_own_are_called(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-PUB-084, A-PUB-085, A-OPEN-008; habit: subclasses of storages."""

    class Progress(kopf.StatusProgressStorage):
        def store(self, *, key: Any, record: Any, body: Any, patch: Any) -> None:
            calls.put((key, record["purpose"], record["retries"], isinstance(body, kopf.Body)))
            super().store(key=key, record=record, body=body, patch=patch)

    class DiffBase(kopf.AnnotationsDiffBaseStorage):
        def build(self, *, body: Any, extra_fields: Any = None) -> Any:
            essence: Any = super().build(body=body, extra_fields=extra_fields)
            essence["spec"].pop("ignored", None)
            return essence

    settings = kopf.OperatorSettings()
    settings.persistence.progress_storage = Progress(field="status.progress")
    settings.persistence.diffbase_storage = DiffBase(prefix="my.example.com", key="last")

    @kopf.on.create("kex", id="fn")
    @kopf.on.update("kex", id="fn")
    def fn(retry: int, **_: Any) -> None:
        if not retry:
            raise kopf.TemporaryError("again", delay=0)

    def is_stored(obj: Any) -> bool:
        return "my.example.com/last" in annotations(obj) and not (obj.get("status") or {}).get("progress")

    with operator(settings=settings):
        api.create(example(spec={"x": 1, "ignored": 1}))
        obj = api.wait(is_stored)
    assert json.loads(annotations(obj)["my.example.com/last"]) == {"spec": {"x": 1}}
    assert ("fn", "create", 1, True) in calls.all()


def test_stanzas_that_a_storage_leaves_empty_are_no_change(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """W-DIF-010: the essence is the same with records, and without."""
    settings = kopf.OperatorSettings()
    settings.persistence.progress_storage = OwnProgress()

    @kopf.on.create("kex", id="fn")
    @kopf.on.update("kex", id="fn")
    def fn(retry: int, reason: Any, **_: Any) -> None:
        calls.put((str(reason), retry))
        if not retry:
            raise kopf.TemporaryError("again", delay=0)

    def is_done(obj: Any) -> bool:
        return LAST_HANDLED in annotations(obj) and "my.example.com/fn" not in annotations(obj)

    with operator(settings=settings):
        api.create(example())
        api.wait(is_done)
        api.patch({"spec": {"field": "other"}})
        api.wait(lambda obj: is_done(obj) and "other" in annotations(obj)[LAST_HANDLED])
        api.patch({"spec": {"field": "third"}})
        api.wait(lambda obj: is_done(obj) and "third" in annotations(obj)[LAST_HANDLED])
    assert calls.all() == [(reason, retry) for reason in ("create", "update", "update") for retry in (0, 1)]


def test_a_record_that_is_written_unchanged_ends_no_delay(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """DEC-14: no event comes of it, so the delay is slept."""

    class Insistent(OwnProgress):
        def store(self, *, key: Any, record: Any, body: Any, patch: Any) -> None:
            calls.put(record["retries"])
            super().store(key=key, record=record, body=body, patch=patch)

    settings = kopf.OperatorSettings()
    settings.persistence.progress_storage = Insistent()

    @kopf.on.create("kex", id="fn")
    def fn(retry: int, **_: Any) -> None:
        if not retry:
            raise kopf.TemporaryError("again", delay=0.5)

    with operator(settings=settings):
        api.create(example())
        api.wait(is_handled)
    written = calls.all()
    assert 1 <= written.count(1) <= 4, "as it ends, when that is seen, and when the delay is over"


def test_the_users_executor_runs_sync_handlers(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-SET-038, A-DEC-032."""
    settings = kopf.OperatorSettings()
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
        settings.execution.executor = executor

        @kopf.on.create("kex")
        def fn(**_: Any) -> None:
            calls.put(threading.current_thread().name)

        with operator(settings=settings):
            api.create(example())
            assert calls.next().startswith("mine")
            api.wait(is_handled)


def test_the_number_of_threads_is_limited(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-SET-039."""
    settings = kopf.OperatorSettings()
    settings.execution.max_workers = 1
    running = threading.Semaphore(1)

    @kopf.on.create("kex")
    def fn(name: str, **_: Any) -> None:
        assert running.acquire(blocking=False), "two at the same time"
        calls.put(name)
        running.release()

    with operator(settings=settings):
        for name in "abcd":
            api.create(example(name))
        for name in "abcd":
            assert "fn" not in str(annotations(api.wait(is_handled, name)))
    assert sorted(calls.all()) == list("abcd")


def test_functions_that_return_coroutines_are_awaited(api: Api, operator: MakeOperator) -> None:
    """FIX-28."""

    async def inner() -> str:
        return "awaited"

    @kopf.on.create("kex", id="fn")
    def fn(**_: Any) -> Any:
        return inner()

    with operator():
        api.create(example())
        assert api.wait(has_status("fn"))["status"] == {"fn": "awaited"}


def test_handlers_that_cannot_take_all_arguments_fail_as_others_do(
    api: Api, operator: MakeOperator, logs: Logs
) -> None:
    """A-DEC-035."""
    with pytest.warns(UserWarning, match="kwargs"):

        @kopf.on.create("kex", id="fn", retries=1)
        def fn(spec: Any) -> None: ...

    with operator():
        api.create(example())
        record = logs.wait("Handler 'fn' failed with an exception and will stop now")
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], TypeError)


def test_functions_of_patches_see_the_freshest_body(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-PATCH-021, A-PATCH-023."""

    def change(body: Any) -> None:
        calls.put(body["metadata"]["labels"])
        body["spec"]["list"].append("x")

    @kopf.on.create("kex")
    async def fn(patch: kopf.Patch, **_: Any) -> None:
        patch.meta.labels["a"] = "b"
        patch.fns.append(change)
        patch.fns.append(lambda body: None)

    with operator():
        api.create(example(spec={"list": []}))
        obj = api.wait(lambda obj: obj and obj["spec"]["list"])
    assert obj["spec"]["list"] == ["x"]
    assert calls.next() == {"a": "b"}


def test_lines_of_handlers_become_events_where_asked(api: Api, operator: MakeOperator) -> None:
    """A-EVT-012, A-LOG-010."""
    settings = kopf.OperatorSettings()
    settings.posting.loggers = True
    settings.posting.progress = False

    @kopf.on.create("kex", id="fn")
    def fn(logger: Any, **_: Any) -> None:
        logger.warning("mine")

    @kopf.on.event("kex")
    def local(logger: Any, **_: Any) -> None:
        logger.warning("never")

    with operator(settings=settings):
        api.create(example())
        events = api.wait_list(lambda items: len(items) >= 3, "/api/v1/namespaces/default/events")
    assert {event["reason"] for event in events} == {"Logging"}
    assert {(event["type"], event["message"]) for event in events} >= {
        ("Warning", "mine"),
        ("Normal", "Handler 'fn' succeeded."),
        ("Normal", "Creation is processed: 1 succeeded; 0 failed."),
    }
    assert "never" not in {event["message"] for event in events}


def test_the_progress_of_handling_is_posted_by_default(api: Api, operator: MakeOperator) -> None:
    """DEC-12."""

    @kopf.on.create("kex", id="fn")
    def fn(retry: int, **_: Any) -> None:
        if not retry:
            raise kopf.TemporaryError("not yet", delay=0)

    with operator():
        api.create(example())
        events = api.wait_list(lambda items: len(items) == 2, "/api/v1/namespaces/default/events")
    found = {event["type"]: event["message"] for event in events}
    assert "not yet" in found["Warning"]
    assert found["Normal"] == "Creation is processed: 1 succeeded; 0 failed."


def test_loggers_of_handlers_name_the_object(api: Api, operator: MakeOperator, logs: Logs) -> None:
    """W-LOG-004, A-LOG-007."""

    @kopf.on.create("kex")
    def fn(logger: Any, **_: Any) -> None:
        logger.info("mine")

    with operator():
        obj = api.create(example())
        mine = logs.wait("mine")
        theirs = logs.wait("Creation is processed")
    for record in (mine, theirs):
        assert record.name == "kopf.objects"
        assert record.k8s_ref == {  # type: ignore[attr-defined]
            "apiVersion": "kopf.dev/v1",
            "kind": "KopfExample",
            "name": "one",
            "namespace": "default",
            "uid": obj["metadata"]["uid"],
        }
