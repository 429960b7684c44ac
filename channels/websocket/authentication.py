"""Who asks: by a token in the header `Authorization`, or by the cookie of the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from agentd.ports.channels import Caller
from channels.websocket.gateway import Gateway, gateway_of
from channels.websocket.refusals import Unauthorized

COOKIE = "agentd"
"""The name of the page's cookie."""
WANTED = "send a token as `Authorization: Bearer TOKEN`; `agentd token create NAME` makes one."


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """Somebody who is known: `caller` is who, as the core says it."""

    caller: Caller


def secret_of(connection: HTTPConnection) -> str | None:
    """What a request shows to be let in, None if it shows nothing."""
    kind, _, token = connection.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token.strip():
        return token.strip()
    return connection.cookies.get(COOKIE)


async def visitor(connection: HTTPConnection, gateway: Annotated[Gateway, Depends(gateway_of)]) -> Visitor:
    """Who asks; a dependency of routes. `Unauthorized` for somebody who is not known."""
    secret = secret_of(connection)
    caller = await gateway.door.principals.bearer(secret) if secret else None
    if caller is None:
        raise Unauthorized(WANTED if secret is None else f"this token is not known here, or no longer; {WANTED}")
    return Visitor(caller=caller)


Visiting = Annotated[Visitor, Depends(visitor)]
"""The type of a route's parameter that is the visitor."""
