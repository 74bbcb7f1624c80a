"""Scenarios at random: handlers, what they do, and what happens to objects. The same seed gives the same scenario.

A scenario is plain JSON, so that it can be printed, kept, made smaller, and read by operators in other processes:

    {"resources": {"a": {"status": true, "namespaced": true}},
     "handlers": [{"on": ["create"], "resource": "a", "id": "h1", "options": {…}, "script": [{…}, …], "subs": […]}],
     "rounds": [[{"do": "create", "resource": "a", "name": "x", "object": {…}}], …]}

`script` has what a handler does at its first attempt, at its second, and so on; the last entry stands for all further ones.
The frame is what the scenarios of a batch have in common: the settings, and whether the operator is up, stopped or killed
while the changes of a round are made.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

Json = Any

_PROGRESS: Sequence[Mapping[str, Json]] = [
    {"class": "AnnotationsProgressStorage"},
    {"class": "AnnotationsProgressStorage", "prefix": "our.example.com"},
    {"class": "AnnotationsProgressStorage", "v1": False},
    {"class": "StatusProgressStorage"},
    {"class": "StatusProgressStorage", "field": "status.our.progress", "touch_field": "status.our.touched"},
    {"class": "SmartProgressStorage"},
    {
        "class": "MultiProgressStorage",
        "storages": [{"class": "AnnotationsProgressStorage"}, {"class": "StatusProgressStorage"}],
    },
]
_DIFFBASE: Sequence[Mapping[str, Json]] = [
    {"class": "AnnotationsDiffBaseStorage"},
    {"class": "AnnotationsDiffBaseStorage", "prefix": "our.example.com", "key": "seen"},
    {"class": "StatusDiffBaseStorage"},
    {"class": "AnnotationsDiffBaseStorage", "ignored_fields": ["spec.b"]},
    {
        "class": "MultiDiffBaseStorage",
        "storages": [{"class": "AnnotationsDiffBaseStorage"}, {"class": "StatusDiffBaseStorage"}],
    },
]
# Classes of actor.py.
_OF_USERS = {"progress": {"class": "UsersProgressStorage"}, "diffbase": {"class": "UsersDiffBaseStorage"}}
# What event handlers write: the same at each event, so that it comes to an end.
_OF_EVENTS: Sequence[Mapping[str, Json]] = [
    {"status": {"e": 1}},
    {"spec": {"e": 1}},
    {"metadata": {"labels": {"e": "1"}}},
    {"metadata": {"annotations": {"m": "by the handler"}}},
    {"status": {"e": {"f": None}}, "metadata": {"labels": {"e": None}}},
]
_NAMESPACES = [["ns1"], ["ns2"], ["ns1", "ns2"], ["ns*"], ["ns*,!ns2"]]
_DELAYS = (0.1, 0.2, 0.3)


def make_batch(seed: int, size: int) -> dict[str, Json]:
    """So many scenarios with a common frame.

    What was thought of later has a source of chance of its own, so that the rest of a seed stays what it was.
    """
    frame = _frame(random.Random(f"batch {seed}"))
    _add_to_frame(random.Random(f"added to batch {seed}"), frame)
    scenarios = []
    for number in range(size):
        scenario = Scenario(random.Random(f"scenario {seed}/{number}"), len(frame["rounds"])).make()
        _add_to_scenario(random.Random(f"added to scenario {seed}/{number}"), scenario)
        scenarios.append(scenario)
    return {"frame": frame, "scenarios": scenarios}


def with_longer_delays(scenario: Json, factor: float) -> Json:
    """The same scenario with so many times the delays of its handlers."""
    match scenario:
        case dict():
            longer = {key: with_longer_delays(value, factor) for key, value in scenario.items()}
            delays = {key: longer[key] for key in ("delay", "backoff") if isinstance(longer.get(key), int | float)}
            return {**longer, **{key: round(factor * delay, 3) for key, delay in delays.items()}}
        case list():
            return [with_longer_delays(item, factor) for item in scenario]
    return scenario


def make_relay(seed: int, size: int) -> dict[str, Json]:
    """So many scenarios for operators that are killed: longer cycles, and nothing in which the sides differ on purpose."""
    rng = random.Random(f"relay {seed}")
    frame: dict[str, Json] = {"rounds": ["up"] * 4}
    if rng.random() < 0.5:
        frame["progress"] = rng.choice(_PROGRESS)
    if rng.random() < 0.3:
        frame["diffbase"] = rng.choice([{"class": "AnnotationsDiffBaseStorage"}, {"class": "StatusDiffBaseStorage"}])
    if rng.random() < 0.3:
        frame["lifecycle"] = rng.choice(["all_at_once", "one_by_one", "asap"])
    return {"frame": frame, "scenarios": [Relayed(random.Random(f"relay {seed}/{n}"), 4).make() for n in range(size)]}


def _frame(rng: random.Random) -> dict[str, Json]:
    frame: dict[str, Json] = {
        "rounds": ["up", *(rng.choice(["up", "up", "up", "stopped", "killed"]) for _ in range(4))]
    }
    if rng.random() < 0.15:
        frame["rounds"][0] = "stopped"
    if rng.random() < 0.5:
        frame["progress"] = rng.choice(_PROGRESS)
    if rng.random() < 0.5:
        frame["diffbase"] = rng.choice(_DIFFBASE)
    if rng.random() < 0.3:
        frame["lifecycle"] = rng.choice(["all_at_once", "one_by_one", "asap"])
    if rng.random() < 0.1:
        frame["finalizer"] = "judged.dev/finalizer"
    return frame


def _add_to_frame(rng: random.Random, frame: dict[str, Json]) -> None:
    """Storages of users' own, namespaces, and how long an operator waits for what it has written."""
    for name, storage in _OF_USERS.items():
        if rng.random() < 0.2:
            frame[name] = storage
    if rng.random() < 0.3:
        frame["namespaces"] = rng.choice(_NAMESPACES)
    if rng.random() < 0.2:
        frame["consistency"] = rng.choice([1.0, 2.0])


