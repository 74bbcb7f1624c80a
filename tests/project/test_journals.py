"""The journals of operators that are killed, which the judges read."""

import json
import pathlib

import journals
import pytest


def test_a_line_that_a_kill_has_torn_is_left_out(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b'\n\n{"n": 1}\n{"n": 2, "to' + b'\n\n{"n": 3}\n{"n"')
    assert [told["n"] for told in journals.read(path)] == [1, 3]


def test_a_line_that_is_broken_otherwise_is_an_error(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b'\n\n{"n": 1\n{"n": 2}\n')
    with pytest.raises(json.JSONDecodeError):
        list(journals.read(path))
