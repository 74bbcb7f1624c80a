"""Runs of tests part by part: what `scripts/test.py` and `scripts/test_real.py` have in common."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATIENCE = 20.0  # seconds that an interrupted command has to clean up

timings: list[tuple[str, float, bool]] = []
not_run: list[str] = []


def run(*command: str | pathlib.Path, cwd: pathlib.Path = ROOT, **env: str) -> bool:
    """Runs a command with its output shown; whether it succeeded. If we are interrupted, so is all that it has started."""
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        # A group of its own, so that none of it is missed, whether a terminal or a single signal interrupts us.
        process_group=0,
    )
    try:
        return process.wait() == 0
    finally:
        if process.returncode is None:
            _interrupt(process)


def part(title: str, passed: bool, started: float) -> bool:
    """Notes the result and the time of a part."""
    timings.append((title, time.monotonic() - started, passed))
    return passed


def report() -> int:
    """Prints the times, and what was not run; the code to exit with."""
    print("\nTimes:")
    for title, seconds, passed in timings:
        print(f"  {seconds:6.0f} s  {'passed' if passed else 'FAILED'}  {title}")
    print("Not run here:" if not_run else "Everything was run.")
    for reason in not_run:
        print(f"  - {reason}")
    return 0 if all(passed for _, _, passed in timings) else 1


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    # What it has left behind; or itself.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
