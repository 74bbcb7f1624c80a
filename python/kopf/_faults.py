"""Faults and time of the dev cluster: what `cluster.faults` and `cluster.clock` are.

All of it is said as the JSON of the control endpoint, which the server reads: there is one way to describe a fault.
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypedDict, Unpack, final

from kopf import _native

__all__ = ["Clock", "Cut", "Fault", "Faults", "Matching", "Which", "control"]

Cut = Literal["clean", "hard", "half-line", "truncated"]
"""How a connection or a watch breaks: in order; reset (RST), with all that is on it; within a JSON line; within a chunk."""


def control(cluster: _native.DevCluster, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """What a request to the control endpoint answers."""
    return json.loads(cluster.control(method, path, json.dumps(body)))


class Matching(TypedDict, total=False):
    """Which requests or watches; everything that is not said matches. In all texts a `*` stands for any text."""

    verbs: Sequence[str]
    """get, list, watch, create, update, patch, delete, deletecollection."""
    resource: str
    """`plural` or `plural.group`."""
    subresource: str
    """Such as `status`; an empty text matches requests without one."""
    namespace: str
    """The namespace in the path."""
    name: str
    """The name in the path: lists, watches and creations have none."""
    path: str
    """The whole path, without the query."""
    user_agent: str
    """The client's `User-Agent`."""
    user: str
    """The user's name."""


class Which(Matching, total=False):
    """Which requests, and how often."""

    skip: int
    """Lets so many matching requests pass first."""
    times: int | Literal["unlimited"]
    """How often it happens; 1 by default, and unlimited if `lasting` or `probability` is said."""
    lasting: float
    """Only for so many seconds from now, on the server's clock."""
    probability: float
    """Only for this part of the matching requests, between 0 and 1, by a generator with the cluster's seed."""


@final
class Fault:
    """A planned fault."""

    def __init__(self, cluster: _native.DevCluster, number: int) -> None:
        self._cluster = cluster
        self.id: Final = number

    @property
    def happened(self) -> int:
        """How often it has happened; 0 after it was taken back."""
        try:
            happened: int = control(self._cluster, "GET", f"faults/{self.id}")["happened"]
        except KeyError:
            return 0
        return happened

    def remove(self) -> None:
        """Takes it back; does nothing if it was taken back already."""
        try:
            control(self._cluster, "DELETE", f"faults/{self.id}")
        except KeyError:
            return

    def __repr__(self) -> str:
        return f"<Fault {self.id}>"


