"""Runs what a real Kubernetes judges, part by part: etcd, kube-apiserver and kube-controller-manager on this machine.

Called by `make test-real`. It fails, and says what to install, where they cannot be built or run.
"""

import shutil
import signal
import subprocess
import sys
import time
from types import FrameType

import tools
from parts import ROOT, part, report, run

sys.path.append(str(ROOT / "tests/support"))
from realkube import RealCluster

PYTEST = (".venv/bin/python", "-m", "pytest")
# Of the whole workspace: another selection would have other features, and build all dependencies anew.
CARGO_TEST = ("cargo", "test", "--workspace", "--locked", "--quiet")
# All get the kubeconfig of one cluster, and the program to start others.
PARTS: list[tuple[str, tuple[str, ...]]] = [
    ("end-to-end tests in Python", (*PYTEST, "tests/python", "-m", "e2e")),
    ("end-to-end tests in Rust", (*CARGO_TEST, "--test", "e2e")),
    ("kills of kube-apiserver and etcd", (*PYTEST, "tests/real")),
    (
        "scenarios in lock step with the dev cluster",
        (*CARGO_TEST, "--test", "scenarios", "--", "--ignored"),
    ),
    ("what clients print", (*PYTEST, "tests/clients")),
]


def main() -> int:
    signal.signal(signal.SIGTERM, _interrupt)
    if shutil.which("openssl") is None:
        return _lacks("openssl, for the certificates of a real Kubernetes. Debian, Ubuntu: apt-get install openssl")
    try:
        programs = {name: tools.go_tool(name) for name in ("realkube", "kubectl", "kubectl-1.32")}
    except tools.MissingToolError as error:
        return _lacks(str(error))
    python = subprocess.run([ROOT / "scripts/find-python"], stdout=subprocess.PIPE, text=True, check=True)
    newest = python.stdout.split()[0]

    started = time.monotonic()
    if not part("build of the workspace", run(ROOT / "scripts/develop", newest, ".venv"), started):
        return report()
    with RealCluster(programs["realkube"]) as cluster:
        env = {
            "KOPF_TEST_KUBECONFIG": str(cluster.kubeconfig),
            "KOPF_TEST_KUBECTL": str(programs["kubectl"]),
            "KOPF_TEST_KUBECTL_1_32": str(programs["kubectl-1.32"]),
            "KOPF_TEST_CLIENTS": str(tools.clients(newest)),
            "KOPF_TEST_KUBE_RS": str(tools.kube_rs()),
            "KOPF_TEST_REALKUBE": str(programs["realkube"]),
            "PYO3_PYTHON": newest,
        }
        for title, command in PARTS:
            started = time.monotonic()
            part(title, run(*command, **env), started)
    return report()


def _lacks(what: str) -> int:
    print(f"The tests on a real Kubernetes cannot be run here. Needed: {what}", file=sys.stderr)
    return 1


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
