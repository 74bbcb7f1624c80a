"""What the peers do, each kind of work once: what each gives is a run's figures."""

import contextlib
import statistics
import subprocess
import time
from collections.abc import Callable

from stopwatch.building import Tools
from stopwatch.clusters import Cluster, dev, load, minimal
from stopwatch.peers import operator, tally
from stopwatch.places import RELEASE, WORK
from stopwatch.process import running

Figures = dict[str, float]

TRICKLE = 10  # updates per second, while memory is watched for an hour


def events(kit: Tools, peer: str, objects: int, updates: int) -> Figures:
    """A storm of updates to a handler that does nothing."""
    with minimal() as cluster:
        cluster.bench(f"fill?n={objects}")
        with operator(kit, peer, "event", cluster) as process:
            process.settle()
            before, calls = process.cpu(), tally()[0]
            cluster.bench(f"storm?n={updates}")
            process.settle()
            return {"cpu_us": (process.cpu() - before) / updates * 1e6, "calls": (tally()[0] - calls) / updates}


def creates(
    kit: Tools, peer: str, count: int, target: Callable[[], contextlib.AbstractContextManager[Cluster]]
) -> Figures:
    """Objects that are there when the operator starts: each is handled once, and its result is kept in it."""
    with target() as cluster:
        if cluster.port:
            cluster.bench(f"fill?n={count}")
        else:
            load(cluster.env, "create", count)
        wait = [str(RELEASE / "load"), "wait", str(count)]
        handled = WORK / "handled"
        with running(wait, cluster.env, handled) as waiting, operator(kit, peer, "create", cluster) as process:
            done = int(waiting.output()) / 1e6
            process.settle()
            figures = {
                "cpu_ms": process.cpu() / count * 1e3,
                "rate": count / (done - process.started),
                "rss": process.memory(),
            }
            if cluster.port:
                writes = cluster.bench("writes")
                figures |= {"patches": writes["patches"] / count, "events": writes["events"] / count}
            return figures


def memory(kit: Tools, peer: str, count: int) -> Figures:
    """Objects that are listed, with a handler that does nothing; then nothing happens."""
    with minimal() as cluster:
        cluster.bench(f"fill?n={count}")
        with operator(kit, peer, "event", cluster) as process:
            process.settle()
            time.sleep(6)  # upstream's workers end after 5 seconds
            process.settle()
            before, span = process.cpu(), 5.0
            time.sleep(span)
            return {"rss": process.memory(), "idle": (process.cpu() - before) / span * 100}


def hour(kit: Tools, peer: str, count: int, minute: float) -> Figures:
    """Objects that are listed, with a handler that does nothing; then sixty minutes of a few updates, or, if idle, of none.

    All peers do it at the same time, hence the folders.
    """
    folder = WORK / "hour" / peer
    folder.mkdir(parents=True, exist_ok=True)
    with minimal(folder) as cluster:
        cluster.bench(f"fill?n={count}")
        with operator(kit, peer, "event", cluster, folder) as process, (folder / "memory").open("w") as file:
            process.settle()
            began, before, calls = time.monotonic(), process.cpu(), tally(folder)[0]
            if not peer.endswith("+idle"):
                cluster.bench(f"trickle?n={TRICKLE}")
            memory = []
            for number in range(60):
                time.sleep(max(0.0, began + (number + 1) * minute - time.monotonic()))
                memory.append(process.memory())
                print(f"{memory[-1]:.1f}", file=file, flush=True)
            span = time.monotonic() - began
            return {
                "early": memory[4],
                "late": memory[-1],
                "most": max(memory),
                "cpu": (process.cpu() - before) / span * 100,
                "calls": (tally(folder)[0] - calls) / span,
            }


def latency(kit: Tools, peer: str, count: int) -> Figures:
    """One new object per 100 ms: how long until its handler starts."""
    with dev() as cluster, operator(kit, peer, "create", cluster) as process:
        process.settle()
        before = process.cpu()
        load(cluster.env, "trickle", count, 100)
        process.settle()
        delays = sorted(delay / 1e3 for delay in tally()[2:])
        last = len(delays) - 1
        return {
            "p50": statistics.median(delays),
            "p99": delays[min(last, round(last * 0.99))],
            "cpu_ms": (process.cpu() - before) / count * 1e3,
        }


def blocked(kit: Tools, peer: str, count: int) -> Figures:
    """A handler that blocks its thread most of the time, and a watch that the server ends: how long until the next begins."""
    with minimal() as cluster:
        cluster.bench("fill?n=1")
        with operator(kit, peer, "block", cluster) as process:
            process.settle()
            delays = sorted(delay / 1e3 for delay in cluster.bench(f"cuts?n={count}"))
            return {"p50": statistics.median(delays), "p999": delays[min(len(delays) - 1, round(len(delays) * 0.999))]}


def version(kit: Tools, peer: str) -> Figures:
    """`kopf --version`: what each command pays before it does anything."""
    python = kit.upstream if peer == "upstream" else kit.ours
    script = (
        "import resource, subprocess, sys, time; start = time.monotonic();"
        "subprocess.run([sys.argv[1], '-m', 'kopf', '--version'], stdout=subprocess.DEVNULL, check=True);"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)"
    )
    run = subprocess.run([python, "-c", script, python], stdout=subprocess.PIPE, text=True, check=True)
    seconds, cpu, rss = map(float, run.stdout.split())
    return {"seconds": seconds, "cpu_ms": cpu * 1e3, "rss": rss}
