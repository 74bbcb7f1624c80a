"""The official client: the steps of `contract/recordings/kubernetes-python-37.0.2.json`."""

from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.exceptions import ApiException
from steps import GROUP, NAMESPACE, crd, custom, during, show, step, until

config.load_kube_config()
api = client.ApiClient()
core = client.CoreV1Api()
apps = client.AppsV1Api()
customs = client.CustomObjectsApi()
definitions = client.ApiextensionsV1Api()
PLACE = {"group": GROUP, "version": "v1", "namespace": NAMESPACE, "plural": "kopfexamples"}


def raw(value: object) -> None:
    show(api.sanitize_for_serialization(value))


def is_served() -> bool:
    try:
        customs.list_namespaced_custom_object(**PLACE)
    except ApiException:
        return False
    return True


with step("create namespace"):
    raw(core.create_namespace({"metadata": {"name": NAMESPACE}}))
until(lambda: any(c.metadata.name == "kube-root-ca.crt" for c in core.list_namespaced_config_map(NAMESPACE).items))

with step("create definition"):
    raw(definitions.create_custom_resource_definition(crd()))
until(is_served)

with step("create configmap"):
    raw(core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "a"}, "data": {"x": "1"}}))
with step("create configmap again"):
    core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "a"}, "data": {"x": "1"}})
with step("create configmap with a bad name"):
    core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "A_b"}, "data": {"x": "1"}})
with step("create configmap with a bad type"):
    core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "b"}, "data": {"x": 1}})
with step("create configmap with an unknown field, strict"):
    core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "b"}, "date": {}}, field_validation="Strict")
with step("create configmap, dry run"):
    raw(core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "b"}}, dry_run="All"))
with step("patch configmap (default content type)"):
    raw(core.patch_namespaced_config_map("a", NAMESPACE, {"data": {"x": "2"}}))
with step("patch configmap list body"):
    raw(core.patch_namespaced_config_map("a", NAMESPACE, [{"op": "replace", "path": "/data/x", "value": "3"}]))
with step("patch configmap, failing test"):
    core.patch_namespaced_config_map("a", NAMESPACE, [{"op": "test", "path": "/data/x", "value": "other"}])
with step("replace configmap"):
    old = core.read_namespaced_config_map("a", NAMESPACE)
    old.data["x"] = "4"
    raw(core.replace_namespaced_config_map("a", NAMESPACE, old))
with step("replace configmap, conflict"):
    core.replace_namespaced_config_map("a", NAMESPACE, old)
with step("list configmaps by pages"):
    for name in ("p1", "p2", "p3"):
        core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": name, "labels": {"page": "yes"}}})
    page = core.list_namespaced_config_map(NAMESPACE, label_selector="page", limit=2)
    print(
        [item.metadata.name for item in page.items], page.metadata.remaining_item_count, bool(page.metadata._continue)
    )
    page = core.list_namespaced_config_map(NAMESPACE, label_selector="page", limit=2, _continue=page.metadata._continue)
    print(
        [item.metadata.name for item in page.items], page.metadata.remaining_item_count, bool(page.metadata._continue)
    )
with step("list with a bad token"):
    core.list_namespaced_config_map(NAMESPACE, limit=2, _continue="bad")
with step("list with a bad selector"):
    core.list_namespaced_config_map(NAMESPACE, label_selector="a in b")
with step("list configmaps by pages without the count"):
    page = core.list_namespaced_config_map(NAMESPACE, limit=2)
    print([item.metadata.name for item in page.items], page.metadata.remaining_item_count)

with step("create custom object"):
    show(customs.create_namespaced_custom_object(**PLACE, body=custom("k1", field="value")))
with step("create custom object again"):
    customs.create_namespaced_custom_object(**PLACE, body=custom("k1", field="value"))
with step("create custom object that is invalid"):
    customs.create_namespaced_custom_object(**PLACE, body=custom("k2", field="longer"))
with step("get custom object"):
    show(customs.get_namespaced_custom_object(**PLACE, name="k1"))
with step("list custom objects"):
    show(customs.list_namespaced_custom_object(**PLACE, label_selector="x=y", limit=10))
with step("list cluster custom objects"):
    show(customs.list_cluster_custom_object(GROUP, "v1", "kopfexamples"))
with step("patch custom object"):
    show(customs.patch_namespaced_custom_object(**PLACE, name="k1", body={"spec": {"field": "p"}}))
with step("patch custom object that does not exist"):
    customs.patch_namespaced_custom_object(**PLACE, name="nope", body={"spec": {"field": "p"}})
with step("patch custom object status"):
    show(
        customs.patch_namespaced_custom_object_status(
            **PLACE, name="k1", body={"status": {"a": 1}, "spec": {"field": "s"}}
        )
    )
with step("replace custom object"):
    found = customs.get_namespaced_custom_object(**PLACE, name="k1")
    found["spec"]["field"] = "r"
    show(customs.replace_namespaced_custom_object(**PLACE, name="k1", body=found))
with step("replace custom object, conflict"):
    customs.replace_namespaced_custom_object(**PLACE, name="k1", body=found)