@final
class Faults:
    """Breaks things in a dev cluster on purpose.

    Each method plans one fault for requests that are made from now on, and takes the arguments of `Which`: which requests,
    and how often. By default it happens once, to the next request of any kind. Unknown words and values out of range raise
    `ValueError`, which names the field.

    Example:
        ```python
        with DevCluster() as cluster:
            # Three patches of the status are refused; one in ten requests comes late.
            cluster.faults.answer(503, verbs=["patch"], subresource="status", times=3)
            cluster.faults.delay(2.5, probability=0.1)
            # All open watches of pods break in the middle of a line.
            cluster.faults.cut_watches("half-line", resource="pods")
        ```
    """

    def __init__(self, cluster: _native.DevCluster) -> None:
        self._cluster = cluster

    def answer(
        self,
        status: int,
        *,
        reason: str | None = None,
        message: str | None = None,
        retry_after: int | None = None,
        **which: Unpack[Which],
    ) -> Fault:
        """Answers with an error; nothing is done for the request.

        Args:
            status: The HTTP status, from 400 on.
            reason: The reason in the body; by default the usual one of the status.
            message: The message in the body.
            retry_after: The header `Retry-After`, in seconds.
            **which: Which requests, and how often.
        """
        answer = {"status": status, "reason": reason, "message": message, "retryAfter": retry_after}
        return self._plan("answer", answer, which)

    def delay(self, seconds: float, **which: Unpack[Which]) -> Fault:
        """Lets requests wait before anything is done for them."""
        return self._plan("delay", {"seconds": seconds}, which)

    def delay_body(self, seconds: float, **which: Unpack[Which]) -> Fault:
        """Does what is asked, and lets the body of the answer come so long after its header."""
        return self._plan("delay-body", {"seconds": seconds}, which)

    def hang(self, **which: Unpack[Which]) -> Fault:
        """Never answers, and does nothing for the request."""
        return self._plan("hang", {}, which)

    def drop(self, how: Cut = "hard", **which: Unpack[Which]) -> Fault:
        """Breaks the connection, and does nothing for the request."""
        return self._plan("drop", {"how": how}, which)

    def lose(self, how: Cut = "hard", **which: Unpack[Which]) -> Fault:
        """Does what is asked, and breaks the connection: before the answer, or within its body (half-line, truncated)."""
        return self._plan("lose", {"how": how}, which)

    def interfere(
        self,
        patch: Mapping[str, Any] | None = None,
        *,
        add_finalizers: Sequence[str] = (),
        remove_finalizers: Sequence[str] = (),
        delete: bool = False,
        **which: Unpack[Which],
    ) -> Fault:
        """Writes to the object of a request as somebody else, right before the request is done.

        Args:
            patch: What is merged into the object. With no argument at all, an annotation changes that concerns nobody.
            add_finalizers: Finalizers that somebody else adds.
            remove_finalizers: Finalizers that somebody else removes.
            delete: Somebody else deletes the object.
            **which: Which requests, and how often.
        """
        interference = {
            "patch": None if patch is None else dict(patch),
            "addFinalizers": list(add_finalizers),
            "removeFinalizers": list(remove_finalizers),
            "delete": delete,
        }
        return self._plan("interfere", interference, which)

    def stale(self, *, changes: int | None = None, seconds: float | None = None, **which: Unpack[Which]) -> Fault:
        """Shows gets, lists and watches what was there so many changes or seconds ago, as a server that lags behind."""
        return self._plan("stale", {"changes": changes, "seconds": seconds}, which)

    def cut(
        self,
        how: Cut = "clean",
        *,
        after_events: int | None = None,
        after_seconds: float | None = None,
        **which: Unpack[Which],
    ) -> Fault:
        """Cuts watches that are opened from now on; at once by default, after so many events, or after a time."""
        after = {"afterEvents": after_events, "afterSeconds": after_seconds}
        return self._plan("cut", {"how": how, **after}, which)

    def error(
        self,
        status: int = 410,
        *,
        reason: str | None = None,
        message: str | None = None,
        after_events: int | None = None,
        after_seconds: float | None = None,
        **which: Unpack[Which],
    ) -> Fault:
        """Ends watches that are opened from now on with an ERROR event; at once by default."""
        answer = {"status": status, "reason": reason, "message": message}
        after = {"afterEvents": after_events, "afterSeconds": after_seconds}
        return self._plan("error", {**answer, **after}, which)

    def stall(
        self, *, after_events: int | None = None, after_seconds: float | None = None, **which: Unpack[Which]
    ) -> Fault:
        """Lets watches that are opened from now on fall silent, even without bookmarks; at once by default."""
        return self._plan("stall", {"afterEvents": after_events, "afterSeconds": after_seconds}, which)

    def delay_events(self, seconds: float, **which: Unpack[Which]) -> Fault:
        """Lets each event take so long in watches that are opened from now on."""
        return self._plan("delay-events", {"seconds": seconds}, which)

    def repeat_events(self, changes: int = 1, **which: Unpack[Which]) -> Fault:
        """Lets watches that are opened from now on begin so many changes too early."""
        return self._plan("repeat", {"changes": changes}, which)

    def duplicate_events(self, **which: Unpack[Which]) -> Fault:
        """Lets watches that are opened from now on send each event twice."""
        return self._plan("duplicate", {}, which)

    def cut_watches(self, how: Cut = "clean", **matching: Unpack[Matching]) -> int:
        """Cuts the watches that are open now; returns their number."""
        return self._watches("cut", {"how": how}, matching)

    def error_watches(
        self, status: int = 410, *, reason: str | None = None, message: str | None = None, **matching: Unpack[Matching]
    ) -> int:
        """Ends the watches that are open now with an ERROR event; returns their number."""
        return self._watches("error", {"status": status, "reason": reason, "message": message}, matching)

    def stall_watches(self, **matching: Unpack[Matching]) -> int:
        """Lets the watches that are open now fall silent, until they are cut; returns their number."""
        return self._watches("stall", {}, matching)

    def delay_watches(self, seconds: float, **matching: Unpack[Matching]) -> int:
        """Lets each event take so long in the watches that are open now; returns their number."""
        return self._watches("delay", {"seconds": seconds}, matching)

    def watches(self) -> list[dict[str, Any]]:
        """The watches that are open: `resource`, `namespace`, `path`, `userAgent` and `user` of each."""
        watches: list[dict[str, Any]] = control(self._cluster, "GET", "watches")["watches"]
        return watches

    def compact(self, resource_version: str | int | None = None) -> None:
        """Forgets all changes up to now, or to a resource version: whoever goes on from before is told 410."""
        control(self._cluster, "POST", "compact", {"resourceVersion": resource_version})

    def planned(self) -> list[dict[str, Any]]:
        """What is planned or over, in the words of the control endpoint, and how often it has `happened`."""
        faults: list[dict[str, Any]] = control(self._cluster, "GET", "faults")["faults"]
        return faults

    def clear(self) -> None:
        """Takes all faults back, and forgets how often they have happened."""
        control(self._cluster, "DELETE", "faults")

    def _plan(self, do: str, parameters: Mapping[str, Any], which: Mapping[str, Any]) -> Fault:
        budget = {_BUDGET[name]: which[name] for name in _BUDGET if name in which}
        matcher = _matcher({name: value for name, value in which.items() if name not in _BUDGET})
        plan = {"do": do, **parameters, **budget, "matcher": matcher}
        return Fault(self._cluster, control(self._cluster, "POST", "faults", plan)["id"])

    def _watches(self, what: str, parameters: Mapping[str, Any], matching: Mapping[str, Any]) -> int:
        body = {**parameters, "matcher": _matcher(matching)}
        count: int = control(self._cluster, "POST", f"watches/{what}", body)["watches"]
        return count


