"""What the routes use of the house: a visit for each request, and its reports as records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from pydantic import Field

from agentd.ports.house import ToldData
from agentd.serving import protocol
from agentd.serving.visits import Visit
from channels.websocket.api.streams import Streams
from channels.websocket.authentication import Visiting
from channels.websocket.gateway import Gateway, gateway_of

Report = TypeVar("Report", bound=ToldData)

ID = "api"
"""The id of requests of the protocol, of which each visit makes one at a time."""
House = Annotated[Gateway, Depends(gateway_of)]
Ref = Annotated[str, Field(min_length=1, max_length=protocol.MAX_ID)]
"""What names a session, a turn or an event."""


async def streams_of(request: Request) -> Streams:
    """The streams of events of this gateway; a dependency of routes."""
    streams: Streams = request.app.state.streams
    return streams


Told = Annotated[Streams, Depends(streams_of)]


async def visit(visitor: Visiting, gateway: House) -> AsyncIterator[Visit]:
    """A client in memory that lasts until the response was sent; a dependency of routes."""
    async with gateway.clients.visit(visitor.caller) as visit:
        yield visit


Asking = Annotated[Visit, Depends(visit)]
"""The type of a route's parameter that speaks for the visitor."""


async def report(visit: Visit, message: protocol.ClientMessage, kind: type[Report]) -> Report:
    """What the core tells about something."""
    return kind.model_validate((await visit.ask(message, protocol.Told)).data)


async def known_session(visit: Visit, session: str) -> protocol.ListedSession:
    """The session with this id; `NotFound` if there is none, or if it is somebody else's."""
    asked = protocol.Get(id=ID, what="sessions", session=session)
    return (await report(visit, asked, protocol.SessionList)).sessions[0]


async def heard(visit: Visit, until: asyncio.Task[object]) -> AsyncIterator[protocol.ServerMessage]:
    """All that a visit hears, until something else is done."""
    while True:
        hearing = asyncio.create_task(visit.hear(), name="a request listens")
        try:
            await asyncio.wait((hearing, until), return_when=asyncio.FIRST_COMPLETED)
            if not hearing.done():
                return
        finally:
            hearing.cancel()
        yield hearing.result()
