"""Clusters, and the clients as child processes: what each prints is a transcript."""

import collections.abc
import dataclasses
import fnmatch
import os
import pathlib
import random
import re
import shlex
import signal
import string
import subprocess
import sys

import pytest
import transcripts
from realkube import RealCluster

HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target"))
DIFFERENCES = HERE.parent.parent / "docs/devcluster-differences.md"
PATIENCE = 60  # seconds, for commands that are expected to end

FLOWS = sorted(path for path in (HERE / "flows").glob("*/*") if path.suffix in (".txt", ".py", ".rs"))
RUN = "".join(random.choices("bcdfghjklmnp", k=4))
OVER_HTTP = ("kubernetes", "pykube-ng", "kr8s", "lightkube", "kube-rs")  # kubectl is judged there by tests/kubectl
KUBECTLS = {"kubectl-1.32": "KOPF_TEST_KUBECTL_1_32", "kubectl-1.37": "KOPF_TEST_KUBECTL"}


@dataclasses.dataclass(frozen=True)
class Flow:
    """What one client does, one step after the other."""

    client: str
    path: pathlib.Path
    number: int

    def __str__(self) -> str:
        return f"{self.client}/{self.path.stem}"

    @property
    def token(self) -> str:
        """What makes names on a cluster its own, also if the cluster is used twice."""
        return f"f{self.number:03}{RUN}"

    @property
    def expected(self) -> pathlib.Path:
        """What it has printed on the real server."""
        return HERE / "expected" / self.client / f"{self.path.stem}.txt"


def flows() -> list[Flow]:
    """All of them, each for all clients that have it."""
    pairs = [
        (client, path)
        for path in FLOWS
        for client in (KUBECTLS if path.parent.name == "kubectl" else [path.parent.name])
    ]
    return [Flow(client, path, number) for number, (client, path) in enumerate(pairs)]


def known_differences(flow: Flow) -> set[str]:
    """The steps that print something else on a dev cluster, as the documentation lists them; `*` is any text."""
    rows = [line.strip("| ").split(" | ") for line in DIFFERENCES.read_text().splitlines() if line.startswith("| `")]
    return {
        step.replace(r"\|", "|")
        for where, steps, *_ in rows
        if any(fnmatch.fnmatch(str(flow), pattern) for pattern in _ticked(where))
        for step in _ticked(steps)
    }


def _ticked(cell: str) -> list[str]:
    return re.findall("`([^`]+)`", cell)


def run_flow(flow: Flow, kubeconfig: pathlib.Path, folder: pathlib.Path) -> str:
    """The transcript of a flow on a cluster, masked."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "KUBECONFIG": str(folder / "kubeconfig"),
        "ID": flow.token,
        "NS": f"{flow.token}-space",
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(HERE / "support"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    (folder / "kubeconfig").write_text(kubeconfig.read_text())
    for manifest in (HERE / "flows/kubectl/manifests").iterdir():
        (folder / manifest.name).write_text(string.Template(manifest.read_text()).safe_substitute(env))
    text = _commands(flow, env, folder) if flow.path.suffix == ".txt" else _program(flow, env, folder)
    return transcripts.masked(text, ID=flow.token)


def _commands(flow: Flow, env: dict[str, str], folder: pathlib.Path) -> str:
    binary = needed(KUBECTLS[flow.client])
    programs = folder / "programs"
    programs.mkdir()
    (programs / "kubectl").symlink_to(binary)
    for helper in ("during", "in-order"):
        script = HERE / "support" / f"{helper.replace('-', '_')}.py"
        program = programs / helper
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {shlex.quote(str(script))} "$@"\n')
        program.chmod(0o755)
    env = {**env, "PATH": f"{programs}:{env['PATH']}"}
    printed = []
    commands = [line for line in flow.path.read_text().splitlines() if line and not line.startswith("#")]
    setup = ["kubectl create namespace $NS", "kubectl config set-context --current --namespace=$NS"]
    for command in setup:
        status, output = _bash(command, env, folder)
        assert status == 0, output
    try:
        for command in commands:
            status, output = _bash(command, env, folder)
            printed.append(f"$ {command}\n{output}" + (f"(exit code {status})\n" if status else ""))
    finally:
        _bash("kubectl delete namespace $NS --wait=false", env, folder)
    return "".join(printed)


def _bash(command: str, env: dict[str, str], folder: pathlib.Path) -> tuple[int, str]:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    output = done.stdout
    return done.returncode, output if not output or output.endswith("\n") else f"{output}\n"


def _program(flow: Flow, env: dict[str, str], folder: pathlib.Path) -> str:
    if flow.path.suffix == ".rs":
        command = [str(pathlib.Path(needed("KOPF_TEST_KUBE_RS")) / f"{flow.client}-{flow.path.stem}")]
    else:
        command = [needed("KOPF_TEST_CLIENTS"), str(flow.path)]
    done = subprocess.run(
        command,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, f"{flow} has ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def needed(variable: str) -> str:
    """The path in a variable of the environment; the test fails without it."""
    value = os.environ.get(variable)
    if not value:
        pytest.fail(
            f"{variable} is not set: run these tests by `make test` or `make test-real`, which build what it names"
        )
    return value


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Flows are long, and a real server waits where it is asked to."""
    for item in items:
        item.add_marker(pytest.mark.timeout(5 * PATIENCE))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help="keep what the real server answers as what is expected")


@pytest.fixture(scope="session")
def dev_cluster(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> collections.abc.Iterator[pathlib.Path]:
    """The kubeconfig of a dev cluster that tells users apart: over TLS with HTTP/2, or over HTTP/1.1."""
    path = tmp_path_factory.mktemp("dev") / "kubeconfig"
    options = ["--rbac", *(["--tls"] if request.param == "https" else [])]
    command = [TARGET / "debug/kopf", "cluster", "--kubeconfig", path, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline(), "the dev cluster has not started"
        yield path
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=PATIENCE) == 0, "the dev cluster has not ended cleanly"


@pytest.fixture(scope="session")
def real_cluster() -> collections.abc.Iterator[pathlib.Path]:
    """The kubeconfig of a real cluster: of one that runs, or of one for these tests."""
    if running := os.environ.get("KOPF_TEST_KUBECONFIG"):
        yield pathlib.Path(running)
        return
    with RealCluster(needed("KOPF_TEST_REALKUBE")) as cluster:
        yield cluster.kubeconfig
