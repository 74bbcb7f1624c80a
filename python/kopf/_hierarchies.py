"""Objects that belong to other objects: owner references, names, namespaces, labels.

All functions change the given objects in place: dictionaries, objects of pykube, models of the official clients, or any
nesting of iterables of these.
"""

import enum
import warnings
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Literal

from kopf import _fields, _thirdparty
from kopf._native import current_invocation
from kopf._typing import FieldSpec, ObjectReference, OwnerReference

__all__ = [
    "adjust_namespace",
    "adopt",
    "append_owner_reference",
    "build_object_reference",
    "build_owner_reference",
    "harmonize_naming",
    "label",
    "remove_owner_reference",
]

Objects = Any
Nested = str | Iterable[FieldSpec] | None


class _Unset(enum.Enum):
    UNSET = enum.auto()

    def __repr__(self) -> str:
        return "<unset>"


_UNSET = _Unset.UNSET
Unset = Literal[_Unset.UNSET]


def build_object_reference(body: Any) -> ObjectReference:
    """What names an object, in Kubernetes Events; empty parts are left out."""
    source = _thirdparty.as_body(body)
    meta = source.get("metadata") or {}
    reference = {
        "apiVersion": source.get("apiVersion"),
        "kind": source.get("kind"),
        "name": meta.get("name"),
        "uid": meta.get("uid"),
        "namespace": meta.get("namespace"),
    }
    return {key: value for key, value in reference.items() if value}  # type: ignore[return-value]


def build_owner_reference(
    body: Any, *, controller: bool | None = True, block_owner_deletion: bool | None = True
) -> OwnerReference:
    """What names an owner, in `metadata.ownerReferences`; parts that are `None` are left out."""
    source = _thirdparty.as_body(body)
    meta = source.get("metadata") or {}
    reference = {
        "controller": controller,
        "blockOwnerDeletion": block_owner_deletion,
        "apiVersion": source.get("apiVersion"),
        "kind": source.get("kind"),
        "name": meta.get("name"),
        "uid": meta.get("uid"),
    }
    return {key: value for key, value in reference.items() if value is not None}  # type: ignore[return-value]


def append_owner_reference(
    objs: Objects,
    owner: Any = None,
    *,
    controller: bool | None = True,
    block_owner_deletion: bool | None = True,
) -> None:
    """Makes the objects owned, unless they already are.

    Args:
        objs: The objects.
        owner: The owner; by default the object that is being handled.
        controller: Whether the owner is the managing one.
        block_owner_deletion: Whether the owner cannot go before the objects in a foreground deletion.
    """
    body = _owner(owner)
    for target in _targets(objs):
        reference = build_owner_reference(body, controller=controller, block_owner_deletion=block_owner_deletion)
        target.own(dict(reference))


def remove_owner_reference(objs: Objects, owner: Any = None) -> None:
    """Makes the objects not owned.

    Args:
        objs: The objects.
        owner: The owner; by default the object that is being handled.
    """
    uid = build_owner_reference(_owner(owner)).get("uid")
    for target in _targets(objs):
        target.disown(uid)


def label(
    objs: Objects,
    labels: Mapping[str, str | None] | Unset | None = _UNSET,
    *,
    forced: bool = False,
    nested: Nested = None,
    force: bool | None = None,
) -> None:
    """Adds labels to the objects.

    Args:
        objs: The objects.
        labels: The labels; by default those of the object that is being handled.
        forced: Replaces labels that are there.
        nested: Fields of the objects that are labelled, too, if present: `"spec.template"`.
        force: The former name of `forced`. Deprecated.
    """
    if force is not None:
        warnings.warn("kopf.label(force=) is kopf.label(forced=) now.", DeprecationWarning, stacklevel=2)
        forced = force
    chosen = _labels(_owner(None)) if labels is None or labels is _UNSET else labels
    for target in _targets(objs, nested):
        target.label(dict(chosen), forced)


