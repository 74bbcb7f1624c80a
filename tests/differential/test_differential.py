"""Generated scenarios are played to upstream Kopf and to ours; all that differs is a row of docs/differences.md."""

import dataclasses
import json
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from comparison import Course, Difference
from departures import Case
from explained import STATEMENTS, unexplained
from forms import in_common_form
from scenarios import make_batch, with_longer_delays
from verdicts import Judge, report

DIFFERENCES = pathlib.Path(__file__).resolve().parents[2] / "docs" / "differences.md"
SIZE = 10


@pytest.fixture(scope="module")
def judge(upstream: str) -> Judge:
    return Judge(upstream=upstream, ours=sys.executable)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2])
def test_both_sides_do_the_same_in_the_scenarios_of_a_seed(judge: Judge, seed: int) -> None:
    batch = make_batch(seed, SIZE)
    for number, verdict in enumerate(judge.judge(batch)):
        if verdict.unexplained:
            verdict = judge.judge_patiently(batch, number)
        assert not verdict.unexplained, f"make differential SEED={seed} shows it\n{report(verdict)}"


def test_every_explanation_is_a_row_of_the_differences() -> None:
    rows = [line for line in DIFFERENCES.read_text().splitlines() if line.startswith("| ")]
    for statement in STATEMENTS:
        assert any(statement in row.rpartition("| ")[2] for row in rows), (
            f"docs/differences.md has no row for {statement}"
        )


def course(*lines: str) -> Course:
    return Course([], {}, {"a//x#1": list(lines)}, {}, [])


def test_a_departure_excuses_nothing_of_what_was_before_it() -> None:
    marker = "DEBUG   Merge-patching the resource with: {}"
    lines = Difference("lines", "a//x#1", "", [], [])
    for before, left in ((["same"], []), (["other"], [lines])):
        case = Case({}, {"handlers": []}, course("same", marker), course(*before, "then"))
        assert unexplained(case, [lines])[0] == left


def test_a_loop_is_no_other_course_of_things() -> None:
    marker = "DEBUG   Merge-patching the resource with: {}"
    for attempts, writes, is_excused in ((0, 9, True), (0, 129, False), (50, 129, True)):
        calls = {"a//x#1": [{"handler": "h1"}] * attempts}
        upstream, ours = (dataclasses.replace(course(*lines), calls=calls) for lines in (("same", marker), ("same",)))
        case = Case({}, {"handlers": []}, upstream, ours)
        difference = Difference("writes", "a//x", "", 7, writes)
        left = unexplained(case, [difference])[0]
        assert left == ([] if is_excused else [difference]), (attempts, writes)


def test_handlers_that_wait_for_an_absent_field_may_be_left_out_at_creations_only() -> None:
    options = {"field": "spec.f", "value": {"absent": True}}
    handler = {"id": "h1", "on": ["field"], "resource": "a", "options": options, "script": [{}]}
    called = ["DEBUG   Handler 'h1/spec.f' is invoked."]
    for reason, is_excused in (("create", True), ("update", False)):
        calls = {"a//x#1": [{"handler": "h1", "reason": reason}]}
        upstream = dataclasses.replace(course("same", *called), calls=calls)
        case = Case({}, {"handlers": [handler]}, upstream, course("same"))
        difference = Difference("calls", "a//x#1", "", [], [])
        assert unexplained(case, [difference])[0] == ([] if is_excused else [difference])


def test_an_object_may_be_released_early_only_if_it_is_held_for_a_field() -> None:
    release = "DEBUG   Removing the finalizer, as there are no handlers requiring it."
    for options, is_excused in (({"field": "spec.f"}, True), ({}, False)):
        handler = {"id": "h1", "on": ["delete"], "resource": "a", "options": options, "script": [{}]}
        case = Case({}, {"handlers": [handler]}, course("same", "then", release), course("same", release))
        difference = Difference("lines", "a//x#1", "", [], [])
        assert unexplained(case, [difference])[0] == ([] if is_excused else [difference])


def test_only_what_the_engine_removes_is_no_part_of_a_handlers_patch() -> None:
    users = {"metadata": {"annotations": {"n": None}, "labels": {}}, "spec": {"b": None}}
    engines = {
        "metadata": {"annotations": {"kopf.zalando.org/h1": None}},
        "status": {"our": {"progress": {"h1": None}}},
    }
    both = {"metadata": {**users["metadata"], "annotations": {"n": None, "kopf.zalando.org/h1": None}}}
    for patch, left in ((users, users), (engines, {}), (both, {"metadata": users["metadata"]})):
        played = dataclasses.replace(course(), calls={"a//x#1": [{"handler": "h2", "patch": patch}]})
        assert in_common_form(played).calls["a//x#1"][0]["patch"] == left


