"""A Kubernetes API server in this process, for trying and testing operators."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

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
        rbac: Tells users apart by their tokens, as a real cluster does: the user of the kubeconfig may do everything, others
            what roles say.
        seed: Makes uids, generated names and faults with a probability repeatable.
        deterministic: A seed as well, with one thread and a clock that stands at the beginning of 2026: the same requests, in
            the same order, get the same answers.
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
        rbac: bool = False,
        seed: int | None = None,
        deterministic: int | None = None,
        kubeconfig: str | os.PathLike[str] | None = None,
    ) -> None:
        if seed is not None and deterministic is not None:
            raise ValueError("Only one of seed and deterministic can be said: deterministic is a seed as well.")
        self._native = _native.DevCluster(
            host=host, port=port, tls=tls, control=control, rbac=rbac, seed=seed, deterministic=deterministic
        )
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

    def restart(
        self,
        *,
        how: Literal["hard", "clean"] = "hard",
        lose_changes: int | None = None,
        lose_seconds: float | None = None,
        forget: bool = False,
        refuse: float = 0,
        renew: Literal["certificate", "authority"] | None = None,
        version: str | None = None,
        unserve: Sequence[str] = (),
        serve: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Lets the server go down and come back. When this returns, it is down if `refuse` is said, else up again.

        Args:
            how: All connections are reset (`hard`), or end in order (`clean`).
            lose_changes: So many of the newest changes never happened: the server had not stored them yet.
            lose_seconds: The changes since then never happened. Only one of the two may be said.
            forget: Nothing that was before can be watched: who goes on from there is told 410.
            refuse: For how many seconds connections are refused, in real time.
            renew: Gives the server a new certificate, or a new authority as well. With the latter the kubeconfig is
                written anew, and clients that do not read it again do not trust the server any more.
            version: The version of Kubernetes that is claimed from now on, such as `v1.38.0`.
            unserve: Built-in groups (`batch`) or resources (`cronjobs.batch`) that are served no more.
            serve: More resources: `group`, `version`, `plural`, `kind` and `namespaced` of each.

        Raises:
            ValueError: If something of this is unknown; nothing was done then.
        """
        lose = {
            name: value for name, value in (("changes", lose_changes), ("seconds", lose_seconds)) if value is not None
        }
        body = {
            "how": how,
            "lose": lose or None,
            "forget": forget,
            "refuse": refuse,
            "renew": renew,
            "version": version,
            "unserve": list(unserve),
            "serve": [dict(resource) for resource in serve],
        }
        control(self._native, "POST", "restart", body)
        if renew == "authority":
            self.kubeconfig.write_text(self._native.kubeconfig)

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
