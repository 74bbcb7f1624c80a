"""Whatever fails, and whoever is killed: every change reaches its handlers, none runs twice, nothing is stuck or left behind.

Courses with fixed seeds, over both doors; `make chaos` plays others, each fault alone, and upstream Kopf beside.
"""

import shutil

import pytest
from faults import FAULTS
from plays import play_mixture

VISIBLE = [fault for fault in FAULTS if fault != "kill -9"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("door", ["python", "rust"])
@pytest.mark.parametrize(
    ("seed", "faults"), [(1, ["kill -9"]), (2, VISIBLE), (3, [*FAULTS])], ids=["kills", "faults", "both"]
)
def test_no_change_is_lost_and_no_finished_handler_runs_again(door: str, seed: int, faults: list[str]) -> None:
    """DEC-1, DEC-2, DEC-7, DEC-13, DEC-14, W-WAT-009, W-WAT-011, W-WAT-013."""
    outcome, folder = play_mixture(door, seed, steps=30, faults=faults)
    again = f"make chaos SEED={seed} COUNT=1 DOOR={door} FAULT=mixture"
    told = "\n".join(map(str, outcome.problems))
    assert not outcome.problems, f"{told}\nsee {folder}; again with all faults: {again}"
    assert outcome.ended == 0, f"the operator has ended by itself, see {folder}"
    shutil.rmtree(folder)
