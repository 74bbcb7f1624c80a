"""Owner references, names, namespaces, labels (A-HIE, FIX-18, FIX-29)."""

import copy
from collections.abc import Callable
from typing import Any

import kubernetes.client as k8s
import pykube
import pytest
from helpers import golden

import kopf

OWNER: dict[str, Any] = {
    "apiVersion": "kopf.dev/v1",
    "kind": "KopfExample",
    "metadata": {"name": "owner", "namespace": "ns", "uid": "u1", "labels": {"app": "x"}},
}
REFERENCE = {
    "controller": True,
    "blockOwnerDeletion": True,
    "apiVersion": "kopf.dev/v1",
    "kind": "KopfExample",
    "name": "owner",
    "uid": "u1",
}


def as_dict(obj: Any) -> Any:
    return obj.obj if isinstance(obj, pykube.objects.APIObject) else k8s.ApiClient().sanitize_for_serialization(obj)


KINDS: list[Callable[[], Any]] = [
    lambda: {"apiVersion": "v1", "kind": "Pod"},
    lambda: pykube.Pod(None, {"apiVersion": "v1", "kind": "Pod"}),
    lambda: k8s.V1Pod(api_version="v1", kind="Pod"),
]

kinds = pytest.mark.parametrize("make", KINDS, ids=["dict", "pykube", "model"])


def test_references_of_objects_have_no_empty_parts() -> None:
    """A-PUB-041."""
    assert kopf.build_object_reference(OWNER) == {
        "apiVersion": "kopf.dev/v1",
        "kind": "KopfExample",
        "name": "owner",
        "uid": "u1",
        "namespace": "ns",
    }
    assert kopf.build_object_reference({"kind": "X", "metadata": {"name": ""}}) == {"kind": "X"}


def test_references_of_owners_keep_false_flags() -> None:
    """A-PUB-042."""
    assert kopf.build_owner_reference(OWNER) == REFERENCE
    assert kopf.build_owner_reference(OWNER, controller=False, block_owner_deletion=None) == {
        "controller": False,
        "apiVersion": "kopf.dev/v1",
        "kind": "KopfExample",
        "name": "owner",
        "uid": "u1",
    }


@pytest.mark.parametrize(
    "case",
    [case for case in golden("event_sources") if case["kind"] == "object_reference"],
    ids=lambda case: case["id"],
)
def test_references_are_as_recorded(case: dict[str, Any]) -> None:
    """W-EVT-004, golden: event_sources."""
    output = case["output"]
    assert kopf.build_object_reference(case["input"]) == output["for_explicit_events"]
    assert kopf.build_owner_reference(case["input"]) == output["owner_reference"]
    extra = kopf.ObjectLogger(body=case["input"], settings=None).extra
    assert extra is not None
    assert extra["k8s_ref"] == output["for_logs"]


@kinds
def test_objects_are_owned_once(make: Callable[[], Any]) -> None:
    """A-HIE-003, A-HIE-010."""
    obj = make()
    kopf.append_owner_reference([obj, None, [[obj]]], OWNER)
    kopf.append_owner_reference(obj, OWNER, controller=False)
    assert as_dict(obj)["metadata"]["ownerReferences"] == [REFERENCE]


@kinds
def test_flags_may_be_left_out(make: Callable[[], Any]) -> None:
    """A-HIE-010, FIX-29."""
    obj = make()
    kopf.append_owner_reference(obj, OWNER, controller=None, block_owner_deletion=None)
    (reference,) = as_dict(obj)["metadata"]["ownerReferences"]
    assert "controller" not in reference
    assert "blockOwnerDeletion" not in reference


@kinds
def test_objects_are_disowned(make: Callable[[], Any]) -> None:
    """A-HIE-011."""
    obj = make()
    kopf.append_owner_reference(obj, OWNER)
    kopf.remove_owner_reference(obj, OWNER)
    assert as_dict(obj)["metadata"]["ownerReferences"] == []


def test_references_are_not_shared_by_objects() -> None:
    """FIX-29."""
    one, other = {}, {}  # type: dict[str, Any], dict[str, Any]
    kopf.append_owner_reference([one, other], OWNER)
    one["metadata"]["ownerReferences"][0]["uid"] = "changed"
    assert other["metadata"]["ownerReferences"] == [REFERENCE]


@kinds
def test_names_are_generated_or_strict(make: Callable[[], Any]) -> None:
    """A-HIE-012."""
    obj = make()
    kopf.harmonize_naming(obj, "a")
    assert as_dict(obj)["metadata"] == {"generateName": "a-"}
    kopf.harmonize_naming(obj, "b")
    assert as_dict(obj)["metadata"] == {"generateName": "a-"}
    kopf.harmonize_naming(obj, "b", forced=True, strict=True)
    assert as_dict(obj)["metadata"] == {"name": "b"}
    kopf.harmonize_naming(obj, "c", forced=True)
    assert as_dict(obj)["metadata"] == {"generateName": "c-"}


@kinds
def test_namespaces_are_set_where_there_are_none(make: Callable[[], Any]) -> None:
    """A-HIE-014."""
    obj = make()
    kopf.adjust_namespace(obj, "a")
    kopf.adjust_namespace(obj, "b")
    assert as_dict(obj)["metadata"] == {"namespace": "a"}
    kopf.adjust_namespace(obj, "b", forced=True)
    assert as_dict(obj)["metadata"] == {"namespace": "b"}


