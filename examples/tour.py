"""A guided tour: the first operator at work on a dev cluster, with nothing staged.

The cluster runs in this process, the operator in a child process, as `kopf run` runs it. Everything that is shown was
answered by the one or printed by the other; what does not come within a minute ends the tour with an error.
"""

import collections.abc
import contextlib
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time
import typing
import urllib.request

from kopf.testing import DevCluster

HERE = pathlib.Path(__file__).parent / "kopfexample"
OBJECTS = "/apis/zalando.org/v1/namespaces/default/kopfexamples"
PATIENCE = 60  # seconds
Condition = collections.abc.Callable[[dict[str, typing.Any]], bool]
BOLD, DIM, PLAIN = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


def main() -> None:
    say("A cluster", "A Kubernetes API server starts in this process. No Docker, no download, no kubectl.")
    started = time.monotonic()
    with DevCluster() as cluster:
        print(f"It serves {cluster.url} after {(time.monotonic() - started) * 1000:.0f} ms.")
        api = Api(cluster.url)

        say("The operator", f"{HERE.name}/handlers.py is all of it:")
        show((HERE / "handlers.py").read_text())

        say(
            "Its start",
            "The custom resource is defined, and the operator is started: kopf run --all-namespaces handlers.py",
        )
        cluster.apply((HERE / "crd.yaml").read_text())
        with Operator(HERE / "handlers.py", cluster.kubeconfig) as operator:
            tour(api, cluster, operator)
            say("The end", "The operator is asked to stop, and does.")
        print("It has ended with status 0. That was all; go on with README.md.")


def tour(api: "Api", cluster: DevCluster, operator: "Operator") -> None:
    """The life of one object."""
    say("Creation", "An object is applied:")
    show((HERE / "object.yaml").read_text())
    cluster.apply((HERE / "object.yaml").read_text())
    print("The operator prints and logs:")
    operator.follow("And here we are! Creating:", "Creation is processed: 1 succeeded; 0 failed.")

    say("The result", "What the handler has returned is in the object's status. Nothing else remembers it:")
    show(json.dumps(api.wait_for(OBJECTS, "example-1", lambda obj: "create_fn" in obj.get("status", {})), indent=2))

    say("The events", "What has happened is told to those who run `kubectl describe`:")
    show(describe(api.events("example-1", at_least=1)))

    say("An update", "Two fields are changed: a longer duration, and no jam. The handler gets the difference:")
    api.merge(f"{OBJECTS}/example-1", {"spec": {"duration": "2m", "items": ["bread", "butter"]}})
    operator.follow("change spec.duration:", "change spec.items:", "Updating is processed: 1 succeeded; 0 failed.")

    say(
        "A deletion",
        "It waits for the delete handler. The server answers with the object, marked and held by the finalizer:",
    )
    marked = api.delete(f"{OBJECTS}/example-1")
    show(json.dumps({key: marked["metadata"].get(key) for key in ("deletionTimestamp", "finalizers")}, indent=2))
    operator.follow("Good-bye, example-1!", "Deletion is processed: 1 succeeded; 0 failed.")
    api.wait_until_gone(OBJECTS, "example-1")
    print("And it is gone.")


class Operator:
    """The operator as a child process; its output is read line by line."""

    def __init__(self, handlers: pathlib.Path, kubeconfig: pathlib.Path) -> None:
        command = [sys.executable, "-m", "kopf", "run", "--all-namespaces", str(handlers)]
        env = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def follow(self, *texts: str) -> None:
        """Shows its output until all the texts have been seen, in any order."""
        wanted = set(texts)
        deadline = time.monotonic() + PATIENCE
        while wanted:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                fail(f"The operator has not said: {', '.join(sorted(wanted))}")
            if line is None:
                fail("The operator has ended too early.")
            show(line)
            wanted = {text for text in wanted if text not in line}

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        status = self._process.wait(timeout=PATIENCE)
        with contextlib.suppress(queue.Empty):
            while (line := self._lines.get(timeout=1)) is not None:
                show(line)
        if error == (None, None, None) and status != 0:
            fail(f"The operator has ended with status {status}.")


class Api:
    """The few requests of the tour."""

    def __init__(self, url: str) -> None:
        self._url = url

    def _request(self, method: str, path: str, body: object = None, media: str = "application/json") -> typing.Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": media}, method=method)
        return urllib.request.urlopen(request, timeout=PATIENCE)

    def merge(self, path: str, patch: object) -> None:
        """Changes an object by a merge patch."""
        self._request("PATCH", path, patch, "application/merge-patch+json").close()

    def delete(self, path: str) -> dict[str, typing.Any]:
        """Deletes an object; what the server answers."""
        with self._request("DELETE", path) as response:
            return typing.cast(dict[str, typing.Any], json.load(response))

    def watch(self, path: str, **query: str) -> collections.abc.Iterator[tuple[str, dict[str, typing.Any]]]:
        """The changes after a version; by default the objects as they are, then every change of them."""
        text = "".join(f"&{key}={value}" for key, value in query.items())
        with self._request("GET", f"{path}?watch=true&timeoutSeconds={PATIENCE}{text}") as response:
            for line in response:
                event = json.loads(line)
                yield event["type"], event["object"]

    def wait_for(self, path: str, name: str, condition: Condition) -> dict[str, typing.Any]:
        """The object once it fulfils the condition."""
        for _, obj in self.watch(path, fieldSelector=f"metadata.name={name}"):
            if condition(obj):
                return obj
        fail(f"{name} is not as it should be")

    def wait_until_gone(self, path: str, name: str) -> None:
        """Returns once there is no such object."""
        with self._request("GET", f"{path}?fieldSelector=metadata.name={name}") as response:
            found = json.load(response)
        if not found["items"]:
            return
        changes = self.watch(
            path, fieldSelector=f"metadata.name={name}", resourceVersion=found["metadata"]["resourceVersion"]
        )
        if not any(kind == "DELETED" for kind, _ in changes):
            fail(f"{name} is still there")

    def events(self, name: str, at_least: int) -> list[dict[str, typing.Any]]:
        """The Kubernetes Events about an object, once there are enough of them."""
        found: list[dict[str, typing.Any]] = []
        for _, event in self.watch("/api/v1/namespaces/default/events", fieldSelector=f"involvedObject.name={name}"):
            found.append(event)
            if len(found) >= at_least:
                return found
        fail(f"There are no events about {name}")


def describe(events: list[dict[str, typing.Any]]) -> str:
    """Events in the columns of `kubectl describe`."""
    rows = [("Type", "Reason", "From", "Message"), ("----", "------", "----", "-------")]
    rows += [(event["type"], event["reason"], event["source"]["component"], event["message"]) for event in events]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("  ".join([*(text.ljust(width) for text, width in zip(row, widths)), row[3]]) for row in rows)


def say(title: str, text: str) -> None:
    """A station of the tour."""
    print(f"\n{BOLD}== {title} =={PLAIN}\n{text}")


def show(text: str) -> None:
    """What a file, the cluster or the operator says."""
    for line in text.rstrip().splitlines():
        print(f"{DIM}  | {PLAIN}{line}", flush=True)


def fail(text: str) -> typing.NoReturn:
    """Ends the tour."""
    sys.exit(f"\nThe tour has failed. {text}")


if __name__ == "__main__":
    main()
