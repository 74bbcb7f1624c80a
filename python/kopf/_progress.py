"""Progress storages: where the progress of handlers is kept between attempts. The formats themselves are the engine's.

The engine recognises the classes of this module by their exact type and works without calling them; a subclass or a
storage of the user's own is called for every object. So the methods here are for subclasses and for multi-storages.
"""

import abc
import copy
from collections.abc import Collection
from typing import Any

from kopf import _fields, _native, _storing
from kopf._typing import FieldPath, FieldSpec, ProgressRecord

__all__ = [
    "AnnotationsProgressStorage",
    "MultiProgressStorage",
    "ProgressStorage",
    "SmartProgressStorage",
    "StatusProgressStorage",
]


class ProgressStorage(abc.ABC):
    """Keeps the records of handlers in the object, by the ids of the handlers."""

    @abc.abstractmethod
    def fetch(self, *, key: str, body: Any) -> ProgressRecord | None:
        """The record of a handler; `None` if there is none."""

    @abc.abstractmethod
    def store(self, *, key: str, record: ProgressRecord, body: Any, patch: Any) -> None:
        """Puts the record of a handler into the patch."""

    @abc.abstractmethod
    def purge(self, *, key: str, body: Any, patch: Any) -> None:
        """Removes the record of a handler by the patch, if there is one in the object or in the patch."""

    @abc.abstractmethod
    def touch(self, *, body: Any, patch: Any, value: str | None) -> None:
        """Makes a change in the object that has no meaning, so that an event comes; or removes it."""

    @abc.abstractmethod
    def clear(self, *, essence: Any) -> Any:
        """A copy of the essence of an object without what the storage itself keeps in the object."""
        return copy.deepcopy(essence)

    def flush(self) -> None:  # noqa: B027 - a hook
        """Called after each batch of stored records, and after each purge."""


class _Formatted(ProgressStorage):
    """A storage with a format of the engine."""

    @property
    def _native(self) -> _native.ProgressFormat:
        raise NotImplementedError

    def fetch(self, *, key: str, body: Any) -> ProgressRecord | None:
        return self._native.fetch(key, body)  # type: ignore[return-value] # a plain dict

    def store(self, *, key: str, record: ProgressRecord, body: Any, patch: Any) -> None:
        self._native.store(key, record, body, patch)

    def purge(self, *, key: str, body: Any, patch: Any) -> None:
        self._native.purge(key, body, patch)

    def touch(self, *, body: Any, patch: Any, value: str | None) -> None:
        self._native.touch(body, patch, value)

    def clear(self, *, essence: Any) -> Any:
        return self._native.clear(essence)


class AnnotationsProgressStorage(_storing.AnnotationKeys, _Formatted):
    """Keeps every record as JSON in an annotation of its own.

    Args:
        prefix: The part of the annotations' names before the slash.
        verbose: Writes empty fields of records, too.
        touch_key: The annotation of meaningless changes.
        v1: Also writes the annotations of older versions, where their names differ.
    """

    def __init__(
        self,
        *,
        prefix: str = "kopf.zalando.org",
        verbose: bool = False,
        touch_key: str = "touch-dummy",
        v1: bool = True,
    ) -> None:
        super().__init__(prefix=prefix, v1=v1)
        self.verbose = verbose
        self.touch_key = touch_key

    @property
    def _native(self) -> _native.ProgressFormat:
        return _native.ProgressFormat.annotations(self.prefix, self.verbose, self.touch_key, self.v1)


