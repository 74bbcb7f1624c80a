"""What a course does to the cluster and to the operator: each fault by its name in the report."""

from collections.abc import Callable
from typing import Any

from course import Course

Fault = Callable[[Course], float]
"""Does something to the cluster or the operator; gives how long it lasts, in seconds, from now."""


def _answers(status: int, **parameters: Any) -> Fault:
    def fault(course: Course) -> float:
        course.fault("answer", ["patch"], status=status, times=course.times(), **parameters)
        return float(parameters.get("retryAfter", 0))

    return fault


def _answers_to_watching(status: int) -> Fault:
    def fault(course: Course) -> float:
        course.fault("answer", ["watch", "list"], status=status, times=course.times())
        course.watches("cut", how="clean")
        return 0

    return fault


def _outage(course: Course) -> float:
    course.fault("answer", status=503, **{"for": 1.5})
    course.watches("cut", how="hard")
    return 1.5


def _cut(how: str) -> Fault:
    def fault(course: Course) -> float:
        course.watches("cut", how=how)
        return 0

    return fault


def _expired_token(course: Course) -> float:
    course.renew_credentials()
    return 0


def _expired_token_of_watch(course: Course) -> float:
    course.renew_credentials()
    course.watches("cut", how="clean")
    return 0


def _hanging_patches(course: Course) -> float:
    course.fault("hang", ["patch"], times=course.times())
    return REQUEST_TIMEOUT


def _hanging_lists(course: Course) -> float:
    course.compact()
    course.fault("hang", ["list"])
    course.watches("cut", how="clean")
    return REQUEST_TIMEOUT


def _hanging_watches(course: Course) -> float:
    course.fault("hang", ["watch"])
    course.watches("cut", how="clean")
    return 0


def _hanging_answers(course: Course) -> float:
    course.compact()
    course.fault("delay-body", ["patch"], seconds=2 * REQUEST_TIMEOUT, times=course.times())
    course.fault("delay-body", ["list"], seconds=2 * REQUEST_TIMEOUT)
    course.watches("cut", how="clean")
    return REQUEST_TIMEOUT


def _silence(course: Course) -> float:
    course.watches("stall")
    return 0


def _compaction(course: Course) -> float:
    course.compact()
    course.watches("cut", how="clean")
    return 0


def _error_in_watch(status: int) -> Fault:
    def fault(course: Course) -> float:
        course.watches("error", status=status)
        return 0

    return fault


def _lost_answers(course: Course) -> float:
    course.fault("lose", ["patch"], times=course.times())
    return 0


def _dropped_requests(course: Course) -> float:
    course.fault("drop", ["patch"], times=course.times())
    return 0


def _stale_lists(course: Course) -> float:
    course.compact()
    course.stale_list()
    return 0


def _slow_events(course: Course) -> float:
    course.watches("delay", seconds=0.3)
    return 0.3


def _repeated_events(course: Course) -> float:
    course.fault("repeat", ["watch"], changes=3)
    course.watches("cut", how="clean")
    return 0


def _slow_answers(course: Course) -> float:
    course.fault("delay", ["patch"], seconds=0.5, times=course.times())
    return 0.5


def _other_writers(course: Course) -> float:
    number = course.chance.randrange(1000)
    course.fault("interfere", ["patch"], patch={"spec": {"other": number}}, times=course.times())
    return 0


def _restart(course: Course) -> float:
    course.control("POST", "restart", {"how": "hard", "refuse": 1})
    return 1


def _restart_without_past(course: Course) -> float:
    course.restart_without_past()
    return 1


def _absence(course: Course) -> float:
    course.fault("drop", **{"for": 1.0})
    course.watches("cut", how="hard")
    return 1


def _kill(course: Course) -> float:
    course.kill()
    return 0


FAULTS: dict[str, Fault] = {
    "kill -9": _kill,
    "429 with Retry-After": _answers(429, retryAfter=1),
    "500": _answers(500),
    "503": _answers(503),
    "504": _answers(504),
    "409": _answers(409),
    "503 to watches and lists": _answers_to_watching(503),
    "429 to watches and lists": _answers_to_watching(429),
    "503 for 1.5 s": _outage,
    "cut watch, clean": _cut("clean"),
    "cut watch, hard": _cut("hard"),
    "cut watch, half a line": _cut("half-line"),
    "compaction, watch refused": _compaction,
    "410 in the watch": _error_in_watch(410),
    "500 in the watch": _error_in_watch(500),
    "lost answers": _lost_answers,
    "dropped requests": _dropped_requests,
    "stale lists": _stale_lists,
    "slow events": _slow_events,
    "repeated events": _repeated_events,
    "slow answers": _slow_answers,
    "other writers": _other_writers,
    "connections break for 1 s": _absence,
    "restart of the server": _restart,
    "restart that forgets the past": _restart_without_past,
    "expired token": _expired_token,
    "expired token, watch cut": _expired_token_of_watch,
    "hanging patches": _hanging_patches,
    "hanging lists": _hanging_lists,
    "hanging answers": _hanging_answers,
    "hanging watch": _hanging_watches,
    "silent watch": _silence,
}
SILENT = ("hanging watch", "silent watch")  # noticed only after the time of `watching.inactivity_timeout`
INACTIVITY = 3.0  # seconds: instead of 70, where it is not the time that is judged
REQUEST_TIMEOUT = 3.0  # seconds: instead of 300, likewise
