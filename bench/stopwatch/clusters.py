"""Where the peers work: the minimal server, our dev cluster, a real API server."""

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import urllib.request
from collections.abc import Iterator
from typing import Any

import realkube

from stopwatch.places import HERE, PATIENCE, RELEASE, WORK
from stopwatch.process import running, until


@dataclasses.dataclass
class Cluster:
    """Where the peers work."""

    env: dict[str, str]
    port: int = 0

    def bench(self, path: str) -> Any:
        """Asks the minimal server."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/bench/{path}", timeout=PATIENCE) as response:
            return json.load(response)


@contextlib.contextmanager
def minimal(folder: pathlib.Path = WORK) -> Iterator[Cluster]:
    """The minimal server: nothing but what the work needs."""
    log = folder / "server.log"
    with running([RELEASE / "server"], dict(os.environ), log) as server:
        port = server.until(lambda: log.read_text().strip())
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "bench", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "bench", "user": {}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
            "current-context": "bench",
        }
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(json.dumps(config))  # JSON is YAML
        yield Cluster({**os.environ, "KUBECONFIG": str(kubeconfig)}, int(port))


@contextlib.contextmanager
def dev() -> Iterator[Cluster]:
    """Our dev cluster, in a process of its own."""
    kubeconfig = WORK / "kubeconfig-dev"
    kubeconfig.unlink(missing_ok=True)
    flags = ["cluster", "--kubeconfig", kubeconfig, "--apply", HERE / "crd.yaml"]
    with running([RELEASE / "kopf", *flags], {**os.environ, "RUST_LOG": "warn"}, WORK / "server.log") as server:
        server.until(lambda: kubeconfig.exists() and kubeconfig.stat().st_size)
        yield Cluster({**os.environ, "KUBECONFIG": str(kubeconfig)})


@contextlib.contextmanager
def real(binary: pathlib.Path) -> Iterator[Cluster]:
    """A real kube-apiserver with etcd, over TLS."""
    with realkube.RealCluster(binary) as cluster:
        apply = [str(binary), "kubectl", "apply", "-f", str(HERE / "crd.yaml")]
        subprocess.run(apply, env=cluster.env, stdout=subprocess.DEVNULL, check=True)
        until(lambda: cluster.get("/apis/bench.dev/v1/widgets") is not None)
        yield Cluster(cluster.env)


def load(env: dict[str, str], *words: object) -> str:
    """Runs the load to its end; gives what it has printed."""
    command = [str(RELEASE / "load"), *map(str, words)]
    return subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE).stdout
