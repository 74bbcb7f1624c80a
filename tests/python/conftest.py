import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

import kopf

CONTRACT = pathlib.Path(__file__).resolve().parents[2] / "contract"


def golden(name: str) -> list[dict[str, Any]]:
    """The cases of a file of recorded behaviour."""
    return json.loads((CONTRACT / "golden" / f"{name}.json").read_text())["cases"]


@pytest.fixture(autouse=True)
def registry() -> Iterator[kopf.OperatorRegistry]:
    """Every test has a default registry of its own."""
    fresh = kopf.OperatorRegistry()
    kopf.set_default_registry(fresh)
    yield fresh
    kopf.set_default_registry(kopf.OperatorRegistry())


@pytest.fixture(autouse=True)
def lifecycle(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test does to the default lifecycle stays in the test."""
    monkeypatch.setattr(kopf.lifecycles, "_default", kopf.lifecycles.asap)
