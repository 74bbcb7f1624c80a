"""Generated scenarios are played to upstream Kopf and to ours; all that differs is a row of docs/differences.md."""

import pathlib
import sys

import pytest
from explained import STATEMENTS
from scenarios import make_batch
from verdicts import Judge, report

DIFFERENCES = pathlib.Path(__file__).resolve().parents[2] / "docs" / "differences.md"
SIZE = 10


@pytest.fixture(scope="module")
def judge(upstream: str) -> Judge:
    return Judge(upstream=upstream, ours=sys.executable)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2])
def test_both_sides_do_the_same_in_the_scenarios_of_a_seed(judge: Judge, seed: int) -> None:
    batch = make_batch(seed, SIZE)
    for number, verdict in enumerate(judge.judge(batch)):
        if verdict.unexplained:
            verdict = judge.judge_patiently(batch, number)
        assert not verdict.unexplained, f"make differential SEED={seed} shows it\n{report(verdict)}"


def test_every_explanation_is_a_row_of_the_differences() -> None:
    rows = [line for line in DIFFERENCES.read_text().splitlines() if line.startswith("| ")]
    for statement in STATEMENTS:
        assert any(statement in row.rpartition("| ")[2] for row in rows), (
            f"docs/differences.md has no row for {statement}"
        )
