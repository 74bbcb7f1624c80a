"""An operator that is killed at any moment goes on where it was: what has finished does not run again (DEC-1)."""

import pathlib
import socket
import subprocess
import sys
import textwrap
import typing
from collections.abc import Iterator

import pytest
from helpers import Api, Cluster, example

PATIENCE = 60  # seconds
# What is said about the event of the patch that has ended a cycle: only then the end is in the cluster.
ACCEPTED = "Something has changed, but we are not interested"

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

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._server.settimeout(PATIENCE)
        self._waiting: socket.socket | None = None

    @property
    def port(self) -> int:
        """Where handlers report to."""
        return typing.cast(int, self._server.getsockname()[1])

    def next(self) -> str:
        """The handler that has been called; it waits."""
        self.abandon()
        self._waiting, _ = self._server.accept()
        self._waiting.settimeout(PATIENCE)
        return self._waiting.recv(100).decode().strip()

    def release(self) -> None:
        """Lets it return."""
        assert self._waiting is not None
        self._waiting.sendall(b"g")
        self.abandon()

    def abandon(self) -> None:
        """Leaves it alone: it was killed."""
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None

    def nobody_waits(self) -> bool:
        """Whether no handler has been called since the last one was released."""
        self._server.settimeout(0)
        try:
            self._server.accept()[0].close()
        except BlockingIOError:
            return True
        finally:
            self._server.settimeout(PATIENCE)
        return False


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
        self.kill()
        self._process = self._start()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.communicate()

    def wait_for(self, text: str) -> None:
        """Reads its log until there is a line with the text."""
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if text in line:
                return
        pytest.fail(f"the operator has ended without saying {text!r}:\n{''.join(said)}")


@pytest.fixture
def gate() -> Iterator[Gate]:
    """The gate of the handlers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        gate = Gate(server)
        yield gate
        gate.abandon()


@pytest.fixture
def operator(api: Api, cluster: Cluster, gate: Gate, tmp_path: pathlib.Path) -> Iterator[Operator]:
    """An operator on a cluster that outlives it."""
    (tmp_path / "handlers.py").write_text(textwrap.dedent(HANDLERS))
    operator = Operator(tmp_path / "handlers.py", {**cluster.env, "GATE_PORT": str(gate.port)})
    yield operator
    operator.kill()


@pytest.mark.timeout(300)  # thirteen starts of a process
def test_a_dozen_kills_in_one_life_repeat_no_finished_handler_and_leave_none_out(
    api: Api, operator: Operator, gate: Gate
) -> None:
    """DEC-1, W-CAU-007, A-ERR-030: killed in the middle of each of nine handlers, and after each of three cycles."""

    def live_through(phase: str) -> None:
        for number in (1, 2, 3):
            assert gate.next() == f"{phase}-{number}"
            operator.kill_and_restart()
            assert gate.next() == f"{phase}-{number}"  # the one that was interrupted, and no other
            gate.release()

    def kill_when_handled(title: str) -> None:
        operator.wait_for(f"{title} is processed: 3 succeeded; 0 failed.")
        operator.wait_for(ACCEPTED)
        operator.kill_and_restart()
        operator.wait_for("Resuming is in progress")
        operator.wait_for("Handling cycle is finished")
        assert gate.nobody_waits()

    api.create(example())
    live_through("create")
    kill_when_handled("Creation")

    api.patch({"spec": {"field": "other"}})
    live_through("update")
    kill_when_handled("Updating")

    api.delete()
    live_through("delete")
    operator.wait_for("Deleted, really deleted, and we are notified.")
    operator.kill_and_restart()
    operator.wait_for("Starting the watch-stream for kopfexamples.v1.kopf.dev cluster-wide.")
    assert gate.nobody_waits()
