"""Settings: names, defaults, warnings (A-SET, FIX-33)."""

import concurrent.futures
import logging
import warnings
from typing import Any

import pytest

import kopf
from kopf import _settings

DEFAULTS: dict[str, dict[str, Any]] = {
    "process": {"ultimate_exiting_timeout": 600},
    "posting": {
        "enabled": True,
        "progress": True,  # ours: DEC-12
        "loggers": False,
        "level": logging.INFO,
        "default_backoffs": (1, 1, 2, 3, 5, 8, 13, 21),
        "logging_backoffs": (1, 1, 2, 3, 5),
        "worker_limit": None,
        "idle_timeout": 1.0,
        "reporting_component": "kopf",
        "reporting_instance": "dev",
        "event_name_prefix": "kopf-event-",
    },
    "peering": {
        "name": "default",
        "stealth": False,
        "priority": 0,
        "lifetime": 60,
        "mandatory": False,
        "standalone": False,
        "clusterwide": False,
    },
    "watching": {
        "server_timeout": None,
        "client_timeout": None,
        "connect_timeout": None,
        "reconnect_backoff": 0.1,
        "inactivity_timeout": 70.0,
        "chunk_size": None,
        "initial_streaming": False,
        "label_selectors": {},
        "field_selectors": {},
        "shard_selectors": {},
    },
    "queueing": {
        "worker_limit": None,
        "idle_timeout": 5.0,
        "exit_timeout": 2.0,
        "error_delays": (1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610),
    },
    "scanning": {"disabled": False},
    "admission": {"server": None, "managed": None},
    "execution": {"default_backoff": 60},
    "background": {
        "cancellation_polling": 60,
        "instant_exit_timeout": None,
        "instant_exit_zero_time_cycles": 10,
    },
    "networking": {
        "request_timeout": 300,
        "connect_timeout": None,
        "error_backoffs": (1, 1, 2, 3, 5, 8, 13, 21),
        "enforce_retry_after": False,
        "trust_env": False,
    },
    "persistence": {"finalizer": "kopf.zalando.org/KopfFinalizerMarker", "consistency_timeout": 5.0},
}


@pytest.mark.parametrize("group", DEFAULTS)
def test_names_and_defaults_are_those_of_kopf(group: str) -> None:
    """A-SET-001 to A-SET-051."""
    found = dict(vars(getattr(kopf.OperatorSettings(), group)))
    found.pop("progress_storage", None)
    found.pop("diffbase_storage", None)
    assert {name: dict(v) if hasattr(v, "keys") else v for name, v in found.items()} == DEFAULTS[group]


def test_the_default_storages_are_those_of_kopf() -> None:
    """A-SET-049, A-SET-050."""
    settings = kopf.OperatorSettings()
    assert type(settings.persistence.progress_storage) is kopf.SmartProgressStorage
    assert type(settings.persistence.diffbase_storage) is kopf.AnnotationsDiffBaseStorage


def test_operators_share_nothing_by_default() -> None:
    """A-EMB-032."""
    one, other = kopf.OperatorSettings(), kopf.OperatorSettings()
    one.watching.label_selectors["pods"] = "a=b"  # type: ignore[index]
    assert not other.watching.label_selectors
    assert one.execution.executor is one.execution.executor
    assert one.execution.executor is not other.execution.executor


def test_the_peering_is_either_clusterwide_or_namespaced() -> None:
    """A-SET-018."""
    settings = kopf.OperatorSettings()
    assert settings.peering.namespaced
    settings.peering.namespaced = False
    assert settings.peering.clusterwide


def test_names_that_nobody_reads_are_warned_of() -> None:
    """FIX-33."""
    settings = kopf.OperatorSettings()
    with pytest.warns(UserWarning, match="no 'enable' among.*enabled"):
        settings.posting.enable = False  # type: ignore[attr-defined]
    assert settings.posting.enable is False  # type: ignore[attr-defined]


def test_former_names_are_warned_of() -> None:
    """A-SET-032, A-SET-033."""
    settings = kopf.OperatorSettings()
    with pytest.warns(DeprecationWarning, match="queueing"):
        assert settings.batching is settings.queueing
    with pytest.warns(DeprecationWarning, match="no effect"):
        settings.queueing.batch_window = 1.5
    with pytest.warns(DeprecationWarning, match="no effect"):
        assert settings.queueing.batch_window == 1.5


def test_the_executor_is_resized() -> None:
    """A-SET-039."""
    settings = kopf.OperatorSettings()
    assert settings.execution.max_workers is None
    settings.execution.max_workers = 3
    assert settings.execution.executor._max_workers == 3
    settings.execution.max_workers = 5
    assert settings.execution.executor._max_workers == 5
    with pytest.raises(ValueError, match="at least 1"):
        settings.execution.max_workers = 0
    with pytest.raises(TypeError, match="None"):
        settings.execution.max_workers = None
    settings.execution.executor = object()
    with pytest.raises(TypeError, match="cannot be resized"):
        settings.execution.max_workers = 7
    assert settings.execution.max_workers == 5


def test_the_engine_can_tell_a_replaced_executor() -> None:
    """A-SET-038."""
    settings = kopf.OperatorSettings()
    assert not settings.execution.has_own_executor
    _ = settings.execution.executor
    assert not settings.execution.has_own_executor
    with concurrent.futures.ThreadPoolExecutor() as executor:
        settings.execution.executor = executor
        assert settings.execution.has_own_executor
        assert settings.execution.executor is executor


def test_changes_are_told() -> None:
    changes: list[None] = []
    settings = kopf.OperatorSettings()
    end = _settings.watch(lambda: changes.append(None))
    settings.posting.enabled = False
    settings.execution.max_workers = 2
    end()
    settings.posting.enabled = True
    assert len(changes) == 2


def test_habit_groups_are_updated_by_their_dictionaries() -> None:
    """Habit: `getattr(settings, key).__dict__.update(dict)`."""
    settings = kopf.OperatorSettings()
    for key, values in {"posting": {"level": 40}, "execution": {"max_workers": 9}}.items():
        getattr(settings, key).__dict__.update(values)
    assert settings.posting.level == 40
    assert settings.execution.max_workers == 9


def test_habit_settings_are_printed() -> None:
    """Habit: `f'{settings}'`."""
    assert "finalizer='kopf.zalando.org/KopfFinalizerMarker'" in f"{kopf.OperatorSettings()}"


def test_habit_backoffs_are_endless_objects() -> None:
    """Habit: `settings.networking.error_backoffs` is an endless iterable, not a list: it must not be used up here."""

    class Endless:
        def __iter__(self) -> Any:
            while True:
                yield 10

    settings = kopf.OperatorSettings()
    endless = Endless()
    settings.networking.error_backoffs = endless
    assert settings.networking.error_backoffs is endless


def test_settings_are_made_without_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kopf.OperatorSettings()