class StatusProgressStorage(_Formatted):
    """Keeps the records in a field of the status, or of any other stanza.

    Args:
        name: What `{name}` in the fields stands for.
        field: The field of the records.
        touch_field: The field of meaningless changes.
    """

    def __init__(
        self,
        *,
        name: str = "kopf",
        field: FieldSpec = "status.{name}.progress",
        touch_field: FieldSpec = "status.{name}.dummy",
    ) -> None:
        super().__init__()
        self._name = name
        self._field = _storing.named(field, name)
        self._touch_field = _storing.named(touch_field, name)

    @property
    def field(self) -> FieldPath:
        """The field of the records."""
        return self._field

    @field.setter
    def field(self, field: FieldSpec) -> None:
        self._field = _fields.parse(field)

    @property
    def touch_field(self) -> FieldPath:
        """The field of meaningless changes."""
        return self._touch_field

    @touch_field.setter
    def touch_field(self, field: FieldSpec) -> None:
        self._touch_field = _fields.parse(field)

    @property
    def _native(self) -> _native.ProgressFormat:
        return _native.ProgressFormat.status(self.field, self.touch_field)


class MultiProgressStorage(ProgressStorage):
    """Several storages: all are written, the first that has a record is read."""

    def __init__(self, storages: Collection[ProgressStorage]) -> None:
        super().__init__()
        self.storages = storages

    @property
    def _native(self) -> "_native.ProgressFormat | None":
        formats = [_format(storage) for storage in self.storages]
        known = [each for each in formats if each is not None]
        return _native.ProgressFormat.multi(known) if len(known) == len(formats) else None

    def fetch(self, *, key: str, body: Any) -> ProgressRecord | None:
        found = (storage.fetch(key=key, body=body) for storage in self.storages)
        return next((record for record in found if record is not None), None)

    def store(self, *, key: str, record: ProgressRecord, body: Any, patch: Any) -> None:
        for storage in self.storages:
            storage.store(key=key, record=record, body=body, patch=patch)

    def purge(self, *, key: str, body: Any, patch: Any) -> None:
        for storage in self.storages:
            storage.purge(key=key, body=body, patch=patch)

    def touch(self, *, body: Any, patch: Any, value: str | None) -> None:
        for storage in self.storages:
            storage.touch(body=body, patch=patch, value=value)

    def clear(self, *, essence: Any) -> Any:
        for storage in self.storages:
            essence = storage.clear(essence=essence)
        return essence

    def flush(self) -> None:
        for storage in self.storages:
            storage.flush()


class SmartProgressStorage(_Formatted):
    """Keeps the records in annotations, and still reads and removes what older versions have left in the status.

    Args:
        name: What `{name}` in the fields stands for.
        field: The field of the status with old records.
        touch_key: The annotation of meaningless changes.
        touch_field: The field of meaningless changes of older versions.
        prefix: The part of the annotations' names before the slash.
        v1: Also writes the annotations of older versions, where their names differ.
        verbose: Writes empty fields of records, too.
    """

    def __init__(
        self,
        *,
        name: str = "kopf",
        field: FieldSpec = "status.{name}.progress",
        touch_key: str = "touch-dummy",
        touch_field: FieldSpec = "status.{name}.dummy",
        prefix: str = "kopf.zalando.org",
        v1: bool = True,
        verbose: bool = False,
    ) -> None:
        super().__init__()
        annotations = AnnotationsProgressStorage(prefix=prefix, verbose=verbose, touch_key=touch_key, v1=v1)
        status = StatusProgressStorage(name=name, field=field, touch_field=touch_field)
        self.storages: list[AnnotationsProgressStorage | StatusProgressStorage] = [annotations, status]

    @property
    def _native(self) -> _native.ProgressFormat:
        annotations, status = self.storages
        return _native.ProgressFormat.smart(annotations._native, status._native)


BUILTIN: tuple[type[ProgressStorage], ...] = (
    AnnotationsProgressStorage,
    StatusProgressStorage,
    SmartProgressStorage,
    MultiProgressStorage,
)


def _format(storage: ProgressStorage) -> "_native.ProgressFormat | None":
    """The engine's format of a storage; none of storages whose methods must be called."""
    return storage._native if type(storage) in BUILTIN else None  # type: ignore[attr-defined] # the built-in ones do
