"""Whole courses: one fault alone, again and again, and mixtures of many under a load."""

import pathlib
import time
from collections.abc import Sequence

from course import Course, Outcome
from faults import FAULTS, INACTIVITY, REQUEST_TIMEOUT, SILENT
from judge import Problem
from processes import PATIENCE, Timeouts


def play_alone(door: str, fault: str, seed: int, *, rounds: int = 3) -> tuple[Outcome, pathlib.Path]:
    """One fault again and again, each time with a change in the middle of it; measures until when the change is handled."""
    with Course(door, seed, timeouts=Timeouts(request=REQUEST_TIMEOUT)) as course:
        course.is_measured = True
        if fault in SILENT:
            course.patience = PATIENCE
        for name in ("probe", "other"):
            course.writer.create(name, pace=0, troubles=0)
            if course.wait_until_handled(name, course.writer.objects[name], PATIENCE) is None:
                course.outcome.problems.append(Problem("stuck", f"{name} was not handled before any fault"))
        for _ in range(rounds):
            over = time.time() + FAULTS[fault](course)
            spec = course.writer.change("probe")
            written = time.time()
            course.writer.update("other")
            handled = _wait_for_number(course, "probe", spec["number"])
            if handled is None:
                course.outcome.problems.append(Problem("stuck", f"{fault} was not overcome"))
                break
            course.outcome.recoveries.append(max(0.0, handled - max(over, written)))
            course.come_to_rest()
        return course.conclude(), course.folder


def _wait_for_number(course: Course, name: str, number: int) -> float | None:
    """As `wait_until_handled`, whatever else other writers have changed."""
    deadline = time.monotonic() + course.patience
    while time.monotonic() < deadline:
        for version in course.history.latest():
            if version.name == name and (version.spec or {}).get("number") == number and version.is_handled():
                return version.at
        course.history.wait(lambda _: False, 0.02)
        course.operator.look_after()
    return None


def play_mixture(
    door: str, seed: int, *, steps: int = 60, faults: Sequence[str] = tuple(FAULTS)
) -> tuple[Outcome, pathlib.Path]:
    """A load with faults and kills at random."""
    with Course(door, seed, timeouts=Timeouts(INACTIVITY, REQUEST_TIMEOUT)) as course:
        chance = course.chance
        for _ in range(steps):
            match chance.random():
                case dice if dice < 0.7:
                    course.writer.write()
                case dice if dice < 0.9 and faults:
                    FAULTS[chance.choice(faults)](course)
                case dice if dice > 0.95:
                    course.kill()
            time.sleep(chance.random() * 0.25)
            course.operator.look_after()
        return course.conclude(), course.folder
