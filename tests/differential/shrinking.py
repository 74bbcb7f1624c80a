"""Makes a scenario smaller, as long as both sides still differ in it without an explanation.

All smaller ones of a step are played as one batch, so that a step takes no longer than a play.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Json = Any
Scenario = dict[str, Json]

AT_ONCE = 12


def shrink(
    frame: Mapping[str, Json],
    scenario: Scenario,
    fails: Callable[[Mapping[str, Json], Sequence[Scenario]], Sequence[bool]],
    steps: int = 25,
    told: Callable[[str], None] = print,
) -> Scenario:
    """The smallest scenario found; `fails` plays some with the frame, and says which of them fail."""
    tried: set[str] = set()
    for step in range(steps):
        candidates = [one for one in smaller(scenario) if repr(one) not in tried]
        failing = None
        for index in range(0, len(candidates), AT_ONCE):
            some = candidates[index : index + AT_ONCE]
            tried.update(map(repr, some))
            failing = next((one for one, fail in zip(some, fails(frame, some), strict=True) if fail), None)
            if failing is not None:
                break
        if failing is None:
            return scenario
        scenario = failing
        told(f"  shrinking, step {step + 1}: {len(repr(scenario))} characters")
    return scenario


def smaller(scenario: Scenario) -> Iterator[Scenario]:
    """Scenarios with one thing less, those first that lack most."""
    for name in scenario["resources"]:
        if len(scenario["resources"]) > 1:
            yield {
                "resources": {key: value for key, value in scenario["resources"].items() if key != name},
                "handlers": [handler for handler in scenario["handlers"] if handler["resource"] != name],
                "rounds": [
                    [change for change in changes if change["resource"] != name] for changes in scenario["rounds"]
                ],
            }
    for name in sorted({change["name"] for changes in scenario["rounds"] for change in changes}):
        rounds = [[change for change in changes if change["name"] != name] for changes in scenario["rounds"]]
        if any(rounds):
            yield {**scenario, "rounds": rounds}
    for index in range(len(scenario["handlers"])):
        if len(scenario["handlers"]) > 1:
            yield {**scenario, "handlers": scenario["handlers"][:index] + scenario["handlers"][index + 1 :]}
    # From the last round on: what is later needs what was before.
    for index in reversed(range(len(scenario["rounds"]))):
        for number in range(len(scenario["rounds"][index])):
            fewer = copy.deepcopy(scenario)
            del fewer["rounds"][index][number]
            if any(fewer["rounds"]):
                yield fewer
    for handler in range(len(scenario["handlers"])):
        yield from _simpler_handlers(scenario, ["handlers", handler])
        for sub in range(len(scenario["handlers"][handler].get("subs", []))):
            yield from _simpler_handlers(scenario, ["handlers", handler, "subs", sub])
    for index, changes in enumerate(scenario["rounds"]):
        for number, change in enumerate(changes):
            path = ["rounds", index, number]
            if change["do"] == "create":
                for stanza in ("metadata", "spec"):
                    for key in change["object"].get(stanza, {}):
                        yield _without(scenario, [*path, "object", stanza, key])


def _simpler_handlers(scenario: Scenario, path: Sequence[Json]) -> Iterator[Scenario]:
    handler = _at(scenario, path)
    for key in ("subs", "sync", "execute"):
        if handler.get(key):
            yield _without(scenario, [*path, key])
    for number in range(len(handler.get("subs", []))):
        if len(handler["subs"]) > 1:
            yield _without(scenario, [*path, "subs", number])
    if len(handler.get("on", [])) > 1:
        for number in range(len(handler["on"])):
            yield _without(scenario, [*path, "on", number])
    for option in handler.get("options", {}):
        if not (
            option == "field" and (handler.get("on") == ["field"] or {"value", "old", "new"} & {*handler["options"]})
        ):
            yield _without(scenario, [*path, "options", option])
    for number, action in enumerate(handler["script"]):
        if len(handler["script"]) > 1:
            yield _without(scenario, [*path, "script", number])
        for key in action:
            if key not in ("end", "delay"):
                yield _without(scenario, [*path, "script", number, key])


def _at(value: Json, path: Sequence[Json]) -> Json:
    for key in path:
        value = value[key]
    return value


def _without(scenario: Scenario, path: Sequence[Json]) -> Scenario:
    fewer = copy.deepcopy(scenario)
    del _at(fewer, path[:-1])[path[-1]]
    return fewer
