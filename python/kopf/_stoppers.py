"""The types of `stopped` in daemons, for annotations. Daemons themselves are not available yet."""

from typing import Any, Protocol

from kopf._enums import DaemonStoppingReason

__all__ = ["AsyncDaemonStopperChecker", "DaemonStopped", "SyncDaemonStopperChecker"]


class DaemonStopped(Protocol):
    """Tells a daemon that it must exit."""

    def __bool__(self) -> bool: ...

    def is_set(self) -> bool:
        """Whether it must exit."""
        ...

    @property
    def reason(self) -> DaemonStoppingReason | None:
        """Why it must exit."""
        ...

    def wait(self, timeout: float | None = None) -> Any:
        """Waits until it must exit, in sync daemons; gives what to await for that, in async ones."""
        ...


SyncDaemonStopperChecker = DaemonStopped
AsyncDaemonStopperChecker = DaemonStopped
