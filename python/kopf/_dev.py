"""The commands with a dev cluster: the cluster in this process, what works with it in a child process.

So a change of the handlers, an error in them or a crash of the operator leaves the cluster and its objects alone.
"""

import contextlib
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from kopf._devcluster import DevCluster

__all__ = ["run", "serve"]

_LOOK = 0.3  # seconds between looks at the files
_GRACE = 5.0  # seconds for the operator to stop

Stamps = Mapping[pathlib.Path, float]


def run(arguments: Sequence[str], paths: Sequence[str], manifests: Sequence[str], *, port: int) -> int:
    """Runs `kopf run` with the arguments and paths on a dev cluster, again and again as files change.

    Returns:
        The exit status: 0, for it ends only by an interruption.
    """
    command = [sys.executable, "-m", "kopf", "run", *arguments, *paths]
    with _interruptible(), DevCluster(port=port) as cluster, contextlib.suppress(KeyboardInterrupt):
        _welcome(cluster, manifests)
        while True:
            stamps = _stamps(paths)
            child = subprocess.Popen(command, env=cluster.env)
            with _stopped_in_the_end(child):
                _wait_for_change(child, paths, stamps)
            _say("The files have changed: the operator is started again.")
    _say("The dev cluster is gone.")
    return 0


def serve(command: Sequence[str], manifests: Sequence[str], **options: Any) -> int:
    """Serves a dev cluster until interrupted, or as long as the command runs.

    Args:
        command: What is to run; nothing if it is empty.
        manifests: Files and folders that are applied first.
        **options: Those of `DevCluster`.

    Returns:
        The exit status: that of the command, or 0.
    """
    with _interruptible(), DevCluster(**options) as cluster:
        try:
            if command:
                _apply(cluster, manifests)
                return _run_command(command, cluster)
            _welcome(cluster, manifests)
            _wait_for_interruption()
        except KeyboardInterrupt:
            pass
    _say("The dev cluster is gone.")
    return 0


def _run_command(command: Sequence[str], cluster: DevCluster) -> int:
    try:
        child = subprocess.Popen(command, env=cluster.env)
    except OSError as error:
        raise click.ClickException(f"Cannot run {command[0]!r}: {error.strerror}.") from error
    with _stopped_in_the_end(child):
        status = child.wait()
    return 128 - status if status < 0 else status


def _welcome(cluster: DevCluster, manifests: Iterable[str]) -> None:
    _say(f"A dev cluster is served at {cluster.url}. In a second terminal, type:")
    _say("")
    _say(f"    export KUBECONFIG={cluster.kubeconfig}")
    _say("    kubectl get namespaces")
    _say("")
    _apply(cluster, manifests)
    _say("Ctrl-C ends it.")


def _apply(cluster: DevCluster, manifests: Iterable[str]) -> None:
    for path in manifests:
        for line in cluster.apply(pathlib.Path(path)):
            _say(line)


def _wait_for_change(child: subprocess.Popen[bytes], paths: Sequence[str], stamps: Stamps) -> None:
    """Waits until a file has changed, also after the operator has ended by itself."""
    told = False
    while _stamps(paths) == stamps:
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = child.wait(_LOOK)
            if not told:
                _say(f"The operator has ended with the status {status}. It is started again when a file changes.")
                told = True
            time.sleep(_LOOK)


def _stamps(paths: Sequence[str]) -> Stamps:
    """The times of the files with handlers and of all Python files beside them."""
    folders = {pathlib.Path(path).absolute().parent for path in paths} or {pathlib.Path.cwd()}
    files = {pathlib.Path(path).absolute() for path in paths}
    files |= {file for folder in folders for file in folder.glob("*.py")}
    stamps = {}
    for file in files:
        with contextlib.suppress(OSError):  # an editor may be just replacing it
            stamps[file] = file.stat().st_mtime
    return stamps


@contextlib.contextmanager
def _stopped_in_the_end(child: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        if child.poll() is None:
            child.terminate()
        try:
            child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Lets a termination end the command as cleanly as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _wait_for_interruption() -> None:
    while True:
        time.sleep(3600)


def _say(line: str) -> None:
    click.echo(line, err=True)
