import logging
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers import CRD, Api, Calls, Logs, RunningOperator

import kopf
from kopf.testing import DevCluster


@pytest.fixture(autouse=True, scope="session")
def interrupts() -> None:
    """Commands under test are ended by Ctrl-C, also where the tests themselves run in the background of a shell, which lets its
    background ignore interrupts, and everything that is started from there."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def registry() -> Iterator[kopf.OperatorRegistry]:
    """Every test has a default registry of its own."""
    fresh = kopf.OperatorRegistry()
    kopf.set_default_registry(fresh)
    yield fresh
    kopf.set_default_registry(kopf.OperatorRegistry())


@pytest.fixture(autouse=True)
def lifecycle(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test does to the default lifecycle stays in the test."""
    monkeypatch.setattr(kopf.lifecycles, "_default", kopf.lifecycles.asap)


@pytest.fixture(autouse=True)
def pending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decorators that a test has not applied are forgotten with it."""
    monkeypatch.setattr(kopf._pending, "_pending", {})


@pytest.fixture
def api(kopf_cluster: DevCluster) -> Api:
    """A cluster of the test's own, with the CRD of the tests."""
    kopf_cluster.apply(CRD)
    return Api(kopf_cluster.url)


@pytest.fixture
def calls() -> Calls:
    """What handlers tell the test."""
    return Calls()


@pytest.fixture
def logs() -> Iterator[Logs]:
    """All lines of the log, from debugging on."""
    logs = Logs()
    root = logging.getLogger()
    level = root.level
    root.addHandler(logs)
    root.setLevel(logging.DEBUG)
    yield logs
    root.removeHandler(logs)
    root.setLevel(level)


@pytest.fixture
def operator(registry: kopf.OperatorRegistry, logs: Logs) -> Callable[..., RunningOperator]:
    """Makes operators with the handlers that the test has declared."""

    def make(**kwargs: Any) -> RunningOperator:
        return RunningOperator(registry, **kwargs)

    return make
