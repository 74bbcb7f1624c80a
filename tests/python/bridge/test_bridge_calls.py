"""How handlers are called, and what becomes of how they end."""

import asyncio
import collections
import contextvars
import datetime
import gc
import re
import weakref
from typing import Any

import pytest
from bridges import MakeBridge
from helpers import Calls, Logs, example

import kopf


def test_results_are_values(bridge: MakeBridge) -> None:
    """A-RES-001, A-RES-002."""

    @kopf.on.event("kex", id="async")
    async def asynchronous(**_: Any) -> Any:
        return {"a": [1, 2.5, None, True, "ü"]}

    @kopf.on.event("kex", id="sync")
    def synchronous(**_: Any) -> Any:
        return (1, {2: collections.OrderedDict(x=1)})

    @kopf.on.event("kex", id="view")
    def view(spec: Any, **_: Any) -> Any:
        return spec

    with bridge() as door:
        assert door.call("async")["result"] == {"a": [1, 2.5, None, True, "ü"]}
        assert door.call("sync")["result"] == [1, {"2": {"x": 1}}]
        assert door.call("view")["result"] == {"field": "value"}


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(
    ("error", "outcome", "delay"),
    [
        (kopf.TemporaryError("boo"), "temporary", 60),
        (kopf.TemporaryError("boo", delay=1.5), "temporary", 1.5),
        (kopf.TemporaryError("boo", delay=None), "temporary", None),
        (kopf.PermanentError("boo"), "permanent", None),
        (kopf.AdmissionError("boo"), "permanent", None),
        (type("Both", (kopf.TemporaryError, kopf.PermanentError), {})("boo"), "temporary", 60),
        (ValueError("boo"), "arbitrary", None),
        (asyncio.CancelledError("boo"), "cancelled", None),
        (TimeoutError("boo"), "arbitrary", None),
    ],
)
def test_errors_are_classified(
    bridge: MakeBridge, error: BaseException, outcome: str, delay: float | None, is_async: bool
) -> None:
    """A-ERR-002 to A-ERR-008."""

    @kopf.on.event("kex", id="sync")
    def synchronous(**_: Any) -> None:
        raise error

    @kopf.on.event("kex", id="async")
    async def asynchronous(**_: Any) -> None:
        raise error

    with bridge() as door:
        end = door.call("async" if is_async else "sync")
    assert (end["outcome"], end["delay"]) == (outcome, delay)
    if outcome != "cancelled":
        assert (end["text"], end["repr"]) == ("boo", repr(error))
        assert end["origin"] is error


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (object(), "object is not JSON"),
        ({"a": [{"b": datetime.datetime.now()}]}, r"a\[0\]\.b: datetime\.datetime"),
        ({"x": float("nan")}, "x: the number is not finite"),
        ({"x": "\ud800"}, "x: the text is no valid Unicode"),
        ({"x": 2**70}, "x: the integer does not fit"),
        ({object: 1}, "is no key"),
    ],
)
def test_results_that_are_no_json_fail_the_handler(bridge: MakeBridge, value: Any, where: str) -> None:
    """FIX-14."""

    @kopf.on.event("kex", id="fn")
    def fn(patch: Any, **_: Any) -> Any:
        patch.spec["x"] = 1
        return value

    with bridge() as door:
        end = door.call("fn")
    assert end["outcome"] == "permanent"
    assert re.search(f'handler "fn" cannot be stored: .*{where}', end["text"])
    assert end["patch"] == {"spec": {"x": 1}}


def test_results_that_contain_themselves_fail_the_handler(bridge: MakeBridge) -> None:
    """FIX-14."""

    @kopf.on.event("kex", id="fn")
    def fn(**_: Any) -> Any:
        endless: list[Any] = []
        endless.append(endless)
        return endless

    with bridge() as door:
        assert "contains itself" in door.call("fn")["text"]


def test_patches_that_are_no_json_fail_the_handler_and_lose_nothing_else(bridge: MakeBridge) -> None:
    """FIX-14, for what is not a result."""

    @kopf.on.event("kex", id="fn")
    def fn(patch: Any, **_: Any) -> Any:
        patch.spec["good"] = 1
        patch.spec["bad"] = object()

    with bridge() as door:
        end = door.call("fn", patch={"status": {"before": 1}})
    assert end["outcome"] == "permanent"
    assert "spec.bad: object is not JSON serializable" in end["text"]
    assert end["patch"] == {"status": {"before": 1}, "spec": {"good": 1}}


