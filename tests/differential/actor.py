"""The operator of either side: declares the handlers of a batch of scenarios, runs, and records all that happens.

    python actor.py BATCH RECORDS        with the Python whose `kopf` is to be judged; KUBECONFIG names the cluster

It knows nothing but the public names of `kopf`, and is the same file on both sides. A record is one line of JSON, written at
once, so that a killed process loses the last at most. Handlers do what their script says for the number of the attempt, which is kept in
the object: a repeated attempt does the same again.
"""

import asyncio
import json
import logging
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

# Logins by the client libraries are not what is judged here, and importing them takes seconds.
sys.modules["kubernetes"] = None  # type: ignore[assignment]

# After the line above, because of it.
import kopf  # noqa: E402

Json = Any
GROUP = "judged.dev"


class Records:
    """The file of what has happened."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(self._file, b"\n\n")  # ends a line that a kill has torn: tests/support/journals.py

    def write(self, what: str, **values: Json) -> None:
        line = json.dumps({"what": what, "at": time.monotonic(), "by": kopf.__version__, **values}, default=repr)
        os.write(self._file, line.encode() + b"\n")


class LinesOfObjects(logging.Handler):
    """Records the lines about objects, and when streams start."""

    def __init__(self, records: Records) -> None:
        super().__init__(logging.DEBUG)
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        error = None
        if record.exc_info and record.exc_info[1] is not None:
            error = repr(record.exc_info[1])
        about = getattr(record, "k8s_ref", None)
        values = {"level": record.levelname, "text": text, "error": error}
        if about:
            self._records.write("line", about=dict(about), **values)
        else:
            self._records.write("process", logger=record.name, **values)


def main(batch_path: str, records_path: str) -> None:
    with open(batch_path) as file:
        batch = json.load(file)
    records = Records(records_path)
    logger = logging.getLogger()
    logger.setLevel(logging.DEBUG)
    logger.addHandler(LinesOfObjects(records))
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    frame = batch["frame"]
    settings = make_settings(frame)
    for number, scenario in enumerate(batch["scenarios"]):
        if scenario is not None:
            Declaration(records, number, scenario).declare()
    lifecycle = frame.get("lifecycle")
    asyncio.run(
        kopf.operator(
            clusterwide="namespaces" not in frame,
            namespaces=frame.get("namespaces", []),
            standalone=True,
            settings=settings,
            lifecycle=getattr(kopf.lifecycles, lifecycle) if lifecycle else None,
        )
    )


def make_settings(frame: Mapping[str, Json]) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    if hasattr(settings.posting, "progress"):
        settings.posting.progress = False  # DEC-12
    settings.execution.default_backoff = frame.get("backoff", 0.2)
    settings.queueing.error_delays = [0.3]
    settings.persistence.consistency_timeout = frame.get("consistency", 5.0)
    if "finalizer" in frame:
        settings.persistence.finalizer = frame["finalizer"]
    if "progress" in frame:
        settings.persistence.progress_storage = make_storage(frame["progress"])
    if "diffbase" in frame:
        settings.persistence.diffbase_storage = make_storage(frame["diffbase"])
    return settings


def make_storage(wanted: Mapping[str, Json]) -> Any:
    """`{"class": "AnnotationsProgressStorage", "prefix": "x"}`; of the multiple ones `storages` is a list of such."""
    options = dict(wanted)
    name = options.pop("class")
    make = getattr(kopf, name, None) or globals()[name]
    if "storages" in options:
        return make([make_storage(storage) for storage in options["storages"]])
    return make(**options)


OWN = "own.judged.dev"


class UsersProgressStorage(kopf.ProgressStorage):
    """As users write storages: an annotation for each handler."""

    def fetch(self, *, key: Any, body: Any) -> Any:
        text = body.metadata.annotations.get(self._name(key))
        return None if text is None else json.loads(text)

    def store(self, *, key: Any, record: Any, body: Any, patch: Any) -> None:
        patch.metadata.annotations[self._name(key)] = json.dumps(record)

    def purge(self, *, key: Any, body: Any, patch: Any) -> None:
        if self._name(key) in body.metadata.annotations:
            patch.metadata.annotations[self._name(key)] = None
        elif self._name(key) in patch.get("metadata", {}).get("annotations", {}):
            del patch["metadata"]["annotations"][self._name(key)]
            drop_empty(patch, "metadata", "annotations")

    def touch(self, *, body: Any, patch: Any, value: Any) -> None:
        if body.metadata.annotations.get(self._name("touch-dummy")) != value:
            patch.metadata.annotations[self._name("touch-dummy")] = value

    def clear(self, *, essence: Any) -> Any:
        return without_own(super().clear(essence=essence))

    def _name(self, key: str) -> str:
        return f"{OWN}/{key.replace('/', '.')}"


class UsersDiffBaseStorage(kopf.DiffBaseStorage):
    """As users write storages: one annotation."""

    def build(self, *, body: Any, extra_fields: Any = None) -> Any:
        return without_own(super().build(body=body, extra_fields=extra_fields))

    def fetch(self, *, body: Any) -> Any:
        text = body.metadata.annotations.get(f"{OWN}/seen")
        return None if text is None else json.loads(text)

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        patch.metadata.annotations[f"{OWN}/seen"] = json.dumps(essence)


def without_own(essence: Any) -> Any:
    """An essence without what these storages keep."""
    annotations = essence.get("metadata", {}).get("annotations", {})
    for name in [name for name in annotations if name.startswith(f"{OWN}/")]:
        del annotations[name]
        drop_empty(essence, "metadata", "annotations")
    return essence


def drop_empty(value: Any, outer: str, inner: str) -> None:
    """Drops a mapping that has become empty, and the one around it."""
    if not value[outer][inner]:
        del value[outer][inner]
    if not value[outer]:
        del value[outer]


class Declaration:
    """The handlers of one scenario."""

    def __init__(self, records: Records, number: int, scenario: Mapping[str, Json]) -> None:
        self._records = records
        self._number = number
        self._scenario = scenario

    def declare(self) -> None:
        for handler in self._scenario["handlers"]:
            fn = self._function(handler, handler["id"])
            for on in handler["on"]:
                options = self._options(handler, on)
                getattr(kopf.on, on)(GROUP, "v1", plural(self._number, handler["resource"]), **options)(fn)

    def _options(self, handler: Mapping[str, Json], on: str) -> dict[str, Any]:
        options: dict[str, Any] = {"id": handler["id"]}
        for name, value in handler.get("options", {}).items():
            if name in ONLY_OF and on not in ONLY_OF[name]:
                continue
            options[name] = CONVERTED.get(name, lambda value: value)(value)
        return options

    def _function(self, handler: Mapping[str, Json], path: str) -> Callable[..., Any]:
        act = Act(self._records, self._number, self._scenario, handler, path, self._function, self._options)
        if handler.get("sync"):

            def function(**kwargs: Any) -> Any:
                return act.play(kwargs)

        else:

            async def function(**kwargs: Any) -> Any:  # type: ignore[misc]
                return await act.play_async(kwargs)

        function.__name__ = function.__qualname__ = handler["id"]
        return function


class Act:
    """What a handler does when it is called."""

    def __init__(
        self,
        records: Records,
        number: int,
        scenario: Mapping[str, Json],
        handler: Mapping[str, Json],
        path: str,
        function: Callable[..., Any],
        options: Callable[..., Any],
    ) -> None:
        self._records = records
        self._number = number
        self._scenario = scenario
        self._handler = handler
        self._path = path
        self._function = function
        self._options = options

    def play(self, kwargs: dict[str, Any]) -> Any:
        action = self._begin(kwargs)
        self._meddle(action, kwargs)
        self._declare_subhandlers()
        return self._end(action, kwargs)

    async def play_async(self, kwargs: dict[str, Any]) -> Any:
        action = self._begin(kwargs)
        await asyncio.to_thread(self._meddle, action, kwargs)
        subs = self._handler.get("subs", [])
        if subs and self._handler.get("execute"):
            await kopf.execute(fns={sub["id"]: self._function(sub, f"{self._path}/{sub['id']}") for sub in subs})
        else:
            self._declare_subhandlers()
        return self._end(action, kwargs)

    def _begin(self, kwargs: dict[str, Any]) -> Mapping[str, Json]:
        script = self._handler.get("script") or [{}]
        retry = kwargs.get("retry", 0)
        action: Mapping[str, Json] = script[min(retry, len(script) - 1)]
        self._records.write(
            "call",
            scenario=self._number,
            handler=self._path,
            about={"name": kwargs["name"], "namespace": kwargs["namespace"], "uid": kwargs["uid"]},
            resource=kwargs["resource"].plural,
            kwargs=deterministic(kwargs),
        )
        return action

    def _meddle(self, action: Mapping[str, Json], kwargs: dict[str, Any]) -> None:
        """Changes made by others while the handler runs."""
        path = object_path(kwargs["resource"].plural, kwargs["namespace"], kwargs["name"])
        for meddling in action.get("meddle", []):
            if meddling["do"] == "delete":
                request("DELETE", path)
            else:
                request("PATCH", path + ("/status" if meddling.get("status") else ""), meddling["patch"])
        if action.get("sleep"):
            time.sleep(action["sleep"])

    def _declare_subhandlers(self) -> None:
        for sub in self._handler.get("subs", []):
            options = self._options(sub, "sub")
            kopf.subhandler(**options)(self._function(sub, f"{self._path}/{sub['id']}"))

    def _end(self, action: Mapping[str, Json], kwargs: dict[str, Any]) -> Any:
        patch = kwargs["patch"]
        for stanza, values in action.get("patch", {}).items():
            merge(patch.setdefault(stanza, {}), values)
        for change in action.get("fns", []):
            patch.fns.append(transformation(change))
        if "log" in action:
            kwargs["logger"].info(action["log"])
        match action.get("end"):
            case "temporary":
                raise kopf.TemporaryError(action.get("text", "not yet"), delay=action.get("delay"))
            case "permanent":
                raise kopf.PermanentError(action.get("text", "never"))
            case "error":
                raise ValueError(action.get("text", "wrong"))
        return action.get("result")


def transformation(change: Mapping[str, Json]) -> Callable[[Any], None]:
    """`{"spec": {"x": 1}}` as a function on the body; twice has the effect of once."""

    def transform(body: Any) -> None:
        merge(body, change)

    return transform


def merge(target: Any, values: Mapping[str, Json]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping):
            if not isinstance(target.get(key), dict):
                target[key] = {}
            merge(target[key], value)
        else:
            target[key] = value


def deterministic(kwargs: dict[str, Any]) -> dict[str, Json]:
    """Those kwargs, and in that form, in which two sides can be compared."""
    body = json.loads(json.dumps(kwargs["body"], default=dict))
    named: dict[str, Json] = {"body": body}
    for name in ("retry", "param", "type", "old", "new", "name", "namespace"):
        if name in kwargs:
            named[name] = kwargs[name]
    if "reason" in kwargs:
        named["reason"] = str(kwargs["reason"])
    if "diff" in kwargs:
        # The order within is not promised (A-DIF-006).
        items = [[str(op), list(field), old, new] for op, field, old, new in kwargs["diff"]]
        named["diff"] = sorted(items, key=lambda item: json.dumps(item[:2]))
    if "type" in kwargs:
        named["event"] = dict(kwargs["event"])["type"]
    views = {"spec": "spec", "meta": "metadata", "status": "status"}
    named["views"] = {name: True for name, key in views.items() if dict(kwargs[name]) != body.get(key, {})}
    for name in ("labels", "annotations"):
        if dict(kwargs[name]) != body["metadata"].get(name, {}):
            named["views"][name] = True
    named["patch"] = json.loads(json.dumps(kwargs["patch"], default=repr))
    return named


# The options that not all decorators take.
ONLY_OF = {
    **dict.fromkeys(("old", "new"), ("update", "field", "sub")),
    **dict.fromkeys(
        ("retries", "timeout", "backoff", "errors"), ("create", "update", "delete", "resume", "field", "sub")
    ),
    "optional": ("delete",),
    "deleted": ("resume",),
}


def value_filter(wanted: Mapping[str, Json]) -> Any:
    """`{"equals": 1}`, `{"present": true}`, `{"absent": true}`, or `{"in": [1, 2]}` as a function."""
    match dict(wanted):
        case {"present": _}:
            return kopf.PRESENT
        case {"absent": _}:
            return kopf.ABSENT
        case {"equals": value}:
            return value
        case {"in": values}:
            return lambda value, **_: any(value == one and type(value) is type(one) for one in values)
    raise ValueError(f"There is no filter like {wanted!r}: equals, present, absent, in.")


def metadata_filter(wanted: Mapping[str, Json]) -> dict[str, Any]:
    return {key: value_filter(value) for key, value in wanted.items()}


def when_filter(wanted: Mapping[str, Json]) -> Callable[..., bool]:
    """`{"field": "x", "in": [1, 2]}`: of the spec."""
    return lambda spec, **_: spec.get(wanted["field"]) in wanted["in"]


CONVERTED: dict[str, Callable[[Json], Any]] = {
    "value": value_filter,
    "old": value_filter,
    "new": value_filter,
    "labels": metadata_filter,
    "annotations": metadata_filter,
    "when": when_filter,
    "errors": lambda name: kopf.ErrorsMode[name],
}


def plural(number: int, resource: str) -> str:
    """The name of a resource of a scenario of the batch."""
    return f"things{number}{resource}"


def object_path(plural: str, namespace: str | None, name: str) -> str:
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{GROUP}/v1{within}/{plural}/{name}"


def request(method: str, path: str, body: Json = None) -> None:
    """A request of somebody else; to change what is gone is no error."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/merge-patch+json", "User-Agent": "somebody"}
    asked = urllib.request.Request(os.environ["JUDGED_URL"] + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        with error:
            if error.code != 404:
                raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}") from error


if __name__ == "__main__":
    main(*sys.argv[1:])
