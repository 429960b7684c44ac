"""Which peers are proxies that are trusted to say who somebody is."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from channels.websocket.asgi import Scope
from channels.websocket.settings import WebSocketSettings


def is_trusted(scope: Scope, settings: WebSocketSettings) -> bool:
    """Whether a request comes from one of `trusted_proxies`."""
    client = scope.get("client")
    if not client or not settings.trusted_proxies:
        return False
    peer = ip_address(client[0])
    return any(peer in ip_network(network) for network in settings.trusted_proxies)
