"""Judges an operator by what has become of its objects: nothing lost, nothing handled twice, nothing stuck, nothing left behind.

It knows two things: the `History` of the objects, which it watches for itself, version by version; and the journal of the
operator's handlers (`tests/chaos/handlers.py`), which survives a killed process. From these it decides what was *finished*
(DEC-1): a handler whose end some version of its object shows, by its record, by the end of its cycle, or by the release of the
object. An end that no version shows was lost with its process, and may be repeated; all others may not.

Nothing here knows whether the cluster is a dev cluster or a real one.
"""

import dataclasses
import http.client
import json
import math
import pathlib
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import journals

__all__ = ["Client", "History", "Journal", "Problem", "judge", "unsettled"]

PREFIX = "kopf.zalando.org/"
DIFF_BASE = f"{PREFIX}last-handled-configuration"
FINALIZER = "kopf.zalando.org/KopfFinalizerMarker"
CREATORS = ("create_first", "create_retried", "create_child", "create_parts")
UPDATERS = ("update_first", "update_retried")
DELETERS = ("delete_first", "delete_retried")
COLORED = "colored/spec.color"
# They keep no progress for a cause of their own: the first has none at all, the second is called anew by every process.
UNCOUNTED = ("seen", "resumed")

Object = dict[str, Any]


