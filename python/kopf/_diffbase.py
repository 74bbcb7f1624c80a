"""Diff-base storages: where the last handled state of an object is kept. The formats themselves are the engine's.

The engine recognises the classes of this module by their exact type and works without calling them; a subclass or a
storage of the user's own is called for every object.
"""

import abc
from collections.abc import Collection, Iterable
from typing import Any

from kopf import _fields, _native, _storing
from kopf._typing import BodyEssence, FieldPath, FieldSpec

__all__ = ["AnnotationsDiffBaseStorage", "DiffBaseStorage", "MultiDiffBaseStorage", "StatusDiffBaseStorage"]

IgnoredFields = Iterable[FieldSpec] | None


class DiffBaseStorage(abc.ABC):
    """Keeps the essence of an object as it was handled last.

    Args:
        ignored_fields: Fields whose changes are not to be handled.
    """

    def __init__(self, ignored_fields: IgnoredFields = None) -> None:
        super().__init__()
        self.ignored_fields: list[FieldPath] = [_fields.parse(field) for field in ignored_fields or ()]

    def build(self, *, body: Any, extra_fields: Iterable[FieldSpec] | None = None) -> BodyEssence:
        """The essence of an object: what is compared to find changes.

        Args:
            body: The object.
            extra_fields: Fields that belong to it although they usually would not, as those of the status.
        """
        return _build(_native.DiffBaseFormat.plain(self.ignored_fields), body, extra_fields)

    @abc.abstractmethod
    def fetch(self, *, body: Any) -> BodyEssence | None:
        """The essence that was handled last; `None` if the object has never been handled."""

    @abc.abstractmethod
    def store(self, *, body: Any, patch: Any, essence: BodyEssence) -> None:
        """Puts an essence into the patch."""


class _Formatted(DiffBaseStorage):
    """A storage with a format of the engine."""

    @property
    def _native(self) -> _native.DiffBaseFormat:
        raise NotImplementedError

    def build(self, *, body: Any, extra_fields: Iterable[FieldSpec] | None = None) -> BodyEssence:
        return _build(self._native, body, extra_fields)

    def fetch(self, *, body: Any) -> BodyEssence | None:
        return self._native.fetch(body)  # type: ignore[return-value] # a plain dict

    def store(self, *, body: Any, patch: Any, essence: BodyEssence) -> None:
        self._native.store(body, patch, essence)


class AnnotationsDiffBaseStorage(_storing.AnnotationKeys, _Formatted):
    """Keeps the essence as JSON in an annotation.

    Args:
        prefix: The part of the annotation's name before the slash.
        key: The part of the annotation's name after the slash.
        ignored_fields: Fields whose changes are not to be handled.
        v1: Also writes the annotation of older versions, where its name differs.
    """

    def __init__(
        self,
        *,
        prefix: str = "kopf.zalando.org",
        key: str = "last-handled-configuration",
        ignored_fields: IgnoredFields = None,
        v1: bool = True,
    ) -> None:
        super().__init__(prefix=prefix, v1=v1, ignored_fields=ignored_fields)
        self.key = key

    @property
    def _native(self) -> _native.DiffBaseFormat:
        return _native.DiffBaseFormat.annotations(self.prefix, self.key, self.ignored_fields, self.v1)


class StatusDiffBaseStorage(_Formatted):
    """Keeps the essence as JSON in a field of the status, or of any other stanza.

    Args:
        name: What `{name}` in the field stands for.
        field: The field.
        ignored_fields: Fields whose changes are not to be handled.
    """

    def __init__(
        self,
        *,
        name: str = "kopf",
        field: FieldSpec = "status.{name}.last-handled-configuration",
        ignored_fields: IgnoredFields = None,
    ) -> None:
        super().__init__(ignored_fields)
        self._name = name
        self._field = _storing.named(field, name)

    @property
    def field(self) -> FieldPath:
        """The field."""
        return self._field

    @field.setter
    def field(self, field: FieldSpec) -> None:
        self._field = _fields.parse(field)

    @property
    def _native(self) -> _native.DiffBaseFormat:
        return _native.DiffBaseFormat.status(self.field, self.ignored_fields)


class MultiDiffBaseStorage(DiffBaseStorage):
    """Several storages: all are written, the first that has an essence is read."""

    def __init__(self, storages: Collection[DiffBaseStorage]) -> None:
        super().__init__()
        self.storages = storages

    @property
    def _native(self) -> "_native.DiffBaseFormat | None":
        known = [storage._native for storage in self.storages if type(storage) in BUILTIN]  # type: ignore[attr-defined]
        formats = [each for each in known if each is not None]
        return _native.DiffBaseFormat.multi(formats) if len(formats) == len(self.storages) else None

    def build(self, *, body: Any, extra_fields: Iterable[FieldSpec] | None = None) -> BodyEssence:
        fields = list(extra_fields or ())
        essence: Any = super().build(body=body, extra_fields=fields)
        for storage in self.storages:
            essence = storage.build(body=essence, extra_fields=fields)
        return essence  # type: ignore[no-any-return]

    def fetch(self, *, body: Any) -> BodyEssence | None:
        found = (storage.fetch(body=body) for storage in self.storages)
        return next((essence for essence in found if essence is not None), None)

    def store(self, *, body: Any, patch: Any, essence: BodyEssence) -> None:
        for storage in self.storages:
            storage.store(body=body, patch=patch, essence=essence)


BUILTIN: tuple[type[DiffBaseStorage], ...] = (
    AnnotationsDiffBaseStorage,
    StatusDiffBaseStorage,
    MultiDiffBaseStorage,
)


def _build(format: "_native.DiffBaseFormat", body: Any, extra_fields: Iterable[FieldSpec] | None) -> BodyEssence:
    paths = [_fields.parse(field) for field in extra_fields or ()]
    return format.build(body, paths)  # type: ignore[return-value] # a plain dict
