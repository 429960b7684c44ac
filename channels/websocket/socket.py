"""`/ws`: the client protocol, a message in each text frame; see `docs/protocol.md`.

A client shows its token in the header `Authorization`, as the subprotocol `agentd.bearer.TOKEN` (in base64url), or in a
first message `{"type": "auth", "token": ...}`; the page has its cookie.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response, WebSocket
from pydantic import BaseModel, ConfigDict, ValidationError

from agentd.errors import AgentdError, Busy, Unauthorized, UsageError
from agentd.ports.channels import Caller
from channels.websocket.authentication import identified, secret_of
from channels.websocket.gateway import Gateway, gateway_of
from channels.websocket.transport import (
    REFUSED,
    TOO_BIG,
    TOO_LATE,
    TRY_LATER,
    UNAUTHORIZED,
    UNSUPPORTED,
    Binary,
    SocketTransport,
    TooLarge,
    TooSlow,
)

SUBPROTOCOL = "agentd.v1"
BEARER = "agentd.bearer."
AUTH_SECONDS = 5.0
"""How long a client may take to say who it is."""
UNKNOWN = "this token is not known here, or no longer; `agentd token create NAME` makes one."
OTHER_VERSION = "this daemon speaks agentd.v1; offer that subprotocol, or none."

router = APIRouter()


class Auth(BaseModel):
    """The first message of a client that could not show its token before."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["auth"]
    token: str


CLOSES: Mapping[type[AgentdError], int] = {
    Unauthorized: UNAUTHORIZED,
    UsageError: REFUSED,
    Binary: UNSUPPORTED,
    TooLarge: TOO_BIG,
    TooSlow: TOO_LATE,
    Busy: TRY_LATER,
}
"""With which code a connection ends before its client is served."""


@router.websocket("/ws")
async def serve(websocket: WebSocket, gateway: Annotated[Gateway, Depends(gateway_of)]) -> None:
    """Serve one client until it goes."""
    offered: Sequence[str] = websocket.scope["subprotocols"]
    secret = secret_of(websocket) or shown(offered)
    if secret is None:
        caller = await identified(gateway, websocket)
    else:
        caller = await gateway.door.principals.bearer(secret)
    if "origin" not in websocket.headers and secret is not None and caller is None:
        await websocket.send_denial_response(Response(UNKNOWN, 401, {"WWW-Authenticate": "Bearer"}))
        return
    await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
    transport = SocketTransport(websocket)
    try:
        if offered and SUBPROTOCOL not in offered:
            raise UsageError(OTHER_VERSION)
        if caller is None:
            caller = await introduced(gateway, transport, secret)
        if gateway.clients.let_in(transport, caller):
            await gateway.clients.serve(transport, caller)
    except tuple(CLOSES) as error:
        await transport.refuse(next(code for kind, code in CLOSES.items() if isinstance(error, kind)), error)
    await transport.ended()


def shown(subprotocols: Sequence[str]) -> str | None:
    """The token among the subprotocols that a client offers; browsers cannot set headers."""
    for offered in subprotocols:
        if offered.startswith(BEARER):
            encoded = offered.removeprefix(BEARER)
            try:
                return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
            except (binascii.Error, ValueError):
                return ""
    return None


async def introduced(gateway: Gateway, transport: SocketTransport, secret: str | None) -> Caller:
    """Who the client is, as its first message says; `Unauthorized` for nobody, `TooSlow` if none comes in time."""
    if secret is not None:
        raise Unauthorized(UNKNOWN)
    if gateway.strangers.locked():
        raise Busy("too many clients have not said yet who they are; connect again.")
    async with gateway.strangers:
        try:
            async with asyncio.timeout(AUTH_SECONDS):
                line = await transport.receive()
        except TimeoutError:
            raise TooSlow(f"no token came within {AUTH_SECONDS:g} s; send it first.") from None
    try:
        token = Auth.model_validate_json(line or b"").token
    except ValidationError:
        raise Unauthorized('the first message must be {"type": "auth", "token": TOKEN}.') from None
    caller = await gateway.door.principals.bearer(token)
    if caller is None:
        raise Unauthorized(UNKNOWN)
    return caller
