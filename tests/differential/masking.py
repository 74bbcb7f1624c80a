"""Makes the plays of two sides comparable: what differs by nature is masked, and texts are given one form."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

Json = Any

# What one side only keeps in objects, on purpose, so that it is in many bodies: the essence of the running cycle (FIX-2, DEC-2),
# and the marker of a prefix under which nothing is kept (W-KEY-021).
ONE_SIDED = ("cycle-configuration", "/kopf-managed")

# Of both sides, and where the storages of the scenarios keep the last handled essence.
FINALIZERS = ("kopf.zalando.org/KopfFinalizerMarker", "judged.dev/finalizer")
HANDLED_ANNOTATIONS = (
    "kopf.zalando.org/last-handled-configuration",
    "our.example.com/seen",
    "own.judged.dev/seen",
)

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SECONDS = re.compile(r"\d+\.\d+(?=( \(capped \d+\))? seconds)")
_REMAINING = re.compile(r"Remaining: .*$")
_RUNTIME = re.compile(r"after \d+:\d\d:\d\d(\.\d+)?")
# Texts that end with a value of Python: a body, a diff, a patch.
_WITH_VALUE = re.compile(
    r"^(.*(?: is in progress| diff|patching the resource with|patching the status with|with inconsistencies): )(.*)$"
)


def masked(value: Json) -> Json:
    """The value without moments, uids, versions, and what one side only keeps."""
    if isinstance(value, str):
        return _RUNTIME.sub("after <runtime>", _UID.sub("<uid>", _MOMENT.sub("<moment>", value)))
    if isinstance(value, Mapping):
        kept = {}
        for key, item in value.items():
            if key == "managedFields" or key.endswith(ONE_SIDED):
                continue
            kept[key] = "<version>" if key in ("resourceVersion", "generation") else masked(item)
            if kept[key] == {} and (item or key == "progress"):
                del kept[key]
        return kept
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return value


def masked_object(item: Mapping[str, Json]) -> Json:
    """An object. The records of a deletion go with it, and upstream purges them before (DEC-38); so does the last handled essence
    of one that was released, and that others still hold, which upstream brings up to date."""
    item = masked(item)
    if "deletionTimestamp" not in item["metadata"]:
        return item
    meta = dict(item["metadata"])
    is_released = not {*meta.get("finalizers", [])} & {*FINALIZERS}
    notes = {
        key: value
        for key, value in meta.pop("annotations", {}).items()
        if not _is_of_progress(key, value) and not (is_released and key in HANDLED_ANNOTATIONS)
    }
    dropped = {"progress", "dummy", "touched", *(["last-handled-configuration"] if is_released else [])}
    status = {
        key: {inner: value for inner, value in stanza.items() if inner not in dropped}
        if key in ("kopf", "our") and isinstance(stanza, dict)
        else stanza
        for key, stanza in (item.get("status") or {}).items()
    }
    status = {key: value for key, value in status.items() if value != {} or item["status"][key] == {}}
    return {**item, "metadata": {**meta, "annotations": notes}, "status": status}


def _is_of_progress(key: str, value: str) -> bool:
    return key.endswith("/touch-dummy") or ('"started"' in value and '"retries"' in value)


def masked_text(text: str) -> str:
    """A line of the log: with values in it sorted, for neither the order of keys nor that of a diff is promised."""
    text = _REMAINING.sub("Remaining: <functions>", _SECONDS.sub("<seconds>", text))
    if found := _WITH_VALUE.match(text):
        head, value = found.groups()
        parsed = _parsed(value)
        if parsed is not None:
            return head + canonical(_ordered(head, _without_versions(masked(parsed))))
    return str(masked(text))


def canonical(value: Json) -> str:
    """One text for equal values."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=repr)


def _parsed(value: str) -> Json:
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return None


def _without_versions(value: Json) -> Json:
    """The guards of JSON-patches hold versions."""
    if isinstance(value, list):
        return [
            {**item, "value": "<version>"}
            if isinstance(item, dict) and item.get("path") == "/metadata/resourceVersion"
            else item
            for item in value
        ]
    return value


def _ordered(head: str, value: Json) -> Json:
    is_diff = head.endswith((" diff: ", "with inconsistencies: "))
    return sorted(value, key=canonical) if is_diff and isinstance(value, Sequence) else value
