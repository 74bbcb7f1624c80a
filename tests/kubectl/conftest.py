"""A dev cluster as users run it, and the pinned kubectl, which judges it."""

import collections.abc
import dataclasses
import itertools
import json
import os
import pathlib
import signal
import subprocess
import typing

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PATIENCE = 60  # seconds, for commands that are expected to end
NUMBERS = itertools.count(1)

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.test.dev}
spec:
  group: test.dev
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        description: A thing to test with.
        properties:
          spec:
            type: object
            description: What is wanted.
            properties:
              size: {type: integer, minimum: 1, description: How big it is.}
              color: {type: string, default: grey}
          status:
            type: object
            x-kubernetes-preserve-unknown-fields: true
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    - {name: Color, type: string, jsonPath: .spec.color, priority: 1}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
"""


@dataclasses.dataclass
class Kubectl:
    """The real kubectl, with a kubeconfig and a cache of its own."""

    binary: str
    env: dict[str, str]

    def __call__(self, *args: str, given: str | None = None, status: int = 0, **env: str) -> str:
        """Runs it; what it has printed, both streams together. Fails the test if it exits with another status."""
        done = subprocess.run(
            [self.binary, *args],
            input=given,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == status, f"kubectl {' '.join(args)} exited with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def start(self, *args: str) -> subprocess.Popen[str]:
        """Starts it in the background, with its output to be read line by line."""
        return subprocess.Popen(
            [self.binary, *args], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


@pytest.fixture(scope="session", params=["http", "https"])
def kubeconfig(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> collections.abc.Iterator[pathlib.Path]:
    """The kubeconfig of a dev cluster that runs for all tests, as a child process: over HTTP/1.1, and over TLS with HTTP/2."""
    path = tmp_path_factory.mktemp("cluster") / "kubeconfig"
    command = [TARGET / "debug/kopf", "cluster", "--kubeconfig", path, *(["--tls"] if request.param == "https" else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline(), "the dev cluster has not started"
        yield path
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=PATIENCE) == 0, "the dev cluster has not ended cleanly"


@pytest.fixture
def kubectl(kubeconfig: pathlib.Path, tmp_path: pathlib.Path, request: pytest.FixtureRequest) -> Kubectl:
    """kubectl in a namespace of the test's own, with the CRD of widgets."""
    binary = os.environ.get("KOPF_TEST_KUBECTL")
    if not binary:
        pytest.fail("KOPF_TEST_KUBECTL names no kubectl: run these tests by `make test`, which builds the pinned one")
    own = tmp_path / "kubeconfig"
    own.write_text(kubeconfig.read_text())
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "KUBECONFIG": str(own),
        "KUBECACHEDIR": str(tmp_path / "cache"),
    }
    kubectl = Kubectl(binary, env)
    namespace = f"test-{next(NUMBERS)}"
    kubectl("create", "namespace", namespace)
    kubectl("config", "set-context", "--current", f"--namespace={namespace}")
    kubectl("apply", "-f", "-", given=CRD)
    kubectl("wait", "--for=condition=Established", "crd/widgets.test.dev")
    return kubectl


def widget(name: str, **spec: typing.Any) -> str:
    """The manifest of a widget, as JSON, which is YAML as well."""
    return json.dumps({"apiVersion": "test.dev/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