def test_functions_of_patches_come_back(bridge: MakeBridge) -> None:
    """A-PATCH-005."""

    def change(body: Any) -> None:
        body["spec"]["x"] = 1

    @kopf.on.event("kex", id="fn")
    def fn(patch: Any, **_: Any) -> Any:
        patch.fns.append(change)

    with bridge() as door:
        assert door.call("fn")["fns"] == [change]


def test_a_cycle_has_one_patch(bridge: MakeBridge) -> None:
    """A-KW-033: what handlers run side by side put into it comes together."""
    gate = asyncio.Event()

    @kopf.on.event("kex", id="first")
    async def first(patch: Any, **_: Any) -> Any:
        patch.status["first"] = 1
        await gate.wait()

    @kopf.on.event("kex", id="second")
    async def second(patch: Any, **_: Any) -> Any:
        assert patch.status["first"] == 1
        patch.status["second"] = 2
        gate.set()

    obj = example()
    with bridge() as door:
        one = door.begin("first", obj, call=1)
        # One object of the engine: the exerciser makes a new one each time, which is another version.
        door.call("second", obj, call=2, patch={"status": {"first": 1}})
        assert one.wait()["patch"]["status"]["first"] == 1


def test_functions_get_what_they_name(bridge: MakeBridge, calls: Calls) -> None:
    """DEC-8: those that never look into `**kwargs` get the named ones only."""

    @kopf.on.event("kex", id="named")
    async def named(spec: Any, *, name: str, retry: int, **_: Any) -> None:
        calls.put((dict(spec), name, retry))

    @kopf.on.event("kex", id="all")
    async def everything(**kwargs: Any) -> None:
        calls.put(set(kwargs))

    @kopf.on.event("kex", id="nested")
    async def nested(**kwargs: Any) -> None:
        calls.put(set((lambda: kwargs)()))

    @kopf.on.event("kex", id="locals")
    async def by_locals(**kwargs: Any) -> None:
        calls.put(set(locals()["kwargs"]))

    with pytest.warns(UserWarning, match="has no"):

        @kopf.on.event("kex", id="none")
        async def none() -> None:
            pass

    every = {
        "param",
        "retry",
        "started",
        "runtime",
        "logger",
        "memo",
        "resource",
        "patch",
        "body",
        "spec",
        "meta",
        "status",
        "uid",
        "name",
        "namespace",
        "labels",
        "annotations",
        "event",
        "type",
        "cause",
    }
    with bridge() as door:
        door.call("named", retry=3)
        assert calls.next() == ({"field": "value"}, "one", 3)
        for id in ("all", "nested", "locals"):
            door.call(id)
            assert calls.next() == every
        assert "unexpected keyword argument" in door.call("none")["text"]  # A-DEC-035


def test_the_bookkeeping_of_attempts(bridge: MakeBridge, calls: Calls) -> None:
    """A-KW-020, A-KW-021."""

    @kopf.on.event("kex", id="fn", param="p")
    async def fn(param: Any, retry: int, started: Any, runtime: Any, **_: Any) -> None:
        calls.put((param, retry, started, runtime))

    with bridge() as door:
        door.call("fn", retry=2)
    param, retry, started, runtime = calls.next()
    assert (param, retry, runtime) == ("p", 2, datetime.timedelta(seconds=1.5))
    assert started.tzinfo == datetime.UTC
    assert abs(datetime.datetime.now(datetime.UTC) - started) < datetime.timedelta(minutes=1)


def test_changes_come_with_their_values(bridge: MakeBridge, calls: Calls) -> None:
    """A-KW-040 to A-KW-042, A-KW-014."""

    @kopf.on.update("kex", id="fn")
    async def fn(**kwargs: Any) -> None:
        calls.put(kwargs)

    with bridge() as door:
        door.call("fn", event_type="MODIFIED", reason="update", old={"field": "before"})
    kwargs = calls.next()
    cause = kwargs["cause"]
    assert kwargs["reason"] is kopf.Reason.UPDATE
    assert kwargs["old"] == {"field": "before"}
    assert kwargs["new"] == {"field": "value"}
    assert kwargs["diff"] == (("change", ("field",), "before", "value"),)
    assert kwargs["event"]["type"] == "MODIFIED"
    assert kwargs["event"]["object"] == kwargs["body"]
    for name in [
        "reason",
        "old",
        "new",
        "diff",
        "event",
        "body",
        "spec",
        "meta",
        "status",
        "labels",
        "annotations",
        "patch",
        "memo",
        "logger",
        "resource",
    ]:
        assert getattr(cause, name) is kwargs[name], name
    assert (cause.initial, cause.deleted) == (False, False)


