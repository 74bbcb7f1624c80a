"""A real Kubernetes for tests: etcd, kube-apiserver and kube-controller-manager as processes on loopback, without nodes.

    with RealCluster(binary) as cluster:       # binary: what `scripts/tools.py realkube` prints
        subprocess.run([...], env=cluster.env)

It is ready in about four seconds. Pods stay pending: there are no nodes.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

__all__ = ["RealCluster"]

PATIENCE = 120.0  # seconds until a component that is not ready counts as broken
TOKEN = "administrator-of-the-tests"


class RealCluster:
    """A cluster that starts when entered, and is gone with all its data when left.

    Args:
        binary: The program with all components.
        folder: Where data, certificates and logs are; by default a temporary one. It must be empty.
    """

    def __init__(self, binary: str | os.PathLike[str], folder: str | os.PathLike[str] | None = None) -> None:
        self._binary = str(binary)
        self._folder = None if folder is None else pathlib.Path(folder)
        self._temporary = folder is None
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ports: dict[str, int] = {}

    def __enter__(self) -> Self:
        if self._folder is None:
            self._folder = pathlib.Path(tempfile.mkdtemp(prefix="kopf-realkube-"))
        self._folder.mkdir(parents=True, exist_ok=True)
        self._ports = dict(zip(("etcd", "peers", "apiserver", "controllers"), _free_ports(4), strict=True))
        self._make_files()
        try:
            for component in ("etcd", "apiserver", "controllers"):
                self.start(component)
            self._until("the default service account", self._has_default_account)
        except BaseException:
            self._stop_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop_all()

    @property
    def folder(self) -> pathlib.Path:
        """Where everything is kept."""
        if self._folder is None:
            raise RuntimeError("The cluster has no folder before it is started: use it as a context manager.")
        return self._folder

    @property
    def url(self) -> str:
        """Where the API server listens, with TLS."""
        return f"https://127.0.0.1:{self._ports['apiserver']}"

    @property
    def store_url(self) -> str:
        """Where etcd listens, without TLS."""
        return f"http://127.0.0.1:{self._ports['etcd']}"

    @property
    def token(self) -> str:
        """The bearer token of an administrator, in the group `system:masters`."""
        return TOKEN

    @property
    def kubeconfig(self) -> pathlib.Path:
        """The file for clients: verified TLS, and the token."""
        return self.folder / "kubeconfig"

    @property
    def env(self) -> dict[str, str]:
        """The environment for a child process that works with the cluster."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}

    def pid(self, component: str) -> int:
        """The process of `etcd`, `apiserver` or `controllers`."""
        return self._processes[component].pid

    def start(self, component: str) -> None:
        """Starts a component that does not run, on its old port and data, and waits until it serves."""
        with (self.folder / f"{component}.log").open("ab") as log:
            self._processes[component] = subprocess.Popen(
                [self._binary, component, *self._flags(component)],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # The terminal's Ctrl-C is for the tests; we end these ourselves.
                start_new_session=True,
            )
        match component:
            case "etcd":
                self._until(component, lambda: _answers(f"{self.store_url}/health"))
            case "apiserver":
                self._until(component, lambda: self.get("/readyz") is not None)
            case _:
                pass  # nothing waits for it but what it does

    def kill(self, component: str) -> None:
        """Ends a component as a crash does, without a chance to clean up."""
        process = self._processes.pop(component)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def restart(self, component: str) -> None:
        """Kills a component, and starts it again."""
        self.kill(component)
        self.start(component)

    def get(self, path: str) -> bytes | None:
        """What the API server answers; None if it does not, or answers with an error."""
        context = ssl.create_default_context(cafile=self.folder / "certs" / "ca.crt")
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {TOKEN}"})
        try:
            with urllib.request.urlopen(request, timeout=5, context=context) as response:
                return bytes(response.read())
        except OSError:
            return None

    def _make_files(self) -> None:
        key, public = self.folder / "sa.key", self.folder / "sa.pub"
        _run("openssl", "genrsa", "-out", str(key), "2048")
        _run("openssl", "rsa", "-in", str(key), "-pubout", "-out", str(public))
        certs = self.folder / "certs"
        certs.mkdir()
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "7", "-nodes"]
        authority = ["-keyout", str(certs / "ca.key"), "-out", str(certs / "ca.crt"), "-subj", "/CN=kopf-realkube"]
        _run("openssl", "req", "-x509", *kind, *authority, "-addext", "keyUsage=critical,keyCertSign")
        # A certificate of its own for the server: rustls takes none that is an authority.
        issuer = ["-CA", str(certs / "ca.crt"), "-CAkey", str(certs / "ca.key")]
        pair = ["-keyout", str(certs / "apiserver.key"), "-out", str(certs / "apiserver.crt"), "-subj", "/CN=apiserver"]
        names = [
            "-addext",
            "subjectAltName=IP:127.0.0.1,DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ]
        _run("openssl", "req", "-x509", *kind, *issuer, *pair, *names, "-addext", "keyUsage=critical,digitalSignature")
        (self.folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
        cluster = {"server": self.url, "certificate-authority": str(certs / "ca.crt")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "real", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
            "contexts": [{"name": "real", "context": {"cluster": "real", "user": "admin"}}],
            "current-context": "real",
        }
        self.kubeconfig.write_text(json.dumps(config, indent=2))  # JSON is YAML
        self.kubeconfig.chmod(0o600)

    def _flags(self, component: str) -> Sequence[str]:
        client = self.store_url
        peer = f"http://127.0.0.1:{self._ports['peers']}"
        match component:
            case "etcd":
                flags = {
                    "data-dir": "etcd",
                    "listen-client-urls": client,
                    "advertise-client-urls": client,
                    "listen-peer-urls": peer,
                    "initial-advertise-peer-urls": peer,
                    "initial-cluster": f"default={peer}",
                    "log-level": "error",
                    # The data live as long as the test. What a kill of the process leaves is in the page cache, and is read again.
                    "unsafe-no-fsync": "true",
                }
            case "apiserver":
                flags = {
                    "etcd-servers": client,
                    "secure-port": str(self._ports["apiserver"]),
                    "bind-address": "127.0.0.1",
                    "tls-cert-file": "certs/apiserver.crt",
                    "tls-private-key-file": "certs/apiserver.key",
                    "service-account-issuer": "https://kubernetes.default.svc",
                    "service-account-key-file": "sa.pub",
                    "service-account-signing-key-file": "sa.key",
                    "token-auth-file": "tokens.csv",
                    "authorization-mode": "RBAC",
                    "service-cluster-ip-range": "10.96.0.0/12",
                    # Pods of tests need no account: nothing runs them.
                    "disable-admission-plugins": "ServiceAccount",
                    "allow-privileged": "true",
                    "shutdown-delay-duration": "0s",
                }
            case "controllers":
                flags = {
                    "kubeconfig": "kubeconfig",
                    "service-account-private-key-file": "sa.key",
                    "use-service-account-credentials": "false",
                    "leader-elect": "false",
                    "secure-port": str(self._ports["controllers"]),
                    "bind-address": "127.0.0.1",
                    "cert-dir": "controllers",
                }
            case _:
                raise ValueError(f"There is no component {component!r}: etcd, apiserver, controllers.")
        return [f"--{name}={value}" for name, value in flags.items()]

    def _has_default_account(self) -> bool:
        return self.get("/api/v1/namespaces/default/serviceaccounts/default") is not None

    def _until(self, what: str, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not is_ready():
            for component, process in self._processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{component} has ended with {process.returncode}:\n{self._log(component)}")
            if time.monotonic() > deadline:
                logs = "\n".join(self._log(component) for component in self._processes)
                raise RuntimeError(f"{what} is not there after {PATIENCE:.0f} s:\n{logs}")
            time.sleep(0.05)

    def _log(self, component: str) -> str:
        lines = (self.folder / f"{component}.log").read_text(errors="replace").splitlines()
        return "\n".join([f"--- the end of {component}.log", *lines[-15:]])

    def _stop_all(self) -> None:
        # Nothing of it is needed any more: the quickest end will do, the clients of each before it.
        for component in ("controllers", "apiserver", "etcd"):
            if component in self._processes:
                self.kill(component)
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)


def _free_ports(count: int) -> Iterator[int]:
    """Ports that nobody listens on now; all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        yield from [free.getsockname()[1] for free in sockets]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _run(*command: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}")
