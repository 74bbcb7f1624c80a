"""The judge of the chaos suite finds what is wrong, and nothing in what is right: on lives of objects written down by hand."""

import json
from typing import Any

from judge import DIFF_BASE, FINALIZER, PREFIX, Call, Version, judge

DONE = {"success": True, "failure": False, "retries": 1}
CREATORS = ("create_first", "create_retried", "create_child", "create_parts")


class Story:
    """A life of an object, told version by version and call by call; each takes a second."""

    def __init__(self) -> None:
        self.now = 0.0
        self.versions: list[Version] = []
        self.calls: list[Call] = []

    def version(
        self,
        value: int | None = None,
        *,
        base: int | None = None,
        done: tuple[str, ...] = (),
        finalizers: tuple[str, ...] = (FINALIZER,),
        deleting: bool = False,
        gone: bool = False,
    ) -> "Story":
        """The next version: its spec, the spec that was handled last, and the handlers whose records say that they are finished."""
        annotations = {PREFIX + handler.replace("/", "."): json.dumps(DONE) for handler in done}
        if base is not None:
            annotations[DIFF_BASE] = json.dumps({"spec": {"value": base}})
        meta: dict[str, Any] = {"name": "one", "uid": "u", "resourceVersion": str(len(self.versions) + 1)}
        meta |= {"annotations": annotations, "finalizers": [*finalizers]}
        if deleting or gone:
            meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        self.versions.append(Version({"metadata": meta, "spec": {"value": value}}, self.tick(), is_gone=gone))
        return self

    def call(self, *handlers: str, outcome: str | None = "done", version: int = 0, pid: int = 1) -> "Story":
        """Calls of handlers, with the latest version unless another is said, counted from its end."""
        seen = self.versions[-1 - version]
        number = seen.object["metadata"]["resourceVersion"]
        for handler in handlers:
            call = Call(handler, "u", "one", number, seen.spec, None, 0, pid, self.tick(), outcome=outcome)
            if outcome is not None:
                call.end = self.tick()
            self.calls.append(call)
        return self

    def tick(self) -> float:
        self.now += 1
        return self.now

    def created(self, value: int = 1) -> "Story":
        """An object that is handled with this value."""
        self.version(value, finalizers=()).version(value)
        return self.call(*CREATORS).version(value, base=value).call("seen")

    def problems(self) -> list[str]:
        """The kinds of what the judge finds."""
        return [problem.kind for problem in judge({"u": self.versions}, self.calls)]


def test_an_object_whose_handlers_have_all_run_is_all_right() -> None:
    assert Story().created().problems() == []


def test_an_update_that_reaches_all_its_handlers_is_all_right() -> None:
    story = Story().created(1).version(2, base=1).call("seen", "update_first")
    story.version(2, base=1, done=("update_first",)).call("update_retried").version(2, base=2)
    assert story.problems() == []


def test_a_handler_without_the_last_change_has_lost_it() -> None:
    story = Story().created(1).version(2, base=1).call("seen", "update_first").version(2, base=2)
    assert story.problems() == ["lost"]


def test_a_change_back_is_a_change_for_a_handler_that_has_finished_with_the_other_value() -> None:
    """DEC-2: it is lost if the object ends as it was before, and the handler does not hear of it."""
    story = Story().created(1).version(2, base=1).call("update_first").version(2, base=1, done=("update_first",))
    assert story.version(1, base=1).call("seen").problems() == ["lost"]


def test_an_end_that_no_version_shows_does_not_count() -> None:
    """DEC-1: the process was killed before it could write it; the change was taken back meanwhile."""
    story = Story().created(1).version(2, base=1).call("update_first")
    assert story.version(1, base=1).call("seen").problems() == []


def test_a_creation_that_was_not_handled_is_stuck() -> None:
    assert Story().version(1).call("seen").problems() == ["stuck"]


def test_a_handler_that_is_killed_may_run_again() -> None:
    story = Story().version(1, finalizers=()).version(1).call("create_first", outcome=None)
    assert story.call(*CREATORS, pid=2).version(1, base=1).call("seen").problems() == []


def test_a_handler_that_was_killed_between_its_end_and_the_write_of_it_may_run_again() -> None:
    """DEC-1."""
    story = Story().version(1).call("create_first")
    assert story.call(*CREATORS, pid=2).version(1, base=1).call("seen").problems() == []


def test_a_handler_that_is_shown_its_own_end_may_not_run_again() -> None:
    """DEC-1."""
    story = Story().version(1).call("create_first").version(1, done=("create_first",)).call(*CREATORS, pid=2)
    assert story.version(1, base=1).call("seen").problems() == ["repeated"]


def test_a_handler_whose_end_was_accepted_may_not_run_again_with_an_older_version() -> None:
    """DEC-1: a version that the process has not seen yet counts as well."""
    story = Story().version(1).call("create_first").version(1, done=("create_first",)).call("create_first", version=1)
    story.call("create_retried", "create_child", "create_parts").version(1, base=1).call("seen")
    assert story.problems() == ["repeated"]


def test_a_handler_whose_cycle_has_ended_may_not_run_again_with_an_older_version() -> None:
    """DEC-1."""
    story = Story().created(1).call("create_first", version=1)
    assert story.problems() == ["repeated"]


def test_the_next_change_is_not_a_repetition() -> None:
    story = Story().created(1)
    for value in (2, 1, 2):
        before = story.versions[-1].spec["value"]
        story.version(value, base=before).call("seen", "update_first", "update_retried").version(value, base=value)
    assert story.problems() == []


def test_a_deletion_without_its_handlers_is_lost() -> None:
    story = Story().created().version(1, base=1, deleting=True).call("delete_first")
    assert story.version(1, base=1, finalizers=(), gone=True).problems() == ["lost"]


def test_a_deletion_with_its_handlers_is_all_right() -> None:
    story = Story().created().version(1, base=1, deleting=True).call("delete_first")
    story.version(1, base=1, deleting=True, done=("delete_first",)).call("delete_retried")
    assert story.version(1, base=1, finalizers=(), gone=True).problems() == []


def test_an_object_that_was_deleted_before_it_was_held_needs_no_handlers() -> None:
    assert Story().version(1, finalizers=()).version(1, finalizers=(), gone=True).problems() == []


def test_an_object_that_is_held_for_ever_is_stuck() -> None:
    assert Story().created().version(1, base=1, deleting=True).call("delete_first", "delete_retried").problems() == [
        "stuck"
    ]


def test_progress_of_no_cycle_is_left_behind() -> None:
    assert Story().created().version(1, base=1, done=("update_first",)).call("seen").problems() == ["left"]


def test_a_missing_finalizer_is_found() -> None:
    assert Story().created().version(1, base=1, finalizers=()).call("seen").problems() == ["left"]


def test_a_state_that_no_event_handler_has_seen_is_lost() -> None:
    story = Story().created(1).version(2, base=1).call("update_first", "update_retried").version(2, base=2)
    assert story.problems() == ["lost"]


def test_a_version_that_never_was_is_found() -> None:
    story = Story().created()
    story.calls[0].version = "77"
    assert "wrong" in story.problems()
