"""An operator in the background of a test."""

import asyncio
import concurrent.futures
import threading
from types import TracebackType
from typing import Any, Self

import click.testing

from kopf import cli
from kopf._registry import OperatorRegistry
from kopf._settings import OperatorSettings

__all__ = ["KopfRunner"]


class KopfRunner:
    """Runs a command of `kopf` in a thread, as long as the block lasts.

    While it runs, the output of the whole process is captured. What comes out is known after the block; reading it
    inside of the block would wait for ever, and so is an error.

    Args:
        *args: As of click's `CliRunner.invoke`: first of all, the list of the command's arguments.
        reraise: Raises at the end of the block what the command has failed with.
        timeout: Seconds for the operator to stop; `None` means for ever.
        registry: The handlers; it becomes the default registry.
        settings: The settings.
        **kwargs: As of click's `CliRunner.invoke`: `env=`, `input=`.

    Raises:
        Exception: What the command has failed with; or that it has not stopped in time.
    """

    def __init__(
        self,
        *args: Any,
        reraise: bool = True,
        timeout: float | None = None,
        registry: OperatorRegistry | None = None,
        settings: OperatorSettings | None = None,
        **kwargs: Any,
    ) -> None:
        self.args = args
        self.kwargs = kwargs
        self.reraise = reraise
        self.timeout = timeout
        self.registry = registry
        self.settings = settings
        self.future: concurrent.futures.Future[click.testing.Result] = concurrent.futures.Future()
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._inside = False
        self._thread = threading.Thread(target=self._target, name="kopf-runner")

    def __enter__(self) -> Self:
        self._inside = True
        self._thread.start()
        self._ready.wait()  # the loop is there; the operator itself may be still starting
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._inside = False
        self._stop.set()
        self._thread.join(timeout=self.timeout)
        if self._thread.is_alive():
            raise Exception("The operator didn't stop, still running.")
        failure = self.future.result().exception
        if failure is not None and self.reraise and not _is_success(failure):
            raise failure from error

    def _target(self) -> None:
        loop = asyncio.new_event_loop()
        try:
            controls = cli.CLIControls(registry=self.registry, settings=self.settings, stop_flag=self._stop, loop=loop)
            self._ready.set()
            runner = click.testing.CliRunner()
            result = runner.invoke(cli.main, *self.args, **self.kwargs, obj=controls)
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)
        finally:
            loop.close()

    @property
    def _result(self) -> click.testing.Result:
        if self._inside and not self.future.done():
            raise RuntimeError("The operator is still running: its results are known after the with-block.")
        return self.future.result()

    @property
    def output(self) -> str:
        """What was printed and logged."""
        return self._result.output

    @property
    def stdout(self) -> str:
        """What was printed."""
        return self._result.stdout

    @property
    def stdout_bytes(self) -> bytes:
        """What was printed."""
        return self._result.stdout_bytes

    @property
    def stderr(self) -> str:
        """What was logged."""
        return self._result.stderr

    @property
    def stderr_bytes(self) -> bytes:
        """What was logged."""
        return self._result.stderr_bytes or b""

    @property
    def exit_code(self) -> int:
        """The exit status of the command."""
        return self._result.exit_code

    @property
    def exception(self) -> BaseException | None:
        """What the command has failed with."""
        failure = self._result.exception
        return None if failure is None or _is_success(failure) else failure

    @property
    def exc_info(self) -> Any:
        """What the command has failed with, as of `sys.exc_info`."""
        return self._result.exc_info


def _is_success(failure: BaseException) -> bool:
    return isinstance(failure, SystemExit) and failure.code in (None, 0)
