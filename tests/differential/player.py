"""Plays a batch of scenarios to one side: an operator in a process of its own, on a dev cluster of its own.

A batch is `{"frame": …, "scenarios": […]}`. All scenarios of it live in one operator, each with resources of its own, and
advance round by round: changes are made, then all is waited for. What a round does to the operator is in the frame, because
it concerns all of them.
"""

import contextlib
import dataclasses
import fnmatch
import functools
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import journals
from actor import GROUP, object_path, plural

Json = Any
ACTOR = pathlib.Path(__file__).parent / "actor.py"
NAMESPACES = ("ns1", "ns2")
PATIENCE = 60.0  # seconds until something that should happen counts as not happening
QUIET = 0.4  # seconds without a line, after which nothing is expected to come
# The same while records say that handlers are to be called: longer than any delay of a scenario.
QUIET_WITH_RECORDS = 1.5


@dataclasses.dataclass(frozen=True)
class Side:
    """Whose operator plays."""

    name: str
    python: str


@dataclasses.dataclass
class Play:
    """What has happened in one scenario, to one side."""

    records: list[dict[str, Json]]
    """Calls of handlers and lines about objects, in order."""

    objects: list[dict[str, Json]]
    """Per round, the objects by `resource/namespace/name`, when all was settled."""

    unsettled: list[int]
    """The rounds in which records of unfinished handlers were left."""

    writes: dict[str, int] = dataclasses.field(default_factory=dict)
    """How many requests to change it the operator has sent, by `resource/namespace/name`."""

    births: dict[str, list[str | None]] = dataclasses.field(default_factory=dict)
    """The uids of the objects by `resource/namespace/name`, in order; none for one that could not be made."""


class PlayError(Exception):
    """A side could not play: the operator has ended by itself, or never comes to rest."""


class Cluster:
    """A dev cluster as a process, and requests to it."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.kubeconfig = folder / "kubeconfig"
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: http.client.HTTPConnection | None = None
        self.url = ""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "kopf", "cluster", "--control", "--kubeconfig", str(self.kubeconfig)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        assert self._process.stdout is not None
        said = b""
        for line in self._process.stdout:
            said += line
            if b"kubectl get" in line:
                break
        else:
            raise PlayError(f"the dev cluster has not started: {said.decode()}")
        self.url = json_of_yaml_server(self.kubeconfig.read_text())
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def request(
        self, method: str, path: str, body: Json = None, content_type: str = "application/json", but: int | None = None
    ) -> Json:
        """The answer; None for 404; `but` is another code that is no error."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(urllib.parse.urlsplit(self.url).netloc, timeout=PATIENCE)
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type, "User-Agent": "judge"}
        self._connection.request(method, path, body=data, headers=headers)
        with self._connection.getresponse() as response:
            answer = json.loads(response.read())
        if response.status == 404:
            return None
        if response.status >= 300 and response.status != but:
            raise PlayError(f"{method} {path}: {response.status} {answer}")
        return answer


def json_of_yaml_server(kubeconfig: str) -> str:
    """Where the one cluster of a kubeconfig of ours is."""
    return next(line.split("server:")[1].strip().strip('"') for line in kubeconfig.splitlines() if "server:" in line)


class Operator:
    """The operator of a side: a process that can be stopped, killed and started again."""

    def __init__(self, side: Side, cluster: Cluster, folder: pathlib.Path) -> None:
        self.side = side
        self.records = folder / "records"
        self._batch = folder / "batch.json"
        self._output = folder / "output"
        self._env = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), "JUDGED_URL": cluster.url}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, streams: int) -> None:
        """Starts it, and waits until it watches so many resources."""
        self.records.touch()
        begin = self.records.stat().st_size
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [self.side.python, str(ACTOR), str(self._batch), str(self.records)],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while self.records.read_bytes()[begin:].count(b'"Starting the watch-stream for things') < streams:
            self.check()
            if time.monotonic() > deadline:
                raise PlayError(f"{self.side.name} does not watch {streams} resources")
            time.sleep(0.02)

    def stop(self, how: signal.Signals) -> None:
        """Ends it, if it runs."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise PlayError(f"{self.side.name} does not stop") from None
        self._process = None

    def check(self) -> None:
        """Raises if it has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise PlayError(f"{self.side.name} has ended by itself:\n{self._output.read_text()[-3000:]}")


