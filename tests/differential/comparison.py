"""Compares two plays of one scenario."""

import dataclasses
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from masking import canonical, masked, masked_object, masked_text
from player import Play

Json = Any


@dataclasses.dataclass(frozen=True)
class Difference:
    """One thing that is not the same."""

    what: str
    """`objects`, `calls`, `lines` or `writes`."""

    object: str
    """Its resource, namespace and name, and the number of its life."""

    where: str
    """At which round, if it is a state."""

    upstream: Json
    ours: Json

    def __str__(self) -> str:
        return f"{self.what} of {self.object}{self.where}\n{side_by_side(self.upstream, self.ours)}"


@dataclasses.dataclass
class Course:
    """A play in comparable form."""

    objects: list[dict[str, Json]]
    calls: dict[str, list[Json]]
    """By object, in order: the handler and its kwargs."""

    lines: dict[str, list[str]]
    """By object, in order."""

    writes: dict[str, int]
    """By object, all its lives together: requests of the operator to change it."""

    lives: list[dict[str, str]]
    """Per round: the objects with the numbers of their lives."""


def course_of(play: Play, scenario: Mapping[str, Json]) -> Course:
    """Brings a play into comparable form. Objects are told apart by name and, if they are made anew, by their order: also of
    one of which the operator takes no note.

    What is of an event handler is told apart by its id, after a space: ours may see one event fewer (DEC-38).
    """
    watching = [handler["id"] for handler in scenario["handlers"] if handler["on"] == ["event"]]
    names = {uid: f"{name}#{index + 1}" for name, uids in play.births.items() for index, uid in enumerate(uids) if uid}
    calls: dict[str, list[Json]] = {}
    lines: dict[str, list[str]] = {}
    for record in play.records:
        name = names[record["about"]["uid"]]
        text = record.get("handler") or record["text"].partition("'")[2]
        watcher = next((handler for handler in watching if re.match(rf"{handler}\b", text)), None)
        name += f" {watcher}" if watcher else ""
        if record["what"] == "call":
            calls.setdefault(name, []).append({"handler": record["handler"], **masked(record["kwargs"])})
        else:
            text = f"{record['level']:7} {masked_text(record['text'])}"
            lines.setdefault(name, []).append(text + (f" [{record['error']}]" if record["error"] else ""))
    objects = [{name: masked_object(item) for name, item in round.items()} for round in play.objects]
    lives = [{name: names[item["metadata"]["uid"]] for name, item in round.items()} for round in play.objects]
    return Course(objects, calls, lines, play.writes, lives)


def differences(upstream: Course, ours: Course) -> list[Difference]:
    """All that differs, the objects first. Ours may send fewer writes, but not more."""
    found = []
    for index, (theirs, our) in enumerate(zip(upstream.objects, ours.objects, strict=True)):
        for name in sorted({*theirs, *our}):
            if canonical(theirs.get(name)) != canonical(our.get(name)):
                found.append(
                    Difference(
                        "objects",
                        upstream.lives[index].get(name, name),
                        f" at round {index}",
                        theirs.get(name),
                        our.get(name),
                    )
                )
    for what in ("calls", "lines"):
        theirs, our = getattr(upstream, what), getattr(ours, what)
        for name in sorted({*theirs, *our}):
            if canonical(theirs.get(name, [])) != canonical(our.get(name, [])):
                found.append(Difference(what, name, "", theirs.get(name, []), our.get(name, [])))
    for name in sorted({*upstream.writes, *ours.writes}):
        if ours.writes.get(name, 0) > upstream.writes.get(name, 0):
            found.append(Difference("writes", name, "", upstream.writes.get(name, 0), ours.writes.get(name, 0)))
    return found


def side_by_side(upstream: Json, ours: Json, width: int = 160) -> str:
    """What differs, line by line: `-` only upstream, `+` only ours."""
    lines = difflib.ndiff(list(_told(upstream)), list(_told(ours)))
    told = [line for line in lines if not line.startswith("?")]
    kept = []
    for index, line in enumerate(told):
        near = told[max(0, index - 2) : index + 3]
        if any(other[0] in "+-" for other in near):
            kept.append(line)
        elif not kept or kept[-1] != "  …":
            kept.append("  …")
    return "\n".join("    " + (line if len(line) <= 4 * width else line[: 4 * width] + "…") for line in kept)


def _told(value: Json, path: str = "") -> Iterator[str]:
    """Leaves of a value, each with its path."""
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _told(value[key], f"{path}.{key}" if path else str(key))
        if not value:
            yield f"{path} = {{}}"
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if all(isinstance(item, str) for item in value):
            yield from (f"{path}{item}" for item in value)
        else:
            for index, item in enumerate(value):
                head = f"{path}[{index}]"
                if isinstance(item, Mapping) and "handler" in item:
                    yield f"{head} {item['handler']} retry={item.get('retry')} reason={item.get('reason')}"
                    item = {key: inner for key, inner in item.items() if key not in ("handler", "retry", "reason")}
                yield from _told(item, head)
    else:
        yield f"{path} = {value!r}"
