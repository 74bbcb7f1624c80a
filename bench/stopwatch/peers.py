"""Who is measured, and how each is started."""

import contextlib
import pathlib
from collections.abc import Iterator

from stopwatch.building import Tools
from stopwatch.clusters import Cluster
from stopwatch.places import HERE, RELEASE, WORK
from stopwatch.process import Process, running

PEERS = ("limit", "kube", "controller-runtime", "upstream", "python", "rust")
TITLES = {
    "limit": "bare client",
    "kube": "kube",
    "controller-runtime": "controller-runtime",
    "upstream": "Kopf 1.45.2",
    "python": "ours, Python",
    "rust": "ours, Rust",
}
SUFFIXES = {"sync": "sync", "events": "with Events", "watch": "(`watcher`)", "idle": "idle"}


def command(kit: Tools, peer: str, work: str) -> tuple[list[str | pathlib.Path], dict[str, str]] | None:
    """How to start a peer for `create`, `event` or `block`; a suffix of the peer's name is a variant of it."""
    name, _, variant = peer.partition("+")
    env = {"BENCH_HANDLER": work}
    mode = "event" if work == "event" else "handle"
    quiet = work != "create"
    match name:
        case "limit":
            return [RELEASE / "limit", mode], env
        case "kube":
            return [RELEASE / "controller", "watch" if variant == "watch" else mode], env
        case "controller-runtime":
            return ([kit.controller, mode], env) if kit.controller else None
        case "rust":
            env |= {"KOPF_RUN_QUIET": "true"} if quiet else {}
            env |= {} if variant == "events" else {"BENCH_EVENTS": "no"}
            return [RELEASE / "bench-operator", "run", "--all-namespaces"], env
        case "upstream" | "python":
            python = kit.upstream if name == "upstream" else kit.ours
            handlers = HERE / "handlers" / ("with_sync.py" if variant == "sync" else "with_async.py")
            env |= {"BENCH_EVENTS": "no"} if name == "python" and variant != "events" else {}
            # Upstream's command needs the folder of `tally`, which is not a handler's own.
            env |= {"PYTHONPATH": str(HERE / "handlers")}
            flags = ["-q"] if quiet else []
            return [python, "-m", "kopf", "run", "-A", "--standalone", *flags, handlers], env
        case _:
            raise ValueError(f"There is no peer {peer!r}.")


def tally(folder: pathlib.Path = WORK) -> list[int]:
    """What the operator says: its calls, the moment of the last, the delays; all zero before it has said anything."""
    try:
        return list(map(int, (folder / "tally").read_text().split()))
    except FileNotFoundError:
        return [0, 0]


@contextlib.contextmanager
def operator(kit: Tools, peer: str, work: str, cluster: Cluster, folder: pathlib.Path = WORK) -> Iterator[Process]:
    """A running operator; its log and its tally are in the folder."""
    tally = folder / "tally"
    tally.unlink(missing_ok=True)
    arguments, env = command(kit, peer, work) or ([], {})
    env = {**cluster.env, **env, "BENCH_TALLY": str(tally)}
    with running(arguments, env, folder / "operator.log") as process:
        yield process