class Player:
    """A batch at one side."""

    def __init__(self, batch: Mapping[str, Json], side: Side, patience: float = 1.0) -> None:
        self._frame = batch["frame"]
        self._scenarios: Sequence[Mapping[str, Json]] = batch["scenarios"]
        self._batch = batch
        self._side = side
        self._patience = patience

    def play(self) -> list[Play]:
        """Plays all rounds; one play per scenario."""
        with tempfile.TemporaryDirectory(prefix=f"kopf-judged-{self._side.name}-") as name:
            folder = pathlib.Path(name)
            (folder / "batch.json").write_text(json.dumps(self._batch))
            with Cluster(folder) as cluster:
                operator = Operator(self._side, cluster, folder)
                try:
                    return self._play(cluster, operator)
                finally:
                    with contextlib.suppress(PlayError):
                        operator.stop(signal.SIGKILL)

    def _prepare(self, cluster: Cluster) -> None:
        for number, scenario in enumerate(self._scenarios):
            for manifest in definitions(number, scenario):
                cluster.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", manifest)
        for namespace in NAMESPACES:
            cluster.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})

    def _play(self, cluster: Cluster, operator: Operator) -> list[Play]:
        plays = [Play([], [], []) for _ in self._scenarios]
        self._prepare(cluster)
        running = False
        for index, state in enumerate(self._frame["rounds"]):
            if state != "up":
                operator.stop(signal.SIGKILL if state == "killed" else signal.SIGINT)
                running = False
            elif not running:
                operator.start(self._streams())
                running = True
                self._settle(cluster, operator)
            for number, scenario in enumerate(self._scenarios):
                for change in scenario["rounds"][index]:
                    make(cluster, number, scenario, change, plays[number])
            if not running:
                operator.start(self._streams())
                running = True
            unfinished = self._settle(cluster, operator)
            note_writes(cluster, plays)
            for number, scenario in enumerate(self._scenarios):
                plays[number].objects.append(objects_of(cluster, number, scenario))
                if number in unfinished:
                    plays[number].unsettled.append(index)
        operator.stop(signal.SIGKILL)
        for record in journals.read(operator.records):
            number = scenario_of(record)
            if number is not None:
                plays[number].records.append(record)
        return plays

    def _streams(self) -> int:
        """How many streams there are: of each served resource one for each namespace, if it has any and not all are served."""
        patterns = self._frame.get("namespaces", [])
        served = sum(any(map(functools.partial(is_served, name), patterns)) for name in NAMESPACES) if patterns else 1
        return sum(
            served if scenario["resources"][resource].get("namespaced", True) else 1
            for scenario in self._scenarios
            for resource in {handler["resource"] for handler in scenario["handlers"]}
        )

    def _settle(self, cluster: Cluster, operator: Operator) -> set[int]:
        """Waits until nothing happens any more; returns the scenarios in which records of handlers are left."""
        deadline = time.monotonic() + PATIENCE * self._patience
        size, since = -1, time.monotonic()
        while True:
            operator.check()
            now = time.monotonic()
            if now > deadline:
                raise PlayError(f"{self._side.name} does not come to rest")
            if operator.records.stat().st_size != size:
                size, since = operator.records.stat().st_size, now
            elif now - since > QUIET * self._patience:
                unfinished = {
                    number
                    for number, scenario in enumerate(self._scenarios)
                    if any(map(has_records, objects_of(cluster, number, scenario).values()))
                }
                if not unfinished or now - since > QUIET_WITH_RECORDS * self._patience:
                    return unfinished
            time.sleep(0.03)