class Client:
    """Requests to a cluster.

    Args:
        url: Of the API server.
        agent: The `User-Agent`, by which faults can spare it.
        token: Sent as a bearer token, if there is one. Certificates are not verified: the server is on this machine.
    """

    def __init__(self, url: str, agent: str, token: str | None = None) -> None:
        self.url = url
        self._headers = {"User-Agent": agent} | ({} if token is None else {"Authorization": f"Bearer {token}"})
        self._context = ssl._create_unverified_context() if url.startswith("https:") else None

    def open(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", timeout: float = 30
    ) -> Any:
        """The open answer, to be read and closed.

        Raises:
            urllib.error.HTTPError: The server has answered with an error.
            OSError: It has not answered.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {**self._headers, "Content-Type": content_type}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        return urllib.request.urlopen(request, timeout=timeout, context=self._context)

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """The answer; as `open` otherwise."""
        with self.open(method, path, body, content_type) as answer:
            return json.loads(answer.read() or "null")


@dataclasses.dataclass(frozen=True)
class Version:
    """What an object was, once."""

    object: Object
    at: float
    """When it was seen, in Unix seconds: not before it was stored."""
    is_gone: bool = False

    @property
    def name(self) -> str:
        return self.object["metadata"]["name"]  # type: ignore[no-any-return]

    @property
    def spec(self) -> Any:
        return self.object.get("spec")

    @property
    def is_deleting(self) -> bool:
        return "deletionTimestamp" in self.object["metadata"]

    @property
    def finalizers(self) -> list[str]:
        return self.object["metadata"].get("finalizers") or []

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.object["metadata"].get("annotations") or {}

    @property
    def diff_base(self) -> Any:
        """The last handled essence; none if the object was never handled."""
        text = self.annotations.get(DIFF_BASE)
        return None if text is None else json.loads(text)

    @property
    def progress(self) -> list[str]:
        """The annotations of unfinished cycles."""
        return [key for key in self.annotations if key.startswith(PREFIX) and key != DIFF_BASE]

    def has_finished(self, handler: str) -> bool:
        """Whether its record says that the handler needs no other attempt."""
        record = json.loads(self.annotations.get(PREFIX + handler.replace("/", "."), "{}"))
        return bool(record.get("success") or record.get("failure"))

    def is_handled(self) -> bool:
        """Whether nothing is left to do for what it is."""
        handled = self.diff_base
        return handled is not None and handled.get("spec") == self.spec and not self.progress


class History:
    """All versions of the objects of a collection, from when it is entered; watched by a thread.

    Args:
        client: The judge's own.
        collection: The path of the collection.
    """

    def __init__(self, client: Client, collection: str) -> None:
        self._client = client
        self._collection = collection
        self._versions: dict[str, list[Version]] = {}
        self._changed = threading.Condition()
        self._stopped = False
        self._answer: Any = None
        self.since = ""
        """The version up to which it knows everything."""
        self.gaps = 0
        """How often the past was forgotten before it was seen, and something has changed: then nothing exact can be said."""

    def __enter__(self) -> Self:
        self.since = self._list()
        self._thread = threading.Thread(target=self._follow, name="history", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The thread may be in the middle of a read: it ends by itself when the cluster does, or with the process.
        self._stopped = True

    def objects(self) -> dict[str, list[Version]]:
        """The versions of each object, oldest first, by uid."""
        with self._changed:
            return {uid: [*versions] for uid, versions in self._versions.items()}

    def latest(self) -> list[Version]:
        """What the objects are now, as far as is known."""
        return [versions[-1] for versions in self.objects().values() if not versions[-1].is_gone]

    def wait(self, until: Callable[["History"], bool], patience: float) -> bool:
        """Waits until something is so; whether it is."""
        deadline = time.monotonic() + patience
        with self._changed:
            while not until(self):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, 1))
        return True

    def catch_up(self, patience: float = 60) -> bool:
        """Waits until everything is known that is stored now; whether it is."""
        items = self._client.request("GET", self._collection)["items"]
        wanted = {item["metadata"]["uid"]: item["metadata"]["resourceVersion"] for item in items}

        def is_known(history: "History") -> bool:
            known = history._versions
            return all(
                any(version.object["metadata"]["resourceVersion"] == wanted[uid] for version in known.get(uid, []))
                for uid in wanted
            ) and all(uid in wanted or versions[-1].is_gone or _is_newer(versions) for uid, versions in known.items())

        def _is_newer(versions: list[Version]) -> bool:
            # Made after the listing.
            return versions[0].at > listed

        listed = time.time()
        return self.wait(is_known, patience)

    def _size(self) -> int:
        with self._changed:
            return sum(map(len, self._versions.values()))

    def _note(self, kind: str, item: Object) -> None:
        with self._changed:
            versions = self._versions.setdefault(item["metadata"]["uid"], [])
            versions.append(Version(item, time.time(), is_gone=kind == "DELETED"))
            self._changed.notify_all()

    def _list(self) -> str:
        listed = self._client.request("GET", self._collection)
        known = {uid: versions[-1] for uid, versions in self._versions.items()}
        for item in listed["items"]:
            before = known.pop(item["metadata"]["uid"], None)
            if before is None or before.object["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                self._note("ADDED", item)
        for version in known.values():
            if not version.is_gone:
                self._note("DELETED", version.object)
        return listed["metadata"]["resourceVersion"]  # type: ignore[no-any-return]

    def _follow(self) -> None:
        while not self._stopped:
            try:
                for kind, item in self._watch(self.since):
                    if kind == "ERROR":
                        raise ForgottenError(item)
                    if kind != "BOOKMARK":
                        self._note(kind, item)
                    self.since = item["metadata"]["resourceVersion"]
            except ForgottenError:
                known = self._size()
                self.since = self._relist()
                self.gaps += self._size() != known
            except (OSError, ValueError, http.client.HTTPException):
                # A server that restarts, a line that was cut: from the last known version again.
                time.sleep(0.05)

    def _relist(self) -> str:
        while True:
            try:
                return self._list()
            except OSError:
                if self._stopped:
                    return ""
                time.sleep(0.05)

    def _watch(self, since: str) -> Iterator[tuple[str, Object]]:
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": since, "timeoutSeconds": "20"}
        path = f"{self._collection}?{urllib.parse.urlencode(query)}"
        try:
            answer = self._client.open("GET", path, timeout=40)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 410:
                    raise ForgottenError(error.read()) from None
                raise
        with answer:
            for line in answer:
                event = json.loads(line)
                yield event["type"], event["object"]


class ForgottenError(Exception):
    """The server does not know the past any more."""


@dataclasses.dataclass
class Call:
    """A call of a handler, as the journal tells of it."""

    handler: str
    uid: str
    name: str
    version: str | None
    spec: Any
    reason: str | None
    retry: int
    pid: int
    start: float
    end: float = math.inf
    """Infinite if it has not ended: its process was killed."""
    outcome: str | None = None
    """`done`, or `retry`."""

    @property
    def is_done(self) -> bool:
        return self.outcome == "done"


class Journal:
    """What the handlers tell, whichever process they are called in.

    Args:
        path: The file.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.path.touch()

    def size(self) -> int:
        """In bytes: it changes with every call."""
        return self.path.stat().st_size

    def calls(self) -> list[Call]:
        """All calls, by their starts."""
        calls: list[Call] = []
        running: dict[tuple[int, str, str], list[Call]] = {}
        for told in journals.read(self.path):
            key = (told["pid"], told["handler"], told["uid"])
            do, at, outcome = told.pop("do"), told.pop("at"), told.pop("outcome", None)
            if do == "start":
                call = Call(**told, start=at)
                calls.append(call)
                running.setdefault(key, []).append(call)
            else:
                call = running[key].pop()
                call.end, call.outcome = at, outcome
        return calls


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is wrong, in one of the ways in which it can be."""

    kind: str
    """`lost`, `repeated`, `stuck`, `left`, or `wrong`: the judge and the operator do not speak of the same objects."""
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"


def unsettled(history: History) -> list[str]:
    """The objects that have something left to do, and what."""
    return [
        f"{version.name} {'is being deleted' if version.is_deleting else 'is not handled'}"
        for version in history.latest()
        if version.is_deleting or not version.is_handled()
    ]


def judge(objects: Mapping[str, Sequence[Version]], calls: Iterable[Call]) -> list[Problem]:
    """What is wrong with the objects and the calls, after everything has come to rest.

    Args:
        objects: The versions of each, by uid.
        calls: Of the handlers.
    """
    by_uid: dict[str, list[Call]] = {}
    for call in calls:
        by_uid.setdefault(call.uid, []).append(call)
    problems = [
        Problem("wrong", f"{call.handler} was called for {call.name}, which the judge has never seen")
        for uid, called in by_uid.items()
        if uid not in objects
        for call in called[:1]
    ]
    for uid, versions in objects.items():
        problems += Life(versions, by_uid.get(uid, [])).problems()
    return problems


class Life:
    """One object from its creation on, and the calls for it."""

    def __init__(self, versions: Sequence[Version], calls: Sequence[Call]) -> None:
        self.versions = versions
        self.calls = calls
        self._index = {version.object["metadata"]["resourceVersion"]: at for at, version in enumerate(versions)}
        self._cycles = [*self._numbers_of_cycles()]

    def problems(self) -> Iterator[Problem]:
        """All that is wrong."""
        known = [call for call in self.calls if call.version in self._index]
        for call in self.calls:
            # What has vanished unseen has no version any more: only event handlers hear of its end (W-WAT-016).
            if call.version not in self._index and not (call.version is None and call.handler == "seen"):
                yield self._problem("wrong", f"{call.handler} was given version {call.version}, which never was")
        for handler in sorted({call.handler for call in known} - {*UNCOUNTED}):
            yield from self._repetitions(handler, [call for call in known if call.handler == handler])
        if self.versions[-1].is_gone:
            yield from self._problems_of_deletion()
        elif self.versions[-1].is_deleting:
            held = ", ".join(self.versions[-1].finalizers)
            yield self._problem("stuck", f"is being deleted, and held by {held}")
        else:
            yield from self._problems_of_the_living()

    def _repetitions(self, handler: str, calls: Sequence[Call]) -> Iterator[Problem]:
        """Calls of a handler that had finished in the same cycle, as was accepted before the call (DEC-1)."""
        for number, call in enumerate(calls):
            began, seen = self._cycles[self._index[call.version]], self._index[call.version]
            if self.versions[seen].has_finished(handler):
                yield self._problem("repeated", f"{handler} was called with a version that shows its end")
                continue
            for before in calls[:number]:
                accepted = self._accepted(before, calls)
                if accepted is None or self._cycles[self._index[before.version]] != began:
                    continue
                if accepted <= seen or self.versions[accepted].at < call.start:
                    version = self.versions[accepted].object["metadata"]["resourceVersion"]
                    yield self._problem(
                        "repeated",
                        f"{handler} was called again, with version {call.version} in process {call.pid}, after version "
                        f"{version} had shown its end in process {before.pid}",
                    )
                    break

    def _accepted(self, call: Call, calls: Sequence[Call]) -> int | None:
        """The first version that shows the end of a call, if it cannot be that of a later call of the handler."""
        if not call.is_done:
            return None
        later = [other for other in calls if other.start > call.start]
        for at in range(self._index[call.version] + 1, len(self.versions)):
            version = self.versions[at]
            if version.at < call.end:
                continue  # It was stored before.
            if any(at > self._index[other.version] and version.at >= other.start for other in later):
                return None
            if self._shows_end(at, call.handler):
                return at
        return None

    def _shows_end(self, at: int, handler: str) -> bool:
        version = self.versions[at]
        return (
            version.has_finished(handler)
            or self._cycles[at] != self._cycles[at - 1]
            or version.is_gone
            or (version.is_deleting and FINALIZER not in version.finalizers)
        )

    def _numbers_of_cycles(self) -> Iterator[int]:
        """To which cycle each version belongs: one ends when another essence counts as handled."""
        number, before = 0, None
        for version in self.versions:
            if version.diff_base != before:
                number, before = number + 1, version.diff_base
            yield number

    def _problems_of_the_living(self) -> Iterator[Problem]:
        last = self.versions[-1]
        handled = last.diff_base
        if handled is None or handled.get("spec") != last.spec:
            yield self._problem("stuck", f"is not handled: it is {last.spec}, and was handled as {handled}")
            return
        if last.progress:
            yield self._problem("left", f"has progress of no cycle: {', '.join(last.progress)}")
        if last.finalizers.count(FINALIZER) != 1 or "kopf" in (last.object.get("status") or {}):
            yield self._problem("left", f"finalizers {last.finalizers}, status {last.object.get('status')}")
        for handler in CREATORS:
            if not self._finished(handler):
                yield self._problem("lost", f"its creation has not reached {handler}")
        for part in self._parts():
            if not self._finished(f"create_parts/{part}"):
                yield self._problem("lost", f"its creation has not reached create_parts/{part}")
        created = all(self._last_finished(handler, last.spec) for handler in CREATORS)
        for handler in UPDATERS:
            is_told = self._last_finished(handler, last.spec) if self._finished(handler) else created
            if not is_told:
                yield self._problem("lost", f"its last change has not reached {handler}: {last.spec}")
        colors = [call.spec.get("color") for call in self._finished(COLORED)]
        if last.spec.get("color") != (colors[-1] if colors else None):
            yield self._problem("lost", f"its color {last.spec.get('color')} has not reached {COLORED}: {colors}")
        seen = [call.spec for call in self.calls if call.handler == "seen"]
        if last.spec not in seen[-1:]:
            yield self._problem("lost", f"its last state has not reached the event handler: {seen[-1:]}")

    def _problems_of_deletion(self) -> Iterator[Problem]:
        marked = next((version for version in self.versions if version.is_deleting), None)
        if marked is None or FINALIZER not in marked.finalizers:
            return  # It was gone before it was held.
        for handler in DELETERS:
            if not any(call.is_done and call.end <= self.versions[-1].at for call in self._of(handler)):
                yield self._problem("lost", f"it is gone without {handler}")

    def _parts(self) -> Sequence[str]:
        """The sub-handlers that the last finished creation has declared."""
        finished = self._finished("create_parts")
        return finished[-1].spec.get("parts") or [] if finished else []

    def _of(self, handler: str) -> list[Call]:
        return [call for call in self.calls if call.handler == handler and call.version in self._index]

    def _finished(self, handler: str) -> list[Call]:
        """The finished calls of a handler."""
        calls = self._of(handler)
        return [call for call in calls if self._accepted(call, calls) is not None]

    def _last_finished(self, handler: str, spec: Any) -> bool:
        """Whether this is what the handler has finished with."""
        return any(call.spec == spec for call in self._finished(handler)[-1:])

    def _problem(self, kind: str, text: str) -> Problem:
        last = self.versions[-1]
        return Problem(kind, f"{last.name} ({last.object['metadata']['uid']}): {text}")
