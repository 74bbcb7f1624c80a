"""Handlers as users write them, for the type checker; nothing here runs."""

from typing import Any

import kopf
from kopf.testing import DevCluster, KopfRunner


@kopf.on.startup()
async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    settings.posting.level = 30
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix="example.com")
    memo.started = True


@kopf.on.create("zalando.org", "v1", "kopfexamples", labels={"app": kopf.PRESENT}, when=kopf.all_([]))
def create_fn(
    body: kopf.Body,
    spec: kopf.Spec,
    meta: kopf.Meta,
    status: kopf.Status,
    patch: kopf.Patch,
    diff: kopf.Diff,
    reason: kopf.Reason,
    memo: kopf.Memo,
    logger: kopf.ObjectLogger,
    resource: kopf.Resource,
    **_: Any,
) -> dict[str, int]:
    patch.status["x"] = spec.get("x")
    patch.fns.append(lambda body: body.update(x=1))
    for item in diff:
        logger.info("%s %s", item.op, ".".join(item.field))
    kopf.info(body, reason="Created", message=f"{meta.name} in {meta.namespace} of {resource}")
    kopf.adopt({"kind": "Pod"}, owner=body)
    return {"items": len(spec.get("items", []))}


@kopf.on.field("kopfexamples", field=["spec", "size"], old=1, new=lambda value, **_: value > 1)
async def resized(old: int | None, new: int | None, **_: Any) -> None:
    await kopf.execute(fns={"child": create_fn})

    @kopf.subhandler(id="x")
    def child(**_: Any) -> str:
        return "x"

    assert child().upper()


def reuse(**kwargs: Any) -> dict[str, int]:
    """A decorated function keeps its own type."""
    return create_fn(**kwargs)


@kopf.timer("kopfexamples", interval=60)
@kopf.daemon("kopfexamples")
def background(stopped: kopf.DaemonStopped, **_: Any) -> None:
    while not stopped:
        stopped.wait(10)


def embed(registry: kopf.OperatorRegistry) -> None:
    kopf.run(registry=registry, clusterwide=True)
    with DevCluster() as cluster, KopfRunner(["run", "-A"], env=cluster.env) as runner:
        cluster.apply("kind: x")
    assert runner.exit_code == 0
