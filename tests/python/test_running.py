"""Running and embedding: flags, scopes, signals, ends (A-EMB, W-PRC)."""

import asyncio
import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from helpers import PATIENCE, Api, Logs, RunningOperator, example

import kopf
from kopf import _running
from kopf.testing import DevCluster

MakeOperator = Callable[..., RunningOperator]


@pytest.fixture
def settings() -> kopf.OperatorSettings:
    """Settings of an operator that gives up at once."""
    settings = kopf.OperatorSettings()
    settings.networking.error_backoffs = []
    settings.networking.request_timeout = 5
    return settings


@pytest.mark.parametrize(
    "kind",
    [asyncio.Event, asyncio.Future, threading.Event, concurrent.futures.Future],
    ids=lambda kind: kind.__module__,
)
def test_flags_of_all_kinds(api: Api, registry: kopf.OperatorRegistry, logs: Logs, kind: Any) -> None:
    """A-EMB-009, A-EMB-022, A-EMB-023, A-LOG-151."""

    async def embed() -> None:
        ready, stop = kind(), kind()
        task = asyncio.create_task(kopf.operator(registry=registry, clusterwide=True, ready_flag=ready, stop_flag=stop))
        if isinstance(ready, asyncio.Event):
            await ready.wait()
        elif isinstance(ready, threading.Event):
            assert await asyncio.to_thread(ready.wait, PATIENCE)
        else:
            future = asyncio.wrap_future(ready) if isinstance(ready, concurrent.futures.Future) else ready
            assert await future is None
        stop.set() if hasattr(stop, "set") else stop.set_result("enough")
        async with asyncio.timeout(PATIENCE):
            await task

    asyncio.run(embed())
    is_future = hasattr(kind, "set_result")
    what = "set to 'enough'" if is_future else "raised"
    assert f"Stop-flag is {what}. Operator is stopping." in logs.messages


@pytest.mark.parametrize("name", ["stop_flag", "ready_flag"])
def test_other_flags_are_refused(registry: kopf.OperatorRegistry, name: str) -> None:
    """A-EMB-023."""
    with pytest.raises(TypeError, match=name):
        kopf.run(registry=registry, clusterwide=True, **{name: object()})


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"clusterwide": True, "namespaces": ["a"]}, TypeError),
        ({"namespace": "a", "namespaces": ["a"]}, TypeError),
        ({"clusterwide": True, "vault": object()}, TypeError),
        ({"clusterwide": True, "memories": object()}, TypeError),
        ({"clusterwide": True, "peering_name": "x"}, NotImplementedError),
        ({"clusterwide": True, "liveness_endpoint": "http://localhost:8080"}, NotImplementedError),
    ],
)
def test_arguments_that_cannot_be_are_refused(
    registry: kopf.OperatorRegistry, arguments: Any, error: type[Exception]
) -> None:
    """A-EMB-005, A-EMB-006, A-EMB-020, A-OPEN-005; what is not there yet says so."""
    with pytest.raises(error):
        kopf.run(registry=registry, **arguments)


def test_without_a_scope_there_is_a_warning(registry: kopf.OperatorRegistry) -> None:
    """A-EMB-020, W-PRC-002."""
    warning = "Absence of either namespaces or cluster-wide flag"
    with pytest.warns(FutureWarning, match=warning), pytest.raises(NotImplementedError):
        kopf.run(registry=registry, liveness_endpoint="http://localhost")


def test_former_names_of_arguments_are_warned_of(registry: kopf.OperatorRegistry) -> None:
    """A-EMB-006."""
    with pytest.warns(DeprecationWarning, match="namespaces"), pytest.raises(NotImplementedError):
        kopf.run(registry=registry, namespace="a", liveness_endpoint="http://localhost")


def test_priorities_without_peering_are_warned_of(api: Api, operator: MakeOperator, logs: Logs) -> None:
    with operator(priority=666):
        logs.wait("the priority has no effect")


def test_a_cancelled_operator_stops_and_raises(api: Api, registry: kopf.OperatorRegistry) -> None:
    """A-EMB-025, A-ACT-006."""
    cleaned = threading.Event()

    @kopf.on.cleanup()
    def clean(**_: Any) -> None:
        cleaned.set()

    async def embed() -> None:
        ready = asyncio.Event()
        task = asyncio.create_task(kopf.operator(registry=registry, clusterwide=True, ready_flag=ready))
        await ready.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(embed())
    assert cleaned.is_set()