with step("replace custom object without a version"):
    del found["metadata"]["resourceVersion"]
    customs.replace_namespaced_custom_object(**PLACE, name="k1", body=found)

with step("watch custom objects"):
    # It begins with what the server's cache has, which a list brings up to date.
    customs.list_namespaced_custom_object(**PLACE)
    stream = watch.Watch().stream(customs.list_namespaced_custom_object, **PLACE, timeout_seconds=30)
    print((first := next(stream))["type"], first["object"]["metadata"]["name"])

    def changes() -> None:
        customs.patch_namespaced_custom_object(**PLACE, name="k1", body={"metadata": {"labels": {"a": "b"}}})
        customs.create_namespaced_custom_object(**PLACE, body=custom("k3", field="w"))
        customs.delete_namespaced_custom_object(**PLACE, name="k3")

    during(changes)
    for _ in range(3):
        event = next(stream)
        print(event["type"], event["object"]["metadata"]["name"], event["object"]["metadata"].get("labels"))
    stream.close()
with step("watch configmaps for one second"):
    core.list_namespaced_config_map(NAMESPACE)
    for event in watch.Watch().stream(
        core.list_namespaced_config_map, NAMESPACE, label_selector="page", timeout_seconds=1
    ):
        print(event["type"], event["object"].metadata.name)
with step("watch from an old version"):
    for event in watch.Watch().stream(
        core.list_namespaced_config_map, NAMESPACE, resource_version="9999999", timeout_seconds=1
    ):
        print(event["type"])

with step("dynamic client"):
    dynamics = dynamic.DynamicClient(api)
    resource = dynamics.resources.get(api_version=f"{GROUP}/v1", kind="KopfExample")
    show(resource.get(name="k1", namespace=NAMESPACE).to_dict())
with step("dynamic server_side_apply"):
    maps = dynamics.resources.get(api_version="v1", kind="ConfigMap")
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "ssa", "namespace": NAMESPACE},
        "data": {"a": "1"},
    }
    show(maps.server_side_apply(body=body, field_manager="me").to_dict())
with step("dynamic server_side_apply, conflict"):
    body["data"] = {"a": "2"}
    maps.server_side_apply(body=body, field_manager="other")
with step("dynamic server_side_apply, forced"):
    show(maps.server_side_apply(body=body, field_manager="other", force_conflicts=True).to_dict())

template = {"metadata": {"labels": {"app": "d1"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}}
deployment = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d1", "namespace": NAMESPACE},
    # Paused, so that nothing is rolled out.
    "spec": {"paused": True, "replicas": 1, "selector": {"matchLabels": {"app": "d1"}}, "template": template},
}
with step("create_from_dict deployment"):
    created = utils.create_from_dict(api, deployment)[0]
    raw(created.spec)
with step("patch deployment scale"):
    raw(apps.patch_namespaced_deployment_scale("d1", NAMESPACE, {"spec": {"replicas": 2}}).spec)
with step("patch deployment, strategic"):
    extra = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "side"}]}}}}
    patched = apps.patch_namespaced_deployment("d1", NAMESPACE, extra)
    print([container.name for container in patched.spec.template.spec.containers])
with step("delete configmap"):
    raw(core.delete_namespaced_config_map("a", NAMESPACE, propagation_policy="Foreground"))
    until(lambda: "a" not in [item.metadata.name for item in core.list_namespaced_config_map(NAMESPACE).items])
with step("delete configmap, background"):
    raw(core.delete_namespaced_config_map("p1", NAMESPACE, propagation_policy="Background"))
with step("delete configmap, precondition"):
    core.delete_namespaced_config_map("p2", NAMESPACE, body={"preconditions": {"uid": "no"}})
with step("delete configmaps by their label"):
    raw(core.delete_collection_namespaced_config_map(NAMESPACE, label_selector="page"))
with step("delete collection custom"):
    show(customs.delete_collection_namespaced_custom_object(**PLACE))
with step("read missing"):
    core.read_namespaced_pod("nope", NAMESPACE)
with step("version"):
    raw(client.VersionApi().get_code().git_version)
with step("token review"):
    raw(client.AuthenticationV1Api().create_token_review({"spec": {"token": "t"}}))
with step("ssar"):
    review = {"spec": {"resourceAttributes": {"resource": "pods", "verb": "get"}}}
    raw(client.AuthorizationV1Api().create_self_subject_access_review(review))
with step("pods all ns"):
    print(type(core.list_pod_for_all_namespaces(watch=False)).__name__)
with step("create an event"):
    reference = {"apiVersion": f"{GROUP}/v1", "kind": "KopfExample", "name": "k1", "namespace": NAMESPACE}
    event = {"metadata": {"generateName": "e-"}, "involvedObject": reference, "reason": "Tested"}
    raw(core.create_namespaced_event(NAMESPACE, event).reason)
with step("delete definition"):
    show(
        api.sanitize_for_serialization(definitions.delete_custom_resource_definition(f"kopfexamples.{GROUP}"))[
            "metadata"
        ].get("finalizers")
    )
with step("delete namespace"):
    raw(api.sanitize_for_serialization(core.delete_namespace(NAMESPACE))["status"])
