"""The event loop's side: order, batches, blocking, other loops, panics, forks, ends."""

import asyncio
import concurrent.futures
import logging
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from typing import Any

import pytest
from bridges import MakeBridge
from helpers import Calls, Logs, example

import kopf
from kopf import _engine, _native


def test_a_blocking_handler_delays_no_engine_timer(bridge: MakeBridge) -> None:
    """Design 6: the engine's threads need nothing of the interpreter. The handler holds it, too, not only the loop."""

    @kopf.on.event("kex", id="sleeping")
    async def sleeping(**_: Any) -> None:
        time.sleep(2)

    @kopf.on.event("kex", id="burning")
    async def burning(**_: Any) -> None:
        until = time.monotonic() + 2
        while time.monotonic() < until:
            sum(range(100_000))

    with bridge() as door:
        for id in ("sleeping", "burning"):
            handler = door.begin(id)
            longest = door.exerciser.tick(1.5).wait(20)
            assert not handler.done()
            assert longest < 0.5  # of 2 seconds: a busy machine may be late, too
            handler.wait(20)


def test_sync_handlers_run_side_by_side(bridge: MakeBridge) -> None:
    """DEC-11: as many as there are threads, each while all others are blocked."""
    barrier = threading.Barrier(200)

    @kopf.on.event("kex", id="fn")
    def fn(**_: Any) -> int:
        barrier.wait(20)
        return threading.get_ident()

    door = bridge()
    door.settings.execution.max_workers = 200
    with door:
        ends = [door.begin("fn", object_id=number) for number in range(200)]
        results = {end.wait(20)["result"] for end in ends}
    assert len(results) == 200


def test_the_number_of_threads_is_limited(bridge: MakeBridge) -> None:
    """A-SET-039: `max_workers`, which may be changed at any time."""
    running = 0
    most = 0
    lock = threading.Lock()
    both = threading.Barrier(2)

    @kopf.on.event("kex", id="fn")
    def fn(**_: Any) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait(20)
        with lock:
            running -= 1

    door = bridge()
    door.settings.execution.max_workers = 2
    with door:
        for end in [door.begin("fn", object_id=number) for number in range(20)]:
            assert end.wait(20)["outcome"] == "succeeded"
    assert most == 2


def test_an_executor_of_the_user_is_used(bridge: MakeBridge) -> None:
    """A-SET-038."""

    @kopf.on.event("kex", id="fn")
    def fn(**_: Any) -> str:
        return threading.current_thread().name

    door = bridge()
    with concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="mine") as executor:
        door.settings.execution.executor = executor
        with door:
            assert door.call("fn")["result"] == "mine_0"


def test_an_executor_that_refuses_fails_the_handler(bridge: MakeBridge) -> None:
    @kopf.on.event("kex", id="fn")
    def fn(**_: Any) -> None:
        pass

    door = bridge()
    door.settings.execution.executor = executor = concurrent.futures.ThreadPoolExecutor(1)
    executor.shutdown()
    with door:
        end = door.call("fn")
    assert end["outcome"] == "arbitrary"
    assert "after shutdown" in end["text"]


def test_threads_of_handlers_are_threads_of_python(bridge: MakeBridge) -> None:
    """DEC-11: with names, trace functions, and thread-local values."""
    seen: list[str] = []

    @kopf.on.event("kex", id="fn")
    def fn(**_: Any) -> list[Any]:
        thread = threading.current_thread()
        return [thread.name.startswith("kopf-handler"), thread.daemon, type(thread).__name__]

    def trace(frame: Any, event: str, arg: Any) -> None:
        if frame.f_code is fn.__code__:
            seen.append(event)

    threading.settrace(trace)
    try:
        with bridge() as door:
            assert door.call("fn")["result"] == [True, False, "Thread"]
    finally:
        threading.settrace(None)  # type: ignore[arg-type] # which is how it is switched off
    assert seen == ["call"]


def test_lines_and_calls_come_in_order(bridge: MakeBridge, logs: Logs) -> None:
    """DEC-17."""

    @kopf.on.event("kex", id="async")
    async def asynchronous(logger: Any, retry: int, **_: Any) -> None:
        logger.info(f"called {retry}")

    with bridge() as door:
        ends = []
        for number in range(500):
            door.exerciser.log(example(), "info", f"before {number}")
            ends.append(door.begin("async", object_id=number, retry=number))
            door.exerciser.log(example(), "info", f"after {number}")
        for end in ends:
            end.wait(20)
        logs.wait("after 499")
    lines = [record.getMessage() for record in logs.records if record.name == "kopf.objects"]
    if sys.version_info >= (3, 12):
        words = ("before", "called", "after")
        assert lines == [f"{word} {number}" for number in range(500) for word in words]
    else:
        # Without eager tasks the first step of a function is a turn of the loop later.
        at = {line: position for position, line in enumerate(lines)}
        assert all(at[f"before {number}"] < at[f"called {number}"] for number in range(500))
        engine = [line for line in lines if not line.startswith("called")]
        assert engine == [f"{word} {number}" for number in range(500) for word in ("before", "after")]


