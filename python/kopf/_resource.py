"""Resources, as discovery tells them and as handlers get them."""

import dataclasses
import urllib.parse
from collections.abc import Iterator, Mapping

__all__ = ["Resource"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Resource:
    """A kind that the API serves. Its identity is the group, the version and the plural name; it unpacks to these three.

    Example:
        >>> Resource("kopf.dev", "v1", "kopfexamples")
        kopfexamples.v1.kopf.dev
    """

    group: str
    version: str
    plural: str
    kind: str | None = None
    singular: str | None = None
    shortcuts: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    subresources: frozenset[str] = frozenset()
    namespaced: bool | None = None
    preferred: bool = True
    verbs: frozenset[str] = frozenset()

    def __hash__(self) -> int:
        return hash((self.group, self.version, self.plural))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Resource):
            return tuple(self) == tuple(other)
        return NotImplemented

    def __iter__(self) -> Iterator[str]:
        return iter((self.group, self.version, self.plural))

    def __repr__(self) -> str:
        plural, *subresource = self.plural.split("/", 1)
        return "/".join([f"{plural}.{self.version}.{self.group}".strip("."), *subresource])

    @property
    def name(self) -> str:
        """The plural name with the group, as CRDs are named."""
        return f"{self.plural}.{self.group}".strip(".")

    @property
    def api_version(self) -> str:
        """The `apiVersion` of the objects."""
        return f"{self.group}/{self.version}".strip("/")

    def get_url(
        self,
        *,
        server: str | None = None,
        namespace: str | None = None,
        name: str | None = None,
        subresource: str | None = None,
        params: Mapping[str, str] | None = None,
    ) -> str:
        """The URL of a list, an object or a subresource of an object.

        Raises:
            ValueError: The parts do not fit each other.
        """
        if subresource is not None and name is None:
            raise ValueError(f"The URL of {self!r} has a subresource {subresource!r} but no name of the object.")
        if not self.namespaced and namespace is not None:
            raise ValueError(f"{self!r} is cluster-scoped: it has no namespace {namespace!r}.")
        if self.namespaced and namespace is None and name is not None:
            raise ValueError(f"{self!r} is namespaced: a namespace is needed beside the name {name!r}.")
        parts = [
            "/api/v1" if (self.group, self.version) == ("", "v1") else f"/apis/{self.api_version}",
            f"namespaces/{namespace}" if namespace is not None else None,
            self.plural,
            name,
            subresource,
        ]
        path = "/".join(part for part in parts if part)
        query = urllib.parse.urlencode(params or {})
        url = path if server is None else server.rstrip("/") + "/" + path.lstrip("/")
        return f"{url}?{query}" if query else url
