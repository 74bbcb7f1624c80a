"""Servers of admission webhooks. They are not available yet: to make one is an error, not a server that nobody asks."""

from typing import Any

__all__ = [
    "WebhookAutoServer",
    "WebhookAutoTunnel",
    "WebhookDockerDesktopServer",
    "WebhookK3dServer",
    "WebhookMinikubeServer",
    "WebhookNgrokTunnel",
    "WebhookServer",
]


class _Server:
    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError(f"kopf.{type(self).__name__} is not available in this version yet.")


class WebhookServer(_Server):
    """A server of webhooks."""


class WebhookK3dServer(WebhookServer):
    """A server of webhooks for a cluster in k3d on this machine."""


class WebhookMinikubeServer(WebhookServer):
    """A server of webhooks for a cluster in minikube on this machine."""


class WebhookDockerDesktopServer(WebhookServer):
    """A server of webhooks for the cluster of Docker Desktop."""


class WebhookAutoServer(_Server):
    """A server of webhooks for whatever cluster there is."""


class WebhookNgrokTunnel(_Server):
    """A server of webhooks behind a tunnel of ngrok."""


class WebhookAutoTunnel(_Server):
    """A server of webhooks behind whatever tunnel is needed."""
