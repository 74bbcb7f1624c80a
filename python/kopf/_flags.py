"""Flags of embedding applications: what stops an operator, and what it raises when it is ready."""

import asyncio
import concurrent.futures
import contextlib
import threading
from typing import Any

__all__ = ["Flag", "check", "raise_flag", "wait_flag"]

Flag = asyncio.Event | asyncio.Future[Any] | threading.Event | concurrent.futures.Future[Any]

_KINDS = (asyncio.Event, asyncio.Future, threading.Event, concurrent.futures.Future)

_LOOK = 0.5  # seconds between looks at whether the wait for a thread's event is still wanted


def check(name: str, flag: Any) -> None:
    """Refuses what is no flag.

    Raises:
        TypeError: It is none of the four kinds.
    """
    if flag is not None and not isinstance(flag, _KINDS):
        raise TypeError(
            f"{name}= must be an Event or a Future of asyncio, threading or concurrent.futures, not {flag!r}."
        )


async def wait_flag(flag: Flag) -> Any:
    """Waits until the flag is raised. Returns the result of a future; `None` for events."""
    if isinstance(flag, asyncio.Event):
        await flag.wait()
        return None
    if isinstance(flag, threading.Event):
        await _wait_event(flag)
        return None
    future = asyncio.wrap_future(flag) if isinstance(flag, concurrent.futures.Future) else flag
    return await asyncio.shield(future)


def raise_flag(flag: Flag) -> None:
    """Raises the flag. In the event loop of the operator."""
    if isinstance(flag, asyncio.Event | threading.Event):
        flag.set()
    elif not flag.done():
        flag.set_result(None)


async def _wait_event(flag: threading.Event) -> None:
    """Waits for an event in a thread of its own, which ends soon when the wait is cancelled."""
    loop = asyncio.get_running_loop()
    raised = loop.create_future()
    unwanted = threading.Event()

    def tell() -> None:
        if not raised.done():
            raised.set_result(None)

    def wait() -> None:
        while not flag.wait(_LOOK):
            if unwanted.is_set():
                return
        with contextlib.suppress(RuntimeError):  # the loop is closed: the operator has ended by itself
            loop.call_soon_threadsafe(tell)

    # A thread of its own: the default executor would be joined at exit, and may be full.
    threading.Thread(target=wait, name="kopf-stop-flag", daemon=True).start()
    try:
        await raised
    finally:
        unwanted.set()
