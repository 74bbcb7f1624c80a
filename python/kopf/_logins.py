"""Ways to get credentials: from the client libraries, which are configured by that too, or from what the cluster gives.

Operators rely on the first: they use `kubernetes.client` or `pykube` in handlers without configuring them.
"""

import importlib.util
import logging
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kopf import _native
from kopf._credentials import ConnectionInfo, LoginError
from kopf._settings import OperatorSettings
from kopf._typing import Logger

__all__ = [
    "fallbacks",
    "login_via_async_client",
    "login_via_client",
    "login_via_pykube",
    "login_with_kubeconfig",
    "login_with_service_account",
]

_SERVICE_ACCOUNT = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")

# Called without a logger, from a login handler of the user's own, they say nothing.
_silent = logging.Logger("kopf.silent", logging.CRITICAL + 1)

_PRIORITY_CLIENT = 10
_PRIORITY_KUBECONFIG = 10
_PRIORITY_ASYNC_CLIENT = 15
_PRIORITY_PYKUBE = 20
_PRIORITY_SERVICE_ACCOUNT = 20


def fallbacks() -> list[Callable[..., Any]]:
    """The ways that make sense here, for operators that declare none (A-ACT-021)."""
    libraries: list[Callable[..., Any]] = []
    if _is_installed("pykube"):
        libraries.append(login_via_pykube)
    if _is_installed("kubernetes"):
        libraries.append(login_via_client)
    elif _is_installed("kubernetes_asyncio"):
        libraries.append(login_via_async_client)
    if libraries:
        return libraries
    files: list[Callable[..., Any]] = []
    if _kubeconfig_is_there():
        files.append(login_with_kubeconfig)
    if _service_account_is_there():
        files.append(login_with_service_account)
    return files


def login_via_client(*, logger: Logger, settings: OperatorSettings, **_: Any) -> ConnectionInfo | None:
    """Configures the official client, and takes its credentials; nothing if it is not installed.

    Raises:
        LoginError: The client finds neither a service account nor a usable kubeconfig.
    """
    try:
        import kubernetes.client
        import kubernetes.config
    except ImportError:
        return None
    try:
        kubernetes.config.load_incluster_config()
        logger.debug("Client is configured in cluster with service account.")
    except kubernetes.config.ConfigException as first:
        try:
            kubernetes.config.load_kube_config()
            logger.debug("Client is configured via kubeconfig file.")
        except (kubernetes.config.ConfigException, OSError) as second:
            raise _no_login("client", first, second) from second
    config = kubernetes.client.Configuration.get_default_copy()
    return _from_client(config, _PRIORITY_CLIENT, settings)


async def login_via_async_client(*, logger: Logger, settings: OperatorSettings, **_: Any) -> ConnectionInfo | None:
    """Configures the async client, and takes its credentials; nothing if it is not installed.

    Raises:
        LoginError: The client finds neither a service account nor a usable kubeconfig.
    """
    try:
        import kubernetes_asyncio.client
        import kubernetes_asyncio.config
    except ImportError:
        return None
    try:
        kubernetes_asyncio.config.load_incluster_config()
        logger.debug("Async client is configured in cluster with service account.")
    except kubernetes_asyncio.config.ConfigException as first:
        try:
            await kubernetes_asyncio.config.load_kube_config()
            logger.debug("Async client is configured via kubeconfig file.")
        except (kubernetes_asyncio.config.ConfigException, OSError) as second:
            raise _no_login("async client", first, second) from second
    config = kubernetes_asyncio.client.Configuration.get_default_copy()
    return _from_client(config, _PRIORITY_ASYNC_CLIENT, settings)


def login_via_pykube(*, logger: Logger, settings: OperatorSettings, **_: Any) -> ConnectionInfo | None:
    """Takes the credentials that pykube would use; nothing if it is not installed, or if it would run a plug-in.

    Raises:
        LoginError: pykube finds neither a service account nor a usable kubeconfig.
    """
    try:
        import pykube
    except ImportError:
        return None
    try:
        config = pykube.KubeConfig.from_service_account()
        logger.debug("Pykube is configured in cluster with service account.")
    except FileNotFoundError as first:
        try:
            config = pykube.KubeConfig.from_file()
            logger.debug("Pykube is configured via kubeconfig file.")
        except (pykube.PyKubeError, OSError) as second:
            raise _no_login("pykube", first, second) from second
    user = config.user
    if "exec" in user:
        logger.debug("Pykube runs the plug-in of the kubeconfig for every request, so it has no credentials to give.")
        return None
    return ConnectionInfo(
        server=config.cluster["server"],
        ca_path=_filename(config.cluster.get("certificate-authority")),
        insecure=config.cluster.get("insecure-skip-tls-verify"),
        username=user.get("username"),
        password=user.get("password"),
        token=_token(user),
        certificate_path=_filename(user.get("client-certificate")),
        private_key_path=_filename(user.get("client-key")),
        default_namespace=config.namespace,
        proxy_url=config.cluster.get("proxy-url"),
        priority=_PRIORITY_PYKUBE,
        trust_env=settings.networking.trust_env,
    )


