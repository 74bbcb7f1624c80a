"""An operator at work: causes, results, changes, retries, sub-handlers, filters."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from helpers import (
    CRD,
    EXAMPLES,
    LAST_HANDLED,
    PATIENCE,
    Api,
    Calls,
    Cluster,
    Logs,
    RunningOperator,
    annotations,
    example,
    has_status,
    is_handled,
)

import kopf

FINALIZER = "kopf.zalando.org/KopfFinalizerMarker"

MakeOperator = Callable[..., RunningOperator]


def test_the_founding_operator_creates(
    api: Api, operator: MakeOperator, logs: Logs, capsys: pytest.CaptureFixture[str]
) -> None:
    @kopf.on.create("kopf.dev", "v1", "kopfexamples", id="create_fn")
    def create_fn(spec: Any, meta: Any, status: Any, **kwargs: Any) -> Any:
        print(f"And here we are! Creating: {spec}")
        return {"items": len(spec["items"])}

    with operator():
        api.create(example(spec={"duration": "1m", "items": ["bread", "butter"]}))
        obj = api.wait(has_status("create_fn"))
        logs.wait("Creation is processed: 1 succeeded; 0 failed.")
    assert capsys.readouterr().out == "And here we are! Creating: {'duration': '1m', 'items': ['bread', 'butter']}\n"
    assert obj["status"] == {"create_fn": {"items": 2}}
    assert annotations(obj).keys() == {LAST_HANDLED}
    assert "Handler 'create_fn' is invoked." in logs.messages
    assert "Handler 'create_fn' succeeded." in logs.messages


@pytest.mark.parametrize("result", [False, 0, "", [], "text", {"a": {"b": None}}, [1, {"x": 1.5}]])
def test_results_are_kept_in_the_status(api: Api, operator: MakeOperator, result: Any) -> None:
    """A-RES-001 to A-RES-003."""

    @kopf.on.create("kex", id="fn")
    async def fn(**_: Any) -> Any:
        return result

    with operator():
        api.create(example())
        obj = api.wait(has_status("fn"))
    # A merge patch cannot keep nulls.
    assert obj["status"]["fn"] == ({"a": {}} if isinstance(result, dict) else result)


def test_none_is_no_result(api: Api, operator: MakeOperator) -> None:
    """A-RES-002."""

    @kopf.on.create("kex")
    async def fn(**_: Any) -> None:
        pass

    with operator():
        api.create(example())
        obj = api.wait(is_handled)
    assert not obj.get("status")


def test_results_that_are_no_json_fail_the_handler(api: Api, operator: MakeOperator, logs: Logs) -> None:
    """FIX-14: that handler fails for good, others are not disturbed."""

    @kopf.on.create("kex", id="bad")
    async def bad(**_: Any) -> Any:
        return {"lock": threading.Lock()}

    @kopf.on.create("kex", id="good")
    async def good(**_: Any) -> Any:
        return 1

    with operator():
        api.create(example())
        obj = api.wait(lambda obj: is_handled(obj) and has_status("good")(obj))
        logs.wait("Creation is processed: 1 succeeded; 1 failed.")
    assert obj["status"] == {"good": 1}
    assert any("Handler 'bad' failed permanently" in message for message in logs.messages)


def test_updates_come_with_their_differences(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-KW-041, A-KW-042."""

    @kopf.on.create("kex")
    def create_fn(diff: Any, old: Any, new: Any, **_: Any) -> None:
        calls.put(("create", diff, old, new))

    @kopf.on.update("kex")
    def update_fn(diff: Any, old: Any, new: Any, reason: Any, **_: Any) -> None:
        calls.put(("update", diff, old, new, reason))

    with operator():
        api.create(example(spec={"a": 1, "b": {"c": 2}}))
        assert calls.next() == (
            "create",
            (("add", (), None, {"spec": {"a": 1, "b": {"c": 2}}}),),
            None,
            {"spec": {"a": 1, "b": {"c": 2}}},
        )
        api.wait(is_handled)
        api.patch({"spec": {"b": {"c": 3}}})
        _, diff, old, new, reason = calls.next()
        assert diff == (("change", ("spec", "b", "c"), 2, 3),)
        assert (old["spec"]["b"], new["spec"]["b"]) == ({"c": 2}, {"c": 3})
        assert reason is kopf.Reason.UPDATE
        api.wait(is_handled)
    assert calls.all() == []


