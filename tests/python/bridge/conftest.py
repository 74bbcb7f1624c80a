import asyncio
from collections.abc import Callable, Iterator

import pytest
from bridges import Bridge, MakeBridge
from helpers import Logs

import kopf
from kopf.testing import DevCluster


@pytest.fixture(scope="package")
def unused_cluster() -> Iterator[DevCluster]:
    """An empty cluster, which nobody changes."""
    with DevCluster() as cluster:
        yield cluster


@pytest.fixture
def bridge(registry: kopf.OperatorRegistry, unused_cluster: DevCluster, logs: Logs) -> MakeBridge:
    """Makes bridges to the handlers that the test has declared."""

    def make(loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop) -> Bridge:
        return Bridge(registry, unused_cluster.url, loop)

    return make
