"""The differences in the course of things: of objects whose further life differs. All is the same until one begins, and each says
what must hold then."""

import collections
import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from comparison import Course

Json = Any
Leaf = tuple[tuple[str, ...], str]
"""A value of a merge patch as JSON, with its path."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A scenario with what both sides made of it."""

    frame: Mapping[str, Json]
    scenario: Mapping[str, Json]
    upstream: Course
    ours: Course


@dataclasses.dataclass(frozen=True)
class Departure:
    """A difference in the course of things."""

    statement: str
    """As in docs/differences.md."""

    begins: Callable[[Case, str], int | None]
    """Before how many lines about the object it happens, if it happens: so many must be the same on both sides."""

    holds: Callable[[Case, str], bool]
    """What must still hold of the object then."""

    what: Sequence[str] = ("objects", "calls", "lines", "writes")
    """What may differ."""

    def covers(self, case: Case, name: str) -> bool:
        """Whether what differs of this object is because of it. It may follow another one."""
        begin = self.begins(case, name)
        if begin is None or not self.holds(case, name):
            return False
        return _are_same(case, name, begin) or any(one.precedes(case, name, begin) for one in DEPARTURES)

    def precedes(self, case: Case, name: str, line: int) -> bool:
        """Whether it is the first that happens to this object, and before a line."""
        begin = self.begins(case, name)
        return begin is not None and begin < line and _are_same(case, name, begin) and self.holds(case, name)


def _are_same(case: Case, name: str, count: int) -> bool:
    """Whether both sides begin with the same lines about an object."""
    theirs, ours = (course.lines.get(name, [])[:count] for course in (case.upstream, case.ours))
    return theirs == ours


def lines_before_changes_in_cycle(case: Case, name: str) -> int | None:
    """FIX-2, DEC-2: the object has changed while handlers of a cycle had finished and others had not, and ours tells them."""
    theirs, ours = (course.lines.get(name, []) for course in (case.upstream, case.ours))
    found = [_changed_in_cycle(theirs), _changed_in_cycle(ours), _given_up(theirs, ours)]
    return min((index for index in found if index is not None), default=None)


def _changed_in_cycle(lines: Sequence[str]) -> int | None:
    """The first line with another essence than that with which the cycle has begun."""
    seen: set[str] = set()
    for index, line in enumerate(lines):
        if found := re.match(r"DEBUG   (?:Creation|Updating|Resuming) is in progress: (.*)$", line):
            body = json.loads(found.group(1))
            meta = body["metadata"]
            notes = {
                key: value
                for key, value in meta.get("annotations", {}).items()
                if "example.com/" not in key and "kopf" not in key and not key.startswith("own.judged.dev/")
            }
            essence = [body.get("spec"), meta.get("labels"), notes, _status(body)]
            seen.add(json.dumps(essence, sort_keys=True))
            if len(seen) > 1:
                return index
        elif " is processed: " in line or " is superseded " in line or "is the same" in line:
            seen.clear()
    return None


def _given_up(theirs: Sequence[str], ours: Sequence[str]) -> int | None:
    """The first line where both see that the object is as it was, and ours drops the records of the cycle (W-CYC-015)."""
    same = "DEBUG   Something has changed, but we are not interested (the essence is the same)."
    for index, (line, mine, after) in enumerate(zip(theirs, ours, ours[1:], strict=False)):
        is_back = line == same or line.startswith("INFO    Updating is superseded by resuming: ")
        if is_back and mine == same and re.match(r"DEBUG   Merge-patching the resource with: .*null", after):
            return index
    return None


def _status(body: Json) -> Json:
    return (body.get("status") or {}).get("s")


def lines_before_an_empty_patch(case: Case, name: str) -> int | None:
    """FIX-1: upstream waits five seconds for the event of a patch that has changed nothing, and handles no change meanwhile."""
    repeated = _repeated(case.scenario["handlers"])
    body: Json = None
    patched: Json = None
    since = 0
    delivered: set[Leaf] = set()
    for index, line in enumerate([*case.upstream.lines.get(name, []), ""]):
        if found := re.match(r"DEBUG   Merge-patching the \w+ with: (.*)$", line):
            patch = json.loads(found.group(1))
            leaves = _leaves(patch)
            if leaves <= delivered:
                return index
            delivered |= leaves & repeated
            since = index if patched is None else since
            patched = _merged(patched if patched is not None else body, patch)
            continue
        if body is not None and patched is not None and body == patched and "JSON-patching" not in line:
            return since
        patched = None
        if found := re.match(r"DEBUG   \w+ is in progress: (.*)$", line):
            body = json.loads(found.group(1))
    return None


