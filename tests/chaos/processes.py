"""The dev cluster and the operators of all doors as processes, to be killed and started again."""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.error
from typing import Any, Self, TextIO

from judge import Client, History, Journal

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = pathlib.Path(__file__).resolve().parent
EXAMPLES = "/apis/kopf.dev/v1/namespaces/default/kopfexamples"
DOORS = ("python", "rust", "upstream")
PATIENCE = 120.0  # seconds until something that should happen counts as not happening

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"

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

    Operators have tokens of service accounts, the judge is the administrator.

    Args:
        folder: For its kubeconfig, that of operators, and its log.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self._operators_kubeconfig = folder / "operator.kubeconfig"
        self._accounts = 0

    def __enter__(self) -> Self:
        (self._folder / "crd.yaml").write_text(CRD)
        options = ["--control", "--rbac", "--kubeconfig", self.kubeconfig, "--apply", self._folder / "crd.yaml"]
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
        self.give_credentials()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)

    @property
    def env(self) -> dict[str, str]:
        """What an operator and its handlers are told."""
        return {
            "KUBECONFIG": str(self._operators_kubeconfig),
            "CHAOS_URL": self._said("server"),
            "CHAOS_TOKEN": self._said("token"),
        }

    @property
    def user(self) -> str:
        """Whose token operators are given now."""
        return f"system:serviceaccount:default:operator-{self._accounts}"

    def give_credentials(self) -> None:
        """Gives operators a token of a new account, in their kubeconfig."""
        self._accounts += 1
        account = {"kind": "ServiceAccount", "namespace": "default", "name": f"operator-{self._accounts}"}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        admin, metadata = self.client("chaos-judge"), {"name": account["name"]}
        insist(admin, "POST", ACCOUNTS, {"metadata": metadata})
        insist(admin, "POST", BINDINGS, {"metadata": metadata, "roleRef": role, "subjects": [account]})
        token = insist(admin, "POST", f"{ACCOUNTS}/{account['name']}/token", {"spec": {}})["status"]["token"]
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": self._said("server")}}],
            "users": [{"name": "u", "user": {"token": token}}],
        }
        # Through a rename: an operator may be just reading it.
        written = self._operators_kubeconfig.with_suffix(".new")
        written.write_text(json.dumps(config))
        written.rename(self._operators_kubeconfig)

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
        return Client(self._said("server"), agent, self._said("token"))

    def _said(self, key: str) -> str:
        found = re.search(rf'{key}"?: "?([^"\s]+)', self.kubeconfig.read_text())
        if not found:
            raise LookupError(f"{self.kubeconfig} names no {key}")
        return found[1]


def insist(client: Client, method: str, path: str, body: Any = None) -> Any:
    """The answer of a server that may be just restarting."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return client.request(method, path, body)
        except urllib.error.HTTPError:
            raise
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@dataclasses.dataclass(frozen=True)
class Timeouts:
    """How long an operator waits for a server that does not answer, in seconds; None is as the engine does."""

    inactivity: float | None = None
    """Until it takes a silent watch for dead."""
    request: float | None = None
    """For the answer to a request that is no watch."""


class Operator:
    """An operator as a process, to be killed and started again.

    Args:
        door: `python`, `rust`, or `upstream`.
        cluster: It works for.
        journal: Of its handlers.
        log: Where its lines go.
        timeouts: Of its settings.
    """

    def __init__(self, door: str, cluster: Cluster, journal: Journal, log: TextIO, timeouts: Timeouts) -> None:
        self._command = [*_program(door), "run", "--all-namespaces", "--verbose"]
        if door != "rust":
            self._command.append(str(FOLDER / "handlers.py"))
        told = {"CHAOS_INACTIVITY": timeouts.inactivity, "CHAOS_REQUEST_TIMEOUT": timeouts.request}
        self._env = {
            **{key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")},
            **cluster.env,
            "CHAOS_JOURNAL": str(journal.path),
            **{key: str(seconds) for key, seconds in told.items() if seconds is not None},
        }
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
