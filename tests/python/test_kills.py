"""An operator that is killed at any moment goes on where it was: what has finished does not run again (DEC-1)."""

import os
import pathlib
import socket
import subprocess
import sys
import textwrap
import typing

import pytest

from kopf.testing import DevCluster

PATIENCE = 60  # seconds
# What is said about the event of the patch that has ended a cycle: only then the end is in the cluster.
ACCEPTED = "Something has changed, but we are not interested"

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: kopfexamples.kopf.dev}
spec:
  group: kopf.dev
  scope: Namespaced
  names: {kind: KopfExample, plural: kopfexamples, singular: kopfexample}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""

HANDLERS = """
    import os, socket
    import kopf

    def ask(name):
        "Tells the test which handler runs, and waits until it may return."
        with socket.create_connection(("127.0.0.1", int(os.environ["GATE_PORT"]))) as gate:
            gate.sendall(name.encode() + b"\\n")
            assert gate.recv(1) == b"g"

    def declare(decorator, phase, number):
        def handler(**_):
            ask(f"{phase}-{number}")
        decorator("kopf.dev", "v1", "kopfexamples", id=f"{phase}-{number}")(handler)

    for phase, decorator in [("create", kopf.on.create), ("update", kopf.on.update), ("delete", kopf.on.delete)]:
        for number in (1, 2, 3):
            declare(decorator, phase, number)
"""


class Gate:
    """Where handlers report and wait."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(PATIENCE)
        self.port = self._server.getsockname()[1]
        self._waiting: socket.socket | None = None

    def next(self) -> str:
        """The handler that has been called; it waits."""
        self._waiting, _ = self._server.accept()
        self._waiting.settimeout(PATIENCE)
        return self._waiting.makefile().readline().strip()

    def release(self) -> None:
        """Lets it return."""
        assert self._waiting is not None
        self._waiting.sendall(b"g")
        self._waiting.close()

    def nobody_waits(self) -> bool:
        """Whether no handler has been called since the last one was released."""
        self._server.settimeout(0)
        try:
            self._server.accept()
        except BlockingIOError:
            return True
        finally:
            self._server.settimeout(PATIENCE)
        return False

    def close(self) -> None:
        self._server.close()


class Operator:
    """`kopf run` in a child process, to be killed and started again."""

    def __init__(self, handlers: pathlib.Path, env: dict[str, str]) -> None:
        self._command = [sys.executable, "-m", "kopf", "run", "--all-namespaces", "--verbose", str(handlers)]
        self._env = env
        self._process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self._command, env=self._env, stderr=subprocess.PIPE, text=True)

    def kill_and_restart(self) -> None:
        """SIGKILL, and a new process at once."""
        self._process.kill()
        self._process.communicate()
        self._process = self._start()

    def wait_for(self, text: str) -> None:
        """Reads its log until there is a line with the text."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if text in line:
                return
        pytest.fail(f"the operator has ended without saying {text!r}")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def life(tmp_path: pathlib.Path) -> typing.Iterator[tuple[DevCluster, Operator, Gate]]:
    """A cluster that outlives its operators, an operator, and the gate of its handlers."""
    gate = Gate()
    with DevCluster() as cluster:
        cluster.apply(CRD)
        (tmp_path / "handlers.py").write_text(textwrap.dedent(HANDLERS))
        (tmp_path / "kubeconfig").write_text(cluster.kubeconfig)
        env = {**os.environ, "KUBECONFIG": str(tmp_path / "kubeconfig"), "GATE_PORT": str(gate.port)}
        operator = Operator(tmp_path / "handlers.py", env)
        yield cluster, operator, gate
        operator.close()
    gate.close()


def test_a_dozen_kills_in_one_life_repeat_no_finished_handler_and_leave_none_out(
    life: tuple[DevCluster, Operator, Gate],
) -> None:
    """DEC-1, W-CAU-007, A-ERR-030: killed in the middle of each of nine handlers, and after each of three cycles."""
    cluster, operator, gate = life
    manifest = "{apiVersion: kopf.dev/v1, kind: KopfExample, metadata: {name: x, namespace: default}, spec: {size: %d}}"
    called: list[str] = []

    def live_through(phase: str) -> None:
        for number in (1, 2, 3):
            assert gate.next() == f"{phase}-{number}"
            operator.kill_and_restart()
            called.append(gate.next())  # the one that was interrupted, and no other
            assert called[-1] == f"{phase}-{number}"
            gate.release()

    cluster.apply(manifest % 1)
    live_through("create")
    operator.wait_for("Creation is processed: 3 succeeded; 0 failed.")
    operator.wait_for(ACCEPTED)
    operator.kill_and_restart()
    operator.wait_for("Resuming is in progress")
    assert gate.nobody_waits()

    cluster.apply(manifest % 2)
    live_through("update")
    operator.wait_for("Updating is processed: 3 succeeded; 0 failed.")
    operator.wait_for(ACCEPTED)
    operator.kill_and_restart()
    operator.wait_for("Resuming is in progress")
    assert gate.nobody_waits()

    cluster.delete("kopf.dev/v1", "kopfexamples", "x", namespace="default")
    live_through("delete")
    operator.wait_for("Deleted, really deleted, and we are notified.")
    operator.kill_and_restart()
    operator.wait_for("Starting the watch-stream for kopfexamples.v1.kopf.dev cluster-wide.")
    assert gate.nobody_waits()

    assert called == [f"{phase}-{number}" for phase in ("create", "update", "delete") for number in (1, 2, 3)]
