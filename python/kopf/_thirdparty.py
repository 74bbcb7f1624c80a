"""Objects of the client libraries, told by their shapes, so that the libraries are not imported for it."""

import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["as_body", "is_model", "is_pykube", "member_class"]


def is_pykube(obj: object) -> bool:
    """Whether it is an object of pykube: its body is the dictionary in `.obj`."""
    module = sys.modules.get("pykube.objects")
    return module is not None and isinstance(obj, module.APIObject)


def is_model(obj: object) -> bool:
    """Whether it is a model of `kubernetes.client` or `kubernetes_asyncio.client`."""
    return hasattr(type(obj), "openapi_types") and hasattr(type(obj), "attribute_map")


def member_class(model: Any, attribute: str) -> Any:
    """The class that an attribute of a model has: that of the items, if it is a list."""
    name = model.openapi_types[attribute].rstrip("]").rpartition("[")[-1]  # of `V1X`, `list[V1X]` and `List[V1X]`
    models = type(model).__module__.rpartition(".")[0]
    return getattr(sys.modules[models], name)


def as_body(obj: Any) -> Mapping[str, Any]:
    """The parts of an object that references and labels are made of, as a dictionary.

    Raises:
        TypeError: It is no object of Kubernetes.
    """
    if is_pykube(obj):
        body: Mapping[str, Any] = obj.obj
        return body
    if is_model(obj):
        meta = obj.metadata
        names = ("name", "namespace", "uid", "labels")
        return {
            "apiVersion": obj.api_version,
            "kind": obj.kind,
            "metadata": {name: getattr(meta, name, None) for name in names},
        }
    if isinstance(obj, Mapping) or (hasattr(obj, "get") and not isinstance(obj, str | bytes)):
        return obj
    raise TypeError(f"An object of Kubernetes must be a mapping, or an object of a client library, not {obj!r}.")