def test_records_that_are_dropped_on_a_way_back_excuse_no_handler_that_is_left_out() -> None:
    resumed = "INFO    Updating is superseded by resuming: 1 succeeded; 0 failed; 1 left to the moment."
    same = "DEBUG   Something has changed, but we are not interested (the essence is the same)."
    other = 'DEBUG   Updating is in progress: {"metadata": {}}'
    dropped = 'DEBUG   Merge-patching the resource with: {"metadata": {"annotations": {"kopf.zalando.org/h1": null}}}'
    for line, then, reason, excused in (
        (resumed, dropped, "update", True),
        (same, dropped, "update", True),
        (same, dropped, "create", False),
        (same, "then", "update", False),
        (other, dropped, "update", False),
    ):
        upstream = having_called(course("same", line), "h1", "resume")
        ours = having_called(course("same", same, then), "h1", reason)
        assert is_excused(upstream, ours) is excused, (line, then, reason)


def test_what_a_handler_changes_that_should_not_be_called_is_an_update_for_others() -> None:
    options = {"field": "spec.f", "value": {"absent": True}}
    created = "DEBUG   Handler 'h1/spec.f' is invoked."
    calls = [{"handler": "h1/spec.f", "reason": "create"}, {"handler": "h2", "reason": "update"}]
    for script, excused in (([{"fns": [{"spec": {"d": 1}}]}], True), ([{}], False)):
        handler = {"id": "h1", "on": ["create"], "resource": "a", "options": options, "script": script}
        upstream = dataclasses.replace(course("same", created), calls={"a//x#1": calls})
        case = Case({}, {"handlers": [handler]}, upstream, course("same"))
        difference = Difference("calls", "a//x#1", "", [], [])
        assert (not unexplained(case, [difference])[0]) is excused, script


def test_an_object_may_be_noted_later_only_if_a_handler_looks_back() -> None:
    bodies = ({"metadata": {}, "spec": {"a": value}} for value in (1, 2))
    noted, later = (f"DEBUG   Creation is in progress: {json.dumps(body)}" for body in bodies)
    calls = {"a//x#1": [{"handler": "h2", "reason": "update"}]}
    for options, line, excused in (
        ({"field": "spec.f"}, later, True),
        ({"field": "spec.f"}, "then", True),
        ({"field": "spec.f"}, noted, False),
        ({}, later, False),
    ):
        handler = {"id": "h1", "on": ["resume"], "resource": "a", "options": options, "script": [{}]}
        upstream = dataclasses.replace(course("same", noted), calls=calls)
        case = Case({}, {"handlers": [handler]}, upstream, course("same", line))
        difference = Difference("calls", "a//x#1", "", [], [])
        assert (not unexplained(case, [difference])[0]) is excused, (options, line)


def test_a_handler_that_is_never_called_is_not_excused_by_a_patch_that_has_changed_nothing() -> None:
    body = json.dumps({"metadata": {}, "spec": {"a": 1}})
    upstream = course(
        f"DEBUG   Updating is in progress: {body}",
        'DEBUG   Merge-patching the resource with: {"spec": {"a": 1}}',
        "then",
    )
    for handler, excused in (("h1", True), ("h2", False)):
        ours = having_called(course(*upstream.lines["a//x#1"][:1]), handler, "create")
        assert is_excused(having_called(upstream, "h1", "update"), ours) is excused, handler


def test_a_patch_that_event_handlers_repeat_holds_up_changes_but_no_other_patch_does() -> None:
    patched = 'DEBUG   Merge-patching the status with: {"status": {"e": {"f": null}}}'
    for on, patch, excused in (
        ("event", {"status": {"e": {"f": None}}}, True),
        ("event", {"status": {"e": {"f": 1}}}, False),
        ("create", {"status": {"e": {"f": None}}}, False),
    ):
        handlers = [{"on": [on], "resource": "a", "id": "e", "script": [{"patch": patch}]}]
        upstream, ours = course(patched, patched, "then"), having_called(course(patched), "h1", "update")
        case = Case({}, {"handlers": handlers}, having_called(upstream, "h1", "update"), ours)
        difference = Difference("calls", "a//x#1", "", [], [])
        assert (not unexplained(case, [difference])[0]) is excused, (on, patch)