@final
class Clock:
    """The time of a dev cluster, which everything in it follows: timestamps, watches, tokens, ages, faults."""

    def __init__(self, cluster: _native.DevCluster) -> None:
        self._cluster = cluster

    @property
    def now(self) -> datetime.datetime:
        """What time it is there."""
        return datetime.datetime.fromisoformat(control(self._cluster, "GET", "clock")["now"][:19] + "+00:00")

    @property
    def is_frozen(self) -> bool:
        """Whether it stands still."""
        frozen: bool = control(self._cluster, "GET", "clock")["frozen"]
        return frozen

    def advance(self, time: datetime.timedelta | float) -> None:
        """Moves it forward at once, running or frozen; what was due in between happens now.

        Args:
            time: How far; a number is seconds.
        """
        seconds = time.total_seconds() if isinstance(time, datetime.timedelta) else time
        control(self._cluster, "POST", "clock", {"advance": seconds})

    def freeze(self) -> None:
        """Stops it until it is moved or let go."""
        control(self._cluster, "POST", "clock", {"freeze": True})

    def run(self) -> None:
        """Lets it run again, from where it is."""
        control(self._cluster, "POST", "clock", {"run": True})


_BUDGET: Final = {"skip": "skip", "times": "times", "lasting": "for", "probability": "probability"}
_MATCHER: Final = {"user_agent": "userAgent"}


def _matcher(matching: Mapping[str, Any]) -> dict[str, Any]:
    lists = {"verbs": list(matching["verbs"])} if "verbs" in matching else {}
    return {_MATCHER.get(name, name): value for name, value in matching.items()} | lists
