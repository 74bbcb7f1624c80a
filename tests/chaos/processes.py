"""The dev cluster and the operators of all doors as processes, to be killed and started again."""

import contextlib
import os
import pathlib
import re
import subprocess
import sys
import time
from typing import Self, TextIO

from judge import Client, History, Journal

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = pathlib.Path(__file__).resolve().parent
EXAMPLES = "/apis/kopf.dev/v1/namespaces/default/kopfexamples"
DOORS = ("python", "rust", "upstream")
PATIENCE = 120.0  # seconds until something that should happen counts as not happening

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
    subresources: {status: {}}
    schema:
      openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
"""


class Cluster:
    """A dev cluster as a process, with its control endpoint.

    Args:
        folder: For its kubeconfig and its log.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self.kubeconfig = folder / "kubeconfig"

    def __enter__(self) -> Self:
        (self._folder / "crd.yaml").write_text(CRD)
        options = ["--control", "--kubeconfig", self.kubeconfig, "--apply", self._folder / "crd.yaml"]
        with (self._folder / "cluster.log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "kopf", "cluster", *options], stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise RuntimeError(f"the dev cluster does not start: {(self._folder / 'cluster.log').read_text()}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)

    @property
    def env(self) -> dict[str, str]:
        """What an operator and its handlers are told."""
        return {"KUBECONFIG": str(self.kubeconfig), "CHAOS_URL": self.client("").url}

    def history(self) -> History:
        """The judge's view of the objects, from now on."""
        return History(self.client("chaos-judge"), EXAMPLES)

    def calm(self) -> None:
        """Takes all faults back that are still to happen."""
        self.client("chaos-judge").request("DELETE", "/_dev/faults")

    def _is_ready(self) -> bool:
        # The file is there before its text is.
        with contextlib.suppress(OSError, LookupError):
            self.client("chaos-judge").request("GET", EXAMPLES)
            return True
        return False

    def client(self, agent: str) -> Client:
        """A client of this name."""
        found = re.search(r"server\"?: \"?(http[^\"\s]*)", self.kubeconfig.read_text())
        if not found:
            raise LookupError(f"{self.kubeconfig} names no server")
        return Client(found[1], agent)


class Operator:
    """An operator as a process, to be killed and started again.

    Args:
        door: `python`, `rust`, or `upstream`.
        cluster: It works for.
        journal: Of its handlers.
        log: Where its lines go.
        inactivity: Seconds after which it takes a silent watch for dead; by default as the engine does.
    """

    def __init__(self, door: str, cluster: Cluster, journal: Journal, log: TextIO, inactivity: float | None) -> None:
        self._command = [*_program(door), "run", "--all-namespaces", "--verbose"]
        if door != "rust":
            self._command.append(str(FOLDER / "handlers.py"))
        self._env = {
            **{key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")},
            **cluster.env,
            "CHAOS_JOURNAL": str(journal.path),
        } | ({} if inactivity is None else {"CHAOS_INACTIVITY": str(inactivity)})
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.ended = 0
        """How often it has ended by itself."""

    def start(self) -> None:
        """Starts a process."""
        self._process = subprocess.Popen(self._command, env=self._env, stdout=self._log, stderr=self._log)

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        assert self._process is not None
        return self._process.pid

    def look_after(self) -> None:
        """Starts it again if it has ended by itself, as a cluster would do."""
        if self._process is not None and self._process.poll() is not None:
            self.ended += 1
            self.start()

    def kill_and_start(self) -> None:
        """SIGKILL, and a new process at once."""
        self.look_after()
        self.kill()
        self.start()

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> str | None:
        """SIGTERM; what is wrong with its end, if anything."""
        assert self._process is not None
        self._process.terminate()
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"it has not stopped within {PATIENCE:.0f} seconds"
        return None if code == 0 else f"it was stopped, and ended with {code}"


def _program(door: str) -> list[str]:
    match door:
        case "python":
            return [sys.executable, "-m", "kopf"]
        case "rust":
            target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
            program = target / "debug" / "chaos-operator"
            if not program.exists():
                raise FileNotFoundError(f"{program} is not there: cargo build --workspace makes it")
            return [str(program)]
        case "upstream":
            sys.path.insert(0, str(ROOT / "scripts"))
            import tools

            return [str(tools.upstream()), "-m", "kopf"]
    raise ValueError(f"{door!r} is no door: expected one of {', '.join(DOORS)}")
