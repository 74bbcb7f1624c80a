"""The work as an async handler; of ours and of upstream alike."""

import os
import time
from typing import Any

import tally

import kopf

if os.environ.get("BENCH_EVENTS") == "no":

    @kopf.on.startup()
    def without_events(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.progress = False  # it is ours; upstream posts no progress


if os.environ["BENCH_HANDLER"] == "event":

    @kopf.on.event("bench.dev", "v1", "widgets")
    async def event(**_: Any) -> None:
        tally.called()

elif os.environ["BENCH_HANDLER"] == "block":

    @kopf.on.startup()
    def reconnect_at_once(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.watching.reconnect_backoff = 0

    @kopf.on.event("bench.dev", "v1", "widgets")
    async def block(**_: Any) -> None:
        tally.called()
        time.sleep(0.05)  # the loop, as no async handler should

else:

    @kopf.on.create("bench.dev", "v1", "widgets")
    async def create(spec: kopf.Spec, **_: Any) -> dict[str, int]:
        tally.called(spec.get("at"))
        return {"n": spec["n"]}
