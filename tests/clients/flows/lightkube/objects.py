"""lightkube: the steps of `contract/recordings/lightkube-1.0.1.json`."""

import os
import sys

import httpx2
import lightkube
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource
from lightkube.models.apps_v1 import DeploymentSpec
from lightkube.models.core_v1 import Container, PodSpec, PodTemplateSpec
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, Pod
from lightkube.types import CascadeType, PatchType
from steps import GROUP, NAMESPACE, crd, custom, during, show, step, until

client = lightkube.Client(namespace=NAMESPACE, field_manager="lk")
KopfExample = create_namespaced_resource(GROUP, "v1", "KopfExample", "kopfexamples")


def config(name: str, **data: str) -> ConfigMap:
    """A ConfigMap that is not created yet."""
    return ConfigMap(apiVersion="v1", kind="ConfigMap", metadata=ObjectMeta(name=name, namespace=NAMESPACE), data=data)


def is_served() -> bool:
    try:
        list(client.list(KopfExample))
    except (ApiError, httpx2.HTTPStatusError):
        return False
    return True


with step("create namespace"):
    show(client.create(Namespace(metadata=ObjectMeta(name=NAMESPACE))).to_dict())
until(lambda: "kube-root-ca.crt" in [item.metadata.name for item in client.list(ConfigMap)])
with step("create definition"):
    print(client.create(CustomResourceDefinition.from_dict(crd())).metadata.name)
until(is_served)
with step("wait for the definition"):
    print(client.wait(CustomResourceDefinition, f"kopfexamples.{GROUP}", for_conditions=["Established"]).metadata.name)

with step("list namespaces"):
    print(NAMESPACE in [item.metadata.name for item in client.list(Namespace)])
with step("create cm"):
    show(client.create(config("a", a="1")).to_dict())
with step("create cm again"):
    client.create(config("a", a="1"))
with step("create cm, dry run"):
    show(client.create(config("dry", a="1"), dry_run=True).to_dict())
with step("patch cm"):
    show(client.patch(ConfigMap, "a", {"data": {"a": "2"}}).to_dict())
with step("patch merge"):
    show(client.patch(ConfigMap, "a", {"data": {"a": "2"}}, patch_type=PatchType.MERGE).to_dict())
with step("patch json"):
    operations = [{"op": "add", "path": "/data/b", "value": "3"}]
    show(client.patch(ConfigMap, "a", operations, patch_type=PatchType.JSON).to_dict()["data"])
with step("patch json, failing"):
    client.patch(ConfigMap, "a", [{"op": "remove", "path": "/data/none"}], patch_type=PatchType.JSON)
with step("apply"):
    show(client.apply(config("b", a="1")).to_dict())
with step("apply, conflict"):
    client.apply(config("b", a="2"), field_manager="other")
with step("apply, forced"):
    show(client.apply(config("b", a="2"), field_manager="other", force=True).to_dict())
with step("apply CR"):
    show(client.apply(KopfExample(custom("k1", field="value"))).to_dict())
with step("apply CR, invalid"):
    client.apply(KopfExample(custom("k2", field="longer")))
with step("get CR"):
    show(client.get(KopfExample, "k1").to_dict())
with step("get CR that is missing"):
    client.get(KopfExample, "nope")
with step("list chunk"):
    for name in ("p1", "p2", "p3"):
        client.create(ConfigMap(metadata=ObjectMeta(name=name, labels={"page": "yes"})))
    print([item.metadata.name for item in client.list(ConfigMap, labels={"page": "yes"}, chunk_size=2)])
    print([item.metadata.name for item in client.list(ConfigMap, labels={"page": ["yes", "no"]})])
    print([item.metadata.name for item in client.list(ConfigMap, fields={"metadata.name": "p2"})])
with step("patch status"):
    show(client.patch(KopfExample.Status, "k1", {"status": {"a": 1}}, patch_type=PatchType.MERGE).to_dict())
with step("strategic patch of a CR"):
    client.patch(KopfExample, "k1", {"spec": {"field": "s"}})
with step("replace"):
    example = client.get(KopfExample, "k1")
    example.spec["field"] = "r"
    show(client.replace(example).to_dict())
with step("replace, conflict"):
    client.replace(example)
with step("watch"):
    version = next(iter(client.list(KopfExample))).metadata.resourceVersion
    events = client.watch(KopfExample, resource_version=version)

    def changes() -> None:
        client.patch(KopfExample, "k1", {"spec": {"field": "w"}}, patch_type=PatchType.MERGE)
        client.create(KopfExample(custom("k3", field="w")))
        client.delete(KopfExample, "k3")

    during(changes)
    for _ in range(3):
        kind, item = next(events)
        print(kind, item.metadata.name, item.spec)
with step("deployment"):
    pod = PodSpec(containers=[Container(name="c", image="nginx")])
    spec = DeploymentSpec(
        paused=True,  # so that nothing is rolled out
        selector=LabelSelector(matchLabels={"app": "d1"}),
        template=PodTemplateSpec(metadata=ObjectMeta(labels={"app": "d1"}), spec=pod),
    )
    show(client.create(Deployment(metadata=ObjectMeta(name="d1"), spec=spec)).spec.to_dict())
with step("scale"):
    show(client.get(Deployment.Scale, "d1").spec.to_dict())
    show(client.patch(Deployment.Scale, "d1", {"spec": {"replicas": 3}}, patch_type=PatchType.MERGE).spec.to_dict())
    print(client.get(Deployment, "d1").spec.replicas)
with step("pod logs of a missing pod"):
    print(list(client.log("nope")))
with step("delete"):
    client.delete(KopfExample, "k1", cascade=CascadeType.FOREGROUND)
    until(lambda: "k1" not in [item.metadata.name for item in client.list(KopfExample)])
with step("delete again"):
    client.delete(KopfExample, "k1")
with step("deletecollection"):
    client.deletecollection(ConfigMap)
    until(lambda: [item.metadata.name for item in client.list(ConfigMap)] == ["kube-root-ca.crt"])
with step("pods of all namespaces"):
    print(all(isinstance(pod, Pod) for pod in client.list(Pod, namespace="*")))
with step("delete definition"):
    client.delete(CustomResourceDefinition, f"kopfexamples.{GROUP}")
with step("delete namespace"):
    client.delete(Namespace, NAMESPACE)

# A native module that it uses crashes when the interpreter cleans up.
sys.stdout.flush()
os._exit(0)