def test_tasks_may_be_spawned_and_run_by_the_application(api: Api, registry: kopf.OperatorRegistry) -> None:
    """A-EMB-021, A-EMB-027; habit: `await kopf.spawn_tasks()` + own tasks + `await kopf.run_tasks()`."""

    async def mine() -> None:
        await asyncio.sleep(3600)

    async def embed() -> bool:
        ready, stop = asyncio.Event(), asyncio.Event()
        ignored = asyncio.create_task(mine())
        tasks = await kopf.spawn_tasks(registry=registry, clusterwide=True, ready_flag=ready, stop_flag=stop)
        asyncio.get_running_loop().create_task(_set_when(ready, stop))
        await kopf.run_tasks(tasks, ignored={ignored})
        survived = not ignored.done()
        ignored.cancel()
        return survived

    assert asyncio.run(embed())


async def _set_when(ready: asyncio.Event, stop: asyncio.Event) -> None:
    await ready.wait()
    stop.set()


def test_several_operators_run_in_one_process(api: Api, logs: Logs) -> None:
    """A-EMB-029; habit: `OperatorRegistry()` and decorators as functions with `registry=`."""
    seen: dict[str, threading.Event] = {}
    operators = []
    for name in ("a", "b"):
        registry = kopf.OperatorRegistry()
        seen[name] = threading.Event()

        def fn(was_called: threading.Event = seen[name], **_: Any) -> None:
            was_called.set()

        kopf.on.event("kex", registry=registry)(fn)
        operators.append(RunningOperator(registry))
    with operators[0], operators[1]:
        api.create(example())
        assert all(event.wait(PATIENCE) for event in seen.values())


def test_signals_are_ignored_outside_of_the_main_thread(api: Api, operator: MakeOperator, logs: Logs) -> None:
    """A-EMB-026, A-LOG-152, A-RUN-009; habit: filters on `kopf._core.reactor.running`."""
    with operator():
        record = logs.wait("OS signals are ignored: running not in the main thread.")
    assert (record.name, record.levelname) == ("kopf._core.reactor.running", "WARNING")


def test_a_failed_startup_stops_the_operator(api: Api, registry: kopf.OperatorRegistry) -> None:
    """A-ACT-002, A-ACT-003, A-ACT-007."""

    @kopf.on.startup()
    def start(**_: Any) -> None:
        raise kopf.PermanentError("boo")

    @kopf.on.cleanup()
    def clean(**_: Any) -> None:
        raise AssertionError("It must not be called.")

    with pytest.raises(Exception, match=r"One or more handlers failed\.") as caught:
        kopf.run(registry=registry, clusterwide=True)
    assert type(caught.value).__name__ == "ActivityError"
    assert str(caught.value.__cause__) == "boo"


def test_a_failed_cleanup_is_the_end_of_the_operator(api: Api, operator: MakeOperator) -> None:
    """A-ACT-006."""

    @kopf.on.cleanup()
    def clean(**_: Any) -> None:
        raise kopf.PermanentError("boo")

    running = operator()
    with pytest.raises(Exception, match=r"One or more handlers failed\."), running:
        pass


def test_settings_of_startup_handlers_hold(api: Api, operator: MakeOperator, logs: Logs) -> None:
    """A-ACT-004, A-SET-062; habit: `__dict__.update`."""

    @kopf.on.startup()
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.persistence.finalizer = "example.com/mine"
        settings.persistence.__dict__.update(
            diffbase_storage=kopf.AnnotationsDiffBaseStorage(prefix="my.example.com", key="last")
        )

    @kopf.on.delete("kex")
    def fn(**_: Any) -> None: ...

    with operator():
        api.create(example())
        obj = api.wait(lambda obj: obj and "my.example.com/last" in obj["metadata"].get("annotations", {}))
    assert obj["metadata"]["finalizers"] == ["example.com/mine"]


def test_settings_may_change_at_any_time(api: Api, operator: MakeOperator) -> None:
    """A-SET-062."""
    settings = kopf.OperatorSettings()

    @kopf.on.delete("kex")
    def fn(**_: Any) -> None: ...

    with operator(settings=settings):
        api.create(example("before"))
        api.wait(lambda obj: obj and obj["metadata"].get("finalizers"), "before")
        settings.persistence.finalizer = "example.com/after"
        api.create(example("after"))
        obj = api.wait(lambda obj: obj and obj["metadata"].get("finalizers"), "after")
    assert obj["metadata"]["finalizers"] == ["example.com/after"]


