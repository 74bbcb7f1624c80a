"""`kopf.testing.KopfRunner` (A-RUN)."""

import pathlib
from typing import Any

import pytest
from helpers import Api, example

import kopf
from kopf.testing import KopfRunner

HANDLERS = """
import kopf

@kopf.on.create("kex")
def create_fn(name, logger, **_):
    print(f"printed {name}")
    logger.info("logged")
    return {"name": name}
"""


@pytest.fixture
def handlers(tmp_path: pathlib.Path) -> str:
    """A file with handlers."""
    file = tmp_path / "handlers.py"
    file.write_text(HANDLERS)
    return str(file)


def test_the_command_runs_as_long_as_the_block(api: Api, handlers: str, registry: kopf.OperatorRegistry) -> None:
    """A-RUN-001 to A-RUN-003, A-RUN-007, A-RUN-009; habit: `KopfRunner` in operators' own tests."""
    with KopfRunner(["run", "-A", "--verbose", handlers], registry=registry, timeout=30) as runner:
        api.create(example())
        api.wait(lambda obj: (obj or {}).get("status") == {"create_fn": {"name": "one"}})
    assert runner.exit_code == 0
    assert runner.exception is None
    assert runner.exc_info is None or runner.exc_info[0] in (None, SystemExit)
    assert runner.stdout == "printed one\n"
    assert "[default/one] logged" in runner.stderr
    assert "OS signals are ignored: running not in the main thread." in runner.output
    assert "printed one" in runner.output


def test_attributes_are_known_after_the_block(api: Api, handlers: str, registry: kopf.OperatorRegistry) -> None:
    """A-RUN-005, A-RUN-006, KEEP-14: an error instead of a deadlock."""
    runner = KopfRunner(["run", "-A", handlers], reraise=False, timeout=30, registry=registry, env={"A": "b"})
    assert (runner.args, runner.kwargs) == ((["run", "-A", handlers],), {"env": {"A": "b"}})
    assert (runner.reraise, runner.timeout, runner.registry, runner.settings) == (False, 30, registry, None)
    with runner, pytest.raises(RuntimeError, match="after the with-block"):
        _ = runner.output
    assert isinstance(runner.stdout_bytes, bytes)
    assert isinstance(runner.stderr_bytes, bytes)


def test_failures_are_raised_at_the_end() -> None:
    """A-RUN-004."""
    with pytest.raises(SystemExit) as caught, KopfRunner(["run", "--unknown"]):
        pass
    assert caught.value.code == 2
    with KopfRunner(["run", "--unknown"], reraise=False) as runner:
        pass
    assert runner.exit_code == 2
    assert isinstance(runner.exception, SystemExit)


def test_failures_of_the_block_are_the_causes(tmp_path: pathlib.Path) -> None:
    """A-RUN-004."""
    with pytest.raises(FileNotFoundError) as caught, KopfRunner(["run", "-A", str(tmp_path / "absent.py")]):
        raise ValueError("mine")
    assert isinstance(caught.value.__cause__, ValueError)


def test_failures_of_the_block_alone_are_passed_on(api: Api, handlers: str, registry: kopf.OperatorRegistry) -> None:
    """A-RUN-004."""
    with pytest.raises(ValueError, match="mine"), KopfRunner(["run", "-A", handlers], registry=registry, timeout=30):
        raise ValueError("mine")


def test_given_settings_are_used(api: Api, handlers: str, registry: kopf.OperatorRegistry) -> None:
    """A-RUN-010, A-RUN-011."""
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix="my.example.com", key="last")

    def is_handled(obj: Any) -> bool:
        return "my.example.com/last" in (obj or {}).get("metadata", {}).get("annotations", {})

    for name in ("one", "two"):
        with KopfRunner(["run", "-A", handlers], registry=registry, settings=settings, timeout=30):
            api.create(example(name))
            api.wait(is_handled, name)
        assert kopf.get_default_registry() is registry
    assert len(registry.declarations()) == 2
