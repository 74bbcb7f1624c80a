"""The differences on purpose: each is a row of docs/differences.md, found there by its statement, and recognised here.

An explanation without a row is an error, and so is a difference without an explanation. There are two kinds: differences in
form (`forms.py`), and in the course of things (`departures.py`).
"""

from collections.abc import Sequence

from comparison import Course, Difference
from departures import DEPARTURES, Case
from forms import FORMS

MORE_WRITES = 20  # than three times upstream's, which handles less, and two for each attempt of ours

STATEMENTS = [*(form.statement for form in FORMS), *(departure.statement for departure in DEPARTURES)]


def unexplained(case: Case, differences: Sequence[Difference]) -> tuple[list[Difference], set[str]]:
    """The differences that no departure explains, and the statements that explain the others."""
    left, used = [], set()
    for difference in differences:
        name = difference.object.partition(" ")[0]
        lives = (
            _lives_before(case, name)
            if "#" in name
            else [life for life in case.upstream.lines if life.startswith(f"{name}#")]
        )
        possible = (
            [] if _is_flood(difference, case.ours) else [one for one in DEPARTURES if difference.what in one.what]
        )
        found = next((one for one in possible if any(one.covers(case, life) for life in lives)), None)
        if found is None:
            left.append(difference)
        else:
            used.add(found.statement)
    return left, used


def _is_flood(difference: Difference, ours: Course) -> bool:
    """Whether so many writes differ that it is no other course of things, but a loop."""
    lives = [
        calls for life, calls in ours.calls.items() if life.partition("#")[0] == difference.object and " " not in life
    ]
    attempts = sum(map(len, lives))
    return difference.what == "writes" and difference.ours > 3 * difference.upstream + 2 * attempts + MORE_WRITES


def _lives_before(case: Case, life: str) -> list[str]:
    """The life itself; and those before, if upstream never came to it, because it has not released the object."""
    name, _, number = life.partition("#")
    if case.upstream.lines.get(life) or not number.isdigit():
        return [life]
    return [life, *(f"{name}#{earlier}" for earlier in range(1, int(number)))]