def harmonize_naming(
    objs: Objects, name: str | Unset | None = _UNSET, *, forced: bool = False, strict: bool = False
) -> None:
    """Names the objects after their owner.

    Args:
        objs: The objects.
        name: The name; by default that of the object that is being handled.
        forced: Replaces names that are there.
        strict: Uses the name as it is; otherwise it is the beginning of a generated name.
    """
    chosen = _meta(_owner(None)).get("name") if name is None or name is _UNSET else name
    if chosen is None:
        raise LookupError("The object that is being handled has no name to name others after.")
    for target in _targets(objs):
        if forced or not target.is_named():
            target.rename(chosen, strict)


def adjust_namespace(objs: Objects, namespace: str | Unset | None = _UNSET, *, forced: bool = False) -> None:
    """Puts the objects into a namespace, unless they are in one.

    Args:
        objs: The objects.
        namespace: The namespace; by default that of the object that is being handled.
        forced: Replaces namespaces that are there.
    """
    given = namespace is not None and namespace is not _UNSET
    _put_into_namespace(objs, namespace if given else _meta(_owner(None)).get("namespace"), forced)


def adopt(
    objs: Objects, owner: Any = None, *, forced: bool = False, strict: bool = False, nested: Nested = None
) -> None:
    """Makes the objects children of the owner: owned, named after it, in its namespace, with its labels.

    Args:
        objs: The objects.
        owner: The owner; by default the object that is being handled.
        forced: Replaces names, namespaces and labels that are there.
        strict: Names the objects as the owner; otherwise its name is the beginning of a generated name.
        nested: Fields of the objects that are labelled, too, if present.
    """
    body = _owner(owner)
    objs = list(_leaves(objs))
    append_owner_reference(objs, body)
    name = _meta(body).get("name")
    if name is not None:
        harmonize_naming(objs, name, forced=forced, strict=strict)
    _put_into_namespace(objs, _meta(body).get("namespace"), forced)
    label(objs, _labels(body), forced=forced, nested=nested)


def _put_into_namespace(objs: Objects, namespace: Any, forced: bool) -> None:
    for target in _targets(objs):
        if forced or target.namespace is None:
            target.namespace = namespace


def _owner(owner: Any) -> Mapping[str, Any]:
    if owner is not None:
        return _thirdparty.as_body(owner)
    try:
        cause = current_invocation().cause
    except LookupError:
        cause = None
    if cause is None:
        raise LookupError("No object is being handled here, so the owner must be given explicitly.")
    return cause.body


