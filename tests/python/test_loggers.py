"""Loggers of objects, formats, configuration (A-LOG)."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import golden

import kopf
from kopf._context import event_queue_var
from kopf._loggers import ObjectJsonFormatter, ObjectTextFormatter, TerseObjectLogger

BODY: dict[str, Any] = {
    "apiVersion": "kopf.dev/v1",
    "kind": "KopfExample",
    "metadata": {"name": "n", "namespace": "ns", "uid": "u"},
    "spec": {"x": 1},
}
REF = {"apiVersion": "kopf.dev/v1", "kind": "KopfExample", "name": "n", "uid": "u", "namespace": "ns"}


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger without the handlers of pytest; what a test does to it is undone."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    asyncio_logger = logging.getLogger("asyncio")
    propagate = asyncio_logger.propagate
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)
    asyncio_logger.propagate = propagate


def record(message: str = "hello %s", *args: Any, level: int = logging.INFO, **extra: Any) -> logging.LogRecord:
    shown = args or (("you",) if "%" in message else ())
    made = logging.LogRecord("kopf.objects", level, __file__, 1, message, shown, None)
    vars(made).update(extra)
    return made


def test_records_name_the_object(caplog: pytest.LogCaptureFixture) -> None:
    """W-LOG-004; habit: own formatters expect `k8s_ref`, `k8s_skip`, `settings`."""
    caplog.set_level(logging.INFO)
    settings = kopf.OperatorSettings()
    kopf.ObjectLogger(body=BODY, settings=settings).info("one")
    kopf.LocalObjectLogger(body=BODY, settings=settings).info("two")
    one, two = caplog.records
    assert one.name == two.name == "kopf.objects"
    assert one.k8s_ref == two.k8s_ref == REF  # type: ignore[attr-defined]
    assert (one.k8s_skip, two.k8s_skip) == (False, True)  # type: ignore[attr-defined]
    assert one.settings is settings  # type: ignore[attr-defined]


def test_extras_of_users_are_merged(caplog: pytest.LogCaptureFixture) -> None:
    """A-LOG-006."""
    kopf.ObjectLogger(body=BODY, settings=None).warning("x", extra={"mine": 1})
    assert caplog.records[0].mine == 1  # type: ignore[attr-defined]
    assert caplog.records[0].k8s_ref == REF  # type: ignore[attr-defined]


def test_terse_loggers_show_information_only_with_debugging(caplog: pytest.LogCaptureFixture) -> None:
    """A-IDX-020."""
    logger = TerseObjectLogger(body=BODY, settings=None)
    caplog.set_level(logging.INFO, logger="kopf.objects")
    assert not logger.isEnabledFor(logging.INFO)
    assert logger.isEnabledFor(logging.WARNING)
    caplog.set_level(logging.DEBUG, logger="kopf.objects")
    assert logger.isEnabledFor(logging.INFO)


@pytest.mark.parametrize(
    ("ref", "line"),
    [
        (REF, "[ns/n] hello you"),
        ({**REF, "namespace": None}, "[n] hello you"),
    ],
)
def test_prefixes_name_the_object(ref: dict[str, Any], line: str) -> None:
    """A-LOG-004, W-LOG-003."""
    assert ObjectTextFormatter("%(message)s", prefix=True).format(record(k8s_ref=ref)) == line
    assert ObjectTextFormatter("%(message)s").format(record(k8s_ref=ref)) == "hello you"
    assert ObjectTextFormatter("%(message)s", prefix=True).format(record()) == "hello you"


def test_percents_in_names_and_messages_do_no_harm() -> None:
    shown = ObjectTextFormatter("%(message)s", prefix=True).format(record("100%% of %s", k8s_ref={**REF, "name": "%s"}))
    assert shown == "[ns/%s] 100% of you"


def test_json_lines_have_the_object_under_a_key() -> None:
    """A-LOG-005."""
    line = json.loads(ObjectJsonFormatter().format(record(k8s_ref=REF, k8s_skip=True, settings=object(), mine=1)))
    assert line.pop("timestamp").endswith("+00:00")
    assert line == {"message": "hello you", "severity": "info", "object": REF, "mine": 1}


@pytest.mark.parametrize(("refkey", "key"), [("k8s", "k8s"), ("", "object"), (None, "object")])
def test_the_key_of_the_object_may_be_chosen(refkey: str | None, key: str) -> None:
    """A-LOG-005."""
    assert json.loads(ObjectJsonFormatter(refkey=refkey).format(record(k8s_ref=REF)))[key] == REF


@pytest.mark.parametrize(
    ("level", "severity"), [(5, "debug"), (10, "debug"), (20, "info"), (30, "warn"), (40, "error"), (50, "fatal")]
)
def test_json_lines_have_severities(level: int, severity: str) -> None:
    """A-LOG-005."""
    assert json.loads(ObjectJsonFormatter().format(record(level=level)))["severity"] == severity


def test_json_lines_have_tracebacks_and_whatever_extras() -> None:
    """A-LOG-005."""
    try:
        raise ValueError("boo")
    except ValueError:
        made = record(thing=object())
        made.exc_info = sys.exc_info()
    line = json.loads(ObjectJsonFormatter(prefix=True).format(made))
    assert line["exc_info"].endswith("ValueError: boo")
    assert line["thing"].startswith("<object")


@pytest.mark.parametrize(
    ("options", "level"),
    [
        ({}, logging.INFO),
        ({"debug": True}, logging.DEBUG),
        ({"verbose": True}, logging.DEBUG),
        ({"quiet": True}, logging.WARNING),
        ({"verbose": True, "quiet": True}, logging.DEBUG),
    ],
)
def test_the_level_is_configured(root: logging.Logger, options: dict[str, bool], level: int) -> None:
    """A-LOG-001, A-LOG-002."""
    kopf.configure(**options)
    assert root.level == level
    assert logging.getLogger("asyncio").propagate == options.get("debug", False)


def test_configuring_again_replaces_only_its_own_handler(root: logging.Logger) -> None:
    """A-LOG-001."""
    mine = logging.NullHandler()
    root.addHandler(mine)
    before = len(root.handlers)
    kopf.configure()
    kopf.configure()
    assert len(root.handlers) == before + 1
    assert mine in root.handlers


def configured_line(monkeypatch: pytest.MonkeyPatch, **options: Any) -> str:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    kopf.configure(**options)
    kopf.ObjectLogger(body=BODY, settings=None).info("hello")
    return stderr.getvalue().rstrip("\n")


def test_lines_go_to_whatever_stderr_is(root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    kopf.configure(log_format=kopf.LogFormat.PLAIN)
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    kopf.ObjectLogger(body=BODY, settings=None).info("hello")
    assert stderr.getvalue() == "hello\n"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"log_format": kopf.LogFormat.PLAIN}, "hello"),
        ({"log_format": kopf.LogFormat.PLAIN, "log_prefix": None}, "[ns/n] hello"),
        ({"log_format": kopf.LogFormat.PLAIN, "log_prefix": True}, "[ns/n] hello"),
        ({"log_format": "%(name).4s: %(message)s"}, "kopf: hello"),
    ],
)
def test_formats_of_text(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], line: str
) -> None:
    """A-LOG-003, A-LOG-004, KEEP-15."""
    assert configured_line(monkeypatch, **options) == line


def test_the_full_format_has_the_time_the_logger_and_the_level(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A-LOG-003."""
    assert configured_line(monkeypatch).endswith("] kopf.objects         [INFO    ] hello")


