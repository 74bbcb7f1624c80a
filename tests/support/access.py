"""What a kubeconfig says about a cluster, and requests to it."""

import base64
import dataclasses
import http.client
import json
import os
import pathlib
import ssl
import urllib.request
from collections.abc import Mapping
from typing import Any, Self

import yaml

__all__ = ["Access"]


@dataclasses.dataclass(frozen=True)
class Access:
    """Where a cluster is, and how one is let in.

    Args:
        server: Its address.
        headers: What is sent with every request.
        context: Whose certificates are believed; None is for a server without TLS.
    """

    server: str
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    context: ssl.SSLContext | None = None

    @classmethod
    def of(cls, kubeconfig: str | os.PathLike[str]) -> Self:
        """What the current context of the file says. The ways in are those of the tests: none, or a token."""
        config = yaml.safe_load(pathlib.Path(kubeconfig).read_text())

        def named(kind: str, name: str) -> dict[str, Any]:
            return next(item[kind] for item in config[f"{kind}s"] if item["name"] == name)  # type: ignore[no-any-return]

        current = named("context", config["current-context"])
        cluster, user = named("cluster", current["cluster"]), named("user", current["user"])
        headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        context = None
        if cluster["server"].startswith("https:"):
            inline = cluster.get("certificate-authority-data")
            text = None if inline is None else base64.b64decode(inline).decode()
            context = ssl.create_default_context(cafile=cluster.get("certificate-authority"), cadata=text)
        return cls(cluster["server"], headers, context)

    def open(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float,
    ) -> http.client.HTTPResponse:
        """The answer, still to be read.

        Args:
            method: GET and the like.
            path: With its query.
            body: What is sent, as JSON; nothing by default.
            content_type: What the body is.
            accept: What the answer shall be.
            timeout: Seconds until a silent server counts as gone.

        Raises:
            urllib.error.HTTPError: The server has answered with an error.
            OSError: It has not answered.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {**self.headers, "Content-Type": content_type, "Accept": accept}
        request = urllib.request.Request(self.server + path, data=data, headers=headers, method=method)
        return urllib.request.urlopen(request, timeout=timeout, context=self.context)  # type: ignore[no-any-return]
