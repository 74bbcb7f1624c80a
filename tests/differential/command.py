"""Plays generated scenarios to upstream Kopf and to ours, and compares them.

    python tests/differential/command.py [--seed SEED] [--count COUNT]      as `make differential SEED=… COUNT=…`

A batch has ten scenarios; its seed and the number of the scenario in it say everything.
"""

import argparse
import collections
import json
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "scripts")]

import tools  # noqa: E402
from judge import Judge, report  # noqa: E402
from player import PlayError  # noqa: E402
from scenarios import make_batch  # noqa: E402

SIZE = 10


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--scenario", type=int, help="only this one of the batch with the seed")
    parser.add_argument("--file", type=pathlib.Path, help="a batch as JSON, instead of a generated one")
    arguments = parser.parse_args()
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
        for number, verdict in enumerate(verdicts):
            played += 1
            if verdict.unexplained:
                again = judge.judge_patiently(batch, number)
                if again.unexplained:
                    failed += 1
                    print(f"--- seed {seed}, scenario {number}: {len(again.unexplained)} unexplained differences")
                    print(report(again))
                else:
                    unstable += 1
                verdict = again
            explained.update(verdict.explanations)
        print(f"seed {seed}: {len(verdicts)} scenarios in {time.monotonic() - started:.0f} s", flush=True)
    print(
        f"{played} scenarios: {failed} failed, {unstable} were equal only when played alone; explained: {dict(explained)}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