def _repeated(handlers: Sequence[Json]) -> set[Leaf]:
    """What event handlers write at each event: their patches, and their results."""
    repeated: set[Leaf] = set()
    for handler in (one for one in handlers if one["on"] == ["event"]):
        action = handler["script"][0]
        repeated |= _leaves(action.get("patch", {}))
        if "result" in action:
            field = handler.get("options", {}).get("field")
            key = f"{handler['id']}/{field}" if field else handler["id"]
            repeated |= _leaves({"status": {key: action["result"]}})
    return repeated


def _leaves(value: Json, path: tuple[str, ...] = ()) -> set[Leaf]:
    """The values of a merge patch, with their paths."""
    if isinstance(value, dict) and value:
        return {leaf for key, item in value.items() for leaf in _leaves(item, (*path, key))}
    return {(path, json.dumps(value))}


def lines_before_a_function_without_effect(case: Case, name: str) -> int | None:
    """FIX-1: a function of an event handler is a patch at each event, also if it changes nothing. Upstream skips handlers until some
    event because of it, or forgets their delay."""
    handlers = (one for one in case.scenario["handlers"] if one["resource"] == name.partition("/")[0])
    if not any("fns" in one["script"][0] for one in handlers if one["on"] == ["event"]):
        return None
    before = ""
    for index, line in enumerate(case.upstream.lines.get(name, [])):
        is_forgotten = "Sleeping was skipped because of the patch" in line and "-patching the " not in before
        if is_forgotten or "Could not apply the patch in full" in line:
            return index
        before = line
    return None


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


def lines_before_a_mere_marker(case: Case, name: str) -> int | None:
    """W-KEY-021: upstream sends a patch with nothing but the marker of a prefix under which nothing is kept; event handlers hear
    of it."""
    return _first(case.upstream.lines.get(name, []), r".*patching the resource with: \{\}$")


def lines_before_newer_changes(case: Case, name: str) -> int | None:
    """DEC-7: upstream waits for some event after functions have met a newer version; ours applies them again by itself."""
    return _first(case.upstream.lines.get(name, []), r".*Could not apply the patch in full")


def lines_before_a_parent_is_given_up(case: Case, name: str) -> int | None:
    """FIX-16: upstream counts steps with unfinished sub-handlers against the limits of their parent."""
    parents = "|".join(handler["id"] for handler in case.scenario["handlers"] if handler.get("subs"))
    given_up = rf".*Handler '({parents})(/[^/]*)?' (has exceeded|has timed out|failed .* would exceed)"
    return _first(case.upstream.lines.get(name, []), given_up) if parents else None


def lines_before_a_superseded_record_comes_back(case: Case, name: str) -> int | None:
    """W-CYC-013: upstream stores each record again that a storage keeps with its nulls, and so also those of a superseded cause
    that it has just dropped: they are superseded again, cycle by cycle."""
    if case.frame.get("progress", {}).get("class") != "UsersProgressStorage":
        return None
    lines = case.upstream.lines.get(name, [])
    superseded = _first(lines, r".* is superseded by ")
    patched = _first(lines[superseded:], r".*Merge-patching the ") if superseded is not None else None
    return None if superseded is None or patched is None else superseded + patched


def lines_before_a_look_at_the_past(case: Case, name: str) -> int | None:
    """FIX-4: upstream looks at the field as it was also for handlers that are about the object as it is, and at creations, when it
    was not there at all. So it calls more handlers, takes note of more objects and changes, and holds objects for longer."""
    mine, ours = (course.lines.get(name, []) for course in (case.upstream, case.ours))
    looking_back = _looking_back(case, name)
    signs = (r".*Handler '{id}['/]", r".*Merge-patching .*[/\"]{id}[./\"]")
    told = [sign.replace("{id}", handler["id"]) for handler in looking_back for sign in signs]
    if told:
        told.append(r".*(Creation|Updating) is in progress")
    holds = any("delete" in handler["on"] for handler in looking_back)
    if holds:
        told.append(r".*Adding the finalizer")
    more = [text for text in told if _count(mine, text) > _count(ours, text)]
    found = [_first(mine, text) for text in more]
    # Ours may call them later, when the field is as they want it.
    found += [_earlier(mine, ours, text) for text in told]
    found += [_noted_earlier(mine, ours)] if told else []
    if holds:
        found.append(_earlier(ours, mine, r".*Removing the finalizer, as there are no handlers requiring it"))
    return min((index for index in found if index is not None), default=None)


def _looking_back(case: Case, name: str) -> list[Json]:
    """The handlers of the object with a field that upstream sees in a state that should not count."""
    return [
        handler
        for handler in case.scenario["handlers"]
        if handler["resource"] == name.partition("/")[0]
        and "field" in handler.get("options", {})
        and ({"create", "delete", "resume"} & {*handler["on"]} or _misses_at_creation(handler))
    ]


