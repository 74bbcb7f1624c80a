"""A running cluster that tests take turns on, instead of a dev cluster for each: the real one of `make test-real`.

KOPF_TEST_KUBECONFIG=/path/to/kubeconfig .venv/bin/python -m pytest -m e2e
"""

import dataclasses
import json
import os
import pathlib
import time
import urllib.error
import urllib.parse
from collections.abc import Collection, Iterator
from typing import Any

import yaml
from access import Access

__all__ = ["SharedCluster"]

PATIENCE = 60.0  # seconds until what should go or come counts as stuck
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
# What Kubernetes makes by itself, and makes again if it is deleted.
SYSTEM_NAMESPACES = {"kube-system", "kube-public", "kube-node-lease"}
OWN_NAMESPACES = {"default", *SYSTEM_NAMESPACES}
OWN_NAMES = {
    ("configmaps", "kube-root-ca.crt"),
    ("endpoints", "kubernetes"),
    ("endpointslices", "kubernetes"),
    ("serviceaccounts", "default"),
    ("services", "kubernetes"),
}
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


@dataclasses.dataclass(frozen=True)
class Resource:
    """A resource as it is served: `/apis/apps/v1`, `deployments`."""

    root: str
    plural: str
    namespaced: bool

    def path(self, meta: Any) -> str:
        """Where an object of this resource is."""
        where = f"/namespaces/{meta['namespace']}" if self.namespaced else ""
        return f"{self.root}{where}/{self.plural}/{meta['name']}"


class SharedCluster:
    """Used like a dev cluster: `url`, `kubeconfig`, `env`, `apply`; but it is there before and after, so that it is cleaned."""

    def __init__(self, kubeconfig: str | os.PathLike[str]) -> None:
        self.kubeconfig = pathlib.Path(kubeconfig)
        self._access = Access.of(kubeconfig)
        self._builtin = [*self._discover("/api/v1"), *self._grouped()]

    @property
    def url(self) -> str:
        """Where it is served."""
        return self._access.server

    @property
    def env(self) -> dict[str, str]:
        """The environment for a child process that works with the cluster."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}

    def apply(self, manifests: str) -> list[str]:
        """Creates or changes objects; waits until the resources of new definitions are served, as they are at once on a dev cluster."""
        return [self._apply(obj) for obj in yaml.safe_load_all(manifests) if obj]

    def clean(self, keep: Collection[str] = ()) -> None:
        """Removes all that tests have left behind: objects in namespaces, whatever finalizers hold them, webhooks, definitions,
        namespaces.

        Args:
            keep: Names of definitions that stay. Their objects go.
        """
        deadline = time.monotonic() + PATIENCE
        while left := [*self._remove_all(keep)]:
            if time.monotonic() > deadline:
                raise AssertionError(f"These are not gone after {PATIENCE:.0f} s: {left}")

    def _remove_all(self, keep: Collection[str]) -> Iterator[str]:
        definitions = self._get(CRDS)["items"]
        resources = [*self._builtin, *(_resource_of(definition) for definition in definitions)]
        for resource in resources:
            for item in self._list(resource):
                if not _is_own(resource, item["metadata"]):
                    yield self._remove(resource.path(item["metadata"]), item["metadata"])
        for definition in definitions:
            if definition["metadata"]["name"] not in keep:
                yield self._remove(f"{CRDS}/{definition['metadata']['name']}", {})
        for namespace in self._get("/api/v1/namespaces")["items"]:
            name = namespace["metadata"]["name"]
            if name not in OWN_NAMESPACES:
                yield self._remove(f"/api/v1/namespaces/{name}", namespace["metadata"])

    def _remove(self, path: str, meta: Any) -> str:
        if "deletionTimestamp" not in meta:
            self._ask("DELETE", path, {"propagationPolicy": "Background", "gracePeriodSeconds": 0})
        if meta.get("finalizers"):
            self._ask("PATCH", path, {"metadata": {"finalizers": None}}, content_type="application/merge-patch+json")
        return path

    def _apply(self, obj: Any) -> str:
        meta = obj["metadata"]
        query = urllib.parse.urlencode({"fieldManager": "tests", "force": "true"})
        group, _, _ = obj["apiVersion"].rpartition("/")
        root = f"/apis/{obj['apiVersion']}" if group else f"/api/{obj['apiVersion']}"
        served = self._get(root)["resources"]
        found = next(item for item in served if item["kind"] == obj["kind"] and "/" not in item["name"])
        resource = Resource(root, found["name"], found["namespaced"])
        path = resource.path({"namespace": "default", **meta})
        is_new = self._ask("GET", path) is None
        self._ask("PATCH", f"{path}?{query}", obj, content_type="application/apply-patch+yaml")  # JSON is YAML
        if obj["kind"] == "CustomResourceDefinition":
            self._wait_until_served(obj)
        return f"{obj['kind'].lower()}/{meta['name']} {'created' if is_new else 'configured'}"

    def _wait_until_served(self, definition: Any) -> None:
        group = definition["spec"]["group"]
        deadline = time.monotonic() + PATIENCE
        for version in [version["name"] for version in definition["spec"]["versions"] if version["served"]]:
            while not self._is_served(f"/apis/{group}/{version}", definition["spec"]["names"]["plural"]):
                if time.monotonic() > deadline:
                    raise AssertionError(f"{definition['metadata']['name']} {version} is not served.")

    def _is_served(self, root: str, plural: str) -> bool:
        listed = (self._ask("GET", root) or {}).get("resources", [])
        return any(item["name"] == plural for item in listed) and self._ask("GET", f"{root}/{plural}") is not None

    def _grouped(self) -> Iterator[Resource]:
        for group in self._get("/apis")["groups"]:
            name = group["name"]
            # The Events there are those of the core group.
            if ("." not in name or name.endswith(".k8s.io")) and name != "events.k8s.io":
                yield from self._discover(f"/apis/{group['preferredVersion']['groupVersion']}")

    def _discover(self, root: str) -> Iterator[Resource]:
        for item in self._get(root)["resources"]:
            has_traces = item["namespaced"] or "admissionregistration" in root
            if has_traces and {"list", "delete"} <= {*item["verbs"]}:
                yield Resource(root, item["name"], item["namespaced"])

    def _list(self, resource: Resource) -> list[Any]:
        listed = self._ask("GET", f"{resource.root}/{resource.plural}", accept=METADATA_ONLY)
        return (listed or {}).get("items") or []  # lists without objects have null

    def _get(self, path: str) -> Any:
        answer = self._ask("GET", path)
        assert answer is not None, f"{path} is not there."
        return answer

    def _ask(self, method: str, path: str, body: Any = None, **kwargs: Any) -> Any:
        """The answer; None for what is not there."""
        while True:
            try:
                with self._access.open(method, path, body, timeout=PATIENCE, **kwargs) as response:
                    return json.load(response)
            except urllib.error.HTTPError as error:
                with error:
                    if error.code == 404:
                        return None
                    if error.code != 429:  # which is that of a resource that has just been defined
                        raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error
            time.sleep(0.05)


def _resource_of(definition: Any) -> Resource:
    spec = definition["spec"]
    version = next(version["name"] for version in spec["versions"] if version["served"])
    return Resource(f"/apis/{spec['group']}/{version}", spec["names"]["plural"], spec["scope"] == "Namespaced")


def _is_own(resource: Resource, meta: Any) -> bool:
    return meta.get("namespace") in SYSTEM_NAMESPACES or (resource.plural, meta["name"]) in OWN_NAMES
