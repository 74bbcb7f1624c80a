"""Where operators take the queue of Kubernetes Events, to post from other contexts."""

from kopf._context import event_queue_var, settings_var
from kopf._events import event, exception, info, warn

__all__ = ["event", "event_queue_var", "exception", "info", "settings_var", "warn"]
