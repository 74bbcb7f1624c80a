"""The types that users see: handlers as they are written pass the strict checks, wrong ones do not."""

import pathlib
import subprocess
import sys

import pytest
from helpers import ROOT

HERE = pathlib.Path(__file__).resolve().parent


def check(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=", *arguments]
    done = subprocess.run(command, cwd=ROOT, env={"MYPYPATH": "python", "PATH": ""}, capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.mark.timeout(120)
def test_handlers_are_typed() -> None:
    status, output = check(str(HERE / "typed_handlers.py"))
    assert status == 0, output


@pytest.mark.timeout(120)
def test_mistakes_are_found(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(
        "import kopf\n"
        "from typing import Any\n"
        "@kopf.on.create('x', retries='many')\n"
        "def fn(**_: Any) -> int: return 1\n"
        "fn().upper()\n"
        "kopf.on.field('x')\n"
    )
    status, output = check(str(file))
    assert status == 1
    lines = sorted(line.split(": ")[0].rpartition(":")[2] for line in output.splitlines() if ": error:" in line)
    assert lines == ["3", "5", "6"], output
