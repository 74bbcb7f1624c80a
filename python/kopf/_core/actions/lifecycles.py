"""The same as `kopf.lifecycles`."""

from kopf.lifecycles import all_at_once, asap, one_by_one, randomized, shuffled

__all__ = ["all_at_once", "asap", "one_by_one", "randomized", "shuffled"]