def login_with_kubeconfig(
    *, settings: OperatorSettings | None = None, logger: Logger = _silent, **_: Any
) -> ConnectionInfo | None:
    """Reads the kubeconfig files; nothing if there are none. Plug-ins of kubeconfigs are not run.

    Raises:
        LoginError: The files have no usable current context.
        OSError: A file cannot be read.
    """
    if not _kubeconfig_is_there():
        return None
    info = read_kubeconfigs(
        [_native.load_yaml(path.read_text()) for path in _kubeconfig_paths()],
        trust_env=settings.networking.trust_env if settings is not None else False,
    )
    logger.debug("Client is configured via kubeconfig file.")
    return info


def login_with_service_account(
    *, settings: OperatorSettings | None = None, logger: Logger = _silent, **_: Any
) -> ConnectionInfo | None:
    """Reads the service account of the pod; nothing outside of pods."""
    if not _service_account_is_there():
        return None
    namespace, ca = _SERVICE_ACCOUNT / "namespace", _SERVICE_ACCOUNT / "ca.crt"
    logger.debug("Client is configured in cluster with service account.")
    return ConnectionInfo(
        server="https://kubernetes.default.svc",
        ca_path=str(ca) if ca.exists() else None,
        token=(_SERVICE_ACCOUNT / "token").read_text().strip() or None,
        default_namespace=namespace.read_text().strip() or None if namespace.exists() else None,
        priority=_PRIORITY_SERVICE_ACCOUNT,
        trust_env=settings.networking.trust_env if settings is not None else False,
    )


def read_kubeconfigs(documents: Iterable[Any], *, trust_env: bool = False) -> ConnectionInfo:
    """The connection of the current context of kubeconfigs: of equal names, the first counts (W-AUT-010, W-AUT-011).

    Raises:
        LoginError: There is no current context, or what it names is not there.
    """
    current: str | None = None
    named: dict[str, dict[str, Any]] = {"context": {}, "cluster": {}, "user": {}}
    for document in documents:
        if not isinstance(document, Mapping):
            raise LoginError("A kubeconfig is no mapping, so it is broken or empty.")
        current = current or document.get("current-context")
        for kind, items in named.items():
            for item in document.get(f"{kind}s") or ():
                items.setdefault(item["name"], item.get(kind) or {})
    if not current:
        raise LoginError("Current context is not set in kubeconfigs.")
    context = _lookup(named, "context", current)
    cluster = _lookup(named, "cluster", context.get("cluster"))
    user = _lookup(named, "user", context.get("user"))
    return ConnectionInfo(
        server=cluster.get("server"),  # type: ignore[arg-type] # whatever the file has
        ca_path=cluster.get("certificate-authority"),
        ca_data=cluster.get("certificate-authority-data"),
        insecure=cluster.get("insecure-skip-tls-verify"),
        proxy_url=cluster.get("proxy-url"),
        certificate_path=user.get("client-certificate"),
        certificate_data=user.get("client-certificate-data"),
        private_key_path=user.get("client-key"),
        private_key_data=user.get("client-key-data"),
        username=user.get("username"),
        password=user.get("password"),
        token=_token(user),
        default_namespace=context.get("namespace"),
        priority=_PRIORITY_KUBECONFIG,
        trust_env=trust_env,
    )


def _lookup(named: dict[str, dict[str, Any]], kind: str, name: str | None) -> dict[str, Any]:
    try:
        return named[kind][name or ""]  # type: ignore[no-any-return]
    except KeyError:
        raise LoginError(f"The kubeconfigs have no {kind} {name!r}, which the current context needs.") from None


def _token(user: Mapping[str, Any]) -> str | None:
    provider = user.get("auth-provider") or {}
    return user.get("token") or (provider.get("config") or {}).get("access-token")


def _filename(part: Any) -> str | None:
    return part.filename() if part else None


def _from_client(config: Any, priority: int, settings: OperatorSettings) -> ConnectionInfo:
    # A `Bearer ...` as a whole, made by the client by its own rules.
    # The name of the key depends on the version of the client.
    header = config.get_api_key_with_prefix("authorization") or config.get_api_key_with_prefix("BearerToken")
    scheme, _, token = (header or "").partition(" ")
    if not token:
        scheme, token = "", scheme
    return ConnectionInfo(
        server=config.host,
        ca_path=config.ssl_ca_cert,
        insecure=not config.verify_ssl,
        username=config.username or None,
        password=config.password or None,
        scheme=scheme or None,
        token=token or None,
        certificate_path=config.cert_file,
        private_key_path=config.key_file,
        proxy_url=config.proxy,
        priority=priority,
        trust_env=settings.networking.trust_env,
    )


def _no_login(library: str, service_account: Exception, kubeconfig: Exception) -> LoginError:
    return LoginError(
        f"Cannot log in via the {library}: neither with the service account ({service_account}), "
        f"nor with a kubeconfig ({kubeconfig})."
    )


def _is_installed(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


def _kubeconfig_paths() -> list[pathlib.Path]:
    paths = [path for path in os.environ.get("KUBECONFIG", "").split(os.pathsep) if path.strip()]
    return [pathlib.Path(path).expanduser() for path in paths or ["~/.kube/config"]]


def _kubeconfig_is_there() -> bool:
    return bool(os.environ.get("KUBECONFIG")) or pathlib.Path("~/.kube/config").expanduser().exists()


def _service_account_is_there() -> bool:
    return (_SERVICE_ACCOUNT / "token").exists()
