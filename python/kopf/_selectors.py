"""Selectors: which resources a handler is for. Parsing of what decorators and settings are given, and matching."""

import dataclasses
import enum
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from kopf._functions import location, reject_async
from kopf._resource import Resource

__all__ = ["EVERYTHING", "Marker", "Selector", "SelectorMapping"]

_VERSION = re.compile(r"v\d+((alpha|beta)\d+)?")
_NAMES = ("any_name", "kind", "plural", "singular", "shortcut", "category")


class Marker(enum.Enum):
    """A marker for any resource."""

    EVERYTHING = enum.auto()


EVERYTHING = Marker.EVERYTHING

ResourceFn = Callable[[Resource], bool]


@dataclasses.dataclass(frozen=True, repr=False)
class Selector:
    """What a resource must be. Exactly one of the names is set; a callable or `EVERYTHING` stand for `any_name`."""

    group: str | None = None
    version: str | None = None
    kind: str | None = None
    plural: str | None = None
    singular: str | None = None
    shortcut: str | None = None
    category: str | None = None
    any_name: str | Marker | ResourceFn | None = None

    @classmethod
    def parse(
        cls,
        *args: Any,
        group: str | None = None,
        version: str | None = None,
        kind: str | None = None,
        plural: str | None = None,
        singular: str | None = None,
        shortcut: str | None = None,
        category: str | None = None,
    ) -> "Selector":
        """Reads the arguments of a decorator (A-SEL-001 to A-SEL-015).

        Raises:
            TypeError: The arguments name no resource, or several, or contradict each other.
        """
        said_group, said_version, any_name = _positional(args)
        selector = cls(
            group=_agreed("group", said_group, group),
            version=_agreed("version", said_version, version),
            kind=kind,
            plural=plural,
            singular=singular,
            shortcut=shortcut,
            category=category,
            any_name=any_name,
        )
        selector._validate()
        return selector

    def _validate(self) -> None:
        names = [getattr(self, name) for name in _NAMES if getattr(self, name) is not None]
        if not names:
            raise TypeError("Unspecific resource with no names: name it, or use kopf.EVERYTHING.")
        if len(names) > 1:
            raise TypeError(f"Ambiguous resource specification with {names!r}: only one name is possible.")
        if names[0] == "":
            raise TypeError("The name of a resource must not be empty.")

    def __repr__(self) -> str:
        fields = [(field.name, getattr(self, field.name)) for field in dataclasses.fields(self)]
        return "Selector(" + ", ".join(f"{name}={value!r}" for name, value in fields if value is not None) + ")"

    @property
    def is_specific(self) -> bool:
        """Whether it means one resource, so that several matching ones are ambiguous (A-SEL-024)."""
        return self.category is None and not isinstance(self.any_name, Marker) and not callable(self.any_name)

    def matches(self, resource: Resource) -> bool:
        """Whether the resource is meant (A-SEL-020 to A-SEL-023)."""
        return (
            self._matches_version(resource)
            and (self.kind is None or self.kind == resource.kind)
            and (self.plural is None or self.plural == resource.plural)
            and (self.singular is None or self.singular == resource.singular)
            and (self.shortcut is None or self.shortcut in resource.shortcuts)
            and (self.category is None or self.category in resource.categories)
            and (self.any_name is None or self._matches_name(self.any_name, resource))
        )

    def _matches_version(self, resource: Resource) -> bool:
        if self.group is not None and self.group != resource.group:
            return False
        if self.version is not None:
            return self.version == resource.version
        return resource.preferred or callable(self.any_name)

    def _matches_name(self, name: str | Marker | ResourceFn, resource: Resource) -> bool:
        if isinstance(name, str):
            return name in {resource.kind, resource.plural, resource.singular} | resource.shortcuts
        if (resource.group, resource.plural) in {("", "events"), ("events.k8s.io", "events")}:
            return False
        return isinstance(name, Marker) or bool(name(resource))


def _positional(args: tuple[Any, ...]) -> tuple[str | None, str | None, str | Marker | ResourceFn | None]:
    """The group, the version and the name of positional arguments."""
    if len(args) > 3:
        raise TypeError(f"Too many positional arguments for a resource: {args!r}. At most: group, version, name.")
    if len(args) > 1 and any(callable(arg) for arg in args):
        raise TypeError("A function that selects resources must be the only positional argument.")
    match args:
        case ():
            return None, None, None
        case (str(text),):
            return _split_dotted(text)
        case (Marker() as marker,):
            return None, None, marker
        case (fn,) if callable(fn):
            reject_async(fn, "A function that selects resources")
            return None, None, fn
        case ("v1", str() | Marker() as name):
            return "", "v1", name
        case (str(group), str() | Marker() as name):
            if "/" not in group:
                return group, None, name
            group, version = group.rsplit("/", 1)
            return group, version, name
        case (str(group), str(version), str() | Marker() as name):
            return group, version, name
    raise TypeError(f"A resource must be named by strings, kopf.EVERYTHING or a function, not by {args!r}.")


def _split_dotted(text: str) -> tuple[str | None, str | None, str]:
    """Splits `name`, `name.group` and `name.version.group`, as kubectl does."""
    if "/" in text:
        raise TypeError(f"The name of a resource has no slash: {text!r}. Separate the group, the version and the name.")
    name, *rest = text.split(".", 1)
    if not rest:
        return None, None, name
    version, *group = rest[0].split(".", 1)
    if _VERSION.fullmatch(version):
        return (group[0] if group else None), version, name
    return rest[0], None, name


def _agreed(what: str, positional: str | None, keyword: str | None) -> str | None:
    if positional is not None and keyword is not None and positional != keyword:
        raise TypeError(f"Contradictory {what} of the resource: {positional!r} by position, {keyword!r} by keyword.")
    return keyword if positional is None else positional


class SelectorMapping(MutableMapping[Any, str]):
    """Texts by selectors: `settings.watching.label_selectors['kopf.dev/v1', 'kex'] = 'a=b'`.

    Keys are what decorators accept: a string, a tuple of two or three, `EVERYTHING`, a function, a selector. Single
    strings may have slashes here: `'v1/pods'`, `'kopf.dev/v1/kex'` (FIX-8).
    """

    def __init__(self, texts: Mapping[Any, str] | None = None) -> None:
        self._texts: dict[Selector, str] = {}
        self.update(texts or {})

    def __getitem__(self, key: Any) -> str:
        return self._texts[_key(key)]

    def __setitem__(self, key: Any, text: str) -> None:
        self._texts[_key(key)] = text

    def __delitem__(self, key: Any) -> None:
        del self._texts[_key(key)]

    def __iter__(self) -> Iterator[Selector]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def __repr__(self) -> str:
        return repr(self._texts)


def _key(key: Any) -> Selector:
    if isinstance(key, Selector):
        return key
    if isinstance(key, str) and "/" in key:
        return Selector.parse(*key.rsplit("/", 1))
    if isinstance(key, tuple):
        return Selector.parse(*key)
    if isinstance(key, str | Marker) or callable(key):
        return Selector.parse(key)
    raise TypeError(f"A selector must be a string, a tuple, kopf.EVERYTHING or a function, not {key!r}.")


def describe(selector: Selector) -> str:
    """The selector for people: a function with the place where it is written."""
    return location(selector.any_name) if callable(selector.any_name) else repr(selector)
