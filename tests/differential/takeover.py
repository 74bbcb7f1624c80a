"""Upstream and ours take over from each other: one of them is killed in the middle of handling, the other goes on with the same
objects on the same cluster, and so forth, several times in the life of an object.

What must hold (DEC-1), beside a play of the same scenario by upstream alone, without kills:

- after each round the objects are the same;
- every attempt that was made there is made here, with the same arguments: nothing is left out, nothing is added;
- an attempt is repeated only if no version of the object has shown its end before: no finished handler runs again.
"""

import contextlib
import dataclasses
import itertools
import json
import pathlib
import random
import signal
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import journals
from actor import GROUP, plural
from comparison import side_by_side
from masking import canonical, masked, masked_object
from player import Cluster, Operator, Play, Player, Side, make, objects_of, scenario_of

Json = Any


@dataclasses.dataclass
class Life:
    """A play with kills, and all that was seen of it."""

    play: Play
    starts: list[float]
    """When each round began."""

    versions: list[tuple[float, Json]]
    """When each version of an object was seen, and the version."""

    kills: list[str]
    """Who was killed when, for people."""


class Relay(Player):
    """A batch that is played by both sides in turn."""

    def __init__(self, batch: Mapping[str, Json], sides: Sequence[Side], seed: int, patience: float = 1.0) -> None:
        super().__init__(batch, sides[0], patience)
        self._sides = sides
        self._random = random.Random(f"kills {seed}")

    def relay(self) -> list[Life]:
        """Plays all rounds; one life per scenario."""
        with tempfile.TemporaryDirectory(prefix="kopf-relay-") as name:
            folder = pathlib.Path(name)
            (folder / "batch.json").write_text(json.dumps(self._batch))
            with Cluster(folder) as cluster:
                operators = [Operator(side, cluster, folder) for side in self._sides]
                self._random.shuffle(operators)
                try:
                    return self._relay(cluster, operators)
                finally:
                    for operator in operators:
                        operator.stop(signal.SIGKILL)

    def _relay(self, cluster: Cluster, operators: list[Operator]) -> list[Life]:
        self._prepare(cluster)
        lives = [Life(Play([], [], []), [], [], []) for _ in self._scenarios]
        observers = [
            Observer(cluster.url, plural(number, name), lives[number].versions)
            for number, scenario in enumerate(self._scenarios)
            for name in scenario["resources"]
        ]
        kills: list[str] = []
        operators[0].start(self._streams())
        for index in range(len(self._frame["rounds"])):
            seen = operators[0].records.stat().st_size
            for number, scenario in enumerate(self._scenarios):
                lives[number].starts.append(time.monotonic())
                for change in scenario["rounds"][index]:
                    make(cluster, number, scenario, change, lives[number].play)
            for _ in range(self._random.choice([0, 1, 1, 2, 3])):
                calls = self._random.randint(1, 3 * len(self._scenarios))
                self._wait_for_calls(operators[0], seen, calls)
                time.sleep(self._random.choice([0, 0.003, 0.01, 0.03, 0.1, 0.3]))
                operators[0].stop(signal.SIGKILL)
                kills.append(f"round {index}: {operators[0].side.name} after {calls} calls")
                operators.reverse()
                seen = operators[0].records.stat().st_size
                operators[0].start(self._streams())
            unfinished = self._settle(cluster, operators[0])
            for number, scenario in enumerate(self._scenarios):
                lives[number].play.objects.append(objects_of(cluster, number, scenario))
                if number in unfinished:
                    lives[number].play.unsettled.append(index)
        operators[0].stop(signal.SIGKILL)
        for observer in observers:
            observer.stop()
        for record in journals.read(operators[0].records):
            number = scenario_of(record)
            if number is not None:
                lives[number].play.records.append(record)
        for life in lives:
            life.kills.extend(kills)
        return lives

    def _wait_for_calls(self, operator: Operator, seen: int, calls: int) -> None:
        """Waits until so many handlers were called, or until nothing happens any more."""
        size, since = -1, time.monotonic()
        while True:
            operator.check()
            written = operator.records.read_bytes()[seen:]
            if written.count(b'{"what": "call"') >= calls:
                return
            if len(written) != size:
                size, since = len(written), time.monotonic()
            elif time.monotonic() - since > 1.0:
                return
            time.sleep(0.005)


class Observer:
    """Notes all versions of the objects of a resource."""

    def __init__(self, url: str, resource: str, versions: list[tuple[float, Json]]) -> None:
        self._versions = versions
        self._stream = urllib.request.urlopen(f"{url}/apis/{GROUP}/v1/{resource}?watch=true", timeout=600)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            for line in self._stream:
                self._versions.append((time.monotonic(), json.loads(line)["object"]))

    def stop(self) -> None:
        """The stream ends with the cluster; what has come is kept."""


