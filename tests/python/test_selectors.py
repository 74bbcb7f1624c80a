"""Selectors of resources: parsing and matching (A-SEL, golden: resources)."""

from typing import Any

import pytest
from helpers import golden

import kopf
from kopf._selectors import Selector, SelectorMapping

RESOURCES = {
    "kex": kopf.Resource(
        "kopf.dev",
        "v1",
        "kopfexamples",
        kind="KopfExample",
        singular="kopfexample",
        shortcuts=frozenset({"kex"}),
        categories=frozenset({"all"}),
    ),
    "kex-v1beta1-nonpreferred": kopf.Resource(
        "kopf.dev",
        "v1beta1",
        "kopfexamples",
        kind="KopfExample",
        singular="kopfexample",
        shortcuts=frozenset({"kex"}),
        categories=frozenset({"all"}),
        preferred=False,
    ),
    "pods": kopf.Resource(
        "",
        "v1",
        "pods",
        kind="Pod",
        singular="pod",
        shortcuts=frozenset({"po"}),
        categories=frozenset({"all"}),
    ),
    "pod-metrics": kopf.Resource("metrics.k8s.io", "v1", "pods", kind="PodMetrics", singular=""),
    "events": kopf.Resource("", "v1", "events", kind="Event", singular="event", shortcuts=frozenset({"ev"})),
    "events-k8s": kopf.Resource(
        "events.k8s.io", "v1", "events", kind="Event", singular="event", shortcuts=frozenset({"ev"})
    ),
}

SELECTORS = [case for case in golden("resources") if case["kind"] == "selector"]
URLS = [case for case in golden("resources") if case["kind"] == "url"]


def decode(value: Any) -> Any:
    return kopf.EVERYTHING if value == "<EVERYTHING>" else value


@pytest.mark.parametrize("case", SELECTORS, ids=lambda case: case["id"])
def test_selectors_are_read_as_recorded(case: dict[str, Any]) -> None:
    args = [decode(arg) for arg in case["input"]["args"]]
    output = case["output"]
    if "error" in output:
        with pytest.raises(TypeError):
            Selector.parse(*args, **case["input"]["kwargs"])
        return
    selector = Selector.parse(*args, **case["input"]["kwargs"])
    parsed = {name: value for name, value in vars(selector).items() if value is not None}
    assert parsed == {name: decode(value) for name, value in output["parsed"].items()}
    assert selector.is_specific == output["is_specific"]
    assert repr(selector) == output["repr"]
    assert {name: selector.matches(resource) for name, resource in RESOURCES.items()} == output["matches"]


def resource_of(fields: dict[str, Any]) -> kopf.Resource:
    return kopf.Resource(**{k: frozenset(v) if isinstance(v, list) else v for k, v in fields.items()})


@pytest.mark.parametrize("case", URLS, ids=lambda case: case["id"])
def test_urls_are_as_recorded(case: dict[str, Any]) -> None:
    given = dict(case["input"])
    resource = resource_of(given.pop("resource"))
    if isinstance(case["output"], dict) and "error" in case["output"]:
        with pytest.raises(ValueError, match=r"namespace|subresource"):
            resource.get_url(**given)
    else:
        expected = case["output"]["url"] if isinstance(case["output"], dict) else case["output"]
        assert resource.get_url(**given) == expected


def test_names_may_be_dotted_as_in_kubectl() -> None:
    """A-SEL-002: a trailing dot is the core group."""
    assert Selector.parse("pods.v1.") == Selector(group="", version="v1", any_name="pods")


def test_a_function_must_be_the_only_positional_argument() -> None:
    """A-SEL-012."""
    with pytest.raises(TypeError, match="only positional"):
        Selector.parse("kopf.dev", lambda resource: True)


def test_functions_see_all_versions() -> None:
    """A-SEL-020."""
    selector = Selector.parse(lambda resource: resource.plural == "kopfexamples")
    assert selector.matches(RESOURCES["kex-v1beta1-nonpreferred"])


def test_events_must_be_named() -> None:
    """A-SEL-023."""
    assert not Selector.parse(lambda resource: True).matches(RESOURCES["events"])


@pytest.mark.parametrize(("args", "group"), [(("kopf.dev", "kex"), "zalando.org"), (("v1", "pods"), "apps")])
def test_contradictions_are_refused(args: tuple[str, ...], group: str) -> None:
    """FIX-31."""
    with pytest.raises(TypeError, match="Contradictory group"):
        Selector.parse(*args, group=group)


def test_a_single_string_with_a_slash_is_refused_in_decorators() -> None:
    """FIX-8."""
    with pytest.raises(TypeError, match="slash"):
        Selector.parse("kopf.dev/kopfexamples")


@pytest.mark.parametrize(
    ("key", "resource"),
    [
        ("pods", "pods"),
        ("v1/pods", "pods"),
        ("kopf.dev/v1/kopfexamples", "kex"),
        ("kopf.dev/kopfexamples", "kex"),
        (("kopf.dev/v1", "kex"), "kex"),
        (("kopf.dev", "v1", "kex"), "kex"),
        (kopf.EVERYTHING, "kex"),
        (lambda resource: resource.plural == "pods", "pods"),
    ],
)
def test_settings_take_selectors_as_keys(key: Any, resource: str) -> None:
    """A-SET-060, FIX-8."""
    mapping = SelectorMapping()
    mapping[key] = "a=b"
    (selector,) = mapping
    assert selector.matches(RESOURCES[resource])
    assert mapping[key] == "a=b"


def test_settings_refuse_other_keys() -> None:
    """A-SET-060."""
    with pytest.raises(TypeError, match="selector"):
        SelectorMapping()[1] = "a=b"


def test_resources_are_their_group_version_and_plural() -> None:
    """A-SEL-040, A-SEL-041."""
    one = kopf.Resource("kopf.dev", "v1", "kopfexamples", kind="KopfExample")
    assert one == kopf.Resource("kopf.dev", "v1", "kopfexamples")
    assert len({one, kopf.Resource("kopf.dev", "v1", "kopfexamples")}) == 1
    assert [*one] == ["kopf.dev", "v1", "kopfexamples"]
    assert f"{one}" == "kopfexamples.v1.kopf.dev"
    assert repr(kopf.Resource("", "v1", "pods")) == "pods.v1"
    assert repr(kopf.Resource("kopf.dev", "v1", "kex/status")) == "kex.v1.kopf.dev/status"
