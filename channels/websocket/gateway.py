"""What the routes of the gateway use of the house."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from fastapi.requests import HTTPConnection

from agentd.serving.clients import Clients
from agentd.serving.door import Door
from channels.websocket.settings import WebSocketSettings

STRANGERS = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Gateway:
    """`stopping` is set when nothing new is taken in any more; what runs may end.

    `ending` is set after that, when everything must end: a stream that nobody closes waits for it, too.
    """

    door: Door
    clients: Clients
    settings: WebSocketSettings
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    strangers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(STRANGERS))
    """Held by clients of WebSockets that have not said yet who they are."""


async def gateway_of(connection: HTTPConnection) -> Gateway:
    """The gateway that serves this request; a dependency of routes."""
    gateway: Gateway = connection.app.state.gateway
    return gateway
