"""The differences on purpose: each is a row of docs/differences.md, found there by its statement, and recognised here.

An explanation without a row is an error, and so is a difference without an explanation. There are two kinds. A *form* takes
out of both plays what differs in this one way, so that all else is compared as strictly as before. A *course* is for objects
whose further life differs: it says what must hold instead.
"""

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from comparison import Course, Difference

Json = Any


@dataclasses.dataclass(frozen=True)
class Case:
    """A scenario with what both sides made of it."""

    frame: Mapping[str, Json]
    scenario: Mapping[str, Json]
    upstream: Course
    ours: Course


@dataclasses.dataclass(frozen=True)
class Form:
    """A difference in form."""

    statement: str
    """As in docs/differences.md."""

    apply: Callable[[Course], Course]


@dataclasses.dataclass(frozen=True)
class Departure:
    """A difference in the course of things."""

    statement: str
    """As in docs/differences.md."""

    covers: Callable[[Case, str], bool]
    """Whether all that differs of this object is because of it."""

    what: Sequence[str] = ("objects", "calls", "lines", "writes")
    """What may differ."""


def without_false_alarms(course: Course) -> Course:
    """W-PAT-021: upstream warns of removals that were fulfilled."""
    lines = {name: [line for line in lines if not _is_false_alarm(line)] for name, lines in course.lines.items()}
    return dataclasses.replace(course, lines=lines)


def _is_false_alarm(line: str) -> bool:
    found = re.match(r"WARNING Merge-patching finished with inconsistencies: (.*)$", line)
    return found is not None and all(
        op == "remove" and _is_removal(wanted) for op, _, wanted, _ in json.loads(found.group(1))
    )


def _is_removal(wanted: Json) -> bool:
    return wanted is None or (isinstance(wanted, dict) and all(map(_is_removal, wanted.values())))


_RELEASING = "DEBUG   Removing the finalizer, thus allowing the actual deletion."


def without_release(course: Course) -> Course:
    """DEC-38: the records of a deletion are not purged before the finalizer is removed. So there may be one event fewer, and the
    records are in the bodies of the others."""
    calls, lines = dict(course.calls), dict(course.lines)
    for name in course.lines:
        if _RELEASING in course.lines[name]:
            lines[name] = list(_without_last_patch(course.lines[name]))
    for name, each in course.calls.items():
        if " " in name and _RELEASING in course.lines.get(name.partition(" ")[0], []):
            calls[name] = [call for call in each if "deletionTimestamp" not in call["body"]["metadata"]]
            lines[name] = _of_attempts(course.lines.get(name, []), len(calls[name]))
    return dataclasses.replace(course, calls=calls, lines=lines)


def _without_last_patch(lines: Sequence[str]) -> Iterator[str]:
    is_releasing = False
    for line in lines:
        is_releasing = line == _RELEASING or (is_releasing and "-patching the " in line)
        if not (is_releasing and line.startswith("DEBUG   Merge-patching the ")):
            yield line


def _of_attempts(lines: Sequence[str], count: int) -> list[str]:
    """The lines of so many attempts, from the first on."""
    begins = [index for index, line in enumerate(lines) if line.endswith(" is invoked.")]
    return list(lines[: begins[count]] if len(begins) > count else lines)


FORMS: Sequence[Form] = (Form("W-PAT-021", without_false_alarms), Form("DEC-38", without_release))


def is_restless(case: Case, name: str) -> bool:
    """FIX-2, DEC-2: the object has changed while handlers of a cycle had finished and others had not, and ours tells them; so it
    calls all handlers that upstream calls, if not more."""
    is_changed = any(_has_changed_in_cycle(course.lines.get(name, [])) for course in (case.upstream, case.ours))
    called = [
        {(call["handler"], call.get("reason")) for call in course.calls.get(name, [])}
        for course in (case.upstream, case.ours)
    ]
    return is_changed and called[0] <= called[1]


def _has_changed_in_cycle(lines: Sequence[str]) -> bool:
    seen: set[str] = set()
    for line in lines:
        if found := re.match(r"DEBUG   (?:Creation|Updating|Resuming) is in progress: (.*)$", line):
            body = json.loads(found.group(1))
            meta = body["metadata"]
            notes = {
                key: value
                for key, value in meta.get("annotations", {}).items()
                if "example.com/" not in key and "kopf" not in key
            }
            essence = [body.get("spec"), meta.get("labels"), notes, _status(body)]
            seen.add(json.dumps(essence, sort_keys=True))
        elif " is processed: " in line or " is superseded " in line or "is the same" in line:
            if len(seen) > 1:
                return True
            seen.clear()
    return len(seen) > 1


