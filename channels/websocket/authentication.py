"""Who asks: by a token in the header `Authorization`, by the cookie of the page, or as a trusted proxy says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from agentd.errors import Unauthorized
from agentd.ports.channels import Caller
from agentd.records import Sender
from channels.websocket.asgi import Scope
from channels.websocket.gateway import Gateway, gateway_of

COOKIE = "agentd"
SAFE = ("GET", "HEAD")
"""Methods that change nothing."""
WANTED = "send a token that is good here as `Authorization: Bearer TOKEN`; `agentd token create NAME` makes one."


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """Somebody who is known: `caller` is who, as the core says it."""

    caller: Caller


def is_secure(connection: HTTPConnection) -> bool:
    """Whether it came over TLS."""
    return connection.url.scheme in ("https", "wss")


def cookie_name(connection: HTTPConnection) -> str:
    """Of the page's cookie: browsers do not tell ports apart, and over TLS only this very host can set it."""
    server = connection.scope.get("server") or ("", None)
    return f"{'__Host-' if is_secure(connection) else ''}{COOKIE}-{server[1]}"


def secret_of(connection: HTTPConnection) -> str | None:
    """What a request shows to be let in, None if it shows nothing.

    A cookie, which a browser sends by itself, counts only if the browser says that the page has asked.
    """
    kind, _, token = connection.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token.strip():
        return token.strip()
    return connection.cookies.get(cookie_name(connection)) if _page_asks(connection) else None


def _page_asks(connection: HTTPConnection) -> bool:
    """Whose page it is, the guard has looked at already."""
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return "origin" in connection.headers or connection.scope.get("method") in SAFE


async def identified(gateway: Gateway, connection: HTTPConnection) -> Caller | None:
    """Who asks, None for somebody who is not known. A token counts more than what a proxy says.

    The guard has removed what others than trusted proxies say.
    """
    if secret := secret_of(connection):
        return await gateway.door.principals.bearer(secret)
    name = connection.headers.get(gateway.settings.user_header, "").strip()
    if not name or not gateway.settings.trusted_proxies:
        return None
    sender = Sender(id=name, name=f"{name}, as a proxy says")
    return Caller(principal=gateway.door.principals.person(name), sender=sender)


async def known(gateway: Gateway, scope: Scope) -> bool:
    """Whether whoever sent a request is let in."""
    return await identified(gateway, HTTPConnection(scope)) is not None


async def visitor(connection: HTTPConnection, gateway: Annotated[Gateway, Depends(gateway_of)]) -> Visitor:
    """Who asks; a dependency of routes. `Unauthorized` for nobody who is known, `TooOften` if they ask too often."""
    caller = await identified(gateway, connection)
    if caller is None:
        raise Unauthorized(WANTED)
    gateway.clients.rates.check_request(caller)
    return Visitor(caller=caller)


Visiting = Annotated[Visitor, Depends(visitor)]
"""The type of a route's parameter that is the visitor."""