def test_a_function_without_effect_excuses_lost_delays_where_an_event_handler_has_one_but_no_lost_handler() -> None:
    skipped = "DEBUG   Sleeping was skipped because of the patch, <seconds> seconds left."
    patched = "DEBUG   JSON-patching the resource with: []"
    refused = "DEBUG   Could not apply the patch in full"
    for on, lines, called, excused in (
        ("event", ["same", skipped, "then"], "h1", True),
        ("event", ["same", refused, "then"], "h1", True),
        ("event", ["same", skipped, "then"], "h2", False),
        ("event", [patched, skipped, "then"], "h1", False),
        ("create", ["same", skipped, "then"], "h1", False),
    ):
        handlers = [{"on": [on], "resource": "a", "id": "e", "script": [{"fns": [{}]}]}]
        upstream = having_called(course(*lines), "h1", "update")
        ours = having_called(course(*lines[:2]), called, "update")
        difference = Difference("calls", "a//x#1", "", [], [])
        case = Case({}, {"handlers": handlers}, upstream, ours)
        assert (not unexplained(case, [difference])[0]) is excused, (on, lines, called)


def test_records_that_come_back_excuse_no_call_that_is_left_out_and_no_storage_that_drops_them() -> None:
    superseded = "INFO    Creation is superseded by updating: 0 succeeded; 0 failed; 1 left to the moment."
    patch = "DEBUG   Merge-patching the resource with: {}"
    upstream = having_called(course("same", superseded, patch.replace("{}", '{"a": 1}'), "then"), "h1", "update")
    theirs = upstream.lines["a//x#1"][:2]
    for storage, reason, excused in (
        ("UsersProgressStorage", "update", True),
        ("UsersProgressStorage", "create", False),
        ("StatusProgressStorage", "update", False),
    ):
        frame = {"progress": {"class": storage}}
        assert is_excused(upstream, having_called(course(*theirs), "h1", reason), frame) is excused, (storage, reason)


def test_a_departure_may_follow_another_one_but_no_other_difference() -> None:
    body = 'DEBUG   Updating is in progress: {"metadata": {}, "spec": {"a": 1}}'
    empty = 'DEBUG   Merge-patching the resource with: {"spec": {"a": 1}}'
    marker = "DEBUG   Merge-patching the resource with: {}"
    for first, second, excused in (("same", marker, True), ("same", "other", False), ("other", marker, False)):
        upstream, ours = course(first, second, body, empty, "then"), course("same", body)
        difference = Difference("objects", "a//x#1", "", [], [])
        case = Case({}, {"handlers": []}, upstream, ours)
        assert (not unexplained(case, [difference])[0]) is excused, (first, second)


def test_a_handler_may_be_called_later_only_if_it_looks_back() -> None:
    invoked = "DEBUG   Handler 'h1/spec.f' is invoked."
    for on, excused in (("create", True), ("update", False)):
        handler = {"id": "h1", "on": [on], "resource": "a", "options": {"field": "spec.f"}, "script": [{}]}
        case = Case({}, {"handlers": [handler]}, course("same", invoked, "then"), course("same", "then", invoked))
        difference = Difference("lines", "a//x#1", "", [], [])
        assert (not unexplained(case, [difference])[0]) is excused, on


def test_a_scenario_that_is_played_again_differs_in_its_delays_only() -> None:
    attempt = {"end": "temporary", "delay": 0.1, "patch": {"status": {"x": 1}}}
    handlers = [{"id": "h1", "options": {"backoff": 0.2, "retries": 3}, "script": [attempt, {"delay": None}]}]
    longer = with_longer_delays({"handlers": handlers, "rounds": []}, 3.0)
    options = {"backoff": 0.6, "retries": 3}
    script = [{**attempt, "delay": 0.3}, {"delay": None}]
    assert longer == {"handlers": [{"id": "h1", "options": options, "script": script}], "rounds": []}


def having_called(played: Course, handler: str, reason: str) -> Course:
    return dataclasses.replace(played, calls={"a//x#1": [{"handler": handler, "reason": reason}]})


def is_excused(upstream: Course, ours: Course, frame: Mapping[str, Any] | None = None) -> bool:
    difference = Difference("calls", "a//x#1", "", [], [])
    return not unexplained(Case(frame or {}, {"handlers": []}, upstream, ours), [difference])[0]
