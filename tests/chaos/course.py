"""One course of the chaos suite: a cluster and an operator as processes, a load, faults, kills; and then the judgement.

A course is made of a seed: which objects are written when, what fails, when the operator is killed. What the seed does not fix
is the order in which the processes do their work: a course that has failed may have to be repeated a few times.
"""

import collections
import contextlib
import dataclasses
import pathlib
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any, Self

from judge import History, Journal, Problem, judge, unsettled
from processes import PATIENCE, Cluster, Operator, Timeouts, insist
from writer import Writer

CHILDREN = "/api/v1/namespaces/default/configmaps"
RESOURCE = "kopfexamples.kopf.dev"
SHORT_PATIENCE = 40.0  # the same for upstream Kopf, which is measured only: what it has lost does not come
STALE_PATIENCE = 5.0  # seconds until the operator does not list any more, because of other faults
REST = 1.5  # seconds in which nothing happens: then nothing will


@dataclasses.dataclass
class Outcome:
    """What has become of a course, or of several."""

    problems: list[Problem] = dataclasses.field(default_factory=list)
    recoveries: list[float] = dataclasses.field(default_factory=list)
    """Seconds from the end of each fault until what was written meanwhile was handled."""
    kills: int = 0
    ended: int = 0
    calls: int = 0

    def count(self, kind: str) -> int:
        """The problems of a kind."""
        return sum(problem.kind == kind for problem in self.problems)

    def add(self, other: "Outcome") -> None:
        """Adds what has become of another course."""
        self.problems += other.problems
        self.recoveries += other.recoveries
        self.kills += other.kills
        self.ended += other.ended
        self.calls += other.calls


