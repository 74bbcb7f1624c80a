"""The commands with a dev cluster (DEC-19)."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
from types import TracebackType
from typing import Self

import pytest
from helpers import CRD, PATIENCE, Api, example

from kopf.testing import DevCluster

KOPF = [sys.executable, "-m", "kopf"]


class Command:
    """A command with its lines, which can be waited for."""

    def __init__(self, *arguments: str, cwd: pathlib.Path) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [*KOPF, *arguments], cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []
        self._taken = 0
        self._ended = False
        self._interrupted = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None or not self._interrupted:
            self.interrupt()
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self._thread.join()
            assert self.process.stdout is not None
            self.process.stdout.close()

    def interrupt(self, which: signal.Signals = signal.SIGINT) -> None:
        """Sends a signal to it, once."""
        self._interrupted = True
        self.process.send_signal(which)

    def wait(self, pattern: str) -> re.Match[str]:
        """Waits for the next line with the pattern."""

        def look() -> re.Match[str] | bool:
            while self._taken < len(self.lines):
                self._taken += 1
                if found := re.search(pattern, self.lines[self._taken - 1]):
                    return found
            return self._ended

        with self._changed:
            found = self._changed.wait_for(look, PATIENCE)
        assert isinstance(found, re.Match), f"No line with {pattern!r} in:\n" + "".join(self.lines)
        return found

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def handlers(text: str) -> str:
    return f"import kopf\n\n@kopf.on.create('kex')\ndef fn(name, **_):\n    print('{text}', name)\n"


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with handlers and a CRD."""
    (tmp_path / "handlers.py").write_text(handlers("first"))
    (tmp_path / "crd.yaml").write_text(CRD)
    return tmp_path


def test_development_restarts_the_operator_and_keeps_the_cluster(folder: pathlib.Path) -> None:
    with Command("dev", "handlers.py", "--apply", "crd.yaml", cwd=folder) as command:
        api = Api(command.wait(r"served at (http://\S+)\.")[1])
        kubeconfig = pathlib.Path(command.wait(r"export KUBECONFIG=(\S+)")[1])
        assert kubeconfig.exists()
        command.wait("customresourcedefinition.*created")
        api.create(example("one"))
        command.wait("first one")

        (folder / "handlers.py").write_text(handlers("second"))
        command.wait("The files have changed")
        api.create(example("two"))
        command.wait("second two")

        (folder / "handlers.py").write_text("def broken(:\n")
        command.wait("SyntaxError")
        command.wait("ended with the status 1")
        assert api.get("two") is not None

        (folder / "handlers.py").write_text(handlers("third"))
        api.create(example("three"))
        command.wait("third three")
        command.interrupt()
        command.wait("The dev cluster is gone")
    assert command.process.returncode == 0
    assert not kubeconfig.exists()


def test_development_kills_an_operator_that_does_not_stop(folder: pathlib.Path) -> None:
    text = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf')\ntime.sleep(3600)\n"
    (folder / "handlers.py").write_text(text)
    with Command("dev", "handlers.py", cwd=folder) as command:
        command.wait("deaf")
        (folder / "handlers.py").write_text(handlers("second"))
        command.wait("The files have changed")


def test_a_cluster_is_served_until_interrupted(folder: pathlib.Path) -> None:
    with Command("cluster", "--kubeconfig", "kubeconfig", cwd=folder) as command:
        api = Api(command.wait(r"served at (http://\S+)\.")[1])
        command.wait("Ctrl-C")
        assert api.items("/api/v1/namespaces")
        assert api.url in (folder / "kubeconfig").read_text()
        command.interrupt(signal.SIGTERM)
        command.wait("The dev cluster is gone")
    assert command.process.returncode == 0


def test_a_cluster_is_served_over_tls(folder: pathlib.Path) -> None:
    script = (
        "import kubernetes as k; k.config.load_kube_config(); print(k.client.CoreV1Api().list_namespace().items[0])"
    )
    command = [*KOPF, "cluster", "--tls", "--", sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert "'name': 'default'" in done.stdout


def test_a_cluster_tells_users_apart(folder: pathlib.Path) -> None:
    """D-190, D-193: who shows no token may see nothing, and the kubeconfig has one that may see all."""
    script = (
        "import kubernetes as k; k.config.load_kube_config(); print(k.client.CoreV1Api().list_namespace().items[0])\n"
        "k.client.Configuration._default.api_key.clear(); k.client.CoreV1Api().list_namespace()"
    )
    command = [*KOPF, "cluster", "--rbac", "--", sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    assert "'name': 'default'" in done.stdout, done.stderr
    assert "system:anonymous" in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize("status", [0, 7])
def test_a_command_runs_with_a_cluster_and_gives_its_status(folder: pathlib.Path, status: int) -> None:
    script = f"import os, sys; print(open(os.environ['KUBECONFIG']).read()); sys.exit({status})"
    done = subprocess.run(
        [*KOPF, "cluster", "--apply", "crd.yaml", "--", sys.executable, "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == status, done.stderr
    assert "server: http://127.0.0.1" in done.stdout
    assert "created" in done.stderr


def test_a_command_that_does_not_exist_is_named(folder: pathlib.Path) -> None:
    done = subprocess.run(
        [*KOPF, "cluster", "--", "absent-command"], cwd=folder, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 1
    assert "absent-command" in done.stderr


def test_clusters_in_tests(kopf_cluster: DevCluster) -> None:
    assert os.environ["KUBECONFIG"] == str(kopf_cluster.kubeconfig)
    assert kopf_cluster.env["KUBECONFIG"] == str(kopf_cluster.kubeconfig)
    (line,) = kopf_cluster.apply(CRD)
    assert "kopfexamples.kopf.dev" in line
    assert Api(kopf_cluster.url).items("/apis/kopf.dev/v1/kopfexamples") == []


def test_clusters_have_their_kubeconfig_only_when_started() -> None:
    with pytest.raises(RuntimeError, match="context manager"):
        _ = DevCluster().kubeconfig
