import logging
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers import CRD, Api, Calls, Cluster, Logs, RunningOperator
from shared_cluster import SharedCluster

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with a cluster are end-to-end tests."""
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker("e2e")


@pytest.fixture(scope="session")
def shared_cluster() -> SharedCluster | None:
    """The cluster that the end-to-end tests take turns on, if there is one."""
    kubeconfig = os.environ.get("KOPF_TEST_KUBECONFIG")
    return None if kubeconfig is None else SharedCluster(kubeconfig)


@pytest.fixture
def cluster(
    shared_cluster: SharedCluster | None, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Cluster]:
    """An empty cluster for the test alone, which `KUBECONFIG` names: the shared one, cleaned, or a dev cluster."""
    if shared_cluster is None:
        with DevCluster() as dev_cluster:
            monkeypatch.setenv("KUBECONFIG", str(dev_cluster.kubeconfig))
            yield dev_cluster
    else:
        # A real server takes no object in the first two seconds of its definition: the one that most tests use stays.
        shared_cluster.clean(keep={"kopfexamples.kopf.dev"} if "api" in request.fixturenames else ())
        monkeypatch.setenv("KUBECONFIG", str(shared_cluster.kubeconfig))
        yield shared_cluster


@pytest.fixture
def api(cluster: Cluster) -> Api:
    """A cluster for the test alone, with the CRD of the tests."""
    cluster.apply(CRD)
    return Api.on(cluster)


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
