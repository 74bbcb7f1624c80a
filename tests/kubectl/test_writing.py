"""What kubectl writes: apply, create, edit, patch, label, delete, wait."""

import json
import pathlib

from conftest import CRD, Kubectl, widget


def test_apply_creates_changes_and_leaves_alone(kubectl: Kubectl) -> None:
    assert kubectl("apply", "-f", "-", given=widget("a", size=1)) == "widget.test.dev/a created\n"
    assert kubectl("apply", "-f", "-", given=widget("a", size=1)) == "widget.test.dev/a unchanged\n"
    assert kubectl("apply", "-f", "-", given=widget("a", size=2)) == "widget.test.dev/a configured\n"
    assert kubectl("get", "widget", "a", "-o", "jsonpath={.spec.size}") == "2"


def test_apply_refuses_what_the_schema_refuses(kubectl: Kubectl) -> None:
    """D-079, D-131: kubectl validates strictly by default."""
    text = kubectl("apply", "-f", "-", given=widget("a", size=0), status=1)
    assert (
        'The Widget "a" is invalid: spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1'
        in text
    )
    text = kubectl("apply", "-f", "-", given=widget("a", sice=1), status=1)
    assert 'strict decoding error: unknown field "spec.sice"' in text


def test_apply_server_side_owns_fields_and_reports_conflicts(kubectl: Kubectl) -> None:
    """D-158, D-159."""
    assert "serverside-applied" in kubectl("apply", "--server-side", "-f", "-", given=widget("a", size=1))
    text = kubectl("apply", "--server-side", "--field-manager=other", "-f", "-", given=widget("a", size=2), status=1)
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .spec.size' in text
    kubectl(
        "apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-", given=widget("a", size=2)
    )
    assert kubectl("get", "widget", "a", "-o", "jsonpath={.spec.size}") == "2"


def test_apply_server_side_takes_over_from_apply_client_side(kubectl: Kubectl) -> None:
    """D-160."""
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": "v"}}
    kubectl("apply", "-f", "-", given=json.dumps(config))
    kubectl("apply", "--server-side", "-f", "-", given=json.dumps({**config, "data": {"k": "w"}}))
    assert kubectl("get", "configmap", "c", "-o", "jsonpath={.data.k}") == "w"


def test_apply_of_a_definition_and_its_objects_takes_two_rounds(kubectl: Kubectl) -> None:
    """D-055: as on a real cluster."""
    both = CRD.replace("widget", "gadget").replace("Widget", "Gadget").replace("wd", "gd") + "---\n"
    both += widget("a", size=1).replace("Widget", "Gadget")
    kubectl("delete", "crd", "gadgets.test.dev", "--ignore-not-found")
    assert "ensure CRDs are installed first" in kubectl("apply", "-f", "-", given=both, status=1)
    assert "gadget.test.dev/a created" in kubectl("apply", "-f", "-", given=both)


def test_apply_of_a_second_container_keeps_the_first(kubectl: Kubectl) -> None:
    """DEC-25: client-side apply merges lists of built-ins by kubectl's compiled types."""

    def deployment(*images: str) -> str:
        containers = [{"name": image, "image": image} for image in images]
        template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": containers}}
        spec = {"selector": {"matchLabels": {"app": "x"}}, "template": template}
        return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec})

    names = ("get", "deploy", "d", "-o", "jsonpath={.spec.template.spec.containers[*].name}")
    kubectl("apply", "-f", "-", given=deployment("one"))
    kubectl("set", "image", "deploy/d", "one=one:2")
    kubectl("apply", "-f", "-", given=deployment("one", "two"))
    assert set(kubectl(*names).split()) == {"one", "two"}


def test_patch_of_a_built_in_merges_lists_by_their_keys(kubectl: Kubectl) -> None:
    """D-155: strategic merge patches are kubectl's default."""
    kubectl("create", "deployment", "d", "--image=nginx")
    second = {"spec": {"template": {"spec": {"containers": [{"name": "two", "image": "two"}]}}}}
    kubectl("patch", "deploy", "d", "-p", json.dumps(second))
    names = kubectl("get", "deploy", "d", "-o", "jsonpath={.spec.template.spec.containers[*].name}")
    assert set(names.split()) == {"nginx", "two"}


def test_scale_sets_the_replicas_of_a_workload(kubectl: Kubectl) -> None:
    """D-164."""
    kubectl("create", "deployment", "d", "--image=nginx")
    assert kubectl("scale", "deploy", "d", "--replicas=3") == "deployment.apps/d scaled\n"
    assert kubectl("get", "deploy", "d", "-o", "jsonpath={.spec.replicas}") == "3"


def test_create_commands_that_write_protobuf_work(kubectl: Kubectl) -> None:
    """D-023."""
    assert kubectl("create", "configmap", "c", "--from-literal=k=v") == "configmap/c created\n"
    assert kubectl("get", "configmap", "c", "-o", "jsonpath={.data.k}") == "v"
    kubectl("create", "secret", "generic", "s", "--from-literal=password=x")
    assert kubectl("get", "secret", "s", "-o", "jsonpath={.data.password}") == "eA=="
    kubectl("create", "deployment", "d", "--image=nginx", "--replicas=2")
    assert kubectl("get", "deploy", "d", "-o", "jsonpath={.spec.replicas}") == "2"
    kubectl("create", "role", "r", "--verb=get", "--resource=pods")
    kubectl("create", "serviceaccount", "sa")


