"""One client on the daemon's side, over whatever carries its messages: how long, how many and how bad they may be."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from agentd.errors import AgentdError, Busy, UsageError
from agentd.serving import protocol
from agentd.serving.budget import Seat
from agentd.serving.outbox import Outbox, Stuck
from agentd.serving.requests import BESIDE, Requests

log = logging.getLogger(__name__)

MAX_GARBAGE, ALL_GARBAGE = 20, 200
"""Messages that could not be understood, in a row and in all, before the connection is closed."""


class Transport(Protocol):
    """What carries the messages of one client, each as one line of JSON."""

    async def read(self, seat: Seat) -> bytes | None:
        """The next message, None when the client has gone; what comes in is noted in its seat.

        Another `AgentdError` than `UsageError` is told to the client as the end of the connection.
        """
        ...

    async def write(self, data: bytes) -> None:
        """Returns when the client's side has it; `ConnectionError` if there is none any more."""
        ...

    def end(self, last: bytes = b"") -> None:
        """Drop the connection now. `last` is said before that, unless another message is half said."""
        ...


class Connection:
    """`serve` until the client goes."""

    def __init__(self, transport: Transport, outbox: Outbox, seat: Seat, requests: Requests) -> None:
        self._transport = transport
        self._outbox = outbox
        self._seat = seat
        self._requests = requests

    async def serve(self, tasks: asyncio.TaskGroup) -> None:
        """Answer what comes; what takes long is answered in `tasks`. Returns when the client has gone."""
        try:
            await self._answer_all(tasks)
        except ConnectionError:
            raise
        except AgentdError as error:
            await self._outbox.put(protocol.Failure(code=error.code, message=str(error)))
        await self._outbox.flush()

    async def _answer_all(self, tasks: asyncio.TaskGroup) -> None:
        in_a_row = garbage = 0
        while (line := await self._transport.read(self._seat)) is not None:
            try:
                message = protocol.decode_client(line)
                in_a_row = 0
                await self._begin(message, tasks)
            except UsageError as error:
                in_a_row, garbage = in_a_row + 1, garbage + 1
                await self._outbox.put(protocol.Failure(code="bad_message", message=str(error)))
                if in_a_row >= MAX_GARBAGE or garbage >= ALL_GARBAGE:
                    return
            self._seat.done()
            await asyncio.sleep(0)  # however much this client sends, the others get their turn

    async def _begin(self, message: protocol.ClientMessage, tasks: asyncio.TaskGroup) -> None:
        if not isinstance(message, BESIDE):
            await self._answer(message)
            return
        try:
            self._seat.begin()
        except Busy as error:
            await self._outbox.put(protocol.Failure(re=message.id, code=error.code, message=str(error)))
            return
        tasks.create_task(self._answer_beside(message), name=f"{message.type} for a client")

    async def _answer_beside(self, message: protocol.ClientMessage) -> None:
        try:
            await self._answer(message)
        finally:
            self._seat.end()

    async def _answer(self, message: protocol.ClientMessage) -> None:
        async for reply in self._requests.replies(message):
            await self._outbox.put(reply)
        # A client that does not read what it asked for is answered no further.
        await self._outbox.flush()


async def write_all(outbox: Outbox, seat: Seat) -> None:
    """The writer of one client; one that does not read is noted before it is cut off."""
    try:
        await outbox.run()
    except Stuck:
        seat.tell("a client that does not read was cut off")
        raise
