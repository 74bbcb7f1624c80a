"""The fixtures for tests of operators; pytest finds them by itself when the package is installed."""

from collections.abc import Iterator

import pytest

from kopf._devcluster import DevCluster

__all__ = ["kopf_cluster"]


@pytest.fixture
def kopf_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[DevCluster]:
    """A dev cluster of the test's own; `KUBECONFIG` names it as long as the test runs."""
    with DevCluster() as cluster:
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
        yield cluster