def test_lines_about_objects_name_them(bridge: MakeBridge, logs: Logs) -> None:
    """A-LOG-005: what own formatters expect."""
    with bridge() as door:
        door.exerciser.log(example(namespace="ns", uid="u"), "warning", "100% sure, %s")
        record = logs.wait("100% sure, %s")
    assert (record.levelno, record.name) == (logging.WARNING, "kopf.objects")
    reference = {"apiVersion": "kopf.dev/v1", "kind": "KopfExample", "name": "one", "uid": "u", "namespace": "ns"}
    assert record.k8s_ref == reference  # type: ignore[attr-defined]


def test_a_flood_of_lines_is_cut_while_the_loop_is_blocked(bridge: MakeBridge, logs: Logs) -> None:
    """Every queue has a bound: what is lost is told."""
    gate = threading.Event()

    @kopf.on.event("kex", id="fn")
    async def fn(**_: Any) -> None:
        gate.wait(20)

    logging.getLogger("kopf.objects").setLevel(logging.ERROR)
    try:
        with bridge() as door:
            door.begin("fn")
            for _ in range(10_100):
                door.exerciser.log(example(), "debug", "line")
            gate.set()
            record = logs.wait("log lines were dropped")
    finally:
        logging.getLogger("kopf.objects").setLevel(logging.NOTSET)
    assert 1 <= int(record.getMessage().split()[0]) <= 200  # the engine has lines of its own


def test_the_loop_has_its_turn_between_batches(bridge: MakeBridge) -> None:
    """Design 5.1: 64 messages or 2 ms, then something else."""
    turns = 0
    seen: list[int] = []
    gate = threading.Event()

    @kopf.on.event("kex", id="first")
    async def first(**_: Any) -> None:
        gate.wait(20)
        asyncio.get_running_loop().call_soon(turn)

    def turn() -> None:
        nonlocal turns
        turns += 1
        asyncio.get_running_loop().call_soon(turn)

    @kopf.on.event("kex", id="fn")
    async def fn(**_: Any) -> None:
        seen.append(turns)

    with bridge() as door:
        door.begin("first")
        ends = [door.begin("fn", object_id=number) for number in range(300)]
        gate.set()
        for end in ends:
            end.wait(20)
    most = max(seen.count(turn) for turn in set(seen))
    assert most <= 64
    assert len(set(seen)) >= 5


def test_more_calls_than_the_inbox_holds_are_all_made(bridge: MakeBridge) -> None:
    """The producers wait for room."""
    gate = threading.Event()

    @kopf.on.event("kex", id="first")
    async def first(**_: Any) -> None:
        gate.wait(20)

    @kopf.on.event("kex", id="fn")
    async def fn(retry: int, **_: Any) -> int:
        return retry

    with bridge() as door:
        door.begin("first")
        ends = [door.begin("fn", object_id=number, retry=number) for number in range(3000)]
        gate.set()
        assert [end.wait(20)["result"] for end in ends] == list(range(3000))


class WithoutReaders(asyncio.SelectorEventLoop):
    """As the loop of Windows."""

    def add_reader(self, *args: Any) -> None:
        raise NotImplementedError

    def _add_reader(self, *args: Any) -> Any:
        return super()._add_reader(*args)  # type: ignore[misc] # of asyncio's own use


def test_loops_without_readers_are_served_by_a_thread(bridge: MakeBridge, logs: Logs) -> None:
    """DEC-11."""

    @kopf.on.event("kex", id="fn")
    async def fn(retry: int, **_: Any) -> int:
        await asyncio.sleep(0)
        return retry

    with bridge(WithoutReaders) as door:
        ends = [door.begin("fn", object_id=number, retry=number) for number in range(300)]
        assert [end.wait(20)["result"] for end in ends] == list(range(300))
        assert "kopf-inbox" in {thread.name for thread in threading.enumerate()}
    for thread in threading.enumerate():
        if thread.name == "kopf-inbox":
            thread.join(20)
            assert not thread.is_alive()


