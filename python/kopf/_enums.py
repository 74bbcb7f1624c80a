"""Closed sets of values that handlers see or declare."""

import enum

__all__ = [
    "ABSENT",
    "PRESENT",
    "Activity",
    "DaemonStoppingReason",
    "DiffOperation",
    "ErrorsMode",
    "LogFormat",
    "Presence",
    "Reason",
]


class ErrorsMode(enum.Enum):
    """What happens to errors that are neither temporary nor permanent."""

    IGNORED = enum.auto()
    TEMPORARY = enum.auto()
    PERMANENT = enum.auto()


class Reason(enum.StrEnum):
    """Why the handlers of an object are called."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    RESUME = "resume"
    NOOP = "noop"
    FREE = "free"
    GONE = "gone"


class DiffOperation(enum.StrEnum):
    """What has happened to a field."""

    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"

    def __repr__(self) -> str:
        return repr(self.value)


class Activity(enum.StrEnum):
    """Which part of the operator's life the handlers of an activity are called for."""

    STARTUP = "startup"
    CLEANUP = "cleanup"
    AUTHENTICATION = "authentication"
    PROBE = "probe"


class DaemonStoppingReason(enum.Flag):
    """Why a daemon is asked to stop; the flags add up as the stopping proceeds."""

    DONE = 1
    FILTERS_MISMATCH = 2
    RESOURCE_DELETED = 4
    OPERATOR_PAUSING = 8
    OPERATOR_EXITING = 16
    DAEMON_SIGNALLED = 32
    DAEMON_CANCELLED = 64
    DAEMON_ABANDONED = 128


class LogFormat(enum.Enum):
    """How log lines look."""

    PLAIN = "%(message)s"
    FULL = "[%(asctime)s] %(name)-20.20s [%(levelname)-8.8s] %(message)s"
    JSON = "-json-"


class Presence(enum.Enum):
    """Criteria of filters that ask whether a value is there, whatever it is."""

    PRESENT = enum.auto()
    ABSENT = enum.auto()


PRESENT = Presence.PRESENT
ABSENT = Presence.ABSENT
