"""What the terminal shows when the command ends with an error: the user's part of it."""

import pathlib
import subprocess
import sys

import pytest


def run(file: pathlib.Path, *options: str) -> str:
    """What `kopf run` says before it ends with the status 1 (A-CLI-007)."""
    command = [sys.executable, "-m", "kopf", "run", "--all-namespaces", *options, str(file)]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    return done.stderr


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "handlers.py"


def test_errors_of_handler_files_begin_with_their_own_frames(file: pathlib.Path) -> None:
    file.write_text("import kopf\n1 / 0\n")
    shown = run(file)
    assert shown.startswith(f'Traceback (most recent call last):\n  File "{file}", line 2')
    assert shown.endswith("ZeroDivisionError: division by zero\n")


def test_syntax_errors_are_shown_without_the_way_to_them(file: pathlib.Path) -> None:
    file.write_text("def broken(:\n")
    shown = run(file)
    assert "Traceback" not in shown
    assert shown.startswith(f'  File "{file}", line 1')
    assert f"The file with handlers cannot be loaded: {file}" in shown


def test_missing_files_are_told_in_two_lines(file: pathlib.Path) -> None:
    assert run(file).splitlines() == [
        f"FileNotFoundError: [Errno 2] No such file or directory: '{file}'",
        "There is no such file with handlers.",
    ]


def test_missing_parentheses_are_told_with_the_file_and_the_line(file: pathlib.Path) -> None:
    """FIX-27, DEC-16."""
    file.write_text("import kopf\n@kopf.on.create\ndef fn(**_): pass\n")
    (line,) = run(file).splitlines()
    assert f"@kopf.on.create above fn ({file}:2) has no parentheses" in line


def test_decorators_that_are_not_there_yet_say_so(file: pathlib.Path) -> None:
    file.write_text("import kopf\n@kopf.timer('pods', interval=3)\ndef fn(**_): pass\n")
    assert "@kopf.timer is not available in this version of kopf-rs yet" in run(file)


def test_debugging_shows_all_frames(file: pathlib.Path) -> None:
    file.write_text("import kopf\n1 / 0\n")
    assert "click" in run(file, "--debug")


def test_a_missing_kubeconfig_is_named_and_the_way_out_told(
    file: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W-AUT-006."""
    monkeypatch.setenv("KUBECONFIG", str(file.with_name("absent")))
    file.write_text("")
    shown = run(file)
    assert "absent" in shown
    *_, error, hint = shown.splitlines()
    assert "LoginError: cannot log in to the cluster: Ran out of valid credentials." in error
    assert hint.startswith("The cluster is the one of the current context in the file that KUBECONFIG names")
