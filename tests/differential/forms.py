"""The differences in form: they are taken out of both plays, so that all else is compared as strictly as before."""

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from comparison import Course

Json = Any


@dataclasses.dataclass(frozen=True)
class Form:
    """A difference in form."""

    statement: str
    """As in docs/differences.md."""

    apply: Callable[[Course], Course]


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


_OF_THE_ENGINE = ("kopf.zalando.org/", "our.example.com/", "own.judged.dev/")


def without_dropped_records(course: Course) -> Course:
    """DEC-7: upstream puts the removal of superseded records into the patch that handlers get."""
    calls = {
        name: [{**call, "patch": _without_removals(call["patch"], ())} if call.get("patch") else call for call in each]
        for name, each in course.calls.items()
    }
    return dataclasses.replace(course, calls=calls)


def _without_removals(patch: Json, path: tuple[str, ...]) -> Json:
    """The patch without what the engine removes, and without the mappings that are empty then."""
    left = {}
    for key, value in patch.items():
        inner = (*path, key)
        is_engines = inner[:2] in (("status", "kopf"), ("status", "our")) or (
            path == ("metadata", "annotations") and key.startswith(_OF_THE_ENGINE)
        )
        if isinstance(value, dict) and value:
            if not (value := _without_removals(value, inner)):
                continue
        elif is_engines and value is None:
            continue
        left[key] = value
    return left


FORMS: Sequence[Form] = (
    Form("W-PAT-021", without_false_alarms),
    Form("DEC-38", without_release),
    Form("DEC-7", without_dropped_records),
)


def in_common_form(course: Course) -> Course:
    """A course without the differences in form."""
    for form in FORMS:
        course = form.apply(course)
    return course
