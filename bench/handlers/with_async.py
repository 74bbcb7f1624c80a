"""The work as an async handler; of ours and of upstream alike."""

import os
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

else:

    @kopf.on.create("bench.dev", "v1", "widgets")
    async def create(spec: kopf.Spec, **_: Any) -> dict[str, int]:
        tally.called(spec.get("at"))
        return {"n": spec["n"]}
