"""Kubernetes Events that handlers post (A-EVT, FIX-25, FIX-35)."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

import kopf
from kopf._context import event_queue_var, settings_var

BODY: dict[str, Any] = {
    "apiVersion": "kopf.dev/v1",
    "kind": "KopfExample",
    "metadata": {"name": "n", "namespace": "ns", "uid": "u"},
}
REF = {"apiVersion": "kopf.dev/v1", "kind": "KopfExample", "name": "n", "uid": "u", "namespace": "ns"}


class Queue:
    def __init__(self) -> None:
        self.posts: list[tuple[Any, ...]] = []

    def post(self, *args: Any) -> None:
        self.posts.append(args)


@pytest.fixture
def settings() -> Iterator[kopf.OperatorSettings]:
    """The settings of the operator in whose context the test runs."""
    settings = kopf.OperatorSettings()
    token = settings_var.set(settings)
    yield settings
    settings_var.reset(token)


@pytest.fixture
def posts(settings: kopf.OperatorSettings) -> Iterator[list[tuple[Any, ...]]]:
    """What is posted."""
    queue = Queue()
    token = event_queue_var.set(queue)
    yield queue.posts
    event_queue_var.reset(token)


def test_the_types_are_those_of_kopf(posts: list[tuple[Any, ...]]) -> None:
    """A-EVT-006; habit: `kopf.event(type='AnyWord')`."""
    kopf.event(BODY, type="AnyWord", reason="R", message="M")
    kopf.info(BODY, reason="R", message="M")
    kopf.warn(BODY, reason="R")
    kopf.exception(BODY, reason="R", message="M", exc=ValueError("boo"))
    assert posts == [
        (REF, "AnyWord", "R", "M", None),
        (REF, "Normal", "R", "M", None),
        (REF, "Warning", "R", "", None),
        (REF, "Error", "R", "M boo", None),
    ]


def test_events_are_about_each_of_the_objects(posts: list[tuple[Any, ...]]) -> None:
    """A-EVT-002."""
    kopf.info([BODY, None, (kopf.Body(BODY), [BODY])], reason="R")
    assert [post[0] for post in posts] == [REF] * 3


@pytest.mark.parametrize(("backoffs", "pauses"), [(5, [5]), ((1, 2), [1, 2]), ((), [])])
def test_pauses_may_be_given(posts: list[tuple[Any, ...]], backoffs: Any, pauses: list[float]) -> None:
    """A-EVT-010."""
    kopf.info(BODY, reason="R", backoffs=backoffs)
    assert posts[0][-1] == pauses


def test_nothing_is_posted_if_that_is_disabled(posts: list[tuple[Any, ...]], settings: kopf.OperatorSettings) -> None:
    """A-EVT-004, FIX-25: warnings obey, too."""
    settings.posting.enabled = False
    kopf.event(BODY, type="T", reason="R")
    kopf.info(BODY, reason="R")
    kopf.warn(BODY, reason="R")
    kopf.exception(BODY)
    assert posts == []


def test_the_level_holds_for_all_but_plain_events(
    posts: list[tuple[Any, ...]], settings: kopf.OperatorSettings
) -> None:
    """A-EVT-004."""
    settings.posting.level = logging.ERROR
    kopf.event(BODY, type="Normal", reason="R")
    kopf.info(BODY, reason="R")
    kopf.warn(BODY, reason="R")
    kopf.exception(BODY, reason="R")
    assert [post[1] for post in posts] == ["Normal", "Error"]


def test_exceptions_are_the_current_ones_by_default(posts: list[tuple[Any, ...]]) -> None:
    """A-EVT-005."""
    try:
        raise ValueError("boo")
    except ValueError:
        kopf.exception(BODY)
        kopf.exception(BODY, message="Oops:")
    assert [post[2:4] for post in posts] == [("ValueError", "boo"), ("ValueError", "Oops: boo")]


def test_without_an_exception_the_reason_is_an_error(posts: list[tuple[Any, ...]]) -> None:
    """FIX-35."""
    kopf.exception(BODY, message="Oops")
    assert posts == [(REF, "Error", "Error", "Oops", None)]


def test_events_about_events_are_dropped(posts: list[tuple[Any, ...]]) -> None:
    """A-EVT-009."""
    kopf.info({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "x"}}, reason="R")
    assert posts == []


def test_outside_of_operators_nothing_can_be_posted() -> None:
    """A-EVT-003."""
    for call in (kopf.info, kopf.warn, kopf.exception):
        with pytest.raises(LookupError, match="operator"):
            call(BODY, reason="R")
    with pytest.raises(LookupError, match="operator"):
        kopf.event(BODY, type="T", reason="R")


def test_habit_the_queue_is_carried_over_to_other_contexts() -> None:
    """Habit: `from kopf._core.engines.posting import event_queue_var`, set to post from elsewhere."""
    from kopf._core.engines.posting import event_queue_var as var

    queue = Queue()
    token = var.set(queue)
    try:
        kopf.info(BODY, reason="R")
    finally:
        var.reset(token)
    assert queue.posts == [(REF, "Normal", "R", "", None)]
