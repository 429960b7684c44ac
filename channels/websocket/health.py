"""How the daemon is, for who watches over it; everybody may ask, and is told nothing that is not for everybody."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from agentd import __version__
from channels.websocket.gateway import Gateway, gateway_of

router = APIRouter(tags=["health"])


class Health(BaseModel):
    status: Literal["ok", "refusing", "stopping"]


class Version(BaseModel):
    version: str


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz")
async def healthz() -> Health:
    """The process runs, and its event loop answers."""
    return Health(status="ok")


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", responses={503: {"model": Health}})
async def readyz(response: Response, gateway: Annotated[Gateway, Depends(gateway_of)]) -> Health:
    """Questions are taken and can be answered."""
    if gateway.stopping.is_set():
        response.status_code = 503
        return Health(status="stopping")
    if await gateway.door.house.refusals():
        response.status_code = 503
        return Health(status="refusing")
    return Health(status="ok")


@router.head("/version", include_in_schema=False)
@router.get("/version")
async def version() -> Version:
    return Version(version=__version__)
