"""The bridge with the test in the place of the engine."""

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from helpers import PATIENCE, example

import kopf
from kopf import _engine, _native


class Bridge:
    """The bridge with the test in the place of the engine: an operator in a thread, of which only the door is used."""

    def __init__(
        self, registry: kopf.OperatorRegistry, url: str, loop: Callable[[], asyncio.AbstractEventLoop]
    ) -> None:
        self.registry = registry
        self.settings = kopf.OperatorSettings()
        self.memo: Any = None
        self.error: BaseException | None = None
        self.engine: Any = None
        self.exerciser: Any = None
        self._url = url
        self._loop = loop
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._run(), name="operator")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE), self.error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.engine.stop()
        self.join()

    def join(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def begin(self, id: str, obj: Any = None, **kwargs: Any) -> Any:
        """Begins a call of a handler; `wait()` gives its end."""
        return self.exerciser.call(id, example() if obj is None else obj, **kwargs)

    def call(self, id: str, obj: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Calls a handler, and gives its end."""
        return self.begin(id, obj, **kwargs).wait(PATIENCE)  # type: ignore[no-any-return]

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._loop) as runner:
                runner.run(self._operate())
        except BaseException as error:
            self.error = error
            self._ready.set()

    async def _operate(self) -> None:
        self.engine = _native.Engine(
            _engine.host(self.settings),
            self.registry.declarations(),
            self.settings,
            memo=self.memo,
            credentials=[kopf.ConnectionInfo(server=self._url)],
            on_ready=self._ready.set,
        )
        self.exerciser = _native._Exerciser(self.engine)  # type: ignore[attr-defined] # for tests only
        await self.engine.start()


MakeBridge = Callable[..., Bridge]