def _add_to_scenario(rng: random.Random, scenario: dict[str, Json]) -> None:
    """Results and patches of event handlers, and objects in another namespace."""
    for handler in scenario["handlers"]:
        action = handler["script"][0]
        if handler["on"] == ["event"] and "end" not in action and rng.random() < 0.4:
            action["result"] = rng.choice(["text", 1, {"r": 1}, {"r": {"x": [1, 2]}}])
    elsewhere: dict[tuple[str, str], bool] = {}
    for change in (change for changes in scenario["rounds"] for change in changes):
        if elsewhere.setdefault((change["resource"], change["name"]), rng.random() < 0.3):
            change["namespace"] = "ns2"
    for handler in scenario["handlers"]:
        if handler["on"] == ["event"] and rng.random() < 0.4:
            if rng.random() < 0.3:
                handler["script"][0]["fns"] = [{"spec": {"e": 1}}]
            else:
                handler["script"][0]["patch"] = rng.choice(_OF_EVENTS)


class Scenario:
    """Makes one scenario."""

    def __init__(self, rng: random.Random, rounds: int) -> None:
        self._rng = rng
        self._rounds = rounds
        self._ids = 0
        self._resources: dict[str, dict[str, Json]] = {}

    def make(self) -> dict[str, Json]:
        for name in "ab"[: self._rng.choice([1, 1, 1, 2])]:
            self._resources[name] = {"status": self._rng.random() < 0.6, "namespaced": self._rng.random() < 0.8}
        handlers = [self._handler(name) for name in self._resources for _ in range(self._rng.choice([1, 1, 2, 2, 3]))]
        return {"resources": self._resources, "handlers": handlers, "rounds": self._changes()}

    # Handlers.

    def _handler(self, resource: str) -> dict[str, Json]:
        kinds = ["create", "create", "update", "update", "delete", "resume", "field", "event"]
        on = [self._rng.choice(kinds)]
        if on[0] in ("create", "update", "resume") and self._rng.random() < 0.25:
            on.append(self._rng.choice([kind for kind in ("create", "update", "resume") if kind != on[0]]))
        self._ids += 1
        handler: dict[str, Json] = {"on": on, "resource": resource, "id": f"h{self._ids}"}
        handler["options"] = self._options(on)
        if self._rng.random() < 0.3:
            handler["sync"] = True
        handler["script"] = [self._action("event")] if on == ["event"] else self._script(handler["options"])
        if on != ["event"] and self._rng.random() < 0.2:
            handler["subs"] = [self._sub(on) for _ in range(self._rng.choice([1, 2]))]
            if self._rng.random() < 0.3 and not handler.get("sync"):
                handler["execute"] = True
                for sub in handler["subs"]:
                    sub["options"] = {}
        return handler

    def _sub(self, on: Sequence[str]) -> dict[str, Json]:
        self._ids += 1
        options = self._limits()
        return {
            "id": f"s{self._ids}",
            "options": options,
            "script": self._script(options),
            "sync": self._rng.random() < 0.3,
        }

    def _options(self, on: Sequence[str]) -> dict[str, Json]:
        rng = self._rng
        options: dict[str, Json] = {}
        if on == ["field"]:
            options["field"] = rng.choice(["spec.a", "spec.b", "spec.n", "spec.n.x", "status.s", "metadata.labels"])
        elif rng.random() < 0.2:
            options["field"] = rng.choice(["spec.a", "spec.b", "spec.n.x"])
        if "field" in options and rng.random() < 0.35:
            if on in (["update"], ["field"]) and rng.random() < 0.5:
                options[rng.choice(["old", "new"])] = self._matcher()
            else:
                options["value"] = self._matcher()
        if rng.random() < 0.15:
            options["labels"] = {"l": self._matcher(("1", "2"))}
        if rng.random() < 0.1:
            options["annotations"] = {"n": self._matcher(("1", "2"))}
        if rng.random() < 0.1:
            options["when"] = {"field": "a", "in": [rng.randrange(3), rng.randrange(3)]}
        if rng.random() < 0.1:
            options["param"] = rng.choice(["p", 1, None])
        if on == ["delete"] and rng.random() < 0.2:
            options["optional"] = True
        if "resume" in on and rng.random() < 0.3:
            options["deleted"] = True
        if on != ["event"]:
            options.update(self._limits())
        return options

    def _limits(self) -> dict[str, Json]:
        rng = self._rng
        limits: dict[str, Json] = {}
        if rng.random() < 0.2:
            limits["retries"] = rng.choice([0, 1, 2, 3])
        if rng.random() < 0.1:
            limits["timeout"] = rng.choice([0, 30, 60.5])
        if rng.random() < 0.3:
            limits["backoff"] = rng.choice(self._delays())
        if rng.random() < 0.2:
            limits["errors"] = rng.choice(["IGNORED", "TEMPORARY", "PERMANENT"])
        return limits

    def _delays(self) -> Sequence[float]:
        """Those of a handler: of others that fail right before or after it, none is due at the same moment."""
        return [round(delay + self._ids % 5 / 50, 3) for delay in _DELAYS]

    def _matcher(self, values: Sequence[Json] = (0, 1, 2)) -> dict[str, Json]:
        kind = self._rng.choice(["present", "absent", "equals", "equals", "in"])
        match kind:
            case "equals":
                return {"equals": self._rng.choice(values)}
            case "in":
                return {"in": sorted({self._rng.choice(values), self._rng.choice(values)})}
        return {kind: True}

    def _script(self, options: Mapping[str, Json]) -> list[dict[str, Json]]:
        failures = self._rng.choice([0, 0, 0, 1, 1, 2])
        script = [self._action("failure") for _ in range(failures)]
        script.append(self._action("end"))
        return script

    def _action(self, kind: str) -> dict[str, Json]:
        rng = self._rng
        action: dict[str, Json] = {}
        if rng.random() < 0.25 and kind != "event":
            action["patch"] = self._patch()
        if rng.random() < 0.1 and kind != "event":
            action["fns"] = [{"spec": {rng.choice("cd"): rng.randrange(2)}}]
        if rng.random() < 0.1:
            action["log"] = f"said by the handler {rng.randrange(100)}"
        if kind in ("failure", "end") and rng.random() < 0.06:
            action["meddle"] = [self._meddling()]
        if kind == "failure":
            action["end"] = rng.choice(["temporary", "temporary", "error"])
            if action["end"] == "temporary":
                action["delay"] = rng.choice([*self._delays(), *self._delays(), 0, None])
        elif kind == "end" and rng.random() < 0.15:
            action["end"] = rng.choice(["permanent", "permanent", "error"])
            if action["end"] == "error":
                # Errors without an end would be retried for ever.
                action["end"] = "permanent"
        elif kind == "event":
            if rng.random() < 0.1:
                action["end"] = rng.choice(["temporary", "permanent", "error"])
        elif rng.random() < 0.5:
            action["result"] = rng.choice(["text", 1, False, {"r": 1}, {"r": {"x": [1, 2]}}, [1, "b"], {}])
        return action

    def _meddling(self) -> dict[str, Json]:
        """What somebody else does while a handler runs."""
        if self._rng.random() < 0.2:
            return {"do": "delete"}
        patches = [{"spec": {"a": 7}}, {"spec": {"e": 1}}, {"metadata": {"labels": {"l": "2"}}}, {"spec": {"b": None}}]
        return {"do": "edit", "patch": self._rng.choice(patches)}

    def _patch(self) -> dict[str, Json]:
        return self._rng.choice(
            [
                {"status": {"s": self._rng.randrange(3)}},
                {"status": {"t": {"u": "v"}}},
                {"spec": {self._rng.choice("cd"): self._rng.randrange(3)}},
                {"metadata": {"labels": {"l": self._rng.choice("12")}}},
                {"metadata": {"annotations": {"m": "by the handler"}}},
                {"status": {"s": 1}, "spec": {"d": 5}},
            ]
        )

    # Changes of objects.

    def _changes(self) -> list[list[dict[str, Json]]]:
        rounds = []
        existing: dict[tuple[str, str], bool] = {}
        held: set[tuple[str, str]] = set()
        names = [(resource, name) for resource in self._resources for name in ("x", "y")[: self._rng.choice([1, 1, 2])]]
        for index in range(self._rounds):
            changes = []
            for resource, name in names:
                if index and self._rng.random() < 0.15:
                    continue
                if (resource, name) in held and not existing[resource, name]:
                    # It was deleted, and its other finalizer holds it.
                    changes.append({"do": "edit", "patch": {"metadata": {"finalizers": None}}})
                    held.remove((resource, name))
                elif not existing.get((resource, name)):
                    changes.append({"do": "create", "object": self._object()})
                    existing[resource, name] = True
                    if "finalizers" in changes[-1]["object"]["metadata"]:
                        held.add((resource, name))
                elif self._rng.random() < (0.6 if index == self._rounds - 1 else 0.15):
                    changes.append({"do": "delete"})
                    existing[resource, name] = False
                else:
                    changes.append({"do": "edit", **self._edit(resource)})
                changes[-1].update(resource=resource, name=name)
            rounds.append(changes)
        return rounds

    def _object(self) -> dict[str, Json]:
        rng = self._rng
        meta: dict[str, Json] = {}
        if rng.random() < 0.5:
            meta["labels"] = {"l": rng.choice("12")}
        if rng.random() < 0.3:
            meta["annotations"] = {"n": rng.choice("12")}
        if rng.random() < 0.1:
            meta["finalizers"] = ["judged.dev/other"]
        return {"metadata": meta, "spec": self._spec()}

    def _spec(self) -> dict[str, Json]:
        rng = self._rng
        spec: dict[str, Json] = {"a": rng.randrange(3)}
        if rng.random() < 0.5:
            spec["b"] = rng.choice([0, 1, 1.5, "é🚀", True, [1, 2]])
        if rng.random() < 0.5:
            spec["n"] = {"x": rng.randrange(3), "y": "z"}
        return spec

    def _edit(self, resource: str) -> dict[str, Json]:
        rng = self._rng
        patch = rng.choice(
            [
                {"spec": {"a": rng.randrange(3)}},
                {"spec": {"a": rng.randrange(3), "b": rng.choice([0, 1, None, "t"])}},
                {"spec": {"n": rng.choice([None, {"x": rng.randrange(3)}, {"x": None}])}},
                {"metadata": {"labels": {"l": rng.choice(["1", "2", None])}}},
                {"metadata": {"annotations": {"n": rng.choice(["1", "2", None])}}},
                {"status": {"s": rng.randrange(3)}},
            ]
        )
        is_separate = "status" in patch and self._resources[resource]["status"]
        return {"patch": patch, "status": True} if is_separate else {"patch": patch}