def test_deletions_are_held_until_they_are_handled(api: Api, operator: MakeOperator, calls: Calls, logs: Logs) -> None:
    """A-CAU-050, A-CAU-052."""

    @kopf.on.delete("kex")
    def delete_fn(name: str, body: Any, **_: Any) -> None:
        calls.put((name, body["metadata"]["deletionTimestamp"]))

    with operator():
        api.create(example())
        api.wait(lambda obj: FINALIZER in obj["metadata"].get("finalizers", []))
        api.delete()
        name, moment = calls.next()
        api.wait(lambda obj: obj is None)
        logs.wait("Deleted, really deleted, and we are notified.")
    assert name == "one"
    assert moment
    assert "Deletion is processed: 1 succeeded; 0 failed." in logs.messages
    assert calls.all() == []


def test_optional_deletions_need_no_finalizer(api: Api, operator: MakeOperator, logs: Logs) -> None:
    """A-DEC-020, A-CAU-053."""

    @kopf.on.delete("kex", optional=True)
    def delete_fn(**_: Any) -> None: ...

    @kopf.on.create("kex")
    def create_fn(**_: Any) -> None: ...

    with operator():
        api.create(example())
        obj = api.wait(is_handled)
        assert not obj["metadata"].get("finalizers")
        api.delete()
        logs.wait("Deleted, really deleted, and we are notified.")


