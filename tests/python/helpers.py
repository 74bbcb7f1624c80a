"""What tests work with: recorded behaviour, an operator in a thread, requests to the cluster, lines of logs.

Nothing here sleeps: tests wait for events of the cluster, for lines of the log, or for what handlers put into queues.
"""

import asyncio
import contextlib
import json
import logging
import pathlib
import queue
import threading
import urllib.error
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from access import Access
from shared_cluster import SharedCluster

import kopf
from kopf.testing import DevCluster

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONTRACT = ROOT / "contract"
PATIENCE = 60.0  # seconds until something that should happen counts as not happening

Object = dict[str, Any]
Predicate = Callable[[Any], Any]
Cluster = DevCluster | SharedCluster


def golden(name: str) -> list[dict[str, Any]]:
    """The cases of a file of recorded behaviour."""
    return json.loads((CONTRACT / "golden" / f"{name}.json").read_text())["cases"]


CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: kopfexamples.kopf.dev}
spec:
  group: kopf.dev
  scope: Namespaced
  names: {kind: KopfExample, plural: kopfexamples, singular: kopfexample, shortNames: [kex]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
"""

LAST_HANDLED = "kopf.zalando.org/last-handled-configuration"
EXAMPLES = "/apis/kopf.dev/v1/namespaces/default/kopfexamples"


def example(name: str = "one", *, spec: Any = None, **meta: Any) -> Object:
    """An object of the CRD of the tests."""
    return {
        "apiVersion": "kopf.dev/v1",
        "kind": "KopfExample",
        "metadata": {"name": name, **meta},
        "spec": {"field": "value"} if spec is None else spec,
    }


class Api:
    """Requests to a cluster, and waiting for what happens in it.

    Args:
        cluster: Its address, if everybody is let in; or what its kubeconfig says.
    """

    def __init__(self, cluster: str | Access) -> None:
        self._access = Access(cluster) if isinstance(cluster, str) else cluster

    @classmethod
    def on(cls, cluster: Cluster) -> Self:
        return cls(Access.of(cluster.kubeconfig))

    @property
    def url(self) -> str:
        return self._access.server

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """The answer; None for 404 of what is not there."""
        try:
            with self._access.open(method, path, body, content_type=content_type, timeout=PATIENCE) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return None
                raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def create(self, obj: Object, collection: str = EXAMPLES) -> Object:
        return self.request("POST", collection, obj)  # type: ignore[no-any-return]

    def get(self, name: str = "one", collection: str = EXAMPLES) -> Any:
        return self.request("GET", f"{collection}/{name}")

    def patch(self, patch: Any, name: str = "one", collection: str = EXAMPLES, subresource: str = "") -> Any:
        path = f"{collection}/{name}{subresource}"
        return self.request("PATCH", path, patch, "application/merge-patch+json")

    def delete(self, name: str = "one", collection: str = EXAMPLES) -> None:
        self.request("DELETE", f"{collection}/{name}")

    def items(self, collection: str) -> list[Object]:
        return self.request("GET", collection)["items"]  # type: ignore[no-any-return]

    def wait(self, until: Predicate, name: str = "one", collection: str = EXAMPLES) -> Any:
        """Waits until the object is so; `None` is given to the predicate when it is gone. Returns the object."""
        last: Any = None
        for last in self._states(name, collection):
            if until(last):
                return last
        raise AssertionError(f"{collection}/{name} has not become what was waited for. Its last state: {last}")

    def wait_list(self, until: Predicate, collection: str) -> list[Object]:
        """Waits until the objects of the collection, as a list, are so."""
        listed = self.request("GET", collection)
        found = {item["metadata"]["uid"]: item for item in listed["items"]}
        if until([*found.values()]):
            return [*found.values()]
        for event in self._watch(collection, {"resourceVersion": listed["metadata"]["resourceVersion"]}):
            uid = event["object"]["metadata"]["uid"]
            found[uid] = event["object"]
            if event["type"] == "DELETED":
                del found[uid]
            if until([*found.values()]):
                return [*found.values()]
        raise AssertionError(f"{collection} has not become what was waited for: {[*found.values()]}")

    def _states(self, name: str, collection: str) -> Iterator[Any]:
        selector = {"fieldSelector": f"metadata.name={name}"}
        listed = self.request("GET", f"{collection}?{urllib.parse.urlencode(selector)}")
        yield listed["items"][0] if listed["items"] else None
        since = {"resourceVersion": listed["metadata"]["resourceVersion"]}
        for event in self._watch(collection, {**selector, **since}):
            yield None if event["type"] == "DELETED" else event["object"]

    def _watch(self, collection: str, query: Mapping[str, str]) -> Iterator[Any]:
        params = {**query, "watch": "true", "timeoutSeconds": str(int(PATIENCE))}
        path = f"{collection}?{urllib.parse.urlencode(params)}"
        with contextlib.suppress(TimeoutError), self._access.open("GET", path, timeout=PATIENCE) as stream:
            for line in stream:
                event = json.loads(line)
                assert event["type"] != "ERROR", event
                yield event


def annotations(obj: Any) -> dict[str, str]:
    return (obj or {}).get("metadata", {}).get("annotations", {})  # type: ignore[no-any-return]


def is_handled(obj: Any) -> bool:
    """Whether a cycle of handling has ended for what the object is now."""
    stored = annotations(obj).get(LAST_HANDLED)
    return stored is not None and json.loads(stored).get("spec") == obj.get("spec")


def has_status(*keys: str) -> Predicate:
    """Whether the object has all these results in its status. They are written after the end of the cycle."""
    return lambda obj: obj is not None and {*keys} <= (obj.get("status") or {}).keys()


class Calls:
    """What handlers tell the test."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Any] = queue.Queue()

    def put(self, call: Any) -> None:
        self._calls.put(call)

    def next(self) -> Any:
        """The next call, waited for."""
        try:
            return self._calls.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError("No handler has been called.") from None

    def all(self) -> list[Any]:
        """All calls up to now, that were not taken yet."""
        calls = []
        with contextlib.suppress(queue.Empty):
            while True:
                calls.append(self._calls.get_nowait())
        return calls


class Logs(logging.Handler):
    """The lines of the log, to be waited for."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []
        self._changed = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._changed:
            self.records.append(record)
            self._changed.notify_all()

    @property
    def messages(self) -> list[str]:
        return [record.getMessage() for record in self.records]

    def wait(self, text: str, count: int = 1) -> logging.LogRecord:
        """Waits until so many lines contain the text; returns the last of them."""

        def found() -> list[logging.LogRecord]:
            return [record for record in self.records if text in record.getMessage()]

        with self._changed:
            if not self._changed.wait_for(lambda: len(found()) >= count, PATIENCE):
                lines = "\n".join(f"{record.levelname} {record.name}: {record.getMessage()}" for record in self.records)
                raise AssertionError(f"No line with {text!r} (x{count}) in the log:\n{lines}")
            return found()[count - 1]


class RunningOperator:
    """An operator in a thread with an event loop of its own, from its readiness to its end."""

    def __init__(self, registry: kopf.OperatorRegistry, **kwargs: Any) -> None:
        self.registry = registry
        self.kwargs = {"clusterwide": True, **kwargs}
        self.error: BaseException | None = None
        self.ended = threading.Event()
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="operator")

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._ready.wait(0.05):
            if self.ended.is_set():
                self.stop()
                raise AssertionError("The operator has ended before it was ready.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop(reraise=error is None)

    def stop(self, reraise: bool = True) -> None:
        """Stops the operator, and raises what it has failed with."""
        self._stop.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "The operator has not stopped."
        if self.error is not None and reraise:
            raise self.error

    def _run(self) -> None:
        try:
            asyncio.run(
                kopf.operator(
                    registry=self.registry,
                    stop_flag=self._stop,
                    ready_flag=self._ready,
                    **self.kwargs,
                )
            )
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()