@kinds
def test_labels_are_added(make: Callable[[], Any]) -> None:
    """A-HIE-015."""
    obj = make()
    kopf.label(obj, {"a": "1"})
    kopf.label(obj, {"a": "2", "b": "2"})
    assert as_dict(obj)["metadata"]["labels"] == {"a": "1", "b": "2"}
    kopf.label(obj, {"a": "2"}, forced=True)
    assert as_dict(obj)["metadata"]["labels"] == {"a": "2", "b": "2"}


def test_no_labels_make_empty_stanzas() -> None:
    """A-HIE-015."""
    obj: dict[str, Any] = {}
    kopf.label(obj, {})
    assert obj == {"metadata": {"labels": {}}}


def test_the_former_name_of_forced_is_warned_of() -> None:
    """A-HIE-016."""
    obj = {"metadata": {"labels": {"a": "1"}}}
    with pytest.warns(DeprecationWarning, match="forced"):
        kopf.label(obj, {"a": "2"}, force=True)
    assert obj["metadata"]["labels"] == {"a": "2"}


@pytest.mark.parametrize("nested", ["spec.template", ["spec.template", "spec.absent"], [("spec", "template")]])
def test_nested_objects_are_labelled(nested: Any) -> None:
    """A-HIE-017."""
    obj: dict[str, Any] = {"spec": {"template": {}}}
    kopf.label(obj, {"a": "1"}, nested=nested)
    assert obj == {
        "metadata": {"labels": {"a": "1"}},
        "spec": {"template": {"metadata": {"labels": {"a": "1"}}}},
    }


def test_nested_objects_of_models_are_labelled() -> None:
    """A-HIE-017."""
    template = k8s.V1JobTemplateSpec()
    job = k8s.V1CronJob(spec=k8s.V1CronJobSpec(job_template=template, schedule="* * * * *"))
    kopf.label(job, {"a": "1"}, nested=["spec.jobTemplate", "spec.absent"])
    assert job.metadata.labels == template.metadata.labels == {"a": "1"}


@pytest.mark.parametrize("inner", [None, [], "text"])
def test_nested_fields_must_be_mappings(inner: Any) -> None:
    """A-HIE-017."""
    with pytest.raises(TypeError, match=r"spec.*no mapping"):
        kopf.label({"spec": inner}, {"a": "1"}, nested="spec.template")


@kinds
def test_adopted_objects_have_it_all(make: Callable[[], Any]) -> None:
    """A-HIE-018."""
    obj = make()
    kopf.adopt(obj, OWNER)
    assert as_dict(obj)["metadata"] == {
        "ownerReferences": [REFERENCE],
        "generateName": "owner-",
        "namespace": "ns",
        "labels": {"app": "x"},
    }


def test_children_of_cluster_scoped_owners_have_a_null_namespace() -> None:
    """A-HIE-019, KEEP-12."""
    owner = copy.deepcopy(OWNER)
    del owner["metadata"]["namespace"]
    obj: dict[str, Any] = {}
    kopf.adopt(obj, owner)
    assert obj["metadata"]["namespace"] is None


@pytest.mark.parametrize(
    "owner",
    [
        OWNER,
        kopf.Body(OWNER),
        pykube.objects.APIObject(None, OWNER),
        k8s.V1Pod(
            api_version="kopf.dev/v1",
            kind="KopfExample",
            metadata=k8s.V1ObjectMeta(name="owner", namespace="ns", uid="u1", labels={"app": "x"}),
        ),
    ],
)
def test_owners_may_be_of_any_library(owner: Any) -> None:
    """A-HIE-005, FIX-29."""
    obj: dict[str, Any] = {}
    kopf.adopt(obj, owner)
    assert obj["metadata"]["ownerReferences"] == [REFERENCE]
    assert obj["metadata"]["labels"] == {"app": "x"}


@pytest.mark.parametrize("obj", ["text", 1, kopf.Body({}), [["text"]]])
def test_other_things_are_refused(obj: Any) -> None:
    """A-HIE-002, FIX-29: a string is no endless list of strings."""
    with pytest.raises(TypeError, match="must be a dict"):
        kopf.label(obj, {"a": "1"})


@pytest.mark.parametrize(
    "call",
    [
        lambda: kopf.adopt({}),
        lambda: kopf.append_owner_reference({}),
        lambda: kopf.remove_owner_reference({}),
        lambda: kopf.label({}),
        lambda: kopf.label({}, None),
        lambda: kopf.harmonize_naming({}, None),
        lambda: kopf.adjust_namespace({}, None),
    ],
)
def test_outside_of_handlers_there_is_no_default_owner(call: Callable[[], None]) -> None:
    """A-HIE-004, FIX-18: `None` means the object that is being handled."""
    with pytest.raises(LookupError, match="being handled"):
        call()


def test_habit_secrets_of_the_official_client_are_owned() -> None:
    """Habit: `kopf.append_owner_reference(V1Secret)`."""
    secret = k8s.V1Secret(metadata=k8s.V1ObjectMeta(name="s"))
    kopf.append_owner_reference(secret, owner=kopf.Body(OWNER))
    assert secret.metadata.owner_references[0].uid == "u1"