@pytest.mark.parametrize(("prefix", "message"), [(None, "hello"), (True, "[ns/n] hello"), (False, "hello")])
def test_prefixes_in_json_are_only_on_demand(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch, prefix: bool | None, message: str
) -> None:
    """A-LOG-004."""
    line = configured_line(monkeypatch, log_format=kopf.LogFormat.JSON, log_prefix=prefix, log_refkey="ref")
    assert (json.loads(line)["message"], json.loads(line)["ref"]) == (message, REF)


def test_other_formats_are_refused(root: logging.Logger) -> None:
    """A-LOG-003."""
    with pytest.raises(ValueError, match="format"):
        kopf.configure(log_format=1)  # type: ignore[arg-type]


class Queue:
    def __init__(self) -> None:
        self.posts: list[tuple[Any, ...]] = []

    def post(self, *args: Any) -> None:
        self.posts.append(args)


@pytest.fixture
def queue() -> Iterator[Queue]:
    """What would be posted."""
    queue = Queue()
    token = event_queue_var.set(queue)
    yield queue
    event_queue_var.reset(token)


def test_lines_become_events_only_where_the_settings_ask_for_it(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    """A-EVT-012."""
    caplog.set_level(logging.DEBUG)
    settings = kopf.OperatorSettings()
    logger = kopf.ObjectLogger(body=BODY, settings=settings)
    logger.error("off by default")
    settings.posting.loggers = True
    logger.info("hello %s", "you")
    logger.error("oops")
    logger.debug("below the level")
    kopf.LocalObjectLogger(body=BODY, settings=settings).error("local")
    settings.posting.enabled = False
    logger.error("off")
    assert queue.posts == [
        (REF, "Normal", "Logging", "hello you", [1, 1, 2, 3, 5]),
        (REF, "Error", "Logging", "oops", [1, 1, 2, 3, 5]),
    ]


@pytest.mark.parametrize(
    "case", [case for case in golden("event_sources") if case["kind"] == "log_record"], ids=lambda case: case["id"]
)
def test_lines_become_events_as_recorded(queue: Queue, case: dict[str, Any]) -> None:
    """W-EVT-011, golden: event_sources."""
    given = case["input"]
    settings = kopf.OperatorSettings()
    settings.posting.enabled = given["enabled"]
    settings.posting.loggers = given["loggers"]
    settings.posting.level = given["settings_level"]
    extra: dict[str, Any] = {"settings": settings, "k8s_skip": given["k8s_skip"]}
    if given["has_object_reference"]:
        extra["k8s_ref"] = REF
    logging.getLogger("kopf.objects").handle(record("msg", level=given["levelno"], **extra))
    output = case["output"]
    expected = [] if output is None else [(REF, output["type"], output["reason"], "msg", output["backoffs"])]
    assert queue.posts == expected


def test_habit_old_module_of_loggers(root: logging.Logger) -> None:
    """Habit: `from kopf._core.actions import loggers`."""
    from kopf._core.actions import loggers

    loggers.configure(debug=True, verbose=True, log_format=loggers.LogFormat.JSON)
    assert any(isinstance(handler.formatter, loggers.ObjectJsonFormatter) for handler in root.handlers)
