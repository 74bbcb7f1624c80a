"""Schemas that drop what handlers write: the operator says what was lost, and goes on."""

from collections.abc import Callable
from typing import Any

from helpers import Api, Calls, Cluster, Logs, RunningOperator, is_handled

import kopf

STRICT = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: stricts.kopf.dev}
spec:
  group: kopf.dev
  scope: Namespaced
  names: {kind: Strict, plural: stricts, singular: strict}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {size: {type: integer}}}
          status: {type: object, properties: {known: {type: string}}}
"""
STRICTS = "/apis/kopf.dev/v1/namespaces/default/stricts"


def test_a_status_that_is_pruned_is_told_and_the_handler_is_done(
    cluster: Cluster, operator: Callable[..., RunningOperator], calls: Calls, logs: Logs
) -> None:
    """W-PAT-020, A-PATCH-026."""
    cluster.apply(STRICT)
    api = Api.on(cluster)

    @kopf.on.create("stricts", id="fn")
    def fn(patch: kopf.Patch, **_: Any) -> str:
        calls.put("called")
        patch.status["known"] = "kept"
        return "dropped"

    with operator():
        api.create({"apiVersion": "kopf.dev/v1", "kind": "Strict", "metadata": {"name": "one"}, "spec": {}}, STRICTS)
        api.wait(is_handled, collection=STRICTS)
        logs.wait("Merge-patching finished with inconsistencies: (('remove', ('status', 'fn'), 'dropped', None),)")
        handled = api.wait(lambda obj: obj.get("status"), collection=STRICTS)
    assert handled["status"] == {"known": "kept"}
    assert calls.all() == ["called"]