def test_panics_are_errors_of_runtime(bridge: MakeBridge) -> None:
    """DEC-11: never PyO3's BaseException, and the operator goes on."""
    told: list[Any] = []

    @kopf.on.event("kex", id="fn")
    async def fn(**_: Any) -> str:
        return "still here"

    door = bridge()
    begin = door._operate

    async def with_handler() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
        await begin()

    door._operate = with_handler  # type: ignore[method-assign]
    with door:
        door.exerciser.panic().wait(20)
        ends = [door.exerciser.panic(), door.begin("fn")]
        assert ends[1].wait(20)["result"] == "still here"  # nothing comes behind that would wake the loop
        assert door.call("fn")["result"] == "still here"
    assert [type(error) for error in told] == [RuntimeError, RuntimeError]
    assert "on purpose" in str(told[0])


def test_importing_starts_no_thread() -> None:
    """Design 5.7."""
    script = "import kopf, os; print(len(os.listdir('/proc/self/task')))"
    if not os.path.exists("/proc/self/task"):
        pytest.skip("the system tells no threads")
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "1\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_forked_children_are_refused(bridge: MakeBridge, registry: kopf.OperatorRegistry) -> None:
    """Design 5.7: the engine's threads are not there."""

    def child(connection: Any, door: Any) -> None:
        errors = []
        for use in (door.engine.stop, door.engine.start, lambda: door.engine.push_settings(door.settings)):
            try:
                use()
                errors.append("")
            except RuntimeError as error:
                errors.append(str(error))
        settings = kopf.OperatorSettings()
        _native.Engine(_engine.host(settings), [], settings)  # a new one is fine
        connection.send(errors)
        connection.close()
        os._exit(0)

    with bridge() as door:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        with warnings.catch_warnings():
            # Python tells that forking beside threads is no good idea, which is what this is about.
            warnings.simplefilter("ignore", DeprecationWarning)
            process = context.Process(target=child, args=(theirs, door))
            process.start()
        assert ours.poll(20)
        errors = ours.recv()
        process.join(20)
    for error in errors:
        assert f"belongs to the process {os.getpid()}" in error


def test_an_operator_starts_once(bridge: MakeBridge) -> None:
    with bridge() as door, pytest.raises(RuntimeError, match="started only once"):
        door.engine.start()


def test_operators_need_a_running_loop() -> None:
    settings = kopf.OperatorSettings()
    engine = _native.Engine(_engine.host(settings), [], settings)
    with pytest.raises(RuntimeError, match="no running event loop"):
        engine.start()
    engine.stop()


def test_calls_of_a_loop_that_is_gone_are_cancelled(bridge: MakeBridge, calls: Calls) -> None:
    """DEC-11: nothing waits for what nobody will do."""

    @kopf.on.event("kex", id="fn")
    async def fn(**_: Any) -> None:
        calls.put(asyncio.current_task())
        await asyncio.Event().wait()

    door = bridge()

    async def abandon() -> None:
        task = asyncio.ensure_future(door._operate())
        while not calls._calls.qsize():
            await asyncio.sleep(0.01)
        task.cancel()

    door._run = lambda: asyncio.run(abandon())  # type: ignore[method-assign]
    with door:
        running = door.begin("fn")
        assert running.wait(20)["outcome"] == "cancelled"
        door.join()
        assert door.begin("fn").wait(20)["outcome"] == "cancelled"


SCRIPT = """
import asyncio, sys, threading, kopf
from kopf.testing import DevCluster
from helpers import CRD, Api, example

@kopf.on.create("kex")
def fn(**_):
    print("handled", threading.current_thread().name, flush=True)
    {inside}

async def main():
    stop = threading.Event()
    operator = asyncio.create_task(kopf.operator(clusterwide=True, standalone=True, stop_flag=stop))
    {main}

with DevCluster() as cluster:
    cluster.apply(CRD)
    import os
    os.environ["KUBECONFIG"] = str(cluster.kubeconfig)
    api = Api(cluster.url)
    api.create(example())
    asyncio.run(main())
print("ended", flush=True)
"""


@pytest.mark.parametrize(
    ("inside", "main", "status"),
    [
        ("stop.set()", "globals().update(stop=stop); await operator", 0),
        ("raise SystemExit(3)", "await operator", 3),
        ("", "await asyncio.sleep(0.5)", 0),  # asyncio.run cancels what is left
    ],
)
def test_the_process_ends_when_it_should(inside: str, main: str, status: int) -> None:
    """Design 5.7: threads of handlers are no daemons, and hold nothing."""
    script = textwrap.dedent(SCRIPT).replace("{inside}", inside).replace("{main}", main)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode == status, done.stderr
    assert ("ended" in done.stdout) == (status == 0)
