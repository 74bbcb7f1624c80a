"""The stopwatch: what ours costs, beside what exists, on this machine and now. `make bench` is its front door.

Every row is one kind of work, done by each peer in turn, round by round, so that what disturbs the machine disturbs all of
them; only what takes an hour is done by all side by side. The primary figure is the CPU time of the operator's process, all
threads, user and system: it suffers least. Nothing here passes or fails.
"""

import argparse
import collections
import datetime
import functools
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable

from stopwatch.building import Tools, build
from stopwatch.page import PAGE, machine, versions, write
from stopwatch.peers import command
from stopwatch.places import ROOT, WORK
from stopwatch.rows import ROWS, Row
from stopwatch.table import Results, table


def measure(kit: Tools, rows: list[Row], rounds: int, scale: float, peers: list[str]) -> Results:
    """All rounds of all rows; prints each run."""
    results: Results = collections.defaultdict(list)
    for row in rows:
        if row.name == "real" and kit.realkube is None:
            print("real: left out, as there is no real Kubernetes in the cache: python scripts/tools.py realkube")
            continue
        able = [peer for peer in row.peers if (not peers or peer in peers) and command(kit, peer, "create")]
        for number in range(min(rounds, row.rounds)):
            each(able, functools.partial(once, kit, row, number, scale, results), side_by_side=row.side_by_side)
    return results


def once(kit: Tools, row: Row, number: int, scale: float, results: Results, peer: str) -> None:
    """One run; prints and keeps its figures."""
    started = time.monotonic()
    try:
        figures = row.run(kit, peer, scale)
    except (RuntimeError, OSError, subprocess.SubprocessError, ValueError) as error:
        print(f"{row.name} {peer}: {error!r}", flush=True)
        return
    results[row.name, peer].append(figures)
    told = "  ".join(f"{key} {value:,.3f}" for key, value in figures.items())
    print(f"{row.name:12} round {number + 1}  {peer:18} {told}  ({time.monotonic() - started:.0f} s)", flush=True)
    with (WORK / "results.jsonl").open("a") as file:
        print(json.dumps({"row": row.name, "peer": peer, "round": number, **figures}), file=file)


def each(peers: list[str], run: Callable[[str], None], *, side_by_side: bool) -> None:
    """Lets all peers run, one after another or side by side."""
    if not side_by_side:
        for peer in peers:
            run(peer)
        return
    # As daemons, so that an interrupt is not put off for an hour.
    threads = [threading.Thread(target=run, args=(peer,), daemon=True) for peer in peers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def block(rows: str, peers: str, rounds: int, scale: float) -> str:
    """The command whose table in the page this run replaces; none for a quick or partial look."""
    if peers:
        return ""
    if rows == "hour" and scale >= 1:
        return "make bench ROWS=hour"
    return "make bench" if not rows and rounds >= 3 else ""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures operators, ours and others'.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the full number of objects")
    parser.add_argument("--rows", default="", help=f"of {', '.join(row.name for row in ROWS)}; all but hour by default")
    parser.add_argument("--peers", default="", help="only these, by commas; all by default")
    options = parser.parse_args()
    chosen = options.rows.split(",") if options.rows else [row.name for row in ROWS if not row.by_name]
    unknown = set(chosen) - {row.name for row in ROWS}
    if unknown:
        parser.error(f"there is no row {', '.join(sorted(unknown))}: {', '.join(row.name for row in ROWS)}")
    # As it is before: building what is measured, and a long run, are no reason to leave the machine or the clone alone.
    load = os.getloadavg()[0]
    kit = build()
    rows = [row for row in ROWS if row.name in chosen]
    code = versions(kit)
    started = time.monotonic()
    results = measure(kit, rows, options.rounds, options.scale, options.peers.split(",") if options.peers else [])
    minutes = (time.monotonic() - started) / 60
    words = f"ROUNDS={options.rounds} SCALE={options.scale:g}" + (f" ROWS={options.rows}" if options.rows else "")
    text = "\n".join(
        [
            table(results, rows, options.scale),
            "",
            f"- {datetime.date.today().isoformat()}, `make bench {words}`, {minutes:.0f} minutes.",
            f"- Load average before it began: {load:.1f}. Above 0.5 the machine was busy with other work, and the figures are upper bounds.",
            f"- {machine()}.",
            f"- {code}.",
        ]
    )
    print(f"\n{text}")
    if name := block(options.rows, options.peers, options.rounds, options.scale):
        write(text, name)
        print(f"\nwritten into {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
