"""Plays the chaos suite for as many seeds as asked, and reports. Called by `make chaos`.

    python tests/chaos [--seed N] [--count N] [--door python|rust|upstream] [--fault NAME|mixture] [--steps N]

Each fault is played alone, three times in a course; then come as many mixtures, with the seeds from N on. Upstream Kopf is
measured beside and not judged.
"""

import argparse
import contextlib
import pathlib
import shutil
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from course import Outcome
from faults import FAULTS, SILENT
from plays import play_alone, play_mixture
from processes import DOORS

MIXTURE = "mixture"
HEADS = (
    "fault",
    "door",
    "recovery p50",
    "max",
    "lost",
    "repeated",
    "stuck",
    "left",
    "wrong",
    "kills",
    "ended",
    "calls",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description="Plays the chaos suite.")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--count", type=int, default=3, help="how many mixtures")
    parser.add_argument("--door", choices=DOORS, action="append", help="may be repeated; by default all")
    parser.add_argument("--fault", choices=[*FAULTS, MIXTURE], action="append", help="may be repeated; by default all")
    parser.add_argument("--steps", type=int, default=60, help="of a mixture")
    arguments = parser.parse_args()
    rows: list[list[str]] = []
    failed: list[str] = []
    # What was played until somebody had enough is reported, too.
    with contextlib.suppress(KeyboardInterrupt):
        play_all(arguments, rows, failed)
    print_table(rows)
    for text in failed:
        print(f"FAILED; again: {text}")
    return 1 if failed else 0


def play_all(arguments: argparse.Namespace, rows: list[list[str]], failed: list[str]) -> None:
    """Plays what is asked for; adds to the rows of the report, and to the commands that repeat failed courses."""
    for fault in arguments.fault or [*FAULTS, MIXTURE]:
        for door in arguments.door or DOORS:
            total = Outcome()
            seeds = range(arguments.seed, arguments.seed + (arguments.count if fault == MIXTURE else 1))
            for seed in seeds:
                outcome = play(door, fault, seed, arguments.steps)
                if outcome.problems and door != "upstream":
                    failed.append(command(door, fault, seed, arguments.steps))
                total.add(outcome)
            rows.append(row(fault, door, total))


def play(door: str, fault: str, seed: int, steps: int) -> Outcome:
    """Plays one course, and says what has become of it. Its folder stays if something is wrong."""
    started = time.monotonic()
    if fault == MIXTURE:
        outcome, folder = play_mixture(door, seed, steps=steps)
    else:
        outcome, folder = play_alone(door, fault, seed, rounds=1 if fault in SILENT else 3)
    overcome = ", ".join(f"{seconds:.2f}" for seconds in outcome.recoveries)
    told = f"{len(outcome.problems)} problems, {time.monotonic() - started:.0f} s"
    print(f"{fault}, {door}, seed {seed}: {told}" + (f"; overcome in {overcome} s" if overcome else ""), flush=True)
    for problem in outcome.problems:
        print(f"    {problem}")
    if outcome.problems and door != "upstream":
        print(f"    see {folder}", flush=True)
    else:
        shutil.rmtree(folder)
    return outcome


def command(door: str, fault: str, seed: int, steps: int) -> str:
    """What plays a course again."""
    return f"make chaos SEED={seed} COUNT=1 DOOR={door} FAULT='{fault}' STEPS={steps}"


def row(fault: str, door: str, outcome: Outcome) -> list[str]:
    """A row of the report."""
    times = sorted(outcome.recoveries)
    median = f"{statistics.median(times):.2f} s" if times else ""
    longest = f"{times[-1]:.2f} s" if times else ""
    counts = [outcome.count(kind) for kind in ("lost", "repeated", "stuck", "left", "wrong")]
    numbers = [*counts, outcome.kills, outcome.ended, outcome.calls]
    return [fault, door, median, longest, *map(str, numbers)]


def print_table(rows: list[list[str]]) -> None:
    """Prints the report: one row for each fault and door."""
    table = [list(HEADS), *rows]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEADS))]
    print()
    for line in table:
        cells = (
            text.ljust(width) if column < 2 else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join(cells).rstrip())
    print()


if __name__ == "__main__":
    sys.exit(main())
