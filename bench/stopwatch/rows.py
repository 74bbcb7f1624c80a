"""The rows of the table: each is one kind of work, with who does it and what it may cost."""

import dataclasses
import pathlib
from collections.abc import Callable

from stopwatch.building import Tools
from stopwatch.clusters import dev, minimal, real
from stopwatch.peers import PEERS
from stopwatch.work import Figures, blocked, creates, events, hour, latency, memory, version


@dataclasses.dataclass(frozen=True)
class Figure:
    """A line of the table: one figure of a row."""

    key: str
    title: str
    form: str
    budget_python: str = ""
    budget_rust: str = ""


@dataclasses.dataclass(frozen=True)
class Row:
    """One kind of work, and who does it."""

    name: str
    peers: tuple[str, ...]
    run: Callable[[Tools, str, float], Figures]
    figures: tuple[Figure, ...]
    objects: int = 0  # the {n} of the titles, in full
    rounds: int = 3  # at most
    by_name: bool = False  # too long to be done unless it is asked for
    side_by_side: bool = False  # all peers at the same time, instead of one after another


def slower(peer: str, count: float, share: float = 0.25) -> int:
    """Upstream does less of what is measured per piece, where its start does not count."""
    return max(10, round(count * (share if peer.startswith("upstream") else 1)))


ALL = (*PEERS,)
VARIANTS = (
    "limit",
    "kube",
    "controller-runtime",
    "upstream",
    "upstream+sync",
    "python",
    "python+sync",
    "python+events",
    "rust",
    "rust+events",
)

ROWS = (
    Row(
        "event",
        ("limit", "kube", "kube+watch", "controller-runtime", "upstream", "python", "python+sync", "rust"),
        lambda kit, peer, scale: events(kit, peer, 1000, slower(peer, 50_000 * scale)),
        (
            Figure(
                "cpu_us",
                "a watch event to a no-op handler, CPU",
                "{:.1f} us",
                budget_python="10 us",
                budget_rust="3 us",
            ),
        ),
    ),
    Row(
        "create",
        VARIANTS,
        lambda kit, peer, scale: creates(kit, peer, round(10_000 * scale), minimal),
        (
            Figure(
                "cpu_ms",
                "`on.create` with its result patched, {n} objects there at the start: CPU per object",
                "{:.3f} ms",
                budget_python="0.15 ms async, 0.25 sync",
                budget_rust="0.07 ms",
            ),
            Figure(
                "rate",
                "the same, objects per second",
                "{:,.0f}",
                budget_python="6,700",
                budget_rust="13,000",
            ),
            Figure(
                "patches",
                "the same, PATCHes per object",
                "{:.2f}",
                budget_python="not more than upstream",
                budget_rust="not more than upstream",
            ),
            Figure("events", "the same, Kubernetes Events per object", "{:.2f}"),
            Figure("rss", "the same, memory after", "{:.0f} MiB"),
        ),
        objects=10_000,
    ),
    Row(
        "memory-20k",
        ALL,
        lambda kit, peer, scale: memory(kit, peer, round(20_000 * scale)),
        (
            Figure(
                "rss",
                "{n} objects listed, no-op handler: memory",
                "{:.0f} MiB",
                budget_python="45 MiB",
                budget_rust="20 MiB",
            ),
        ),
        objects=20_000,
        rounds=1,
    ),
    Row(
        "memory-100k",
        ALL,
        lambda kit, peer, scale: memory(kit, peer, round(100_000 * scale)),
        (
            Figure(
                "rss",
                "{n} objects listed, no-op handler: memory",
                "{:.0f} MiB",
                budget_python="95 MiB",
                budget_rust="60 MiB",
            ),
            Figure(
                "idle",
                "the same, CPU while nothing happens",
                "{:.2f} %",
                budget_python="nothing that `top` sees",
                budget_rust="nothing that `top` sees",
            ),
        ),
        objects=100_000,
        rounds=1,
    ),
    Row(
        "hour",
        (*ALL, "upstream+idle", "python+idle", "rust+idle"),
        lambda kit, peer, scale: hour(kit, peer, round(100_000 * scale), 60 * scale),
        (
            Figure(
                "early",
                "{n} objects listed, then an hour of 10 updates a second (*idle*: of none): memory after 5 minutes",
                "{:.1f} MiB",
            ),
            Figure("late", "the same, after the hour", "{:.1f} MiB", budget_python="flat", budget_rust="flat"),
            Figure("most", "the same, the most of all minutes", "{:.1f} MiB", budget_python="flat", budget_rust="flat"),
            Figure(
                "cpu",
                "the same, CPU",
                "{:.2f} %",
                budget_python="nothing that `top` sees, idle",
                budget_rust="nothing that `top` sees, idle",
            ),
        ),
        objects=100_000,
        rounds=1,
        by_name=True,
        side_by_side=True,
    ),
    Row(
        "real",
        ALL,
        lambda kit, peer, scale: creates(kit, peer, round(2_000 * scale), lambda: real(needed(kit.realkube))),
        (
            Figure(
                "cpu_ms",
                "a real API server over TLS, {n} objects: CPU per object",
                "{:.2f} ms",
                budget_python="0.5 ms",
                budget_rust="0.35 ms",
            ),
            Figure("rate", "the same, objects per second (the server's limit)", "{:,.0f}"),
        ),
        objects=2_000,
    ),
    Row(
        "dev",
        ("limit", "upstream", "python", "rust"),
        lambda kit, peer, scale: creates(kit, peer, round(2_000 * scale), dev),
        (Figure("cpu_ms", "the dev cluster over HTTP, {n} objects: CPU per object", "{:.2f} ms"),),
        objects=2_000,
    ),
    Row(
        "latency",
        ("limit", "upstream", "python", "rust"),
        lambda kit, peer, scale: latency(kit, peer, max(20, round(100 * scale))),
        (
            Figure(
                "p50",
                "from the write of an object to the start of its handler, one per 100 ms, on the dev cluster: p50",
                "{:.1f} ms",
            ),
            Figure("p99", "the same, p99", "{:.1f} ms", budget_python="3 ms", budget_rust="3 ms"),
        ),
    ),
    Row(
        "blocked",
        ("upstream", "python", "rust"),
        lambda kit, peer, scale: blocked(kit, peer, slower(peer, 500 * scale)),
        (
            Figure(
                "p50",
                "a handler that blocks its thread for 50 of 60 ms, without need: from the end of a watch to the next, p50",
                "{:.1f} ms",
            ),
            Figure("p999", "the same, p99.9", "{:.1f} ms", budget_python="10 ms"),
        ),
        rounds=1,
    ),
    Row(
        "version",
        ("upstream", "python"),
        lambda kit, peer, scale: version(kit, peer),
        (
            Figure("seconds", "`kopf --version`: time", "{:.2f} s", budget_python="a quarter of upstream's"),
            Figure("rss", "the same, memory", "{:.0f} MiB", budget_python="half of upstream's"),
        ),
    ),
)


def needed(binary: pathlib.Path | None) -> pathlib.Path:
    if binary is None:
        raise RuntimeError("there is no real Kubernetes in the cache: python scripts/tools.py realkube")
    return binary