def violations(scenario: Mapping[str, Json], reference: Play, life: Life) -> Iterator[str]:
    """What is wrong with a life."""
    for index, (expected, found) in enumerate(zip(reference.objects, life.play.objects, strict=True)):
        expected, found = ({name: masked_object(item) for name, item in items.items()} for items in (expected, found))
        if scenario["resources"]["a"]["status"]:
            # A kill between the patch of the object and that of its status loses results, on both sides (W-PAT-011).
            expected, found = _without_results(expected), _without_results(found)
        if canonical(expected) != canonical(found):
            yield f"objects at round {index}\n{side_by_side(expected, found)}"
    expected_attempts = {_attempt(scenario, call): call for call in _calls(scenario, reference)}
    made: dict[str, list[Json]] = {}
    for call in _calls(scenario, life.play):
        made.setdefault(_attempt(scenario, call), []).append(call)
    for attempt in expected_attempts.keys() - made.keys():
        yield f"left out: {attempt}"
    for attempt in made.keys() - expected_attempts.keys():
        yield f"added: {attempt}"
    for attempt, calls in made.items():
        for earlier, later in itertools.combinations(calls, 2):
            if earlier["kwargs"]["retry"] != later["kwargs"]["retry"] or earlier["about"] != later["about"]:
                continue
            if _was_purged(life, earlier, later) or _was_torn(scenario, life, earlier, later):
                continue
            shown = (
                version
                for at, version in life.versions
                if earlier["at"] < at < later["at"] and _shows_the_end(version, earlier)
            )
            if version := next(shown, None):
                by = " and ".join(f"{call['by']} at {call['at'] - life.starts[0]:.3f} s" for call in (earlier, later))
                yield f"repeated by {by}: {attempt}\n    after {canonical(masked(version))}"
                for at, version in life.versions:
                    if earlier["at"] < at < later["at"] and version["metadata"]["uid"] == earlier["about"]["uid"]:
                        meta = version["metadata"]
                        yield f"    {at - life.starts[0]:.3f} s: {json.dumps([meta.get('annotations'), version.get('status')])}"
                break


def _without_results(items: Json) -> Json:
    """The objects with nothing in their status but what storages keep there."""
    return {
        name: {**item, "status": {key: (item.get("status") or {}).get(key) for key in ("kopf", "our")}}
        for name, item in items.items()
    }


def _calls(scenario: Mapping[str, Json], play: Play) -> Iterator[Json]:
    """The calls of state-changing handlers, but for those that resume: these are called once per process."""
    resuming = {handler["id"] for handler in scenario["handlers"] if "resume" in handler["on"]}
    for record in play.records:
        if record["what"] == "call" and "reason" in record["kwargs"] and record["handler"] not in resuming:
            yield record


def _attempt(scenario: Mapping[str, Json], call: Json) -> str:
    """An attempt, as it is the same on all sides. How often a parent is called for its sub-handlers, depends on when they are
    due; and only the last arguments of a cycle matter for it."""
    kwargs = call["kwargs"]
    is_parent = any(handler["id"] == call["handler"] and handler.get("subs") for handler in scenario["handlers"])
    names = ("reason", "old", "new", "diff", "name", "namespace", *(() if is_parent else ("retry",)))
    return f"{call['handler']} {canonical(masked({name: kwargs.get(name) for name in names}))}"


def _was_purged(life: Life, earlier: Json, later: Json) -> bool:
    """DEC-38: upstream was killed between the purge of the records of a deletion and its release, so that it is handled again."""
    return any(
        not dict(_records(version)) and "deletionTimestamp" in version["metadata"]
        for at, version in life.versions
        if earlier["at"] < at < later["at"]
        and version["metadata"]["uid"] == earlier["about"]["uid"]
        and earlier["kwargs"]["reason"] == "delete"
    )


def _was_torn(scenario: Mapping[str, Json], life: Life, earlier: Json, later: Json) -> bool:
    """W-PAT-011: one was killed between the patch of the object, which purges the records in its annotations, and that of its
    status, which was to keep what was handled: then neither tells of it."""
    between = [
        version
        for at, version in life.versions
        if earlier["at"] < at < later["at"] and version["metadata"]["uid"] == earlier["about"]["uid"]
    ]
    purged = next((index for index, version in enumerate(between) if not dict(_records(version))), None)
    is_apart = scenario["resources"]["a"]["status"] and not any(
        key.endswith("/last-handled-configuration")
        for version in between
        for key in version["metadata"].get("annotations", {})
    )
    is_kept = any(_last_handled(version) == earlier["kwargs"]["new"] for version in between[purged:])
    return is_apart and purged is not None and not is_kept


def _shows_the_end(version: Json, call: Json) -> bool:
    """Whether a version of the object shows that the attempt has ended: its record says so, or its cycle is over."""
    meta, kwargs = version["metadata"], call["kwargs"]
    if meta["uid"] != call["about"]["uid"]:
        return False
    records = dict(_records(version))
    record = records.get(call["handler"].replace("/", "."))
    if record is not None:
        is_same = record.get("purpose") == kwargs["reason"]
        return is_same and (record.get("success") or record.get("failure") or record["retries"] > kwargs["retry"])
    stored = _last_handled(version)
    return kwargs["reason"] != "delete" and not records and stored is not None and stored == kwargs["new"]


def _records(version: Json) -> Iterator[tuple[str, Json]]:
    for key, text in version["metadata"].get("annotations", {}).items():
        if '"started"' in text and '"retries"' in text:
            yield key.partition("/")[2], json.loads(text)
    for key, record in ((version.get("status") or {}).get("kopf", {}).get("progress") or {}).items():
        yield key.replace("/", "."), record


def _last_handled(version: Json) -> Json:
    stored = (version.get("status") or {}).get("kopf", {}).get("last-handled-configuration")
    for key, text in version["metadata"].get("annotations", {}).items():
        if key.endswith("/last-handled-configuration"):
            stored = text
    return None if stored is None else json.loads(stored)