def is_served(namespace: str, pattern: str) -> bool:
    """Whether a namespace is one of a pattern of an operator: `ns*,!ns2`."""
    first, *rest = pattern.split(",")
    matches = fnmatch.fnmatch(namespace, first)
    return matches and not any(fnmatch.fnmatch(namespace, one.removeprefix("!")) for one in rest)


def definitions(number: int, scenario: Mapping[str, Json]) -> Iterator[Json]:
    """The definitions of a scenario's resources."""
    for name, resource in scenario["resources"].items():
        names = plural(number, name)
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        if resource.get("status"):
            version["subresources"] = {"status": {}}
        yield {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{names}.{GROUP}"},
            "spec": {
                "group": GROUP,
                "scope": "Namespaced" if resource.get("namespaced", True) else "Cluster",
                "names": {"kind": names.capitalize(), "plural": names, "singular": names},
                "versions": [version],
            },
        }


def make(cluster: Cluster, number: int, scenario: Mapping[str, Json], change: Mapping[str, Json], play: Play) -> None:
    """Makes a change of a round, and notes in the play what is made anew."""
    names = plural(number, change["resource"])
    namespaced = scenario["resources"][change["resource"]].get("namespaced", True)
    namespace = change.get("namespace", "ns1") if namespaced else None
    path = object_path(names, namespace, change["name"])
    match change["do"]:
        case "create":
            body = {"apiVersion": f"{GROUP}/v1", "kind": names.capitalize(), **change["object"]}
            body["metadata"] = {**body.get("metadata", {}), "name": change["name"]}
            # If the object before it was not released yet, that is what there is to be told of.
            created = cluster.request("POST", path.rpartition("/")[0], body, but=409)
            if created is None:
                raise PlayError(f"{path} cannot be created")
            name = f"{change['resource']}/{namespace or ''}/{change['name']}"
            play.births.setdefault(name, []).append(created["metadata"].get("uid"))
        case "edit":
            path += "/status" if change.get("status") else ""
            cluster.request("PATCH", path, change["patch"], "application/merge-patch+json")
        case "delete":
            cluster.request("DELETE", path)


def note_writes(cluster: Cluster, plays: Sequence[Play]) -> None:
    """Counts what the operator has written since the last time, as the cluster has recorded it."""
    for asked in cluster.request("GET", "/_dev/requests")["requests"]:
        found = re.match(rf"/apis/{GROUP}/v1(?:/namespaces/(\w+))?/things(\d+)(\w)/(\w+)", asked["path"])
        if found and asked["method"] != "GET" and asked["userAgent"] not in ("judge", "somebody"):
            namespace, number, resource, name = found.groups()
            writes = plays[int(number)].writes
            key = f"{resource}/{namespace or ''}/{name}"
            writes[key] = writes.get(key, 0) + 1
    cluster.request("DELETE", "/_dev/requests")


def objects_of(cluster: Cluster, number: int, scenario: Mapping[str, Json]) -> dict[str, Json]:
    """The objects of a scenario, as they are now."""
    found = {}
    for name in scenario["resources"]:
        listed = cluster.request("GET", f"/apis/{GROUP}/v1/{plural(number, name)}")
        for item in listed["items"]:
            meta = item["metadata"]
            found["/".join([name, meta.get("namespace", ""), meta["name"]])] = item
    return found


def has_records(item: Mapping[str, Json]) -> bool:
    """Whether handlers of the object have begun, and the cycle has not ended."""
    annotations = item["metadata"].get("annotations", {})
    in_status = (item.get("status") or {}).get("kopf", {}).get("progress")
    return bool(in_status) or any('"started"' in value and '"retries"' in value for value in annotations.values())


def scenario_of(record: Mapping[str, Json]) -> int | None:
    """The scenario that a record belongs to."""
    match record:
        case {"what": "call", "scenario": int(number)}:
            return number
        case {"what": "line", "about": {"kind": str(kind)}} if kind.startswith("Things"):
            return int("".join(filter(str.isdigit, kind)))
    return None