def test_awaitable_results_are_awaited(bridge: MakeBridge) -> None:
    """FIX-28."""

    async def inner() -> str:
        await asyncio.sleep(0)
        return f"{kopf._native.current_invocation().handler.id}"

    class Callable:
        async def __call__(self, **_: Any) -> str:
            return await inner()

    class Awaitable:
        def __await__(self) -> Any:
            return inner().__await__()

    kopf.on.event("kex", id="lambda")(lambda **_: inner())
    kopf.on.event("kex", id="object")(Callable())
    kopf.on.event("kex", id="awaitable")(lambda **_: Awaitable())
    with bridge() as door:
        for id in ("lambda", "object", "awaitable"):
            assert door.call(id)["result"] == id


var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="unset")


def test_each_call_has_a_context_of_its_own(bridge: MakeBridge) -> None:
    """A-DEC-032, DEC-9: a copy of the context in which the operator was awaited."""

    @kopf.on.event("kex", id="async")
    async def asynchronous(**_: Any) -> str:
        before = var.get()
        var.set("changed")
        await asyncio.sleep(0)
        assert var.get() == "changed"
        return before

    @kopf.on.event("kex", id="sync")
    def synchronous(**_: Any) -> str:
        before = var.get()
        var.set("changed")
        return before

    door = bridge()
    begin = door._operate

    async def with_context() -> None:
        var.set("operator")
        await begin()

    door._operate = with_context  # type: ignore[method-assign]
    with door:
        for id in ("async", "async", "sync", "sync"):
            assert door.call(id)["result"] == "operator"


def test_the_running_handler_is_known(bridge: MakeBridge) -> None:
    with pytest.raises(LookupError):
        kopf._native.current_invocation()

    @kopf.on.event("kex", id="async")
    async def asynchronous(body: Any, **_: Any) -> bool:
        await asyncio.sleep(0)
        invocation = kopf._native.current_invocation()
        return invocation.handler.id == "async" and invocation.cause.body is body  # type: ignore[union-attr]

    @kopf.on.event("kex", id="sync")
    def synchronous(body: Any, **_: Any) -> bool:
        invocation = kopf._native.current_invocation()
        return invocation.handler.id == "sync" and set(invocation.kwargs()) > {"spec", "retry", "memo"}

    with bridge() as door:
        assert door.call("async")["result"] is True
        assert door.call("sync")["result"] is True


def test_async_handlers_are_tasks_that_begin_at_once_where_python_can(bridge: MakeBridge) -> None:
    """DEC-9: eager from 3.12 on, and never by the factory of the user."""
    made: list[Any] = []

    @kopf.on.event("kex", id="fn")
    async def fn(**_: Any) -> None:
        assert asyncio.current_task() is not None
        made.append("begun")
        await asyncio.sleep(0)
        made.append("ended")

    def factory(loop: Any, coro: Any, **kwargs: Any) -> Any:
        made.append("factory")
        return asyncio.Task(coro, loop=loop, **kwargs)

    door = bridge()
    begin = door._operate

    async def with_factory() -> None:
        asyncio.get_running_loop().set_task_factory(factory)
        await begin()

    door._operate = with_factory  # type: ignore[method-assign]
    with door:
        door.call("fn")
        assert made == ["begun", "ended"]


