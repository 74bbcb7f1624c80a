"""What the programs of the flows share: they print what they do step by step, and what comes of it."""

import contextlib
import datetime
import json
import os
import threading
import time
import typing
from collections.abc import Callable, Iterator

__all__ = ["GROUP", "NAMESPACE", "PATIENCE", "crd", "custom", "during", "show", "step", "until"]

ID = os.environ["ID"]
NAMESPACE = os.environ["NS"]
GROUP = f"{ID}.dev"
PATIENCE = 30.0  # seconds, for what the server does by itself


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Prints what is done, and what it raises."""
    print(f"$ {what}", flush=True)
    try:
        yield
    except Exception as error:
        # One client adds its own traceback, with paths and lines.
        text = str(error).partition("\nOriginal traceback:")[0]
        print(f"{type(error).__module__}.{type(error).__qualname__}: {text}")


def show(value: object) -> None:
    """Prints an object as JSON, with its field managers by name: a server sorts them by time, in whole seconds."""
    print(json.dumps(_plain(value), indent=2, sort_keys=True, ensure_ascii=False))


def until(is_there: Callable[[], object]) -> None:
    """Waits for what the server does by itself."""
    deadline = time.monotonic() + PATIENCE
    while not is_there():
        if time.monotonic() > deadline:
            raise TimeoutError("it has not come")
        time.sleep(0.05)


def during(changes: Callable[[], object]) -> threading.Thread:
    """Makes changes in another thread, while this one watches."""
    thread = threading.Thread(target=changes, daemon=True)
    thread.start()
    return thread


def crd() -> dict[str, typing.Any]:
    """A definition of a resource of the flow's own."""
    spec = {"type": "object", "properties": {"field": {"type": "string", "maxLength": 5}, "size": {"type": "integer"}}}
    spec["properties"]["duration"] = {"type": "string", "default": "long"}  # type: ignore[index]
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": spec, "status": status}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema},
    }
    names = {"kind": "KopfExample", "plural": "kopfexamples", "singular": "kopfexample"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"kopfexamples.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def custom(name: str, **spec: object) -> dict[str, typing.Any]:
    """An object of that resource."""
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": f"{GROUP}/v1", "kind": "KopfExample", "metadata": metadata, "spec": spec}


def _plain(value: typing.Any) -> object:
    if isinstance(value, datetime.datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        plain = {str(key): _plain(item) for key, item in value.items()}
        for key in ("managedFields", "managed_fields"):
            if isinstance(plain.get(key), list):
                plain[key].sort(key=_writer)  # type: ignore[attr-defined]
        return plain
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _writer(entry: dict[str, object]) -> str:
    """What tells entries of managed fields apart."""
    return json.dumps([entry.get(key) for key in ("manager", "operation", "subresource")])
