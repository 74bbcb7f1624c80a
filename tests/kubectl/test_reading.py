"""What kubectl reads: get, describe, explain, api-resources, auth can-i."""

import json
import signal

from conftest import Kubectl, widget


def test_get_prints_the_printer_columns_of_a_custom_resource(kubectl: Kubectl) -> None:
    """D-083, D-200, D-201."""
    kubectl("apply", "-f", "-", given=widget("a", size=3))
    header, row = kubectl("get", "widgets").splitlines()
    assert header.split() == ["NAME", "SIZE", "AGE"]
    assert row.split()[:2] == ["a", "3"]
    assert kubectl("get", "wd", "-o", "wide").splitlines()[0].split() == ["NAME", "SIZE", "COLOR", "AGE"]


def test_get_of_nothing_says_so(kubectl: Kubectl) -> None:
    assert kubectl("get", "widgets").startswith("No resources found in test-")
    assert (
        kubectl("get", "widget", "absent", status=1)
        == 'Error from server (NotFound): widgets.test.dev "absent" not found\n'
    )


def test_get_yaml_and_jsonpath_print_the_whole_object(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", given=widget("a", size=3))
    text = kubectl("get", "widget", "a", "-o", "yaml")
    assert text.startswith("apiVersion: test.dev/v1\nkind: Widget\nmetadata:\n")
    assert "spec:\n  color: grey\n  size: 3\n" in text
    assert kubectl("get", "widget", "a", "-o", "jsonpath={.spec.size}") == "3"


def test_get_all_finds_custom_resources_of_the_category(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", given=widget("a", size=3))
    assert "widget.test.dev/a" in kubectl("get", "all")


def test_get_watch_shows_changes_as_they_come(kubectl: Kubectl) -> None:
    """D-180, D-181, D-203."""
    kubectl("apply", "-f", "-", given=widget("a", size=1))
    with kubectl.start("get", "widgets", "-w") as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline().split() == ["NAME", "SIZE", "AGE"]
        assert watch.stdout.readline().split()[:2] == ["a", "1"]
        kubectl("patch", "widget", "a", "--type=merge", "-p", '{"spec": {"size": 2}}')
        assert watch.stdout.readline().split()[:2] == ["a", "2"]
        kubectl("apply", "-f", "-", given=widget("b", size=5))
        assert watch.stdout.readline().split()[:2] == ["b", "5"]
        watch.send_signal(signal.SIGINT)


def test_describe_shows_the_object_with_its_events(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", given=widget("a", size=3))
    obj = json.loads(kubectl("get", "widget", "a", "-o", "json"))
    reference = {
        "apiVersion": "test.dev/v1",
        "kind": "Widget",
        **{key: obj["metadata"][key] for key in ("name", "namespace", "uid")},
    }
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": "kopf-event-", "namespace": reference["namespace"]},
        "involvedObject": reference,
        "reason": "Tested",
        "message": "It was tested.",
        "type": "Normal",
        "source": {"component": "kopf"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
    }
    kubectl("create", "-f", "-", given=json.dumps(event))
    text = kubectl("describe", "widget", "a")
    assert "Kind:         Widget" in text
    line = next(line for line in text.splitlines() if "Tested" in line)
    assert line.split() == ["Normal", "Tested", line.split()[2], "kopf", "It", "was", "tested."]


def test_explain_knows_the_schema_of_a_custom_resource(kubectl: Kubectl) -> None:
    """D-052."""
    text = kubectl("explain", "widget.spec")
    assert "GROUP:      test.dev" in text
    assert "What is wanted." in text
    assert "size\t<integer>" in text
    assert "How big it is." in kubectl("explain", "widgets.spec.size")
    assert 'field "sice" does not exist' in kubectl("explain", "widget.spec.sice", status=1)


def test_api_resources_lists_built_in_and_custom_resources(kubectl: Kubectl) -> None:
    """D-041, D-042, D-045."""
    rows = {tuple(line.split()) for line in kubectl("api-resources", "--no-headers").splitlines()}
    assert ("widgets", "wd", "test.dev/v1", "true", "Widget") in rows
    assert ("pods", "po", "v1", "true", "Pod") in rows
    assert ("deployments", "deploy", "apps/v1", "true", "Deployment") in rows
    assert "widgets.test.dev" in kubectl("api-resources", "--api-group=test.dev", "-o", "name")


def test_auth_can_i_says_yes_where_nobody_is_refused(kubectl: Kubectl) -> None:
    """D-163, D-190."""
    assert kubectl("auth", "can-i", "create", "widgets.test.dev") == "yes\n"
    assert "yes" in kubectl("auth", "can-i", "*", "*", "--all-namespaces")
    assert "Username" in kubectl("auth", "whoami")


def test_another_user_may_be_impersonated(kubectl: Kubectl) -> None:
    """D-192."""
    assert "kube-root-ca.crt" in kubectl("get", "configmaps", "--as=somebody", "--as-group=some")


def test_label_and_field_selectors_select(kubectl: Kubectl) -> None:
    """D-172."""
    for name in ("a", "b", "c"):
        kubectl("apply", "-f", "-", given=widget(name, size=1))
    kubectl("label", "widget", "a", "b", "tier=front")
    assert kubectl("get", "widgets", "-l", "tier in (front)", "-o", "name").split() == [
        "widget.test.dev/a",
        "widget.test.dev/b",
    ]
    assert kubectl("get", "widgets", "-l", "!tier", "-o", "name").split() == ["widget.test.dev/c"]
    assert kubectl("get", "widgets", "--field-selector", "metadata.name=b", "-o", "name").split() == [
        "widget.test.dev/b"
    ]
