"""One request of somebody who does not stay, as a client in memory: it asks, hears what happens, and leaves.

A visitor has a seat and an outbox like any other client, so that budgets, rights and the audience are the same:

    async with clients.visit(caller) as visit:
        session = (await visit.ask(protocol.Open(id="o"), protocol.SessionOpened)).session
        await visit.ask(protocol.Post(id="m", session=session, text="Owls?", reply="request"), protocol.Accepted)
        async for message in visit.heard():
            if isinstance(message, protocol.Answer):
                ...                             # the whole response is handed to the connection
                visit.taken(message)
                break
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

from agentd.errors import AgentdError, Unreachable
from agentd.ports.channels import Caller
from agentd.serving import protocol
from agentd.serving.audience import Audience, Follower
from agentd.serving.budget import Budgets
from agentd.serving.connection import write_all
from agentd.serving.door import Door
from agentd.serving.outbox import Outbox
from agentd.serving.rates import Rates
from agentd.serving.requests import BESIDE, Requests

log = logging.getLogger(__name__)

Reply = TypeVar("Reply", bound=protocol.ServerMessage)


class Gone(Unreachable):
    """The visitor did not take what it was told, and was cut off."""

    code = "gone"


class Slot:
    """Through it goes one message at a time; what the visitor has not taken waits in its outbox."""

    def __init__(self) -> None:
        self._line: bytes | None = None
        self._ended: AgentdError | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    async def write(self, data: bytes) -> None:
        """Returns when the visitor has it next; `ConnectionError` if the visit was ended."""
        while self._line is not None and self._ended is None:
            self._room.clear()
            await self._room.wait()
        if self._ended is not None:
            raise ConnectionError("the visit was ended")
        self._line = data
        self._news.set()

    async def read(self) -> bytes:
        """The next message, or raises why none comes. May be cancelled, and loses nothing then."""
        while self._line is None:
            self.check()
            self._news.clear()
            await self._news.wait()
        line, self._line = self._line, None
        self._room.set()
        return line

    def check(self) -> None:
        """Raises why the visit was ended, if it was."""
        if self._ended is not None:
            raise self._ended

    def end(self, why: AgentdError) -> None:
        """No message comes any more; the first reason counts."""
        self._ended = self._ended or why
        self._news.set()
        self._room.set()


class Visit:
    """What a route of HTTP speaks with. An answer stays owed until it was `taken`."""

    def __init__(self, requests: Requests, follower: Follower, slot: Slot) -> None:
        self._requests = requests
        self._follower = follower
        self._slot = slot
        self._told: deque[protocol.ServerMessage] = deque()
        follower.acks = True

    async def ask(self, message: protocol.ClientMessage, kind: type[Reply]) -> Reply:
        """The reply to a request; the error with which it was refused is raised. What is told besides is `heard`."""
        replies = [reply async for reply in self._replies(message)]
        self._told.extend(replies[1:])
        return _expected(replies[0], kind)

    async def each(self, message: protocol.ClientMessage, kind: type[Reply]) -> AsyncIterator[Reply]:
        """All replies to a request that has several, such as an export."""
        async for reply in self._replies(message):
            yield _expected(reply, kind)

    async def _replies(self, message: protocol.ClientMessage) -> AsyncIterator[protocol.ServerMessage]:
        self._slot.check()
        seat, beside = self._follower.seat, isinstance(message, BESIDE)
        if beside:
            seat.begin()
        try:
            async for reply in self._requests.answers(message):
                yield reply
        finally:
            if beside:
                seat.end()

    async def hear(self) -> protocol.ServerMessage:
        """The next of all that happens in the sessions that were opened; `Busy` or `Gone` if the visit was ended.

        May be cancelled, and loses nothing then.
        """
        return self._told.popleft() if self._told else protocol.decode_server(await self._slot.read())

    async def heard(self) -> AsyncIterator[protocol.ServerMessage]:
        """All that `hear` hears."""
        while True:
            yield await self.hear()

    def taken(self, answer: protocol.Answer) -> None:
        """The whole response with this answer was handed to the connection."""
        self.acknowledge([answer.id])

    def acknowledge(self, answers: Iterable[str]) -> None:
        """These answers (their ids) are safe with the visitor."""
        self._follower.acknowledge(answers)

    async def arrive(self, count: int) -> None:
        """So many more bytes of the request come in; `Busy` if they had to give way to others of the same principal."""
        await self._follower.seat.arrive(count)
        self._slot.check()


@asynccontextmanager
async def visiting(
    door: Door, audience: Audience, budgets: Budgets, caller: Caller, rates: Rates | None = None
) -> AsyncIterator[tuple[Visit, Outbox]]:
    """See `Clients.visit`; what is put into the outbox is heard, too."""
    budgets.greet(caller.principal)
    slot, tasks, over = Slot(), asyncio.TaskGroup(), asyncio.Event()
    seat = budgets.admit(caller.principal, slot.end, kept=True, token=caller.token)
    seat.arrived()
    outbox, ready = Outbox(slot.write), asyncio.Event()

    async def serve() -> None:
        try:
            async with tasks:
                tasks.create_task(write_all(outbox, seat), name="writer of a visit")
                ready.set()
                await over.wait()
        except* ConnectionError:
            log.debug("a visit was cut off")
        finally:
            slot.end(Gone("this connection did not take what it was told; ask again."))

    serving = asyncio.create_task(serve(), name="a visit")
    try:
        await ready.wait()
        follower = audience.join(outbox, seat, tasks)
        try:
            yield Visit(Requests(door, audience, caller, follower, rates), follower, slot), outbox
        finally:
            follower.leave()
    finally:
        over.set()
        outbox.close()
        slot.end(Gone("the visit is over"))
        seat.leave()
        await serving


def _expected(reply: protocol.ServerMessage, kind: type[Reply]) -> Reply:
    if not isinstance(reply, kind):
        raise TypeError(f"the reply is {reply.type} instead of {kind.__name__}")
    return reply