def test_cancelled_tasks_are_reported_as_cancelled(bridge: MakeBridge, calls: Calls) -> None:
    """A-ERR-007."""

    @kopf.on.event("kex", id="fn")
    async def fn(**_: Any) -> None:
        calls.put("begun")
        try:
            await asyncio.Event().wait()
        finally:
            calls.put("ended")

    @kopf.on.event("kex", id="stubborn")
    async def stubborn(**_: Any) -> str:
        calls.put("begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "ended in its own way"
        return "unreachable"

    with bridge() as door:
        running = door.begin("fn", call=7)
        assert calls.next() == "begun"
        door.exerciser.cancel(1, 6)
        assert not running.done()
        door.exerciser.cancel(1, 7)
        assert running.wait()["outcome"] == "cancelled"
        assert calls.next() == "ended"

        running = door.begin("stubborn", call=8)
        assert calls.next() == "begun"
        door.exerciser.cancel(1, 8)
        assert running.wait()["result"] == "ended in its own way"


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_exits_in_handlers_stop_the_operator(bridge: MakeBridge, error: BaseException, is_async: bool) -> None:
    """DEC-11: and nothing is stored."""

    @kopf.on.event("kex", id="async")
    async def asynchronous(**_: Any) -> None:
        raise error

    @kopf.on.event("kex", id="sync")
    def synchronous(**_: Any) -> None:
        raise error

    with bridge() as door:
        end = door.begin("async" if is_async else "sync")
        door.join()
    assert end.wait()["outcome"] == "cancelled"
    assert type(door.error) is type(error)


def test_memos_are_of_the_object(bridge: MakeBridge) -> None:
    """A-MEM-004 to A-MEM-006."""

    @kopf.on.event("kex", id="put")
    async def put(memo: Any, **_: Any) -> None:
        memo.count = memo.get("count", 0) + 1

    @kopf.on.event("kex", id="get")
    def get(memo: Any, **_: Any) -> Any:
        return dict(memo)

    door = bridge()
    door.memo = kopf.Memo(shared="x")
    with door:
        door.call("get", object_id=3)
        door.memo["shared"] = "later"
        door.call("put", object_id=1)
        door.call("put", object_id=1)
        assert door.call("get", object_id=1)["result"] == {"shared": "later", "count": 2}
        assert door.call("get", object_id=2)["result"] == {"shared": "later"}
        assert door.call("get", object_id=3)["result"] == {"shared": "x"}
        door.exerciser.forget(1)
        assert door.call("get", object_id=1)["result"] == {"shared": "later"}


def test_an_empty_memo_is_copied_at_the_first_sight_too(bridge: MakeBridge) -> None:
    """A-MEM-004: objects seen before do not see what comes later."""

    @kopf.on.event("kex", id="idle")
    async def idle(**_: Any) -> None:
        pass

    @kopf.on.event("kex", id="get")
    async def get(memo: Any, **_: Any) -> Any:
        return dict(memo)

    door = bridge()
    door.memo = kopf.Memo()
    with door:
        door.call("idle")
        door.memo["later"] = 1
        assert door.call("get")["result"] == {}
        assert door.call("get", object_id=2)["result"] == {"later": 1}


def test_nothing_is_kept_of_an_object_at_rest(bridge: MakeBridge) -> None:
    """Design 6: memory per object. What handlers do not keep themselves is gone after the cycle."""
    refs: list[Any] = []

    @kopf.on.event("kex", id="fn")
    async def fn(body: Any, spec: Any, memo: Any, event: Any, **_: Any) -> None:
        refs.extend([weakref.ref(body), weakref.ref(spec)])

    with bridge() as door:
        gc.disable()
        try:
            door.call("fn")
            door.call("fn", object_id=2)  # after which the first call is over on the side of Python, too
            assert [ref() for ref in refs[:2]] == [None, None]
        finally:
            gc.enable()


def test_objects_of_python_are_not_leaked(bridge: MakeBridge) -> None:
    """Held: references that the engine drops are released by the loop."""

    class Boo(Exception):
        pass

    refs: list[Any] = []

    @kopf.on.event("kex", id="fn")
    async def fn(patch: Any, **_: Any) -> None:
        def change(body: Any) -> None:
            pass

        error = Boo()
        patch.fns.append(change)
        refs.extend([weakref.ref(error), weakref.ref(change)])
        raise error

    @kopf.on.event("kex", id="idle")
    async def idle(**_: Any) -> None:
        pass

    with bridge() as door:
        end = door.call("fn")
        assert end["origin"] is refs[0]()
        del end
        door.call("idle")
        door.call("idle")
        gc.collect()
        assert [ref() for ref in refs] == [None, None]


def test_loggers_name_the_object_when_they_log(bridge: MakeBridge, logs: Logs) -> None:
    """A-LOG-005, A-LOG-006."""

    @kopf.on.event("kex", id="fn")
    async def fn(logger: Any, **_: Any) -> None:
        logger.info("hello", extra={"mine": 1})

    with bridge() as door:
        door.call("fn", example(namespace="ns", uid="u"))
    record = logs.wait("hello")
    reference = {"apiVersion": "kopf.dev/v1", "kind": "KopfExample", "name": "one", "uid": "u", "namespace": "ns"}
    told = [getattr(record, name) for name in ("k8s_ref", "k8s_skip", "settings", "mine")]
    assert told == [reference, True, door.settings, 1]
