"""How the operator connects to the cluster and who it is there."""

import base64
import dataclasses
import datetime
import os
import ssl
import tempfile
import warnings
from collections.abc import Mapping
from typing import Any

__all__ = ["AiohttpSession", "ConnectionInfo", "LoginError"]


class LoginError(Exception):
    """There is no way to log in: no credentials, or broken ones."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConnectionInfo:
    """A server and the credentials for it. What is data may be PEM or base64 of PEM.

    Raises:
        ValueError: A file and data are given for the same thing.
    """

    server: str
    priority: int = 0
    default_namespace: str | None = None
    expiration: datetime.datetime | None = None
    ca_path: str | bytes | os.PathLike[str] | None = None
    ca_data: str | bytes | None = None
    insecure: bool | None = None
    username: str | None = None
    password: str | None = None
    scheme: str | None = None
    token: str | None = None
    certificate_path: str | bytes | os.PathLike[str] | None = None
    certificate_data: str | bytes | None = None
    private_key_path: str | bytes | os.PathLike[str] | None = None
    private_key_data: str | bytes | None = None
    proxy_url: str | None = None
    trust_env: bool = False

    def __post_init__(self) -> None:
        for name in ("ca", "certificate", "private_key"):
            if getattr(self, f"{name}_path") and getattr(self, f"{name}_data"):
                raise ValueError(f"Both {name}_path and {name}_data are given; only one is possible.")

    def as_http_headers(self) -> Mapping[str, str]:
        """The headers that tell who we are."""
        if self.username and self.password:
            pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        if self.scheme and self.token:
            return {"Authorization": f"{self.scheme} {self.token}"}
        if self.scheme:
            return {"Authorization": self.scheme}
        if self.token:
            return {"Authorization": f"Bearer {self.token}"}
        return {}

    def as_ssl_context(self) -> ssl.SSLContext:
        """The context of TLS: whom we trust, and the certificate that tells who we are."""
        cadata = _pem(self.ca_data)
        context = ssl.create_default_context(cafile=os.fspath(self.ca_path) if self.ca_path else None, cadata=cadata)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate_path or self.certificate_data:
            self._load_certificate(context)
        return context

    def _load_certificate(self, context: ssl.SSLContext) -> None:
        # The ssl module reads certificates only from files.
        with tempfile.TemporaryDirectory(prefix="kopf-") as folder:
            certificate = _as_file(folder, "certificate", self.certificate_path, self.certificate_data)
            key = _as_file(folder, "key", self.private_key_path, self.private_key_data)
            assert certificate is not None  # checked by the caller
            context.load_cert_chain(certificate, key)

    def as_aiohttp_basic_auth(self) -> None:
        """Nothing: the headers have it. Deprecated."""
        warnings.warn(
            "ConnectionInfo.as_aiohttp_basic_auth() gives nothing any more: use as_http_headers().",
            DeprecationWarning,
            stacklevel=2,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AiohttpSession:
    """A session of aiohttp. The engine has a client of its own and cannot use it, so a login with it fails."""

    server: str
    aiohttp_session: Any
    priority: int = 0
    default_namespace: str | None = None
    expiration: datetime.datetime | None = None


def _pem(data: str | bytes | None) -> str | None:
    if not data:
        return None
    text = data.decode() if isinstance(data, bytes) else data
    return text if text.lstrip().startswith("-----BEGIN") else base64.b64decode(text).decode()


def _as_file(
    folder: str, name: str, path: str | bytes | os.PathLike[str] | None, data: str | bytes | None
) -> str | bytes | None:
    pem = _pem(data)
    if pem is None:
        return os.fspath(path) if path else None
    file = os.path.join(folder, name)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT, mode=0o600), "w", encoding="ascii") as stream:
        stream.write(pem)
    return file
