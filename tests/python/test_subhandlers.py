"""Sub-handlers in detail (A-SUB)."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from helpers import LAST_HANDLED, Api, Calls, Logs, RunningOperator, annotations, example, has_status, is_handled

import kopf

MakeOperator = Callable[..., RunningOperator]


def test_filters_of_subhandlers_choose_them(api: Api, operator: MakeOperator) -> None:
    """A-SUB-009."""

    @kopf.on.create("kex", id="parent")
    def parent(**_: Any) -> None:
        for id, criteria in {
            "label": {"labels": {"a": "b"}},
            "other": {"labels": {"a": "c"}},
            "when": {"when": lambda spec, **_: spec["x"] == 1},
            "field": {"field": "spec.x", "value": 1},
        }.items():

            @kopf.subhandler(id=id, **criteria)  # type: ignore[arg-type]
            def child(**_: Any) -> int:
                return 1

    with operator():
        api.create(example(spec={"x": 1}, labels={"a": "b"}))
        obj = api.wait(has_status("parent/label", "parent/when", "parent/field"))
        api.wait(is_handled)
    assert obj["status"].keys() == {"parent/label", "parent/when", "parent/field"}


def test_old_and_new_need_a_parent_of_changes(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-SUB-008."""

    @kopf.on.create("kex")
    @kopf.on.update("kex", id="update")
    def parent(reason: Any, **_: Any) -> None:
        try:

            @kopf.subhandler(field="spec.x", old=1, new=2)
            def child(old: Any, new: Any, **_: Any) -> None:
                calls.put((old, new))

        except TypeError as error:
            calls.put((str(reason), type(error)))

    with operator():
        api.create(example(spec={"x": 1}))
        assert calls.next() == ("create", TypeError)
        api.wait(is_handled)
        api.patch({"spec": {"x": 2}})
        assert calls.next() == (1, 2)
        api.wait(is_handled)


def test_fields_of_subhandlers_are_relative_to_the_parents(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-SUB-010, KEEP-8."""

    @kopf.on.field("kex", field="spec.box")
    def parent(**_: Any) -> None:
        @kopf.subhandler(field="size")
        def child(old: Any, new: Any, diff: Any, **_: Any) -> None:
            calls.put((old, new, diff))

    with operator():
        api.create(example(spec={"box": {"size": 1}}))
        assert calls.next() == (None, 1, (("add", (), None, 1),))
        api.wait(is_handled)
        api.patch({"spec": {"box": {"size": 2}}})
        assert calls.next() == (1, 2, (("change", (), 1, 2),))
        api.wait(is_handled)


def test_unfinished_subhandlers_are_remembered_whatever_is_caught(
    api: Api, operator: MakeOperator, calls: Calls
) -> None:
    """FIX-15: a broad `except` around `kopf.execute()` loses nothing."""

    async def child(retry: int, **_: Any) -> None:
        calls.put(retry)
        if not retry:
            raise kopf.TemporaryError("again", delay=0)

    @kopf.on.create("kex", id="parent")
    async def parent(**_: Any) -> str:
        try:
            await kopf.execute(fns={"child": child})
        except Exception:
            return "caught"
        return "done"

    with operator():
        api.create(example())
        obj = api.wait(has_status("parent"))
        api.wait(is_handled)
    assert calls.all() == [0, 1]
    assert obj["status"]["parent"] == "done"


def test_steps_of_subhandlers_do_not_count_against_the_parent(api: Api, operator: MakeOperator, logs: Logs) -> None:
    """FIX-16."""

    @kopf.on.create("kex", id="parent", retries=1)
    async def parent(**_: Any) -> None:
        for id in ("a", "b", "c"):

            @kopf.subhandler(id=id)
            async def child(**_: Any) -> int:
                return 1

    with operator():
        api.create(example())
        api.wait(has_status("parent/a", "parent/b", "parent/c"))
        logs.wait("Creation is processed: 1 succeeded; 0 failed.")


def test_all_subhandlers_at_once(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-SUB-005, A-LIF-006."""

    async def child(**_: Any) -> None: ...

    @kopf.on.create("kex")
    async def parent(retry: int, cause: Any, **_: Any) -> None:
        calls.put(retry)
        await kopf.execute(fns=dict.fromkeys("abc", child), lifecycle=kopf.lifecycles.all_at_once, cause=cause)
        calls.put("after")

    with operator():
        api.create(example())
        api.wait(is_handled)
    assert calls.all() == [0, "after"]


def test_sources_of_subhandlers_exclude_each_other(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """A-SUB-003."""

    @kopf.on.create("kex")
    async def parent(**_: Any) -> None:
        for arguments in ({"fns": [], "handlers": []}, {"fns": 1}):
            try:
                await kopf.execute(**arguments)  # type: ignore[arg-type]
            except Exception as error:
                calls.put(type(error))

    with operator():
        api.create(example())
        assert [calls.next(), calls.next()] == [TypeError, ValueError]
        api.wait(is_handled)


def test_subhandlers_run_in_the_task_of_their_parent(api: Api, operator: MakeOperator, calls: Calls) -> None:
    """DEC-5; A-HIE-004: the object that is handled is the same."""

    @kopf.on.create("kex")
    async def parent(**_: Any) -> None:
        task = asyncio.current_task()

        async def child(logger: Any, **_: Any) -> None:
            calls.put(asyncio.current_task() is task)
            made: dict[str, Any] = {}
            kopf.adopt(made)
            calls.put(made["metadata"]["generateName"])

        await kopf.execute(fns=[child])

    with operator():
        api.create(example())
        assert [calls.next(), calls.next()] == [True, "one-"]
        api.wait(is_handled)


@pytest.mark.parametrize("restart", [False, True])
def test_subhandlers_that_have_succeeded_are_not_repeated(
    api: Api, operator: MakeOperator, calls: Calls, restart: bool
) -> None:
    """A-SUB-021, A-SUB-023, A-SUB-027."""

    @kopf.on.create("kex", id="parent")
    def parent(**_: Any) -> None:
        for id in ("a", "b"):

            @kopf.subhandler(id=id)
            def child(retry: int, id: str = id, **_: Any) -> None:
                calls.put((id, retry))
                if id == "b" and retry == 0:
                    raise kopf.TemporaryError("again", delay=1 if restart else 0)

    running = operator()
    with running:
        api.create(example())
        found = {calls.next(), calls.next()}
        if restart:
            api.wait(lambda obj: '"retries":1' in annotations(obj).get("kopf.zalando.org/parent.b", ""))
            running.stop()
            with operator():
                last = calls.next()
                obj = api.wait(is_handled)
        else:
            last = calls.next()
            obj = api.wait(is_handled)
    assert (found, last) == ({("a", 0), ("b", 0)}, ("b", 1))
    assert calls.all() == []
    assert annotations(obj).keys() == {LAST_HANDLED}
