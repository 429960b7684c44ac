"""What happens in sessions, as server-sent events: the messages of the client protocol, one in each event.

The stream ends with the daemon; a client comes back with the id of the last event that it had.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from agentd.errors import AgentdError
from agentd.serving import protocol
from agentd.serving.visits import Visit
from channels.websocket.api.asking import ID, Asking, House, Ref, Told, heard, known_session
from channels.websocket.api.streams import Position, Stream, Streams, position_of
from channels.websocket.authentication import Visiting
from channels.websocket.refusals import REFUSALS_OF_STREAMS

RETRY_MS = 2000
"""After so long a browser connects again."""
NAMES = {"error": "failure"}
"""An event's name is the type of its message, except where browsers use that for something else."""

router = APIRouter(tags=["events"])


class Telling:
    """One stream: of the events of `session`, or of all that one watches if that is ""; it begins with `first`."""

    def __init__(
        self, visit: Visit, stream: Stream, streams: Streams, session: str, first: Sequence[protocol.ServerMessage]
    ) -> None:
        self._visit = visit
        self._stream = stream
        self._streams = streams
        self._session = session
        self._first = first
        self._cursor: protocol.Cursor | None = None

    async def events(self, until: asyncio.Task[object]) -> AsyncIterator[ServerSentEvent]:
        """All that is told, until something else is done or the session is gone."""
        for message in self._first:
            yield self._event(message)
        try:
            async for message in heard(self._visit, until):
                if isinstance(message, protocol.Answer) and self._has(message):
                    continue
                yield self._event(message)
                if isinstance(message, protocol.Truncated) and self._session:
                    yield self._event(await self._anew())
                if isinstance(message, protocol.Failure) and message.session == self._session:
                    return
        except AgentdError as error:  # the visit was cut off
            yield self._event(protocol.Failure(code=error.code, message=str(error)))

    def _has(self, answer: protocol.Answer) -> bool:
        """Whether the client has this answer already, as it has said."""
        if not _is_delivery(answer) or not self._streams.arrived(self._stream.principal, answer.id):
            return False
        self._visit.taken(answer)
        return True

    async def _anew(self) -> protocol.SessionOpened:
        """The session as it is now, because what was missed is not kept."""
        self._cursor = None
        return await self._visit.ask(protocol.Open(id=ID, session=self._session), protocol.SessionOpened)

    def _event(self, message: protocol.ServerMessage) -> ServerSentEvent:
        self._cursor = getattr(message, "cursor", None) or self._cursor
        if isinstance(message, protocol.Answer) and _is_delivery(message):
            self._stream.send(message.id)
        position = Position(cursor=self._cursor, stream=self._stream.number, answers=self._stream.count)
        name = NAMES.get(message.type, message.type)
        return ServerSentEvent(raw_data=message.model_dump_json(), event=name, id=str(position), retry=RETRY_MS)


def _is_delivery(answer: protocol.Answer) -> bool:
    """Whether somebody waits to hear that it has arrived; it is an event of the feed otherwise."""
    return answer.cursor is None


async def telling(
    visit: Asking,
    visitor: Visiting,
    streams: Told,
    session: Annotated[
        Ref | None, Query(description="the id of a session; without it, all sessions of one's own are told of")
    ] = None,
    everybody: Annotated[bool, Query(description="without a session, the owner is told of those of everybody")] = False,
    last_event_id: Annotated[
        str | None,
        Header(max_length=200, description="the id of the last event that arrived; the stream goes on behind it"),
    ] = None,
) -> AsyncIterator[Telling]:
    """The stream, opened before the response begins, so that what is wrong has a status."""
    after = position_of(last_event_id) if last_event_id else None
    found = (await known_session(visit, session)).id if session else ""
    with streams.begin(visitor.caller.principal, visit, after) as stream:
        first = await (_opened(visit, found, after) if found else _watching(visit, everybody, after))
        yield Telling(visit, stream, streams, found, first)


async def _opened(visit: Visit, session: str, after: Position | None) -> Sequence[protocol.ServerMessage]:
    open_it = protocol.Open(id=ID, session=session, after=after.cursor if after else None)
    return [await visit.ask(open_it, protocol.SessionOpened)]


async def _watching(visit: Visit, everybody: bool, after: Position | None) -> Sequence[protocol.ServerMessage]:
    """Of all sessions together, nothing is kept for somebody who was away."""
    begun = await visit.ask(protocol.Watch(id=ID, everybody=everybody), protocol.Watching)
    return [begun, protocol.Truncated(session="")] if after else [begun]


@router.get("/events", response_class=EventSourceResponse, responses=REFUSALS_OF_STREAMS)
async def events(telling: Annotated[Telling, Depends(telling)], gateway: House) -> AsyncIterator[ServerSentEvent]:
    """What happens in a session, or in all of them, from now on or behind the last event that arrived."""
    ending = asyncio.create_task(gateway.ending.wait(), name="end of a stream of events")
    try:
        async for event in telling.events(ending):
            yield event
    finally:
        ending.cancel()