def test_edit_saves_what_the_editor_leaves(kubectl: Kubectl, tmp_path: pathlib.Path) -> None:
    kubectl("apply", "-f", "-", given=widget("a", size=1))
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/size: 1/size: 7/" "$1"\n')
    editor.chmod(0o755)
    assert kubectl("edit", "widget", "a", KUBE_EDITOR=str(editor)) == "widget.test.dev/a edited\n"
    assert kubectl("get", "widget", "a", "-o", "jsonpath={.spec.size}") == "7"


def test_patch_takes_merge_and_json_patches_and_refuses_strategic_ones_for_custom_resources(kubectl: Kubectl) -> None:
    """D-150, D-151."""
    kubectl("apply", "-f", "-", given=widget("a", size=1))
    kubectl("patch", "widget", "a", "--type=merge", "-p", '{"spec": {"size": 2}}')
    kubectl("patch", "widget", "a", "--type=json", "-p", '[{"op": "replace", "path": "/spec/size", "value": 3}]')
    assert kubectl("get", "widget", "a", "-o", "jsonpath={.spec.size}") == "3"
    assert "strategic-merge-patch+json is not supported by test.dev/v1, Kind=Widget" in kubectl(
        "patch", "widget", "a", "--type=strategic", "-p", '{"spec": {"size": 4}}', status=1
    )
    kubectl("patch", "widget", "a", "--subresource=status", "--type=merge", "-p", '{"status": {"phase": "Ready"}}')
    assert kubectl("get", "widget", "a", "-o", "jsonpath={.status.phase}{.spec.size}") == "Ready3"


def test_label_and_annotate_add_change_and_remove(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", given=widget("a", size=1))
    assert kubectl("label", "widget", "a", "k=1") == "widget.test.dev/a labeled\n"
    kubectl("label", "widget", "a", "k=2", "--overwrite")
    assert kubectl("get", "widget", "a", "-o", "jsonpath={.metadata.labels.k}") == "2"
    assert kubectl("label", "widget", "a", "k-") == "widget.test.dev/a unlabeled\n"
    kubectl("annotate", "widget", "a", "note=hello")
    assert kubectl("get", "widget", "a", "-o", "jsonpath={.metadata.annotations.note}") == "hello"


def test_delete_waits_until_the_finalizers_are_gone(kubectl: Kubectl) -> None:
    """D-121 to D-123."""
    kubectl("apply", "-f", "-", given=widget("a", size=1))
    kubectl("patch", "widget", "a", "--type=merge", "-p", '{"metadata": {"finalizers": ["test.dev/hold"]}}')
    deleting = kubectl.start("delete", "widget", "a")
    kubectl("wait", "--for=jsonpath={.metadata.deletionTimestamp}", "widget/a", "--timeout=30s")
    assert deleting.poll() is None
    kubectl("patch", "widget", "a", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
    output, _ = deleting.communicate(timeout=60)
    assert deleting.returncode == 0
    assert 'widget.test.dev "a" deleted' in output
    assert kubectl("get", "widgets", "-o", "name") == ""


def test_delete_collects_the_dependents(kubectl: Kubectl) -> None:
    """D-129."""
    kubectl("apply", "-f", "-", given=widget("a", size=1))
    uid = kubectl("get", "widget", "a", "-o", "jsonpath={.metadata.uid}")
    owner = {"apiVersion": "test.dev/v1", "kind": "Widget", "name": "a", "uid": uid}
    child = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "child", "ownerReferences": [owner]}}
    kubectl("create", "-f", "-", given=json.dumps(child))
    kubectl("delete", "widget", "a")
    kubectl("wait", "--for=delete", "configmap/child", "--timeout=30s")


def test_delete_of_a_namespace_ends_with_its_contents_gone(kubectl: Kubectl) -> None:
    """D-140, D-141."""
    kubectl("create", "namespace", "doomed")
    kubectl("create", "configmap", "inside", "-n", "doomed")
    kubectl("delete", "namespace", "doomed", "--timeout=30s")
    assert "NotFound" in kubectl("get", "namespace", "doomed", status=1)
    assert kubectl("get", "configmaps", "-n", "doomed", "-o", "name") == ""


def test_wait_sees_conditions_and_fields(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", given=widget("a", size=1))
    waiting = kubectl.start("wait", "--for=condition=Ready", "widget/a", "--timeout=30s")
    conditions = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    kubectl("patch", "widget", "a", "--subresource=status", "--type=merge", "-p", json.dumps(conditions))
    output, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, output) == (0, "widget.test.dev/a condition met\n")
    assert "timed out" in kubectl("wait", "--for=jsonpath={.spec.size}=9", "widget/a", "--timeout=1s", status=1)


def test_diff_shows_what_apply_would_change(kubectl: Kubectl) -> None:
    """D-133: `kubectl diff` is a dry run on the server."""
    kubectl("apply", "-f", "-", given=widget("a", size=1))
    assert "+  size: 2" in kubectl("diff", "-f", "-", given=widget("a", size=2), status=1)
    assert kubectl("get", "widget", "a", "-o", "jsonpath={.spec.size}") == "1"
