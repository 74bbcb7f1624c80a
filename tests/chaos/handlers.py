"""The operator of the chaos suite, for our Kopf and for upstream's. `operator/src/main.rs` is the same in Rust.

Every call is told to a journal before and after it: whole lines, appended at once, so that they survive a killed process. The
object says what is to happen: `spec.troubles` attempts fail before a handler marked `retried` succeeds, `spec.pause` is how
long (seconds) each call takes, `spec.parts` are the sub-handlers.
"""

import asyncio
import contextlib
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import kopf

EXAMPLES = ("kopf.dev", "v1", "kopfexamples")
DELAY = 0.2  # seconds until the next attempt

journal = os.open(os.environ["CHAOS_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(journal, b"\n\n")  # ends a line that a kill has torn: tests/support/journals.py


@contextlib.contextmanager
def told(handler: str, kwargs: Any) -> Iterator[None]:
    """Tells the journal of a call, and how it ends. Read by `tests/support/judge.py`."""
    body = kwargs["body"]
    call = {
        "pid": os.getpid(),
        "handler": handler,
        "uid": body["metadata"]["uid"],
        "name": body["metadata"]["name"],
        "version": body["metadata"]["resourceVersion"],
        "spec": dict(body.get("spec") or {}),
        "reason": str(kwargs.get("reason")) if "reason" in kwargs else None,
        "retry": kwargs.get("retry", 0),
    }
    write({"do": "start", "at": time.time(), **call})
    outcome = "done"
    try:
        yield
    except BaseException:
        outcome = "retry"
        raise
    finally:
        write({"do": "end", "at": time.time(), "outcome": outcome, **call})


def write(line: Any) -> None:
    os.write(journal, json.dumps(line, default=dict).encode() + b"\n")


@kopf.on.startup()
async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    if inactivity := os.environ.get("CHAOS_INACTIVITY"):
        settings.watching.inactivity_timeout = float(inactivity)
    if timeout := os.environ.get("CHAOS_REQUEST_TIMEOUT"):
        settings.networking.request_timeout = float(timeout)


async def work(kwargs: Any) -> None:
    await asyncio.sleep(kwargs["spec"].get("pause", 0))


async def work_with_troubles(kwargs: Any) -> None:
    await work(kwargs)
    if kwargs["retry"] < kwargs["spec"].get("troubles", 0):
        raise kopf.TemporaryError("not yet", delay=DELAY)


@kopf.on.event(*EXAMPLES, id="seen")
async def seen(**kwargs: Any) -> None:
    with told("seen", kwargs):
        pass


@kopf.on.resume(*EXAMPLES, id="resumed")
async def resumed(**kwargs: Any) -> None:
    with told("resumed", kwargs):
        await work(kwargs)


@kopf.on.create(*EXAMPLES, id="create_first")
async def create_first(**kwargs: Any) -> Any:
    with told("create_first", kwargs):
        await work(kwargs)
    return {"by": os.getpid()}


@kopf.on.create(*EXAMPLES, id="create_retried", backoff=1)
async def create_retried(**kwargs: Any) -> None:
    with told("create_retried", kwargs):
        await work_with_troubles(kwargs)


@kopf.on.create(*EXAMPLES, id="create_child", backoff=1)
def create_child(**kwargs: Any) -> None:
    with told("create_child", kwargs):
        body = kwargs["body"]
        child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"child-of-{body['metadata']['uid']}"}}
        kopf.adopt(child, owner=body)
        post(f"/api/v1/namespaces/{body['metadata']['namespace']}/configmaps", child)


@kopf.on.create(*EXAMPLES, id="create_parts", backoff=1)
async def create_parts(**kwargs: Any) -> None:
    with told("create_parts", kwargs):
        for part in kwargs["spec"].get("parts", []):
            declare_part(part)
        await kopf.execute()


def declare_part(part: str) -> None:
    @kopf.subhandler(id=part)
    async def run(**kwargs: Any) -> None:
        with told(f"create_parts/{part}", kwargs):
            await work_with_troubles(kwargs)


@kopf.on.update(*EXAMPLES, id="update_first")
def update_first(**kwargs: Any) -> Any:
    with told("update_first", kwargs):
        time.sleep(kwargs["spec"].get("pause", 0))
    return {"by": os.getpid()}


@kopf.on.update(*EXAMPLES, id="update_retried", backoff=1)
async def update_retried(**kwargs: Any) -> None:
    with told("update_retried", kwargs):
        await work_with_troubles(kwargs)


@kopf.on.field(*EXAMPLES, id="colored", field="spec.color")
async def colored(**kwargs: Any) -> None:
    with told("colored/spec.color", kwargs):
        await work(kwargs)


@kopf.on.delete(*EXAMPLES, id="delete_first")
async def delete_first(**kwargs: Any) -> None:
    with told("delete_first", kwargs):
        await work(kwargs)


@kopf.on.delete(*EXAMPLES, id="delete_retried", backoff=1)
async def delete_retried(**kwargs: Any) -> None:
    with told("delete_retried", kwargs):
        await work_with_troubles(kwargs)


def post(path: str, body: Any) -> None:
    """Creates an object; it is all right if it is there already: the attempt before this one has made it."""
    url = os.environ["CHAOS_URL"]
    headers = {"Content-Type": "application/json", "User-Agent": "chaos-handler"}
    if token := os.environ.get("CHAOS_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    context = ssl._create_unverified_context() if url.startswith("https:") else None
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers, method="POST")
    try:
        urllib.request.urlopen(request, timeout=10, context=context).close()
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 409:
                raise
