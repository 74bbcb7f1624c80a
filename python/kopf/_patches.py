"""The patch: what handlers want to be changed in the object."""

import copy
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from kopf import _fields, _native
from kopf._typing import FieldPath, PatchFn

__all__ = ["Patch"]


class PatchView(MutableMapping[str, Any]):
    """A part of a patch; the mappings on the way to it are made by the first write."""

    __slots__ = ("_patch", "_path")

    def __init__(self, patch: dict[str, Any], path: FieldPath) -> None:
        self._patch = patch
        self._path = path

    def _current(self) -> Mapping[str, Any]:
        current = _fields.resolve(self._patch, self._path)
        return current if isinstance(current, Mapping) else {}

    def __getitem__(self, key: str) -> Any:
        return self._current()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        _fields.ensure(self._patch, (*self._path, key), value)

    def __delitem__(self, key: str) -> None:
        if key not in self._current():
            raise KeyError(key)
        _fields.remove(self._patch, (*self._path, key))

    def __iter__(self) -> Iterator[str]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._current())

    def __repr__(self) -> str:
        return repr(dict(self._current()))


class MetaPatch(PatchView):
    """The `metadata` of a patch."""

    @property
    def labels(self) -> PatchView:
        """The labels."""
        return PatchView(self._patch, (*self._path, "labels"))

    @property
    def annotations(self) -> PatchView:
        """The annotations."""
        return PatchView(self._patch, (*self._path, "annotations"))


class Patch(dict[str, Any]):
    """A JSON merge patch, with functions for what a merge patch cannot say.

    `None` deletes a key, mappings merge, everything else replaces. Functions change a copy of the newest body in place;
    they may be called several times.

    Args:
        src: What the patch begins with.
        body: The object, as the reference of `as_json_patch`.
        fns: The functions that the patch begins with.

    Example:
        >>> patch = Patch()
        >>> patch.status["ready"] = True
        >>> patch
        Patch({'status': {'ready': True}})
    """

    def __init__(
        self,
        src: Mapping[str, Any] | None = None,
        /,
        body: Mapping[str, Any] | None = None,
        fns: Iterable[PatchFn] = (),
    ) -> None:
        super().__init__(src or {})
        self._body = body
        self._fns: list[PatchFn] = [*(src._fns if isinstance(src, Patch) else ()), *fns]

    @property
    def fns(self) -> list[PatchFn]:
        """The functions: to be appended to, not to be replaced."""
        return self._fns

    @property
    def metadata(self) -> MetaPatch:
        """The `metadata` of the patch."""
        return MetaPatch(self, ("metadata",))

    @property
    def meta(self) -> MetaPatch:
        """The same as `metadata`."""
        return self.metadata

    @property
    def spec(self) -> PatchView:
        """The `spec` of the patch."""
        return PatchView(self, ("spec",))

    @property
    def status(self) -> PatchView:
        """The `status` of the patch."""
        return PatchView(self, ("status",))

    def __bool__(self) -> bool:
        return len(self) > 0 or bool(self._fns)

    def __repr__(self) -> str:
        parts = [super().__repr__()] if len(self) else []
        if self._fns:
            parts.append(f"fns={self._fns!r}")
        return f"Patch({', '.join(parts)})"

    def clear(self) -> None:
        """Drops the keys and the functions."""
        super().clear()
        self._fns.clear()

    def as_json_patch(self, body: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The operations (RFC 6902) that do to the body what the patch asks for.

        Args:
            body: The object to compare with; by default the one that the patch was made for.

        Raises:
            ValueError: There is nothing to compare with.
        """
        if not self:
            return []
        reference = self._body if body is None else body
        if reference is None:
            raise ValueError("A patch without the object that it is for needs the body as an argument.")
        before = copy.deepcopy(dict(reference))
        after = _native.merge_patch(before, dict(self))
        for fn in self._fns:
            fn(after)
        return _native.json_patch(before, after)
