"""The router of `/api`, with what all of its routes have."""

from __future__ import annotations

from fastapi import APIRouter, Security
from fastapi.security import HTTPBearer

from channels.websocket.api import documents, events, house, messages, sessions
from channels.websocket.refusals import REFUSALS

TOKEN = HTTPBearer(auto_error=False, description="`agentd token create NAME` makes a token.")

router = APIRouter(
    prefix="/api",
    dependencies=[Security(TOKEN)],
    responses=REFUSALS,
)
for part in (messages, events, sessions, documents, house):
    router.include_router(part.router)
