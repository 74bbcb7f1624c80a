"""The command line (A-CLI)."""

import pathlib
import subprocess
import sys
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

import kopf
import kopf.cli
from kopf import _dev, _running
from kopf._version import __version__


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of the operators that would run."""
    runs: list[dict[str, Any]] = []
    monkeypatch.setattr(_running, "run", lambda **kwargs: runs.append(kwargs))
    monkeypatch.setattr(kopf.cli._loggers, "configure", lambda **kwargs: runs.append(kwargs))
    return runs


def invoke(*args: str, env: dict[str, str] | None = None, obj: Any = None) -> Result:
    return CliRunner().invoke(kopf.cli.main, args, env=env, obj=obj)


def test_the_version_is_printed() -> None:
    """A-CLI-001, A-PUB-005."""
    assert invoke("--version").output == f"kopf, version {__version__}\n"
    assert kopf.__version__ == __version__
    assert ".".join(map(str, kopf.__version_tuple__)) == __version__


def test_the_version_is_that_of_the_crates() -> None:
    cargo = pathlib.Path(__file__).resolve().parents[2] / "Cargo.toml"
    assert f'\nversion = "{__version__}"\n' in cargo.read_text()


def test_without_a_command_there_is_help() -> None:
    """A-CLI-001."""
    result = invoke()
    assert result.exit_code == 2
    assert set(kopf.cli.main.commands) == {"run", "dev", "cluster", "freeze", "resume"}


@pytest.mark.parametrize("entry", [["-m", "kopf"], ["-c", "import kopf.cli; kopf.cli.main()"]])
def test_the_command_is_a_module_too(entry: list[str]) -> None:
    """A-PUB-003; habit: `import kopf.cli; kopf.cli.main()` as the program."""
    done = subprocess.run([sys.executable, *entry, "--version"], stdout=subprocess.PIPE, text=True, check=True)
    assert f"version {__version__}" in done.stdout


def test_the_parts_that_tests_and_commands_need_are_imported_only_by_them() -> None:
    """A-PUB-002."""
    script = "import sys, kopf; print([m for m in ('kopf.cli', 'kopf.testing', 'click', 'pytest') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "[]\n"


def test_options_of_running(runs: list[dict[str, Any]]) -> None:
    """A-CLI-002, A-CLI-003."""
    result = invoke(
        *("run", "-v", "-d", "-q", "--log-format=JSON", "--log-refkey=ref", "--no-log-prefix"),
        *("-n", "a", "--namespace=b*", "--standalone", "-L", "http://x", "-P", "peers", "-p", "5"),
    )
    assert result.exit_code == 0, result.output
    logging, operator = runs
    assert logging == {
        "verbose": True,
        "debug": True,
        "quiet": True,
        "log_format": kopf.LogFormat.JSON,
        "log_refkey": "ref",
        "log_prefix": False,
    }
    expected = {
        "namespaces": ("a", "b*"),
        "clusterwide": False,
        "standalone": True,
        "liveness_endpoint": "http://x",
        "peering_name": "peers",
        "priority": 5,
    }
    assert expected.items() <= operator.items()


def test_defaults_of_running(runs: list[dict[str, Any]]) -> None:
    """A-CLI-002, A-LOG-004."""
    assert invoke("run").exit_code == 0
    logging, operator = runs
    assert (logging["log_format"], logging["log_prefix"]) == (kopf.LogFormat.FULL, None)
    expected = {
        "namespaces": (),
        "clusterwide": False,
        "standalone": None,
        "liveness_endpoint": None,
        "peering_name": None,
        "priority": None,
        "registry": None,
        "settings": None,
    }
    assert expected.items() <= operator.items()


def test_namespaces_exclude_the_cluster(runs: list[dict[str, Any]]) -> None:
    """A-CLI-005, W-PRC-002."""
    result = invoke("run", "-A", "-n", "a")
    assert result.exit_code == 2
    assert "Either --namespace or --all-namespaces can be used, not both." in result.output


@pytest.mark.parametrize(
    ("variable", "value", "name", "expected"),
    [
        ("KOPF_RUN_CLUSTERWIDE", "true", "clusterwide", True),
        ("KOPF_RUN_NAMESPACES", "a b", "namespaces", ("a", "b")),
        ("KOPF_RUN_NAMESPACE", "a", "namespaces", ("a",)),
        ("KOPF_RUN_STANDALONE", "1", "standalone", True),
        ("KOPF_RUN_DEV", "1", "priority", 666),
        ("KOPF_RUN_LIVENESS_ENDPOINT", "http://x", "liveness_endpoint", "http://x"),
        ("KOPF_RUN_PEERING_NAME", "p", "peering_name", "p"),
        ("KOPF_RUN_PEERING", "p", "peering_name", "p"),
        ("KOPF_RUN_PRIORITY", "7", "priority", 7),
        ("KOPF_RUN_VERBOSE", "1", "verbose", True),
        ("KOPF_RUN_LOG_FORMAT", "plain", "log_format", kopf.LogFormat.PLAIN),
        ("KOPF_RUN_LOG_REFKEY", "r", "log_refkey", "r"),
        ("KOPF_RUN_LOG_PREFIX", "1", "log_prefix", True),
    ],
)
def test_options_come_from_the_environment_too(
    runs: list[dict[str, Any]], variable: str, value: str, name: str, expected: Any
) -> None:
    """A-CLI-008, A-CLI-009."""
    result = invoke("run", env={variable: value})
    assert result.exit_code == 0, result.output
    assert {**runs[0], **runs[1]}[name] == expected


@pytest.mark.parametrize("variable", ["KOPF_RUN_ALL_NAMESPACES", "KOPF_RUN_LIVENESS", "KOPF_PRIORITY"])
def test_other_variables_have_no_effect(runs: list[dict[str, Any]], variable: str) -> None:
    """A-CLI-008."""
    assert invoke("run", env={variable: "1"}).exit_code == 0
    assert (runs[1]["clusterwide"], runs[1]["liveness_endpoint"], runs[1]["priority"]) == (False, None, None)


def test_options_override_the_environment_but_for_the_legacy_namespace(runs: list[dict[str, Any]]) -> None:
    """A-CLI-010, KEEP-20."""
    env = {"KOPF_RUN_PRIORITY": "7", "KOPF_RUN_NAMESPACE": "c"}
    assert invoke("run", "-p", "8", "-n", "a", env=env).exit_code == 0
    assert (runs[1]["priority"], runs[1]["namespaces"]) == (8, ("a", "c"))
    assert invoke("run", "-A", env=env).exit_code == 2


def test_the_log_format_is_one_of_three(runs: list[dict[str, Any]]) -> None:
    assert invoke("run", "--log-format=xml").exit_code == 2


@pytest.mark.parametrize("args", [["--dev"], ["--dev", "-p", "5"], ["-p", "5", "--dev"]])
def test_habit_the_priority_of_development_is_seen_at_import(
    runs: list[dict[str, Any]], args: list[str], tmp_path: pathlib.Path
) -> None:
    """Habit: `click.get_current_context()` at import: `ctx.params['priority'] == 666`. KEEP-20."""
    file = tmp_path / "handlers.py"
    file.write_text("import click\nassert click.get_current_context().params['priority'] == 666\n")
    result = invoke("run", *args, str(file))
    assert result.exit_code == 0, result.output
    assert runs[1]["priority"] == 666


def test_habit_parameters_are_named_as_in_kopf(runs: list[dict[str, Any]]) -> None:
    """Habit: operators read `click.get_current_context().params`."""
    names = {parameter.name for parameter in kopf.cli.main.commands["run"].params}
    assert names == {
        *("verbose", "debug", "quiet", "log_format", "log_refkey", "log_prefix"),
        *("namespaces", "clusterwide", "standalone", "dev", "liveness_endpoint", "peering_name", "priority"),
        *("modules", "paths"),
    }


def test_handlers_are_loaded_before_the_operator_runs(runs: list[dict[str, Any]], tmp_path: pathlib.Path) -> None:
    """A-CLI-006, A-RUN-010."""
    file = tmp_path / "handlers.py"
    file.write_text("import kopf\n@kopf.on.create('kex')\ndef fn(**_): pass\n")
    registry = kopf.OperatorRegistry()
    result = invoke("run", "-A", str(file), obj=kopf.cli.CLIControls(registry=registry))
    assert result.exit_code == 0, result.output
    assert [declaration.id for declaration in registry.declarations()] == ["fn"]
    assert runs[1]["registry"] is registry
    assert kopf.get_default_registry() is registry


def test_errors_of_loading_are_passed_on(runs: list[dict[str, Any]], tmp_path: pathlib.Path) -> None:
    """A-CLI-007."""
    result = invoke("run", "-A", str(tmp_path / "absent.py"))
    assert result.exit_code == 1
    assert isinstance(result.exception, FileNotFoundError)


@pytest.mark.parametrize("command", ["freeze", "resume"])
def test_commands_of_peering_say_that_it_is_not_there(command: str) -> None:
    result = invoke(command, "--peering=x", "--lifetime", "5")
    assert result.exit_code == 1
    assert "not available in this version" in result.output


def test_development_needs_files() -> None:
    result = invoke("dev")
    assert result.exit_code == 2
    assert "kopf dev handlers.py" in result.output


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ([], ["--log-format=full", "--all-namespaces"]),
        (
            ["-n", "a", "-n", "b", "-v", "--log-format=plain", "--log-refkey=r", "--no-log-prefix", "-m", "x"],
            [
                *("--verbose", "--log-format=plain", "--log-refkey=r", "--no-log-prefix"),
                *("--namespace=a", "--namespace=b", "--module=x"),
            ],
        ),
        (["--log-prefix"], ["--log-format=full", "--log-prefix", "--all-namespaces"]),
    ],
)
def test_options_of_development_are_passed_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, options: list[str], arguments: list[str]
) -> None:
    runs: list[Any] = []
    monkeypatch.setattr(_dev, "run", lambda *args, **kwargs: runs.append((args, kwargs)) or 0)
    file = tmp_path / "handlers.py"
    file.touch()
    result = invoke("dev", *options, "--port=5", "--apply", str(tmp_path), str(file))
    assert result.exit_code == 0, result.output
    assert runs == [((arguments, (str(file),), (str(tmp_path),)), {"port": 5})]


def test_everything_has_help() -> None:
    for name, command in kopf.cli.main.commands.items():
        assert command.help, name
        for parameter in command.params:
            assert isinstance(parameter, click.Argument) or parameter.help, f"{name} {parameter.name}"  # type: ignore[attr-defined]
