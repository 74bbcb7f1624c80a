"""Plays generated scenarios to upstream Kopf and to ours, and compares them.

    python tests/differential/command.py [--seed SEED] [--count COUNT]      as `make differential SEED=… COUNT=…`

A batch has ten scenarios; its seed and the number of the scenario in it say everything.
"""

import argparse
import collections
import concurrent.futures
import json
import pathlib
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(HERE.parents[1] / "scripts")]

# Found by the path above only.
import tools  # noqa: E402
from player import Player, PlayError, Side  # noqa: E402
from scenarios import make_batch, make_relay  # noqa: E402
from shrinking import shrink  # noqa: E402
from takeover import Relay, violations  # noqa: E402
from verdicts import Judge, Verdict, report  # noqa: E402

Json = Any
SIZE = 10


def main() -> int:
    # What was started is stopped also then.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--scenario", type=int, help="only this one of the batch with the seed")
    parser.add_argument("--file", type=pathlib.Path, help="a batch as JSON, instead of a generated one")
    parser.add_argument("--no-shrinking", action="store_true", help="show the scenarios that fail as they are")
    parser.add_argument("--takeover", action="store_true", help="kill the operators, and let each go on for the other")
    arguments = parser.parse_args()
    if arguments.takeover:
        return take_over(arguments)
    judge = Judge(upstream=str(tools.upstream()), ours=sys.executable)
    if arguments.file:
        batches = [(0, json.loads(arguments.file.read_text()))]
    else:
        batches = [
            (seed, make_batch(seed, SIZE))
            for seed in range(arguments.seed, arguments.seed + -(-arguments.count // SIZE))
        ]
    if arguments.scenario is not None:
        seed, batch = batches[0]
        batches = [(seed, {**batch, "scenarios": [batch["scenarios"][arguments.scenario]]})]
    explained: collections.Counter[str] = collections.Counter()
    played = failed = unstable = 0
    for seed, batch in batches:
        started = time.monotonic()
        try:
            verdicts = judge.judge(batch)
        except PlayError as error:
            print(f"seed {seed}: {error}")
            failed += 1
            continue
        for position, verdict in enumerate(verdicts):
            number = position if arguments.scenario is None else arguments.scenario
            played += 1
            if verdict.unexplained:
                again = judge.judge_patiently(batch, position)
                if again.unexplained:
                    failed += 1
                    print(f"--- seed {seed}, scenario {number}: {len(again.unexplained)} unexplained differences")
                    if not arguments.no_shrinking:
                        again = shrunken(judge, batch["frame"], again)
                    print(report(again))
                    print(f"again: {sys.executable} {__file__} --seed {seed} --scenario {number}", flush=True)
                else:
                    unstable += 1
                verdict = again
            explained.update(verdict.explanations)
        print(f"seed {seed}: {len(verdicts)} scenarios in {time.monotonic() - started:.0f} s", flush=True)
    print(
        f"{played} scenarios: {failed} failed, {unstable} were equal only when played alone; explained: {dict(explained)}"
    )
    return 1 if failed else 0


def shrunken(judge: Judge, frame: Json, verdict: Verdict) -> Verdict:
    """The verdict on a smaller scenario that fails as well."""

    def fails(frame: Json, scenarios: Sequence[Json]) -> list[bool]:
        try:
            return [
                bool(one.unexplained) for one in judge.judge({"frame": frame, "scenarios": scenarios}, patience=1.5)
            ]
        except PlayError:
            return [False for _ in scenarios]

    smallest = shrink(frame, dict(verdict.scenario), fails)
    again = judge.judge_patiently({"frame": frame, "scenarios": [smallest]}, 0)
    return again if again.unexplained else verdict


def take_over(arguments: argparse.Namespace) -> int:
    """Plays scenarios with kills."""
    sides = [Side("upstream", str(tools.upstream())), Side("ours", sys.executable)]
    played = failed = kills = 0
    for seed in range(arguments.seed, arguments.seed + -(-arguments.count // SIZE)):
        started = time.monotonic()
        batch = make_relay(seed, SIZE)
        try:
            with concurrent.futures.ThreadPoolExecutor() as threads:
                reference = threads.submit(Player(batch, sides[0], patience=1.5).play)
                lives = Relay(batch, sides, seed, patience=1.5).relay()
                plays = reference.result()
        except PlayError as error:
            print(f"seed {seed}: {error}")
            failed += 1
            continue
        for number, (scenario, play, life) in enumerate(zip(batch["scenarios"], plays, lives, strict=True)):
            played += 1
            if found := list(violations(scenario, play, life)):
                failed += 1
                print(f"--- seed {seed}, scenario {number}: {len(found)} violations; kills: {life.kills}")
                print(f"frame: {json.dumps(batch['frame'])}\nscenario: {json.dumps(scenario)}")
                print("\n".join(found))
        kills += len(lives[0].kills)
        print(
            f"seed {seed}: {SIZE} scenarios, {len(lives[0].kills)} kills in {time.monotonic() - started:.0f} s",
            flush=True,
        )
    print(f"{played} scenarios, {kills} kills: {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
