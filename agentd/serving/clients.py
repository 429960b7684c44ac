"""The clients of one channel: each is served until it leaves, and all are told when the daemon stops."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

from agentd.errors import AgentdError, Busy, Unauthorized
from agentd.events import OutboundEvent
from agentd.ports.channels import Caller, PartDone
from agentd.serving import protocol
from agentd.serving.audience import Acknowledgement, Audience
from agentd.serving.budget import Budgets, Seat
from agentd.serving.connection import Connection, Transport, write_all
from agentd.serving.door import Door
from agentd.serving.outbox import Outbox
from agentd.serving.rates import Rates
from agentd.serving.requests import Requests
from agentd.serving.visits import Visit, visiting

log = logging.getLogger(__name__)

CLOSING_SECONDS = 1.0
"""How long clients are waited for that are told of the end."""


class Clients:
    """Made by a channel that has clients; from then on its answers go to all who follow their sessions."""

    def __init__(self, door: Door, audience: Audience, budgets: Budgets, version: str) -> None:
        self._door = door
        self._audience = audience
        self._budgets = budgets
        self._server = f"agentd {version}"
        self._outboxes: set[Outbox] = set()
        self.rates = Rates()
        """How often they may ask; a channel whose clients come from far away sets it."""
        audience.serve(door.channel)

    def let_in(self, transport: Transport, caller: Caller) -> bool:
        """False for somebody who connects too often: that is said, and costs less than to serve them."""
        try:
            self._budgets.greet(caller.principal)
        except Busy as error:
            transport.end(_refusal(error))
            return False
        return True

    @asynccontextmanager
    async def visit(self, caller: Caller) -> AsyncIterator[Visit]:
        """Serve one request of somebody who does not stay, until the end of the block; `Busy` if there is no room."""
        async with visiting(self._door, self._audience, self._budgets, caller, self.rates) as (visit, outbox):
            self._outboxes.add(outbox)
            try:
                yield visit
            finally:
                self._outboxes.discard(outbox)

    async def serve(self, transport: Transport, caller: Caller) -> None:
        """Serve one client until it goes; the connection is ended then."""
        try:
            seat = self._budgets.admit(caller.principal, lambda why: transport.end(_refusal(why)), token=caller.token)
        except (Busy, Unauthorized) as error:
            transport.end(_refusal(error))
            return
        outbox = Outbox(transport.write)
        self._outboxes.add(outbox)
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._serve(transport, outbox, seat, caller, tasks)
                raise _Gone
        except* (_Gone, ConnectionError):
            log.debug("a client left")
        finally:
            self._outboxes.discard(outbox)
            outbox.close()
            seat.leave()
            transport.end()

    async def _serve(
        self, transport: Transport, outbox: Outbox, seat: Seat, caller: Caller, tasks: asyncio.TaskGroup
    ) -> None:
        tasks.create_task(write_all(outbox, seat), name="writer of a client")
        follower = self._audience.join(outbox, seat, tasks)
        try:
            await outbox.put(protocol.Welcome(server=self._server, epoch=self._audience.epoch, pid=os.getpid()))
            requests = Requests(self._door, self._audience, caller, follower, self.rates)
            await Connection(transport, outbox, seat, requests).serve(tasks)
        finally:
            follower.leave()

    async def send(self, event: OutboundEvent, progress: PartDone) -> Acknowledgement | Literal["taken", "history"]:
        """What `ports.Channel.send` does for a channel whose addresses are sessions."""
        return await self._audience.deliver(event, progress)

    async def say_goodbye(self) -> None:
        """Tell all of them that the daemon stops; they may still get their answers."""
        farewell = protocol.Closing(reason=self._audience.ending)
        told = [asyncio.create_task(_tell(o, farewell), name="farewell to a client") for o in self._outboxes]
        if not told:
            return
        try:
            await asyncio.wait(told, timeout=CLOSING_SECONDS)
        finally:
            for task in told:
                task.cancel()


class _Gone(Exception):
    """The client closed its side; ends the group of the connection's tasks."""


def _refusal(why: AgentdError) -> bytes:
    return protocol.encode(protocol.Failure(code=why.code, message=str(why)))


async def _tell(outbox: Outbox, message: protocol.ServerMessage) -> None:
    with suppress(ConnectionError):
        await outbox.put(message)
        await outbox.flush()
