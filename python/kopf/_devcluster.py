"""A Kubernetes API server in this process, for trying and testing operators."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self

from kopf import _native
from kopf._faults import Clock, Faults, control

__all__ = ["DevCluster"]


class DevCluster:
    """A dev cluster, started when entered and gone when left.

    Args:
        host: Where it listens.
        port: The port; by default any free one.
        tls: Serves HTTPS, with a certificate of an authority of its own, which the kubeconfig names.
        control: Serves `/_dev/…` as well, by which other processes put faults into the cluster and move its clock; and
            remembers the requests. `faults` and `clock` of this object work without it.
        seed: Makes uids, generated names and faults with a probability repeatable.
        kubeconfig: The file that is written for clients; by default a temporary one, which is removed in the end.

    Example:
        ```python
        with DevCluster() as cluster:
            cluster.apply(pathlib.Path("crd.yaml").read_text())
            subprocess.run(["kubectl", "get", "crds"], env=cluster.env)
        ```
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = False,
        control: bool = False,
        seed: int | None = None,
        kubeconfig: str | os.PathLike[str] | None = None,
    ) -> None:
        self._native = _native.DevCluster(host=host, port=port, tls=tls, control=control, seed=seed)
        self._faults = Faults(self._native)
        self._clock = Clock(self._native)
        self._path = None if kubeconfig is None else pathlib.Path(kubeconfig)
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._native.start()
        self._exit.callback(self._native.stop)
        if self._path is None:
            folder = tempfile.TemporaryDirectory(prefix="kopf-cluster-")
            self._path = pathlib.Path(self._exit.enter_context(folder)) / "kubeconfig"
        self._path.write_text(self._native.kubeconfig)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exit.close()

    @property
    def url(self) -> str:
        """Where it is served."""
        return self._native.url

    @property
    def kubeconfig(self) -> pathlib.Path:
        """The file for clients: what `KUBECONFIG` must be."""
        if self._path is None:
            raise RuntimeError("The dev cluster has no kubeconfig before it is started: use it as a context manager.")
        return self._path

    @property
    def env(self) -> dict[str, str]:
        """The environment for a child process that works with the cluster."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}

    @property
    def faults(self) -> Faults:
        """Breaks things on purpose."""
        return self._faults

    @property
    def clock(self) -> Clock:
        """The server's time."""
        return self._clock

    def requests(self) -> list[dict[str, Any]]:
        """What was asked of the cluster, oldest first, if it was made with `control=True`.

        Returns:
            For each request `method`, `path`, `query`, `verb`, `contentType`, `userAgent`, `user`, `body`, `status` and
            `time`; the newest 10,000 of them.
        """
        requests: list[dict[str, Any]] = control(self._native, "GET", "requests")["requests"]
        return requests

    def apply(self, manifests: str | os.PathLike[str]) -> list[str]:
        """Creates or changes objects.

        Args:
            manifests: YAML, as text; or a file, or a folder with files, if it is a path.

        Returns:
            What was done: `customresourcedefinition/kopfexamples.zalando.org created` and the like.
        """
        texts = [manifests] if isinstance(manifests, str) else [file.read_text() for file in _files(manifests)]
        return [line for text in texts for line in self._native.apply(text)]


def _files(path: str | os.PathLike[str]) -> Iterable[pathlib.Path]:
    root = pathlib.Path(path)
    return _manifests(root) if root.is_dir() else [root]


def _manifests(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    for file in sorted(folder.iterdir()):
        if file.suffix in (".yaml", ".yml", ".json"):
            yield file
