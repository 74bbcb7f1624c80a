"""Upstream and ours, killed in turn, go on for each other: no finished handler runs again, and none is left out (DEC-1)."""

import sys
from collections.abc import Mapping
from typing import Any

import pytest
from player import Player, Side
from scenarios import make_relay
from takeover import Relay, violations

SIZE = 8


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [2])
def test_killed_operators_leave_nothing_out_and_repeat_nothing_that_has_finished(seed: int, upstream: str) -> None:
    sides = [Side("upstream", upstream), Side("ours", sys.executable)]
    batch: Mapping[str, Any] = make_relay(seed, SIZE)
    plays = Player(batch, sides[0]).play()
    lives = Relay(batch, sides, seed).relay()
    assert sum(len(life.kills) for life in lives) > 0
    for scenario, play, life in zip(batch["scenarios"], plays, lives, strict=True):
        found = "\n".join(violations(scenario, play, life))
        assert not found, f"make differential TAKEOVER=1 SEED={seed} shows it; kills: {life.kills}\n{found}\n{scenario}"