def test_an_unreachable_cluster_is_named(
    registry: kopf.OperatorRegistry,
    logs: Logs,
    settings: kopf.OperatorSettings,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """W-API-006."""
    with DevCluster(kubeconfig=tmp_path / "kubeconfig") as cluster:
        url = cluster.url  # the file stays, the cluster goes
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with pytest.raises(Exception, match="Connection refused"):
        kopf.run(registry=registry, settings=settings, clusterwide=True)
    logs.wait(f"Request attempt #1/1 failed; escalating: GET {url}/api")


def test_a_missing_kubeconfig_is_named(
    registry: kopf.OperatorRegistry, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with pytest.raises(Exception, match="absent"):
        kopf.run(registry=registry, clusterwide=True)


@pytest.mark.parametrize("text", ["", "[]", "current-context: x", "{broken", "apiVersion: v1\nkind: Config\n"])
def test_a_broken_kubeconfig_is_an_error(
    registry: kopf.OperatorRegistry, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "broken").write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "broken"))
    with pytest.raises(Exception, match=r"broken|[Cc]ontext"):
        kopf.run(registry=registry, clusterwide=True)


HANDLERS = """
import kopf
from kopf import _running

@kopf.on.startup()
def start(**_):
    print("started", flush=True)

@kopf.on.cleanup()
def clean(**_):
    print("cleaned", flush=True)
"""


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_the_command_gracefully(api: Api, tmp_path: pathlib.Path, which: signal.Signals) -> None:
    """A-EMB-026, A-CLI-007, W-PRC-011."""
    (tmp_path / "handlers.py").write_text(HANDLERS)
    process = subprocess.Popen(
        [sys.executable, "-m", "kopf", "run", "-A", "handlers.py"],
        cwd=tmp_path,
        env={**os.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any("authentication has finished" in line for line in process.stderr)
    process.send_signal(which)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, "started\ncleaned\n"), err
    assert f"Signal {which.name} is received. Operator is stopping." in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def broken(:\n", "SyntaxError"),
        ("import kopf\n\n@kopf.on.create\ndef fn(**_): pass\n", "has no parentheses"),
        ("import kopf\n\n@kopf.on.startup\ndef fn(**_): pass\n", "Write @kopf.on.startup()"),
        ("import kopf\n\n@kopf.daemon('kex')\ndef fn(**_): pass\n", "@kopf.daemon is not available"),
        ("import absent_module\n", "absent_module"),
    ],
)
def test_bad_files_end_the_command_with_the_reason(tmp_path: pathlib.Path, text: str, message: str) -> None:
    """A-CLI-007."""
    (tmp_path / "handlers.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "kopf", "run", "-A", "handlers.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert "handlers.py" in done.stderr


def test_tasks_of_handlers_that_are_left_are_cancelled(
    api: Api, operator: MakeOperator, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A-EMB-027, A-DMN-042, W-PRC-010."""
    monkeypatch.setattr(_running, "_HUNG_TASKS_TIMEOUT", 0.1)
    tasks: list[asyncio.Task[None]] = []

    @kopf.on.startup()
    async def start(**_: Any) -> None:
        tasks.append(asyncio.create_task(asyncio.sleep(3600)))

    with operator():
        assert not tasks[0].done()
    assert tasks[0].cancelled()
    logs.wait("Hung tasks are stopped")


def test_errors_of_tasks_that_are_left_are_those_of_the_operator(
    api: Api, operator: MakeOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W-PRC-020."""
    monkeypatch.setattr(_running, "_HUNG_TASKS_TIMEOUT", 0.1)
    tasks: list[asyncio.Task[None]] = []

    async def broken() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise ZeroDivisionError from None

    @kopf.on.startup()
    async def start(**_: Any) -> None:
        tasks.append(asyncio.create_task(broken()))

    with pytest.raises(ZeroDivisionError), operator():
        pass


DEAF = """
import time
import kopf
from kopf import _running

@kopf.on.startup()
def start(settings, **_):
    settings.process.ultimate_exiting_timeout = 1

@kopf.on.cleanup()
def clean(**_):
    print("cleaning", flush=True)
    time.sleep(3600)
"""


def test_a_stop_that_never_ends_is_ended(api: Api, tmp_path: pathlib.Path) -> None:
    """A-EMB-028, A-SET-001, W-PRC-015, W-PRC-016."""
    (tmp_path / "handlers.py").write_text(DEAF)
    process = subprocess.Popen(
        [sys.executable, "-m", "kopf", "run", "-A", "handlers.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert any("authentication has finished" in line for line in process.stderr)
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(signal.SIGTERM)  # a second one changes nothing (A-EMB-026)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL


def test_the_start_is_told_once_with_the_version(
    api: Api, operator: Callable[..., RunningOperator], logs: Logs
) -> None:
    """W-PRC-004; the same name and version are sent with requests (W-API-002)."""
    with operator():
        logs.wait("Initial authentication has finished.")
    starts = [message for message in logs.messages if message.lower().startswith("starting kopf")]
    assert starts == [f"Starting Kopf {kopf.__version__}."]