def test_objects_are_resumed_after_a_restart(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-CAU-040, A-CAU-042, A-CAU-044."""

    @kopf.on.resume("kex", id="same")
    @kopf.on.create("kex", id="same")
    def fn(reason: Any, name: str, **_: Any) -> None:
        calls.put((str(reason), name))

    with operator():
        api.create(example("one"))
        assert calls.next() == ("create", "one")
        api.wait(is_handled)
    with operator():
        assert calls.next() == ("resume", "one")
        api.create(example("two"))
        assert calls.next() == ("create", "two")
        api.wait(is_handled, "two")
    assert calls.all() == []


def test_fields_have_values_and_differences_of_their_own(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-KW-043, A-FLT-030, A-FLT-032, KEEP-6."""

    @kopf.on.field("kex", id="resized", field="spec.box.size")
    def resized(old: Any, new: Any, diff: Any, reason: Any, **_: Any) -> Any:
        calls.put((old, new, diff, str(reason)))
        return new

    with operator():
        api.create(example(spec={"box": {"size": 1}, "other": 1}))
        assert calls.next() == (None, 1, (("add", (), None, 1),), "create")
        api.wait(is_handled)
        api.patch({"spec": {"other": 2}})
        api.wait(is_handled)
        api.patch({"spec": {"box": {"size": 2}}})
        assert calls.next() == (1, 2, (("change", (), 1, 2),), "update")
        obj = api.wait(lambda obj: is_handled(obj) and obj["status"]["resized/spec.box.size"] == 2)
    assert obj["status"] == {"resized/spec.box.size": 2}
    assert calls.all() == []


def test_events_come_to_event_handlers_one_by_one(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-CAU-065, A-KW-050; habit: `event['type']`, `event['object']`, `type`."""

    @kopf.on.event("kex")
    def fn(event: Any, type: Any, name: str, **_: Any) -> None:
        calls.put((type, event["type"], event["object"]["metadata"]["name"], name))

    api.create(example("before"))
    with operator():
        assert calls.next() == (None, None, "before", "before")
        api.create(example())
        assert calls.next() == ("ADDED", "ADDED", "one", "one")
        api.patch({"spec": {"x": 1}})
        assert calls.next() == ("MODIFIED", "MODIFIED", "one", "one")
        api.delete()
        assert calls.next() == ("DELETED", "DELETED", "one", "one")
    assert calls.all() == []
    assert not api.get("before")["metadata"].get("annotations")


def test_event_handlers_run_one_after_another_and_share_the_patch(
    api: Api, operator: MakeOperator, calls: Calls
) -> None:
    """W-CYC-007, W-CYC-008, A-KW-033."""

    @kopf.on.event("kex")
    async def first(patch: kopf.Patch, memo: kopf.Memo, **_: Any) -> None:
        await asyncio.sleep(0.1)
        memo.first = "has run"
        patch.status["first"] = 1
        patch.status["both"] = 1

    @kopf.on.event("kex")
    def second(patch: kopf.Patch, memo: kopf.Memo, **_: Any) -> None:
        calls.put((memo.get("first"), dict(patch.status)))
        patch.status["second"] = 2
        patch.status["both"] = 2

    with operator():
        api.create(example())
        assert calls.next() == ("has run", {"first": 1, "both": 1})
        obj = api.wait(has_status("second"))
    assert obj["status"] == {"first": 1, "both": 2, "second": 2}


def test_retries_and_their_delays_survive_a_restart(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-ERR-030, A-KW-022."""

    @kopf.on.create("kex", id="fn")
    def fn(retry: int, started: Any, runtime: Any, **_: Any) -> Any:
        calls.put((retry, started, runtime))
        if retry < 2:
            raise kopf.TemporaryError("not yet", delay=0 if retry == 0 else 1)
        return retry

    with operator():
        api.create(example())
        first, second = calls.next(), calls.next()
        obj = api.wait(lambda obj: '"retries":2' in annotations(obj).get("kopf.zalando.org/fn", ""))
    record = json.loads(annotations(obj)["kopf.zalando.org/fn"])
    assert (record["purpose"], record["message"], record["success"]) == ("create", "not yet", False)
    with operator():
        third = calls.next()
        obj = api.wait(has_status("fn"))
    assert [call[0] for call in (first, second, third)] == [0, 1, 2]
    assert first[1] == second[1] == third[1]
    assert first[1].tzinfo is not None
    assert third[2].total_seconds() >= 1
    assert annotations(obj).keys() == {LAST_HANDLED}
    assert obj["status"] == {"fn": 2}


@pytest.mark.parametrize(
    ("error", "mode", "line"),
    [
        (kopf.PermanentError("boo"), None, "Handler 'fn' failed permanently: boo"),
        (ValueError("boo"), kopf.ErrorsMode.PERMANENT, "Handler 'fn' failed with an exception and will stop now: boo"),
        (ValueError("boo"), kopf.ErrorsMode.IGNORED, "Handler 'fn' failed with an exception and will ignore it: boo"),
        (KeyError("boo"), kopf.ErrorsMode.PERMANENT, "will stop now: 'boo'"),
        (ValueError(), kopf.ErrorsMode.PERMANENT, "will stop now: ValueError()"),
    ],
)
def test_final_errors_end_the_handling(
    api: Api, operator: MakeOperator, logs: Logs, error: Exception, mode: Any, line: str
) -> None:
    """A-ERR-003, A-ERR-004, A-LOG-105 to A-LOG-108, A-LOG-170, KEEP-3, KEEP-4."""

    @kopf.on.create("kex", id="fn", errors=mode)
    def fn(**_: Any) -> None:
        raise error

    with operator():
        api.create(example())
        api.wait(is_handled)
        record = logs.wait(line)
        ignored = mode is kopf.ErrorsMode.IGNORED
        logs.wait("Creation is processed: 1 succeeded; 0 failed." if ignored else "0 succeeded; 1 failed.")
    if not isinstance(error, kopf.PermanentError):
        assert record.exc_info is not None
        assert record.exc_info[1] is error


def test_arbitrary_errors_are_tried_again_after_the_backoff(
    api: Api, operator: MakeOperator, logs: Logs, calls: Calls
) -> None:
    """A-ERR-004, A-ERR-006, A-LOG-106."""

    @kopf.on.create("kex", id="fn", backoff=0.1)
    async def fn(retry: int, **_: Any) -> None:
        calls.put(retry)
        if not retry:
            raise ValueError("boo")

    with operator():
        api.create(example())
        assert [calls.next(), calls.next()] == [0, 1]
        api.wait(is_handled)
        logs.wait("Handler 'fn' failed with an exception and will try again in 0.1 seconds: boo")


def test_the_number_of_attempts_is_limited(api: Api, operator: MakeOperator, logs: Logs, calls: Calls) -> None:
    """A-ERR-020, A-LOG-104."""

    @kopf.on.create("kex", id="fn", retries=2)
    async def fn(retry: int, **_: Any) -> None:
        calls.put(retry)
        raise kopf.TemporaryError("boo", delay=0)

    with operator():
        api.create(example())
        api.wait(is_handled)
        logs.wait("Handler 'fn' failed temporarily but will exceed 2 retries: boo")
    assert calls.all() == [0, 1]


def test_one_failing_handler_does_not_hold_the_others(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-ERR-009, A-LIF-004."""

    @kopf.on.create("kex")
    def failing(**_: Any) -> None:
        raise kopf.TemporaryError("later", delay=3600)

    @kopf.on.create("kex")
    def working(**_: Any) -> None:
        calls.put("working")

    with operator():
        api.create(example())
        assert calls.next() == "working"


def test_patches_are_applied(api: Api, operator: MakeOperator) -> None:
    """A-PATCH-020, A-PATCH-025."""

    def add_finalizer(body: Any) -> None:
        body["metadata"].setdefault("finalizers", []).append("example.com/mine")

    @kopf.on.create("kex")
    def fn(patch: kopf.Patch, retry: int, **_: Any) -> None:
        patch.meta.labels["attempt"] = str(retry)
        patch.status["phase"] = "done"
        patch["extra"] = {"a": 1}
        patch.fns.append(add_finalizer)
        raise kopf.PermanentError("patches of failed attempts are applied, too")

    with operator():
        api.create(example())
        obj = api.wait(lambda obj: obj and "finalizers" in obj["metadata"] and is_handled(obj))
    assert obj["metadata"]["labels"] == {"attempt": "0"}
    assert obj["status"] == {"phase": "done"}
    assert obj["extra"] == {"a": 1}
    assert obj["metadata"]["finalizers"] == ["example.com/mine"]
    api.patch({"metadata": {"finalizers": None}})


def test_subhandlers_have_a_progress_of_their_own(api: Api, operator: MakeOperator, calls: Calls, logs: Logs) -> None:
    """A-SUB-001, A-SUB-002, A-SUB-020, A-SUB-021, A-HID-006, A-RES-005."""

    @kopf.on.create("kex", id="parent")
    async def parent(spec: Any, retry: int, **_: Any) -> str:
        for item in spec["items"]:

            @kopf.subhandler(id=item)
            async def child(retry: int, item: str = item, **_: Any) -> str:
                calls.put((item, retry))
                if item == "b" and not retry:
                    raise kopf.TemporaryError("not yet", delay=0)
                return item.upper()

        return "done"

    with operator():
        api.create(example(spec={"items": ["a", "b"]}))
        obj = api.wait(has_status("parent"))
        logs.wait("Creation is processed: 1 succeeded; 0 failed.")
    assert sorted(calls.all()) == [("a", 0), ("b", 0), ("b", 1)]
    assert obj["status"] == {"parent": "done", "parent/a": "A", "parent/b": "B"}
    assert annotations(obj).keys() == {LAST_HANDLED}


def test_subhandlers_of_sync_handlers_and_of_subhandlers(api: Api, operator: MakeOperator) -> None:
    """A-SUB-004, A-SUB-006."""

    @kopf.on.create("kex", id="parent")
    def parent(**_: Any) -> None:
        def child(**_: Any) -> str:
            @kopf.subhandler(id="x")
            async def grandchild(**_: Any) -> str:
                return "grandchild"

            return "child"

        kopf.register(child, id="child")

    with operator():
        api.create(example())
        obj = api.wait(lambda obj: has_status("parent/child", "parent/child/x")(obj) and is_handled(obj))
    assert obj["status"] == {"parent/child": "child", "parent/child/x": "grandchild"}


def test_subhandlers_are_executed_on_demand(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-SUB-003, A-SUB-022, A-SUB-024."""

    async def failing(**_: Any) -> None:
        raise kopf.PermanentError("boo")

    async def working(**_: Any) -> int:
        return 1

    @kopf.on.create("kex", id="parent")
    async def parent(**_: Any) -> str:
        await kopf.execute(fns={"failing": failing, "working": working})
        calls.put("after")
        return "done"

    with operator():
        api.create(example())
        obj = api.wait(has_status("parent"))
    assert obj["status"] == {"parent": "done", "parent/working": 1}
    assert calls.all() == ["after"]


def test_subhandlers_are_for_handlers_of_changes_only(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-SUB-007."""

    async def child(**_: Any) -> None: ...

    @kopf.on.event("kex")
    async def fn(**_: Any) -> None:
        for attempt in (lambda: kopf.register(child), lambda: kopf.execute(fns=[child]), lambda: kopf.execute()):
            try:
                result: Any = attempt()
                if asyncio.iscoroutine(result):
                    await result
            except Exception as error:
                calls.put(type(error))

    with operator():
        api.create(example())
        assert [calls.next() for _ in range(3)] == [TypeError, RuntimeError, LookupError]


def test_filters_choose_the_objects(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-FLT-002, A-FLT-010, A-FLT-011, A-FLT-040."""

    def is_big(value: str | None, **_: Any) -> bool:
        return value is not None and int(value) > 10

    filters: dict[str, dict[str, Any]] = {
        "label": {"labels": {"app": "x"}},
        "present": {"labels": {"app": kopf.PRESENT}},
        "absent": {"labels": {"app": kopf.ABSENT}},
        "annotation": {"annotations": {"size": is_big}},
        "when": {"when": lambda spec, name, **_: spec.get("x") == 1 and name == "b"},
        "value": {"field": "spec.x", "value": 1},
        "callback": {"field": "spec.x", "value": lambda value, **_: value is None},
        "never": {"labels": {"app": "none"}},
    }
    for id, criteria in filters.items():

        @kopf.on.create("kex", id=id, **criteria)
        def fn(name: str, id: str = id, **_: Any) -> None:
            calls.put((name, id))

    with operator(lifecycle=kopf.lifecycles.all_at_once):
        api.create(example("a", labels={"app": "x"}, annotations={"size": "11"}, spec={}))
        api.create(example("b", labels={"app": "y"}, annotations={"size": "9"}, spec={"x": 1}))
        api.create(example("c", spec={"y": 1}))
        for name in "abc":
            api.wait(is_handled, name)
    # An absent field is None for a callback (FIX-5).
    assert sorted(calls.all()) == [
        ("a", "annotation"),
        ("a", "callback"),
        ("a", "label"),
        ("a", "present"),
        ("b", "present"),
        ("b", "value"),
        ("b", "when"),
        ("c", "absent"),
        ("c", "callback"),
    ]


def test_objects_that_no_handler_is_for_are_left_alone(api: Api, operator: MakeOperator, logs: Logs) -> None:
    """A-FLT-002: neither logged nor stored. When it begins to match, that is its creation."""

    @kopf.on.create("kex", labels={"app": "x"})
    def fn(**_: Any) -> None: ...

    with operator():
        api.create(example("other", labels={"app": "y"}))
        api.create(example("mine", labels={"app": "x"}))
        api.wait(is_handled, "mine")
        assert not api.get("other")["metadata"].get("annotations")
        assert not any("/other]" in message or "'other'" in message for message in logs.messages)
        api.patch({"metadata": {"labels": {"app": "x"}}}, "other")
        api.wait(is_handled, "other")
        logs.wait("Creation is processed: 1 succeeded; 0 failed.", count=2)


RESOURCE_KWARGS = {
    *("param", "retry", "started", "runtime", "logger", "memo"),
    *("resource", "patch", "body", "spec", "meta", "status", "uid", "name", "namespace", "labels", "annotations"),
    *("event", "cause"),
}


def test_the_removal_of_a_field_is_an_update_of_an_object_that_was_created_with_it(
    api: Api, operator: MakeOperator, calls: Calls
) -> None:
    """W-CYC-009: nobody else is interested in the object."""

    @kopf.on.update("kex", field="spec.field", value=kopf.ABSENT)
    def fn(reason: Any, old: Any, new: Any, **_: Any) -> None:
        calls.put((str(reason), old, new))

    with operator():
        api.create(example())
        api.wait(is_handled)
        api.patch({"spec": {"field": None}})
        assert calls.next() == ("update", "value", None)


def test_handlers_of_changes_get_all_their_arguments(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-KW-010 to A-KW-017, A-KW-030 to A-KW-042."""

    @kopf.on.create("kex", param=[1])
    def fn(**kwargs: Any) -> None:
        calls.put(kwargs)

    with operator():
        api.create(example(labels={"a": "b"}, annotations={"c": "d"}))
        kwargs = calls.next()
        api.wait(is_handled)
    assert kwargs.keys() == RESOURCE_KWARGS | {"reason", "old", "new", "diff"}
    assert (kwargs["param"], kwargs["retry"], kwargs["reason"]) == ([1], 0, "create")
    assert (kwargs["name"], kwargs["namespace"]) == ("one", "default")
    assert (kwargs["uid"], kwargs["spec"]) == (kwargs["body"]["metadata"]["uid"], {"field": "value"})
    assert (kwargs["labels"], kwargs["annotations"]) == ({"a": "b"}, {"c": "d"})
    assert kwargs["meta"] == kwargs["body"]["metadata"]
    assert kwargs["status"] == {}
    assert isinstance(kwargs["body"], kopf.Body)
    assert isinstance(kwargs["patch"], kopf.Patch)
    assert isinstance(kwargs["diff"], kopf.Diff)
    assert isinstance(kwargs["memo"], kopf.Memo)
    assert isinstance(kwargs["logger"], kopf.ObjectLogger)
    resource = kwargs["resource"]
    assert (*resource, resource.kind, resource.namespaced) == ("kopf.dev", "v1", "kopfexamples", "KopfExample", True)
    assert resource.shortcuts == {"kex"}
    assert "status" in resource.subresources
    event, cause = kwargs["event"], kwargs["cause"]
    assert event["type"] in (None, "ADDED")
    assert event["object"] == kwargs["body"]
    for name in ("body", "patch", "memo", "resource", "logger", "diff", "old", "new", "reason"):
        assert getattr(cause, name) is kwargs[name], name
    assert (cause.initial, cause.deleted) == (False, False)
    with pytest.raises(AttributeError):
        cause.reason = "x"


def test_event_handlers_get_all_their_arguments(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-KW-015, A-KW-024, A-KW-050, A-LOG-010."""

    @kopf.on.event("kex")
    async def fn(**kwargs: Any) -> None:
        calls.put(kwargs)

    api.create(example("before"))
    with operator():
        assert calls.next()["type"] is None
        api.create(example())
        kwargs = calls.next()
    assert kwargs.keys() == RESOURCE_KWARGS | {"type"}
    assert (kwargs["type"], kwargs["event"]["type"], kwargs["cause"].type) == ("ADDED", "ADDED", "ADDED")
    assert (kwargs["retry"], kwargs["param"]) == (0, None)
    assert isinstance(kwargs["logger"], kopf.LocalObjectLogger)


def test_activities_get_all_their_arguments(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-KW-053, A-MEM-003, A-LOG-007, A-ACT-003, A-ACT-006."""
    memo = kopf.Memo(mine=1)
    settings = kopf.OperatorSettings()

    @kopf.on.startup(param=1)
    def start(**kwargs: Any) -> None:
        calls.put(kwargs)

    @kopf.on.cleanup()
    async def clean(**kwargs: Any) -> None:
        calls.put(kwargs)

    with operator(memo=memo, settings=settings):
        started = calls.next()
    cleaned = calls.next()
    expected = {"param", "retry", "started", "runtime", "logger", "memo", "settings", "activity"}
    assert started.keys() == cleaned.keys() == expected
    assert (started["activity"], cleaned["activity"]) == ("startup", "cleanup")
    assert started["memo"] is cleaned["memo"] is memo
    assert started["settings"] is cleaned["settings"] is settings
    assert (started["param"], started["retry"]) == (1, 0)
    assert started["logger"].name == "kopf.activities.startup"
    assert cleaned["logger"].name == "kopf.activities.cleanup"


def test_memos_are_copies_of_the_operators_memo(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-MEM-004 to A-MEM-006."""

    @kopf.on.event("kex")
    def seen(memo: kopf.Memo, name: str, **_: Any) -> None:
        memo.count = memo.get("count", 0) + 1
        calls.put((name, memo.count, memo.shared))

    memo = kopf.Memo(shared=["x"])
    with operator(memo=memo):
        api.create(example("a"))
        assert calls.next() == ("a", 1, ["x"])
        api.patch({"spec": {"y": 1}}, "a")
        assert calls.next() == ("a", 2, ["x"])
        api.create(example("b"))
        assert calls.next() == ("b", 1, ["x"])
    assert memo == {"shared": ["x"]}


def test_events_are_posted_from_handlers_and_threads(api: Api, operator: MakeOperator) -> None:
    """A-EVT-001, A-EVT-006, A-EVT-007, A-EVT-011."""
    settings = kopf.OperatorSettings()
    settings.posting.progress = False

    @kopf.on.create("kex")
    def fn(body: kopf.Body, **_: Any) -> None:
        kopf.info(body, reason="Sync", message="x" * 2000)

    @kopf.on.create("kex")
    async def other(body: kopf.Body, **_: Any) -> None:
        kopf.event(body, type="AnyWord", reason="Async", message="hello")

    with operator(settings=settings):
        obj = api.create(example())
        events = api.wait_list(lambda items: len(items) == 2, "/api/v1/namespaces/default/events")
    by_reason = {event["reason"]: event for event in events}
    assert (by_reason["Sync"]["type"], by_reason["Async"]["type"]) == ("Normal", "AnyWord")
    assert len(by_reason["Sync"]["message"]) == 1024
    assert by_reason["Async"]["message"] == "hello"
    assert by_reason["Async"]["involvedObject"]["uid"] == obj["metadata"]["uid"]
    assert by_reason["Async"]["metadata"]["name"].startswith("kopf-event-")


def test_adopted_objects_belong_to_the_handled_one(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-HIE-004, FIX-18."""

    @kopf.on.create("kex")
    def sync(**_: Any) -> None:
        child: dict[str, Any] = {}
        kopf.adopt(child)
        calls.put(child)

    @kopf.on.event("kex")
    async def asynchronous(**_: Any) -> None:
        child: dict[str, Any] = {}
        kopf.harmonize_naming(child, None, strict=True)
        kopf.adjust_namespace(child, None)
        kopf.label(child, None)
        calls.put(child)

    with operator():
        obj = api.create(example(labels={"app": "x"}))
        found = [calls.next(), calls.next()]
    by_reference = {"ownerReferences" in child["metadata"]: child for child in found}
    assert by_reference[True]["metadata"]["ownerReferences"][0]["uid"] == obj["metadata"]["uid"]
    assert by_reference[False] == {"metadata": {"name": "one", "namespace": "default", "labels": {"app": "x"}}}


def test_sync_handlers_run_in_threads_with_their_context(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-DEC-032."""

    @kopf.on.create("kex")
    def sync(**_: Any) -> None:
        calls.put(threading.current_thread().name)

    @kopf.on.create("kex")
    async def asynchronous(**_: Any) -> None:
        calls.put(threading.current_thread().name)

    with operator():
        api.create(example())
        names = [calls.next(), calls.next()]
    assert names.count("operator") == 1


def test_a_blocking_handler_does_not_hold_other_objects(api: Api, operator: MakeOperator, calls: Calls) -> None:
    release = threading.Event()

    @kopf.on.create("kex")
    def fn(name: str, **_: Any) -> None:
        calls.put(name)
        if name == "blocking":
            assert release.wait(PATIENCE)

    with operator():
        api.create(example("blocking"))
        assert calls.next() == "blocking"
        api.create(example("other"))
        assert calls.next() == "other"
        api.wait(is_handled, "other")
        release.set()
        api.wait(is_handled, "blocking")


@pytest.mark.parametrize(
    "patch",
    [
        {"metadata": {"labels": None, "annotations": None}},
        {"spec": None},
        {"status": None},
    ],
)
def test_stanzas_may_be_absent(api: Api, operator: MakeOperator, calls: Calls, patch: Any) -> None:
    """A-KW-030, A-VIEW-005."""

    @kopf.on.event("kex")
    def fn(spec: Any, status: Any, labels: Any, annotations: Any, **_: Any) -> None:
        calls.put((dict(spec), dict(status), dict(labels), dict(annotations)))

    api.create({**example(), "spec": {}})
    api.patch(patch)
    with operator():
        assert calls.next() == ({}, {}, {}, {})


def test_nulls_in_bodies_do_no_harm(api: Api, operator: MakeOperator, calls: Calls, logs: Logs) -> None:
    """FIX-20: null stanzas are empty mappings."""

    @kopf.on.create(
        "kex", labels={"a": kopf.ABSENT}, annotations={"b": kopf.ABSENT}, field="spec.x.y", value=kopf.ABSENT
    )
    def fn(spec: Any, status: Any, **_: Any) -> None:
        calls.put((dict(spec), spec.get("x"), dict(status)))

    with operator():
        api.create({**example(spec={"x": None}), "status": None, "extra": None})
        assert calls.next() == ({"x": None}, None, {})
        api.wait(is_handled)


def test_changes_while_the_operator_is_down_are_handled_after(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-CAU-014, A-CAU-041."""

    @kopf.on.create("kex")
    @kopf.on.update("kex")
    def fn(reason: Any, diff: Any, **_: Any) -> None:
        calls.put((str(reason), [tuple(item)[:2] for item in diff]))

    with operator():
        api.create(example(spec={"x": 1}))
        assert calls.next()[0] == "create"
        api.wait(is_handled)
    api.patch({"spec": {"x": 2}})
    with operator():
        assert calls.next() == ("update", [("change", ("spec", "x"))])
        api.wait(is_handled)
    assert calls.all() == []


def test_resources_may_appear_after_the_operator(
    cluster: Cluster, operator: MakeOperator, calls: Calls, logs: Logs
) -> None:
    """A-SEL-027; habit: CRDs are created in on.startup, and watched in a second."""

    @kopf.on.create("kex")
    def fn(name: str, **_: Any) -> None:
        calls.put(name)

    with operator():
        logs.wait("Unresolved resources cannot be served")
        cluster.apply(CRD)
        Api.on(cluster).create(example())
        assert calls.next() == "one"


def test_namespaces_limit_what_is_served(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-EMB-005."""
    for name in ("mine", "other"):
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, "/api/v1/namespaces")

    @kopf.on.create("kex")
    def fn(namespace: str, **_: Any) -> None:
        calls.put(namespace)

    with operator(clusterwide=False, namespaces=["mine"]):
        api.create(example(), EXAMPLES.replace("default", "other"))
        api.create(example(), EXAMPLES.replace("default", "mine"))
        assert calls.next() == "mine"
    assert calls.all() == []