def _status(body: Json) -> Json:
    return (body.get("status") or {}).get("s")


def has_patched_nothing(case: Case, name: str) -> bool:
    """FIX-1: upstream waits five seconds for the event of a patch that has changed nothing, and handles no change meanwhile."""
    body: Json = None
    patched: Json = None
    for line in [*case.upstream.lines.get(name, []), ""]:
        if found := re.match(r"DEBUG   Merge-patching the \w+ with: (.*)$", line):
            patched = _merged(patched if patched is not None else body, json.loads(found.group(1)))
            continue
        if body is not None and patched is not None and body == patched and "JSON-patching" not in line:
            return True
        patched = None
        if found := re.match(r"DEBUG   \w+ is in progress: (.*)$", line):
            body = json.loads(found.group(1))
    return False


def _merged(body: Json, patch: Json) -> Json:
    if not isinstance(patch, dict):
        return patch
    merged = dict(body) if isinstance(body, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged


def has_marked_only(case: Case, name: str) -> bool:
    """W-KEY-021: upstream sends a patch with nothing but the marker of a prefix under which nothing is kept."""
    return any(line.endswith("patching the resource with: {}") for line in case.upstream.lines.get(name, []))


def has_met_newer_changes(case: Case, name: str) -> bool:
    """DEC-7: upstream waits for some event after functions have met a newer version; ours applies them again by itself."""
    return any("Could not apply the patch in full" in line for line in case.upstream.lines.get(name, []))


def has_given_up_a_parent(case: Case, name: str) -> bool:
    """FIX-16: upstream counts steps with unfinished sub-handlers against the limits of their parent."""
    parents = [handler["id"] for handler in case.scenario["handlers"] if handler.get("subs")]
    return any(
        re.search(rf"Handler '{parent}(/[^/]*)?' (has exceeded|has timed out|failed .* would exceed)", line)
        for line in case.upstream.lines.get(name, [])
        for parent in parents
    )


def has_filtered_by_the_past(case: Case, name: str) -> bool:
    """FIX-4: upstream looks at the field as it was also for handlers that are about the object as it is, so that it calls more of
    them; and an absent value matches every object that was never handled, so that it takes note of more objects."""

    def count(course: Course, text: str) -> int:
        return sum(text in line for line in course.lines.get(name, []))

    for handler in case.scenario["handlers"]:
        options = handler.get("options", {})
        if handler["resource"] != name.partition("/")[0] or "field" not in options:
            continue
        told = ["Creation is in progress"] if options.get("value") == {"absent": True} else []
        if {"create", "delete", "resume"} & {*handler["on"]}:
            told.append(f"Handler '{handler['id']}/")
            told.append(f"Handler '{handler['id']}'")
        if any(count(case.upstream, text) > count(case.ours, text) for text in told):
            return True
    return False


DEPARTURES: Sequence[Departure] = (
    Departure("FIX-1", has_patched_nothing),
    Departure("FIX-2", is_restless),
    Departure("FIX-4", has_filtered_by_the_past),
    Departure("FIX-16", has_given_up_a_parent),
    Departure("W-KEY-021", has_marked_only),
    Departure("DEC-7", has_met_newer_changes, what=("lines", "writes")),
)

STATEMENTS = [*(form.statement for form in FORMS), *(departure.statement for departure in DEPARTURES)]


def in_common_form(course: Course) -> Course:
    """A course without the differences in form."""
    for form in FORMS:
        course = form.apply(course)
    return course


def unexplained(case: Case, differences: Sequence[Difference]) -> tuple[list[Difference], set[str]]:
    """The differences that no departure explains, and the statements that explain the others."""
    left, used = [], set()
    for difference in differences:
        name = difference.object.partition(" ")[0]
        lives = [name] if "#" in name else [life for life in case.upstream.lines if life.startswith(f"{name}#")]
        possible = (one for one in DEPARTURES if difference.what in one.what)
        found = next((one for one in possible if any(one.covers(case, life) for life in lives)), None)
        if found is None:
            left.append(difference)
        else:
            used.add(found.statement)
    return left, used