def _misses_at_creation(handler: Json) -> bool:
    """Whether it is about the changes of a field, and wants it to be absent: before a creation it was not absent, but nothing."""
    return "field" in handler["on"] and handler["options"].get("value") == {"absent": True}


def _first(lines: Sequence[str], pattern: str) -> int | None:
    return next((index for index, line in enumerate(lines) if re.match(pattern, line)), None)


def _earlier(lines: Sequence[str], others: Sequence[str], pattern: str) -> int | None:
    """Where the first of the lines comes that others have later, or not at all."""
    first, other = _first(lines, pattern), _first(others, pattern)
    return first if first is not None and (other is None or first < other) else None


def _noted_earlier(theirs: Sequence[str], ours: Sequence[str]) -> int | None:
    """Where upstream handles the creation of an object that ours takes note of later, or not at all."""
    created = r".*Creation is in progress: "
    index, other = _first(theirs, created), _first(ours, created)
    if index is None or (other is not None and (other < index or (other == index and ours[other] == theirs[index]))):
        return None
    return index


def _count(lines: Sequence[str], pattern: str) -> int:
    return sum(re.match(pattern, line) is not None for line in lines)


def calls_all(case: Case, name: str) -> bool:
    """Ours calls every handler, for every reason, that upstream calls."""
    return not _missing_calls(case, name)


def calls_all_or_tells_of_the_way_back(case: Case, name: str) -> bool:
    """The same, but what upstream goes on with as resuming, because the object is as it was, may be an update with ours."""
    called = {*_called(case.ours, name)}
    return all(reason == "resume" and (handler, "update") in called for handler, reason in _missing_calls(case, name))


def calls_all_for_some_reason(case: Case, name: str) -> bool:
    """The same, but what ours has handled at once, upstream may have handled together with a later change, for another reason."""
    called = {handler for handler, _ in _called(case.ours, name)}
    return all(handler in called for handler, _ in _missing_calls(case, name))


def calls_all_but_those_that_look_back(case: Case, name: str) -> bool:
    """The same, but for the handlers that upstream calls too often."""
    looking_back = _looking_back(case, name)
    excused = {handler["id"] for handler in looking_back if handler["on"] != ["field"]}
    at_creation = {handler["id"] for handler in looking_back if _misses_at_creation(handler)}
    missing = _missing_calls(case, name)
    # What those change is an update for the others; so is what changes later, once upstream has taken note of the object.
    called = {handler.partition("/")[0] for handler, _ in missing}
    is_changed = any(handler["id"] in called and _changes(handler) for handler in looking_back)
    mine, ours = (course.lines.get(name, []) for course in (case.upstream, case.ours))
    is_changed |= _noted_earlier(mine, ours) is not None
    return all(
        handler.partition("/")[0] in (excused | at_creation if reason == "create" else excused)
        or (reason == "update" and is_changed)
        for handler, reason in missing
    )


def _changes(handler: Json) -> bool:
    """Whether a handler, or one of its sub-handlers, changes the object."""
    scripts = [handler["script"], *(child["script"] for child in handler.get("subs", []))]
    return any({"patch", "fns", "meddle"} & {*attempt} for script in scripts for attempt in script)


def calls_the_same(case: Case, name: str) -> bool:
    """Neither calls anything that the other does not call as often."""
    called = [_called(course, name) for course in (case.upstream, case.ours)]
    return called[0] == called[1]


def _missing_calls(case: Case, name: str) -> set[tuple[str, str]]:
    return {*_called(case.upstream, name)} - {*_called(case.ours, name)}


def _called(course: Course, name: str) -> collections.Counter[tuple[str, str]]:
    calls = course.calls.get(name, [])
    return collections.Counter((call["handler"], str(call.get("reason"))) for call in calls)


DEPARTURES: Sequence[Departure] = (
    Departure("FIX-1", lines_before_an_empty_patch, calls_all_for_some_reason),
    Departure("FIX-1", lines_before_a_function_without_effect, calls_all_for_some_reason),
    Departure("FIX-2", lines_before_changes_in_cycle, calls_all_or_tells_of_the_way_back),
    Departure("FIX-4", lines_before_a_look_at_the_past, calls_all_but_those_that_look_back),
    Departure("FIX-16", lines_before_a_parent_is_given_up, calls_all),
    Departure("W-CYC-013", lines_before_a_superseded_record_comes_back, calls_all),
    Departure("W-KEY-021", lines_before_a_mere_marker, calls_the_same, what=("calls", "lines", "writes")),
    Departure("DEC-7", lines_before_newer_changes, calls_the_same, what=("lines", "writes")),
)
