"""pykube-ng: the steps of `contract/recordings/pykube-ng-23.6.0.json`."""

import pykube
import requests
from steps import GROUP, NAMESPACE, crd, custom, during, show, step, until

api = pykube.HTTPClient(pykube.KubeConfig.from_env())


def obj(kind: type[pykube.objects.APIObject], name: str, **fields: object) -> pykube.objects.APIObject:
    """An object that is not created yet."""
    metadata = {"name": name, "namespace": NAMESPACE}
    return kind(api, {"apiVersion": kind.version, "kind": kind.kind, "metadata": metadata, **fields})


def is_served() -> bool:
    """Whether discovery knows the resource: a moment after its definition is established."""
    try:
        return "KopfExample" in str(api.resource_list(f"{GROUP}/v1"))
    except requests.HTTPError:
        return False


with step("create namespace"):
    space = pykube.Namespace(api, {"metadata": {"name": NAMESPACE}})
    space.create()
    show(space.obj)
configs = pykube.ConfigMap.objects(api, namespace=NAMESPACE)
until(lambda: configs.get_or_none(name="kube-root-ca.crt"))
with step("create definition"):
    pykube.CustomResourceDefinition(api, crd()).create()
path = f"kopfexamples.{GROUP}"
until(lambda: "Established" in str(pykube.CustomResourceDefinition.objects(api).get_by_name(path).obj["status"]))
until(is_served)

with step("list pods"):
    print(len(pykube.Pod.objects(api, namespace=NAMESPACE)))
with step("list all ns selector"):
    print(len(pykube.Pod.objects(api, namespace=pykube.all).filter(selector={"a": "b"})))
with step("list by field and by sets"):
    query = configs.filter(field_selector={"metadata.name": "kube-root-ca.crt"})
    print([item.name for item in query])
    print([item.name for item in configs.filter(selector={"a__in": {"b"}})])
with step("list by a bad field"):
    print(len(configs.filter(field_selector={"spec.nonsense": "x"})))
with step("object_factory"):
    KopfExample = pykube.object_factory(api, f"{GROUP}/v1", "KopfExample")
    print(KopfExample.endpoint, KopfExample.version, issubclass(KopfExample, pykube.objects.NamespacedAPIObject))
with step("object_factory of an unknown kind"):
    pykube.object_factory(api, f"{GROUP}/v1", "Nonsense")
with step("create"):
    example = KopfExample(api, custom("k1", field="value"))
    example.create()
    show(example.obj)
with step("create again"):
    KopfExample(api, custom("k1", field="value")).create()
with step("create what is invalid"):
    KopfExample(api, custom("k2", field="longer")).create()
with step("get"):
    show(KopfExample.objects(api, namespace=NAMESPACE).get(name="k1").obj)
with step("get what is missing"):
    KopfExample.objects(api, namespace=NAMESPACE).get_by_name("nope")
with step("update"):
    example.obj["spec"]["field"] = "u"
    example.update()
    show(example.obj)
with step("patch"):
    example.patch({"spec": {"field": "pp"}})
    show(example.obj)
with step("patch status"):
    example.patch({"status": {"a": 1}}, subresource="status")
    show(example.obj)
with step("label and annotate"):
    example.labels["a"] = "b"
    example.annotations["note"] = "hi"
    example.update()
    print(example.labels, example.annotations)
with step("exists"):
    print(example.exists(), obj(KopfExample, "nope").exists())
with step("reload"):
    example.reload()
    print(example.obj["metadata"]["generation"])
with step("watch"):
    # It begins with what the server's cache has, which a list brings up to date.
    list(KopfExample.objects(api, namespace=NAMESPACE))
    stream = KopfExample.objects(api, namespace=NAMESPACE).watch()

    def changes() -> None:
        KopfExample(api, custom("k3", field="w")).create()
        other = KopfExample.objects(api, namespace=NAMESPACE).get_by_name("k3")
        other.patch({"spec": {"field": "x"}})
        other.delete()

    events = iter(stream)
    event = next(events)
    print(event.type, event.object.name)
    during(changes)
    for _ in range(3):
        event = next(events)
        print(event.type, event.object.name, event.object.obj["spec"])
with step("watch from a version"):
    version = KopfExample.objects(api, namespace=NAMESPACE).response["metadata"]["resourceVersion"]
    during(lambda: example.patch({"spec": {"field": "later"}}))
    for event in KopfExample.objects(api, namespace=NAMESPACE).watch(since=version):
        print(event.type, event.object.obj["spec"])
        break
with step("delete"):
    example.delete(propagation_policy="Foreground")
    until(lambda: not obj(KopfExample, "k1").exists())
with step("delete again"):
    example.delete()

template = {"metadata": {"labels": {"app": "d1"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
with step("deployment scale"):
    spec = {"paused": True, "replicas": 1, "selector": {"matchLabels": {"app": "d1"}}, "template": template}
    deployment = obj(pykube.Deployment, "d1", spec=spec)
    deployment.create()
    deployment.reload()
    deployment.patch({"spec": {"replicas": 3}}, subresource="scale")
    deployment.reload()
    print(deployment.replicas)
with step("deployment with a bad selector"):
    spec = {"selector": {"matchLabels": {"app": "other"}}, "template": template}
    obj(pykube.Deployment, "d2", spec=spec).create()
with step("version"):
    print(api.version)
with step("delete definition"):
    pykube.CustomResourceDefinition.objects(api).get_by_name(path).delete()
    until(lambda: not pykube.CustomResourceDefinition.objects(api).get_or_none(name=path))
with step("list what is not served any more"):
    print(len(KopfExample.objects(api, namespace=NAMESPACE)))
with step("delete namespace"):
    space.delete()
