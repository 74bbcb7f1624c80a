"""kube-apiserver and etcd are killed under a running operator, again and again, while objects come, change and go.

Played and judged as the courses of the chaos suite are (`tests/chaos`), on a real cluster of the test's own.
"""

import base64
import json
import os
import pathlib
import shutil
import threading
import time
from collections.abc import Iterator
from typing import Any, Self

import pytest
from course import CHILDREN, Course
from judge import Client, History
from processes import CRD, EXAMPLES, PATIENCE
from realkube import RealCluster
from shared_cluster import SharedCluster

KILLS = [("apiserver",), ("etcd",), ("etcd", "apiserver"), ("etcd",), ("apiserver",), ("etcd", "apiserver")]


class StoredHistory(History):
    """All versions, as etcd has them: a restarted kube-apiserver has forgotten those before its start.

    Args:
        client: The judge's own.
        store: Where etcd is.
    """

    def __init__(self, client: Client, store: str) -> None:
        super().__init__(client, EXAMPLES)
        self._store = Client(store, "chaos-judge")

    def _watch(self, since: str) -> Iterator[tuple[str, Any]]:
        keys = {
            "key": _base64("/registry/kopf.dev/kopfexamples/"),
            "range_end": _base64("/registry/kopf.dev/kopfexamples0"),
        }
        request = {"create_request": {**keys, "start_revision": int(since) + 1, "prev_kv": True}}
        with self._store.open("POST", "/v3/watch", request, timeout=40) as answer:
            for line in answer:
                told = json.loads(line)["result"]
                assert not told.get("canceled"), told
                for event in told.get("events", []):
                    is_gone = event.get("type") == "DELETE"
                    item = json.loads(base64.b64decode(event["prev_kv" if is_gone else "kv"]["value"]))
                    item["metadata"]["resourceVersion"] = event["kv"]["mod_revision"]
                    yield "DELETED" if is_gone else "MODIFIED", item


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class KilledCluster:
    """A real cluster in the place of the dev cluster of a course."""

    def __init__(self, real: RealCluster) -> None:
        self.real = real
        self.kubeconfig = real.kubeconfig
        self.env = {"KUBECONFIG": str(real.kubeconfig), "CHAOS_URL": real.url, "CHAOS_TOKEN": real.token}

    def __enter__(self) -> Self:
        SharedCluster(self.kubeconfig).apply(CRD)
        return self

    def __exit__(self, *_: object) -> None:
        """It ends with its fixture."""

    def client(self, agent: str) -> Client:
        """A client of this name."""
        return Client(self.real.url, agent, self.real.token)

    def history(self) -> History:
        """The judge's view of the objects, from now on."""
        return StoredHistory(self.client("chaos-judge"), self.real.store_url)

    def calm(self) -> None:
        """Nothing happens any more."""

    def collect_garbage(self) -> None:
        """Soon. By itself, the collector takes minutes to trust a server again."""
        self.real.restart("controllers")

    def kill(self, components: tuple[str, ...]) -> None:
        """Kills these all at once, and starts them again, in the order in which they need each other."""
        for component in components:
            self.real.kill(component)
        for component in components:
            self.real.start(component)


@pytest.fixture
def cluster() -> Iterator[KilledCluster]:
    """A real cluster of the test's own."""
    binary = os.environ.get("KOPF_TEST_REALKUBE")
    if binary is None:
        pytest.fail("KOPF_TEST_REALKUBE must name the program of a real Kubernetes: run `make test-real`")
    with RealCluster(binary) as real:
        yield KilledCluster(real)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("door", ["python", "rust"])
def test_no_change_is_lost_when_the_server_or_its_store_is_killed(
    cluster: KilledCluster, door: str, tmp_path: pathlib.Path
) -> None:
    """DEC-1, DEC-7, W-WAT-009, W-WAT-011: nor is a finished handler called again, nor anything stuck or left behind."""
    with Course(door, 1, folder=tmp_path / "course", cluster=cluster) as course:
        enough = threading.Event()
        writing = threading.Thread(target=_write, args=(course, enough))
        writing.start()
        try:
            for components in KILLS:
                _wait_for_calls(course, 20)
                cluster.kill(components)
            _wait_for_calls(course, 20)
        finally:
            enough.set()
            writing.join()
        course.come_to_rest()
        cluster.collect_garbage()
        _wait_for_garbage_collection(course)
        outcome = course.conclude()
    told = "\n".join(map(str, outcome.problems))
    assert not outcome.problems, f"{told}\nsee {course.folder}"
    assert outcome.ended == 0, f"the operator has ended by itself, see {course.folder}"
    shutil.rmtree(course.folder)


def _write(course: Course, enough: threading.Event) -> None:
    while not enough.is_set():
        course.writer.write()
        enough.wait(course.chance.random() * 0.2)


def _wait_for_calls(course: Course, count: int) -> None:
    """Lets the operator work in between."""
    wanted = len(course.journal.calls()) + count
    deadline = time.monotonic() + PATIENCE
    while len(course.journal.calls()) < wanted:
        assert time.monotonic() < deadline, f"no {count} handlers were called in {PATIENCE:.0f} s, see {course.folder}"
        time.sleep(0.05)


def _wait_for_garbage_collection(course: Course) -> None:
    deadline = time.monotonic() + PATIENCE
    while _owners(course) - {item["metadata"]["uid"] for item in course.judge.request("GET", EXAMPLES)["items"]}:
        assert time.monotonic() < deadline, "the children of deleted objects have not gone"
        time.sleep(0.1)


def _owners(course: Course) -> set[Any]:
    items = course.judge.request("GET", CHILDREN)["items"]
    return {owner["uid"] for item in items for owner in item["metadata"].get("ownerReferences") or []}
