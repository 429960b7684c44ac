"""The page's way in: a ticket of `agentd open` becomes a cookie, and logging out ends it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from agentd.errors import Unauthorized
from channels.websocket.authentication import cookie_name, is_secure
from channels.websocket.gateway import Gateway, gateway_of
from channels.websocket.refusals import REFUSALS

MAX_TICKET = 200

router = APIRouter(prefix="/api/ticket", tags=["page"], responses=REFUSALS)
Served = Annotated[Gateway, Depends(gateway_of)]


class Shown(BaseModel):
    """The ticket that `agentd open` put into the address."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ticket: str = Field(max_length=MAX_TICKET)


@router.post("", status_code=204, summary="Swap a ticket for the page's cookie")
async def swap(shown: Shown, request: Request, gateway: Served) -> Response:
    """The cookie is for this browser alone, and until it is closed; the daemon ends it after 12 hours without use."""
    swapped = await gateway.door.principals.swap(shown.ticket)
    if swapped is None:
        raise Unauthorized("this ticket is used up or too old; type `agentd open` for a new one.")
    response = Response(status_code=204)
    response.set_cookie(cookie_name(request), swapped[1], httponly=True, samesite="strict", secure=is_secure(request))
    return response


@router.delete("", status_code=204, summary="Log out")
async def log_out(request: Request, gateway: Served) -> Response:
    """End the page's cookie and its connections; harmless if there is none."""
    name = cookie_name(request)
    if (secret := request.cookies.get(name)) is not None:
        await gateway.door.principals.log_out(secret)
    response = Response(status_code=204)
    response.delete_cookie(name, httponly=True, samesite="strict", secure=is_secure(request))
    return response
