"""Context variables of an operator: what helpers find in whatever task or thread they are called.

They are set before the engine starts; it gives a copy of its context to every call. Which handler is running, the
native module knows (`current_invocation`).
"""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kopf._settings import OperatorSettings

__all__ = ["event_queue_var", "settings_var"]

settings_var: ContextVar["OperatorSettings"] = ContextVar("settings_var")
"""The settings of the operator."""

event_queue_var: ContextVar[Any] = ContextVar("event_queue_var")
"""Where Kubernetes Events are put. Opaque: it may be taken in a handler and set in another context, to post from there."""