class Relayed(Scenario):
    """Makes a scenario for operators that are killed. Handlers change nothing but results and the status, so that others hear
    nothing of it; no attempt depends on how long something has taken."""

    def make(self) -> dict[str, Json]:
        self._resources["a"] = {"status": self._rng.random() < 0.6, "namespaced": True}
        kinds = ["create", "create", "update", "update", "delete", "field", "resume"]
        kinds += [self._rng.choice(["create", "update", "delete"])] * self._rng.choice([0, 1])
        handlers = [self._relayed(kind) for kind in kinds if self._rng.random() < 0.8]
        return {
            "resources": self._resources,
            "handlers": handlers or [self._relayed("create")],
            "rounds": self._changes(),
        }

    def _relayed(self, kind: str) -> dict[str, Json]:
        self._ids += 1
        options: dict[str, Json] = {"field": self._rng.choice(["spec.a", "spec.n"])} if kind == "field" else {}
        if self._rng.random() < 0.3:
            options["backoff"] = 0.2
        handler: dict[str, Json] = {"on": [kind], "resource": "a", "id": f"h{self._ids}", "options": options}
        handler["sync"] = self._rng.random() < 0.3
        if kind == "resume":
            return {**handler, "script": [{"end": "temporary", "delay": 0.1}, {}]}
        handler["script"] = self._script(options)
        if self._rng.random() < 0.25:
            handler["script"] = [{"result": "of the parent"}]
            handler["subs"] = [self._sub([kind]) for _ in range(self._rng.choice([1, 2, 2]))]
        return handler

    def _limits(self) -> dict[str, Json]:
        return {}

    def _patch(self) -> dict[str, Json]:
        # Of its own for each handler, for others may be due first.
        return {"status": {f"t{self._ids}": {"u": self._rng.randrange(3)}}}

    def _action(self, kind: str) -> dict[str, Json]:
        action = super()._action(kind)
        action.pop("fns", None)
        action.pop("meddle", None)
        if self._rng.random() < 0.2:
            action["sleep"] = 0.05
        return action

    def _edit(self, resource: str) -> dict[str, Json]:
        self._edits = getattr(self, "_edits", 0) + 1
        return {"patch": {"spec": {"a": 10 + self._edits, **self._rng.choice([{}, {"n": {"x": self._edits}}])}}}