def _meta(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return body.get("metadata") or {}


def _labels(body: Mapping[str, Any]) -> Mapping[str, str]:
    return _meta(body).get("labels") or {}


def _leaves(objs: Objects) -> Iterator[Any]:
    """The objects in any nesting of iterables."""
    if objs is None:
        return
    if isinstance(objs, MutableMapping) or _thirdparty.is_pykube(objs) or _thirdparty.is_model(objs):
        yield objs
    elif isinstance(objs, Iterable) and not isinstance(objs, str | bytes | Mapping):
        for obj in objs:
            yield from _leaves(obj)
    else:
        raise TypeError(f"An object to change must be a dict, or an object of a client library, not {objs!r}.")


def _targets(objs: Objects, nested: Nested = None) -> Iterator["_DictTarget | _ModelTarget"]:
    fields = [nested] if isinstance(nested, str) else list(nested or ())
    paths = [_fields.parse(field) for field in fields]
    for obj in _leaves(objs):
        target = _target(obj)
        yield target
        for path in paths:
            inner = target.nested(path)
            if inner is not None:
                yield inner


def _target(obj: Any) -> "_DictTarget | _ModelTarget":
    if _thirdparty.is_model(obj):
        return _ModelTarget(obj)
    return _DictTarget(obj.obj if _thirdparty.is_pykube(obj) else obj)


class _DictTarget:
    """An object to change that is a dictionary."""

    def __init__(self, obj: MutableMapping[str, Any]) -> None:
        self._obj = obj

    @property
    def _metadata(self) -> MutableMapping[str, Any]:
        return self._obj.setdefault("metadata", {})  # type: ignore[no-any-return]

    @property
    def namespace(self) -> str | None:
        return self._metadata.get("namespace")

    @namespace.setter
    def namespace(self, namespace: str | None) -> None:
        self._metadata["namespace"] = namespace

    def is_named(self) -> bool:
        return bool(self._metadata.get("name") or self._metadata.get("generateName"))

    def rename(self, name: str, strict: bool) -> None:
        self._metadata.pop("generateName" if strict else "name", None)
        self._metadata["name" if strict else "generateName"] = name if strict else f"{name}-"

    def label(self, labels: Mapping[str, str | None], forced: bool) -> None:
        own = self._metadata.setdefault("labels", {})
        for key, value in labels.items():
            if forced or key not in own:
                own[key] = value

    def own(self, reference: dict[str, Any]) -> None:
        references = self._metadata.setdefault("ownerReferences", [])
        if all(other.get("uid") != reference.get("uid") for other in references):
            references.append(reference)

    def disown(self, uid: str | None) -> None:
        references = self._metadata.setdefault("ownerReferences", [])
        references[:] = [other for other in references if other.get("uid") != uid]

    def nested(self, path: tuple[str, ...]) -> "_DictTarget | None":
        inner: Any = self._obj
        for key in path:
            if not isinstance(inner, Mapping):
                raise TypeError(f"The field {'.'.join(path)} cannot be labelled: {inner!r} is no mapping.")
            if key not in inner:
                return None
            inner = inner[key]
        if not isinstance(inner, MutableMapping):
            raise TypeError(f"The field {'.'.join(path)} cannot be labelled: {inner!r} is no mapping.")
        return _DictTarget(inner)


class _ModelTarget:
    """An object to change that is a model of an official client."""

    def __init__(self, obj: Any) -> None:
        self._obj = obj

    @property
    def _metadata(self) -> Any:
        if self._obj.metadata is None:
            self._obj.metadata = _thirdparty.member_class(self._obj, "metadata")()
        return self._obj.metadata

    @property
    def namespace(self) -> str | None:
        return self._metadata.namespace  # type: ignore[no-any-return]

    @namespace.setter
    def namespace(self, namespace: str | None) -> None:
        self._metadata.namespace = namespace

    def is_named(self) -> bool:
        return bool(self._metadata.name or self._metadata.generate_name)

    def rename(self, name: str, strict: bool) -> None:
        self._metadata.name = name if strict else None
        self._metadata.generate_name = None if strict else f"{name}-"

    def label(self, labels: Mapping[str, str | None], forced: bool) -> None:
        own = dict(self._metadata.labels or {})
        self._metadata.labels = {**own, **labels} if forced else {**labels, **own}

    def own(self, reference: dict[str, Any]) -> None:
        references = list(self._metadata.owner_references or [])
        if all(other.uid != reference.get("uid") for other in references):
            references.append(self._reference(reference))
        self._metadata.owner_references = references

    def _reference(self, reference: dict[str, Any]) -> Any:
        # The required fields are given to the constructor: models check them as soon as they are made.
        cls = _thirdparty.member_class(self._metadata, "owner_references")
        names = {json: name for name, json in cls.attribute_map.items()}
        return cls(**{names[key]: value for key, value in reference.items()})

    def disown(self, uid: str | None) -> None:
        references = self._metadata.owner_references or []
        self._metadata.owner_references = [other for other in references if other.uid != uid]

    def nested(self, path: tuple[str, ...]) -> "_ModelTarget | _DictTarget | None":
        inner = self._obj
        for position, key in enumerate(path):
            if isinstance(inner, MutableMapping):
                return _DictTarget(inner).nested(path[position:])
            names = {json: name for name, json in inner.attribute_map.items()}
            inner = getattr(inner, names.get(key, key), None)
            if inner is None:
                return None
        return _DictTarget(inner) if isinstance(inner, MutableMapping) else _ModelTarget(inner)
