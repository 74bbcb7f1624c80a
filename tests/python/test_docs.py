"""The examples of the documentation run, and everything public has documentation."""

import doctest
import importlib
import inspect
import pathlib

import pytest

import kopf

PACKAGE = pathlib.Path(kopf.__file__).parent
MODULES = sorted(
    ".".join(("kopf", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    for file in PACKAGE.rglob("*.py")
    if file.name != "__main__.py"
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


@pytest.mark.parametrize("name", kopf.__all__)
def test_public_functions_and_classes_have_documentation(name: str) -> None:
    thing = getattr(kopf, name)
    if inspect.isfunction(thing) or (inspect.isclass(thing) and thing.__module__.startswith("kopf")):
        assert inspect.getdoc(thing), name
