"""Processes, and what the kernel says of them."""

import contextlib
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from stopwatch.places import PATIENCE


class Process:
    """A process with what the kernel says of it."""

    def __init__(self, command: list[str | pathlib.Path], env: dict[str, str], log: pathlib.Path) -> None:
        with log.open("wb") as file:
            self._process = subprocess.Popen(list(map(str, command)), env=env, stdout=file, stderr=subprocess.STDOUT)
        self._log = log
        self.started = time.time()

    def cpu(self) -> float:
        """Seconds of user and system time so far, all threads."""
        if sys.platform == "linux":
            # The process's own clock: /proc/PID/stat says the same in steps of 10 ms.
            return time.clock_gettime((~self._process.pid << 3) | 2)
        raise SystemExit("The stopwatch reads the clocks of processes as Linux has them: it runs there only.")

    def memory(self) -> float:
        """The resident memory, in MiB."""
        status = pathlib.Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        if not found:
            raise self._ended()
        return int(found[1]) / 1024

    def settle(self, least: float = 1.0, span: float = 0.5) -> None:
        """Waits until the process has had almost nothing to do for a while."""
        deadline = time.monotonic() + PATIENCE
        time.sleep(least)
        before = self.cpu()
        while time.monotonic() < deadline:
            time.sleep(span)
            self._check()
            now = self.cpu()
            if now - before < 0.01:
                return
            before = now
        raise RuntimeError(f"the process has not settled in {PATIENCE:.0f} seconds")

    def until(self, is_there: Callable[[], Any]) -> Any:
        """Waits for what the process brings about; gives it."""
        return until(is_there, self._check)

    def output(self) -> str:
        """Waits for its end; gives what it has printed."""
        if self._process.wait(timeout=PATIENCE) != 0:
            raise RuntimeError(f"a process has failed:\n{self._log.read_text()[-2000:]}")
        return self._log.read_text()

    def end(self) -> None:
        """Ends it, whatever it does."""
        self._process.kill()
        self._process.wait()

    def _check(self) -> None:
        if self._process.poll() is not None:
            raise self._ended()

    def _ended(self) -> RuntimeError:
        return RuntimeError(f"the process has ended:\n{self._log.read_text()[-2000:]}")


def until(is_there: Callable[[], Any], check: Callable[[], None] = lambda: None) -> Any:
    """Waits for something to be there, and gives it; `check` raises if it cannot come any more."""
    deadline = time.monotonic() + PATIENCE
    while not (found := is_there()):
        check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"what is waited for has not come in {PATIENCE:.0f} seconds")
        time.sleep(0.02)
    return found


@contextlib.contextmanager
def running(*args: Any) -> Iterator[Process]:
    """A process that is ended in any case."""
    process = Process(*args)
    try:
        yield process
    finally:
        process.end()
