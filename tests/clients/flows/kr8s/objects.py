"""kr8s: the steps of `contract/recordings/kr8s-0.20.15.json`."""

import typing

import kr8s
from kr8s.objects import ConfigMap, CustomResourceDefinition, Deployment, Namespace, new_class
from steps import GROUP, NAMESPACE, crd, custom, during, show, step, until

api = kr8s.api(namespace=NAMESPACE)
KopfExample = new_class("KopfExample", version=f"{GROUP}/v1", namespaced=True, plural="kopfexamples")


def config(name: str, **data: str) -> ConfigMap:
    """A ConfigMap that is not created yet."""
    return ConfigMap({"metadata": {"name": name, "namespace": NAMESPACE}, "data": data})


def is_served() -> bool:
    try:
        list(api.get(KopfExample))
    except Exception:
        return False
    return True


def has_conditions() -> bool:
    definition.refresh()
    return bool(definition.raw["status"]["conditions"])


def names(*args: typing.Any, **kwargs: typing.Any) -> list[str]:
    """What a list has."""
    return sorted(item.name for item in api.get(*args, **kwargs))


with step("create namespace"):
    Namespace({"metadata": {"name": NAMESPACE}}).create()
until(lambda: config("kube-root-ca.crt").exists())
with step("create definition"):
    definition = CustomResourceDefinition(crd())
    definition.create()
    until(has_conditions)  # `wait` cannot read the null that a server may give before it has looked at a definition
    definition.wait("condition=Established", timeout=30)
until(is_served)

with step("get namespaces"):
    print(NAMESPACE in names("namespaces"))
with step("get deploy"):
    print(names("deploy"), names("deployments.apps"))
with step("get unknown cr by plural"):
    print(names(f"kopfexamples.{GROUP}"))
with step("get an unknown kind"):
    print(names("nonsense"))
with step("create"):
    example = KopfExample(custom("k1", field="value"), api=api)
    example.create()
    show(example.raw.to_dict())
with step("create again"):
    KopfExample(custom("k1", field="value"), api=api).create()
with step("create what is invalid"):
    KopfExample(custom("k2", field="longer"), api=api).create()
with step("exists"):
    print(example.exists(), KopfExample(custom("nope"), api=api).exists())
with step("refresh"):
    example.refresh()
    print(example.raw["metadata"]["generation"])
with step("get what is missing"):
    print(KopfExample.get("nope", namespace=NAMESPACE, api=api, timeout=0.1))
with step("refresh what is missing"):
    KopfExample(custom("nope"), api=api).refresh()
with step("patch"):
    example.patch({"spec": {"field": "x"}})
    show(example.raw.to_dict())
with step("patch json"):
    example.patch([{"op": "replace", "path": "/spec/field", "value": "y"}], type="json")
    print(example.spec)
with step("patch json, failing"):
    example.patch([{"op": "test", "path": "/spec/field", "value": "z"}], type="json")
with step("patch status"):
    example.patch({"status": {"x": 1}}, subresource="status")
    print(example.status)
with step("label"):
    example.label({"a": "b"})
    print(example.labels)
with step("annotate"):
    example.annotate({"a": "b"})
    print(example.annotations)
with step("label, badly"):
    example.label({"a b": "c"})
with step("get field selector"):
    print(names("pods", label_selector={"a": "b"}, field_selector={"spec.nodeName": "x"}))
    print(names(KopfExample, label_selector="a in (b, c)"))
with step("watch"):

    def changes() -> None:
        other = KopfExample(custom("k3", field="w"), api=api)
        other.create()
        other.patch({"spec": {"field": "v"}})
        other.delete()

    events = api.watch(KopfExample)
    kind, item = next(events)
    print(kind, item.name)
    during(changes)
    for _ in range(3):
        kind, item = next(events)
        print(kind, item.name, item.spec)
with step("wait for a field"):
    # It looks once before it watches, and fails if there is no such field.
    example.patch({"status": {"phase": "Going"}}, subresource="status")
    during(lambda: example.patch({"status": {"phase": "Done"}}, subresource="status"))
    example.wait("jsonpath='{.status.phase}'=Done", timeout=30)
    print(example.status)
with step("wait delete"):
    example.delete()
    example.wait("delete", timeout=30)
    print(example.exists())
with step("delete again"):
    example.delete()
with step("delete in the background"):
    config("bg", a="1").create()
    config("bg").delete(propagation_policy="Background")
    until(lambda: not config("bg").exists())

template = {"metadata": {"labels": {"app": "d1"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
with step("deployment create and scale"):
    spec = {"paused": True, "replicas": 0, "selector": {"matchLabels": {"app": "d1"}}, "template": template}
    deployment = Deployment({"metadata": {"name": "d1", "namespace": NAMESPACE}, "spec": spec})
    deployment.create()
    deployment.refresh()
    deployment.patch({"spec": {"replicas": 2}})
    deployment.refresh()
    print(deployment.replicas)
with step("version"):
    show(api.version()["gitVersion"])
with step("whoami"):
    print(api.whoami())
with step("api_resources"):
    resources = list(api.api_resources())
    ours = [resource for resource in resources if resource["version"].startswith(GROUP)]
    show(ours)
    built_in = [resource for resource in resources if resource["version"] in ("v1", "apps/v1", "batch/v1")]
    print(sorted((resource["version"], resource["name"], resource["kind"]) for resource in built_in))
with step("delete definition"):
    definition.delete()
    definition.wait("delete", timeout=30)
with step("list what is not served any more"):
    print(names(KopfExample))
with step("delete namespace"):
    Namespace({"metadata": {"name": NAMESPACE}}).delete()
