"""`TerminalChannel`: the clients of the unix sockets, and the answers to what they asked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from agentd.events import OutboundEvent
from agentd.ports.channels import Confirmation, Inbox, PartDone, Report
from agentd.serving.clients import Clients
from agentd.serving.gate import Gate
from agentd.serving.given import Given
from channels.terminal.lines import READ_BYTES
from channels.terminal.socket import QUEUE, Bound, bind, shared_group
from channels.terminal.transport import SocketTransport

log = logging.getLogger(__name__)

ACCEPTED_AT_ONCE = 1
"""Connections that are accepted in one round of the loop: whoever connects without end must leave time for the rest."""


class _Nothing(BaseModel):
    model_config = ConfigDict(extra="forbid")


SETTINGS = _Nothing
"""The channel has no settings of its own."""


def build(given: Given) -> TerminalChannel:
    """The channel as the daemon builds it."""
    return TerminalChannel(given.sockets, given.door.principals, given.clients())


class TerminalChannel:
    """Implements `ports.Channel` and `ports.Draining`. Its addresses are sessions; a thread names one request whose
    client does not come back (`agentd ask`), so that its answer rests in the history when the connection is gone.
    """

    name = "terminal"

    def __init__(self, paths: Sequence[tuple[Path, int]], principals: Gate, clients: Clients) -> None:
        self._paths = paths
        self._principals = principals
        self._clients = clients
        self._bound: list[Bound] = []
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self) -> None:
        """Bind the sockets, so that their errors are errors of the start; clients wait until `run`."""
        for path, mode in self._paths:
            self._bound.append(bind(path, mode))

    async def run(self, inbox: Inbox, report: Report) -> None:
        """Serve clients until cancelled."""
        if not self._bound:
            self.listen()
        try:
            for bound in self._bound:
                server = await asyncio.start_unix_server(
                    self._server(shared_group(bound.path)),
                    sock=bound.listener,
                    limit=READ_BYTES,
                    backlog=ACCEPTED_AT_ONCE,
                )
                bound.listener.listen(QUEUE)  # asyncio listens anew, with a queue that is as short
                self._servers.append(server)
            report.connected()
            await asyncio.get_running_loop().create_future()
        finally:
            await self._end()

    def _server(self, group: int | None) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if not self._servers:  # it was accepted just before the end
                writer.transport.abort()
                return
            transport = SocketTransport(reader, writer)
            caller = self._principals.local(writer.get_extra_info("socket"), group=group)
            if caller is None or not self._clients.let_in(transport, caller):
                writer.transport.abort()
                return
            task = asyncio.create_task(self._clients.serve(transport, caller), name="client of the terminal channel")
            self._tasks.add(task)
            task.add_done_callback(partial(self._left, writer))

        return connected

    def _left(self, writer: asyncio.StreamWriter, task: asyncio.Task[None]) -> None:
        """Also of a client that was cut off before it was served at all."""
        self._tasks.discard(task)
        writer.transport.abort()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a client could not be served", exc_info=error)

    async def stop_receiving(self) -> None:
        """No new clients; those that are here are told and may still get their answers."""
        await self._close()
        await self._clients.say_goodbye()

    def close(self) -> None:
        """Stop listening and take the sockets away."""
        for bound in self._bound:
            bound.unlink()
        for server in self._servers:
            server.close()
        for bound in self._bound:
            bound.close()
        self._servers.clear()
        self._bound.clear()

    async def _close(self) -> None:
        """Like `close`, but who was just accepted gets a transport first: a server that is closed cannot give one."""
        for bound in self._bound:
            asyncio.get_running_loop().remove_reader(bound.listener)
        try:
            await asyncio.sleep(0)
        finally:
            self.close()

    async def _end(self) -> None:
        await self._close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    async def send(self, event: OutboundEvent, progress: PartDone) -> Confirmation | Literal["taken", "history"]:
        """Write the answer to everybody who follows its session; see `ports.Channel`."""
        return await self._clients.send(event, progress)
