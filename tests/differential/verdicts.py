"""Plays batches to both sides, and says what nothing explains."""

import concurrent.futures
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from comparison import Difference, course_of, differences
from departures import Case
from explained import unexplained
from forms import in_common_form
from player import Play, Player, Side
from scenarios import with_longer_delays

Json = Any


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is to be said of one scenario."""

    scenario: Mapping[str, Json]
    case: Case
    unexplained: Sequence[Difference]
    explanations: frozenset[str]


class Judge:
    """Has scenarios played by both sides."""

    def __init__(self, upstream: str, ours: str) -> None:
        self._sides = (Side("upstream", upstream), Side("ours", ours))

    def judge(self, batch: Mapping[str, Json], patience: float = 1.0) -> list[Verdict]:
        """Plays a batch to both sides at once."""
        players = [Player(batch, side, patience) for side in self._sides]
        with concurrent.futures.ThreadPoolExecutor(len(players)) as threads:
            theirs, ours = threads.map(Player.play, players)
        plays = zip(batch["scenarios"], theirs, ours, strict=True)
        return [self._verdict(batch["frame"], *each) for each in plays]

    def judge_patiently(self, batch: Mapping[str, Json], index: int, times: int = 3) -> Verdict:
        """Plays one scenario of a batch again, alone, with longer delays and more patience: on a busy machine, things that are
        due at different moments can become due at once. It is judged by the first play that is equal."""
        verdicts = []
        for time in range(times):
            patience = 2.0 + time
            alone = {**batch, "scenarios": [with_longer_delays(batch["scenarios"][index], patience)]}
            verdicts.append(self.judge(alone, patience)[0])
            if not verdicts[-1].unexplained:
                break
        return verdicts[-1]

    def _verdict(self, frame: Mapping[str, Json], scenario: Mapping[str, Json], theirs: Play, ours: Play) -> Verdict:
        courses = [in_common_form(course_of(play, scenario)) for play in (theirs, ours)]
        case = Case(frame, scenario, *courses)
        left, used = unexplained(case, differences(case.upstream, case.ours))
        return Verdict(scenario, case, left, frozenset(used))


def report(verdict: Verdict) -> str:
    """What is wrong with a scenario, for people."""
    parts = [f"frame: {json.dumps(verdict.case.frame)}", f"scenario: {json.dumps(verdict.scenario, indent=1)}"]
    parts += [str(difference) for difference in verdict.unexplained]
    return "\n".join(parts)