class Course:
    """The parts of a course while it runs.

    Args:
        door: Whose operator.
        seed: Of everything that is left to chance.
        timeouts: Of the operator; by default those of the engine.
        folder: For logs and the journal; by default a temporary one, which is removed if all is well.
        cluster: By default a dev cluster of the course's own.
    """

    def __init__(
        self,
        door: str,
        seed: int,
        *,
        timeouts: Timeouts | None = None,
        folder: pathlib.Path | None = None,
        cluster: Any = None,
    ) -> None:
        self.door = door
        self.chance = random.Random(seed)
        self.outcome = Outcome()
        self.is_measured = False
        self.patience = SHORT_PATIENCE if door == "upstream" else PATIENCE
        self._timeouts = timeouts or Timeouts()
        self._given = cluster
        self._folder = folder or pathlib.Path(tempfile.mkdtemp(prefix=f"chaos-{door}-{seed}-"))
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with self._exit:
            self._folder.mkdir(parents=True, exist_ok=True)
            self.cluster: Cluster = self._exit.enter_context(self._given or Cluster(self._folder))
            self.journal = Journal(self._folder / "journal")
            log = self._exit.enter_context((self._folder / "operator.log").open("w"))
            self.operator = Operator(self.door, self.cluster, self.journal, log, self._timeouts)
            self._exit.callback(self.operator.kill)
            self.judge = self.cluster.client("chaos-judge")
            self.history = self._exit.enter_context(self.cluster.history())
            self.writer = Writer(self.cluster.client("chaos-writer"), self.chance)
            self.operator.start()
            self._exit = self._exit.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @property
    def folder(self) -> pathlib.Path:
        """Where the logs are."""
        return self._folder

    def times(self) -> int:
        """How often a fault happens: once where it is measured."""
        return 1 if self.is_measured else self.chance.randint(1, 3)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the control endpoint of the cluster, once the server is there."""
        return insist(self.judge, method, f"/_dev/{path}", body)

    def fault(self, do: str, verbs: Sequence[str] = (), **parameters: Any) -> int:
        """Plans a fault for what the operator asks about its objects; its number."""
        matcher: dict[str, Any] = {"resource": RESOURCE, "userAgent": "kopf*"}
        if verbs:
            matcher["verbs"] = [*verbs]
        number: int = self.control("POST", "faults", {"do": do, "matcher": matcher, **parameters})["id"]
        return number

    def watches(self, what: str, **parameters: Any) -> None:
        """Does something to the operator's open watches of its objects."""
        matcher = {"resource": RESOURCE, "userAgent": "kopf*"}
        self.control("POST", f"watches/{what}", {"matcher": matcher, **parameters})

    def compact(self) -> None:
        """Lets the cluster forget the past, as far as the judge knows it, and the operator hear of it when it watches again."""
        self.control("POST", "compact", {"resourceVersion": int(self.history.since)})
        self.fault("answer", ["watch"], status=410)

    def stale_list(self) -> None:
        """Cuts the watch, and lets the operator's next list show the past; but not that of a new process, which cannot know."""
        stale = self.fault("stale", ["list"], changes=3)
        self.watches("cut", how="clean")
        deadline = time.monotonic() + STALE_PATIENCE
        while time.monotonic() < deadline and not self.control("GET", f"faults/{stale}")["happened"]:
            time.sleep(0.05)
        self.control("DELETE", f"faults/{stale}")

    def restart_without_past(self) -> None:
        """Restarts the server, which then forgets everything before, planned faults as well; but the judge has seen it all."""
        self.control("DELETE", "faults")
        self.fault("answer", ["patch"], status=503, times="unlimited")
        self.history.catch_up()
        self.control("POST", "restart", {"how": "hard", "refuse": 1, "forget": True})
        # Until the judge looks again, nobody changes anything.
        while not self._is_watched_by_judge():
            time.sleep(0.05)
        self.control("DELETE", "faults")

    def _is_watched_by_judge(self) -> bool:
        watches = self.control("GET", "watches")["watches"]
        return any(watch["userAgent"] == "chaos-judge" and watch["resource"] == RESOURCE for watch in watches)

    def renew_credentials(self) -> None:
        """Gives the operator another token; the one that it has is refused from now on."""
        refused = self.cluster.user
        self.cluster.give_credentials()
        fault = {"do": "answer", "status": 401, "matcher": {"user": refused}, "times": "unlimited"}
        self.control("POST", "faults", fault)

    def kill(self) -> None:
        """Kills the operator, and starts another process."""
        self.operator.kill_and_start()
        self.outcome.kills += 1

    def wait_until_handled(self, name: str, spec: Any, patience: float) -> float | None:
        """When an object was handled with this spec; none if it was not."""
        found: list[float] = []

        def is_handled(history: History) -> bool:
            for version in history.latest():
                if version.name == name and version.spec == spec and version.is_handled():
                    found.append(version.at)
                    return True
            return False

        deadline = time.monotonic() + patience
        while not self.history.wait(is_handled, 0.5):
            self.operator.look_after()
            if time.monotonic() > deadline:
                return None
        return found[0]

    def come_to_rest(self) -> bool:
        """Waits until everything is handled, and nothing happens any more; whether it is so."""
        deadline = time.monotonic() + self.patience
        seen, since = self._state(), time.monotonic()
        while unsettled(self.history) or time.monotonic() - since < REST:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
            self.operator.look_after()
            if (now := self._state()) != seen:
                seen, since = now, time.monotonic()
        return True

    def _state(self) -> Any:
        versions = self.history.objects().values()
        return self.journal.size(), sum(map(len, versions)), self.operator.ended

    def conclude(self) -> Outcome:
        """After the last fault: lets all come to rest, starts the operator once more, and judges."""
        self.cluster.calm()
        problems = []
        if not self.come_to_rest():
            problems.append(Problem("stuck", f"it does not come to rest: {unsettled(self.history)}"))
        # A process that knows nothing finds nothing to do, but to tell that it has begun.
        self.operator.kill_and_start()
        if not self._wait_until_resumed():
            problems.append(Problem("lost", "a new process has not called all resuming handlers"))
        self.come_to_rest()
        self.history.catch_up()
        self.operator.look_after()
        if (wrong := self.operator.stop()) is not None:
            problems.append(Problem("stuck", wrong))
        if self.history.gaps:
            problems.append(Problem("wrong", "the cluster has forgotten what the judge has not seen"))
        calls = self.journal.calls()
        problems += judge(self.history.objects(), calls)
        problems += self._problems_with_writes()
        self.outcome.problems += problems
        self.outcome.calls += len(calls)
        self.outcome.ended += self.operator.ended
        if self.operator.ended and self.door != "upstream":
            self.outcome.problems.append(Problem("stuck", f"it has ended by itself, {self.operator.ended} times"))
        return self.outcome

    def _wait_until_resumed(self) -> bool:
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            pid = self.operator.pid
            resumed = {call.uid for call in self.journal.calls() if call.pid == pid and call.handler == "resumed"}
            if resumed >= {version.object["metadata"]["uid"] for version in self.history.latest()}:
                return True
            time.sleep(0.1)
            self.operator.look_after()
        return False

    def _problems_with_writes(self) -> Iterator[Problem]:
        found = {version.name: version for version in self.history.latest()}
        if found.keys() != self.writer.objects.keys():
            yield Problem("stuck", f"there are {sorted(found)}, and should be {sorted(self.writer.objects)}")
        children = collections.Counter(
            reference["uid"]
            for item in self.judge.request("GET", CHILDREN)["items"]
            for reference in item["metadata"].get("ownerReferences") or []
        )
        for version in found.values():
            if children.pop(version.object["metadata"]["uid"], 0) != 1:
                yield Problem("lost", f"{version.name} has no child")
        if children:
            yield Problem("left", f"there are children of nobody: {[*children]}")
