"""What handlers raise, and what the framework raises at them."""

__all__ = [
    "ActivityError",
    "AdmissionError",
    "HandlerChildrenRetry",
    "HandlerRetriesError",
    "HandlerTimeoutError",
    "PermanentError",
    "TemporaryError",
]


class TemporaryError(Exception):
    """The handler has failed for now and is to be called again after `delay` seconds.

    Args:
        msg: What is wrong, for logs and for the progress record.
        delay: Seconds until the next attempt; `None` or `0` mean "at once".
    """

    delay: float | None

    def __init__(self, msg: object = None, /, delay: float | None = 60) -> None:
        super().__init__(msg)
        self.delay = delay


class PermanentError(Exception):
    """The handler has failed for good and is not to be called again for this change."""


class HandlerTimeoutError(PermanentError):
    """The handler has used up its `timeout=`."""


class HandlerRetriesError(PermanentError):
    """The handler has used up its `retries=`."""


class HandlerChildrenRetry(TemporaryError):
    """Some sub-handlers are not finished yet, so the parent handler will be called again."""


class AdmissionError(PermanentError):
    """Rejects an admission request with a message and an HTTP-like code."""

    code: int | None

    def __init__(self, message: str = "", code: int | None = 500) -> None:
        super().__init__(message)
        self.code = code


class ActivityError(Exception):
    """One or more handlers of an activity (startup, cleanup) have failed for good."""
