"""Loading of handlers (A-CLI-006)."""

import pathlib
import sys
from collections.abc import Iterator

import pytest

from kopf import _loaders


@pytest.fixture(autouse=True)
def modules() -> Iterator[None]:
    """What a test has imported is forgotten."""
    before, path = set(sys.modules), sys.path[:]
    yield
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name.startswith(("__kopf_script", "beside", "package")):
            del sys.modules[name]


def write(file: pathlib.Path, text: str) -> pathlib.Path:
    file.write_text(text)
    return file


def test_files_are_run_in_order_before_modules(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A-CLI-006."""
    write(tmp_path / "package_x.py", "print('package')")
    files = [write(tmp_path / name, f"print({name!r}, __name__)") for name in ("b.py", "a.py")]
    _loaders.preload(files, ["package_x"])
    assert capsys.readouterr().out.splitlines() == [
        f"b.py __kopf_script_0__{files[0]}",
        f"a.py __kopf_script_1__{files[1]}",
        "package",
    ]


def test_nothing_may_be_loaded() -> None:
    """A-CLI-006."""
    _loaders.preload([], [])


def test_habit_files_import_what_is_beside_them(tmp_path: pathlib.Path) -> None:
    """Habit: a file named `operator.py`, imports of the modules next to the file, a main file of nothing but imports."""
    write(tmp_path / "beside_x.py", "value = 1")
    file = write(tmp_path / "operator.py", "import beside_x\nassert beside_x.value == 1")
    _loaders.preload([file], [])
    assert "beside_x" in sys.modules


def test_habit_files_are_named_relatively(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "handlers.py", "import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: int")
    _loaders.preload(["handlers.py"], [])


def test_a_syntax_error_names_the_file_and_the_line(tmp_path: pathlib.Path) -> None:
    file = write(tmp_path / "handlers.py", "import kopf\n\ndef broken(:\n    pass\n")
    with pytest.raises(SyntaxError) as caught:
        _loaders.preload([file], [])
    assert (caught.value.filename, caught.value.lineno) == (str(file), 3)
    assert caught.value.__notes__ == [f"The file with handlers cannot be loaded: {file}"]


def test_a_missing_file_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        _loaders.preload([tmp_path / "absent.py"], [])
    assert caught.value.filename == str(tmp_path / "absent.py")


@pytest.mark.parametrize("name", ["handlers.txt", "handlers"])
def test_other_files_are_refused(tmp_path: pathlib.Path, name: str) -> None:
    with pytest.raises(ImportError, match="no Python file"):
        _loaders.preload([write(tmp_path / name, "")], [])


def test_errors_of_files_are_passed_on(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ZeroDivisionError):
        _loaders.preload([write(tmp_path / "handlers.py", "1 / 0")], [])
