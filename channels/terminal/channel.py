"""`TerminalChannel`: an answer goes to every client that follows its session, and is taken when one of them has it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from agentd.errors import Wait
from agentd.events import Address, OutboundEvent, Principal
from agentd.ports.channels import Caller, Deliveries, Inbox, PartDone, Principals, Report
from agentd.ports.documents import DocumentView
from agentd.ports.feed import Feed
from agentd.ports.house import Control, DeliveryDesk, Status
from agentd.ports.sessions import SessionView
from agentd.serving import frames
from agentd.serving.budget import Budgets
from agentd.serving.offers import Offers
from agentd.serving.protocol import Closing, answer_message, encode
from channels.terminal.connection import Connection
from channels.terminal.lines import READ_BYTES
from channels.terminal.socket import Bound, bind, shared_group

log = logging.getLogger(__name__)

CLOSING_SECONDS = 1.0
"""How long clients are waited for that are told of the end."""


class _Nothing(BaseModel):
    model_config = ConfigDict(extra="forbid")


SETTINGS = _Nothing
"""The channel has no settings of its own."""


def build(offers: Offers) -> TerminalChannel:
    """The channel as the daemon builds it."""
    return TerminalChannel(
        paths=offers.sockets,
        version=offers.version,
        principals=offers.principals,
        sessions=offers.sessions,
        documents=offers.documents,
        feed=offers.feed,
        deliveries=offers.deliveries,
        status=offers.status,
        control=offers.control,
        letters=offers.letters,
        budgets=offers.budgets,
        hand_over=offers.hand_over,
    )


class Acknowledgement:
    """An answer that was written and whose acknowledgement is awaited; implements `ports.Confirmation`."""

    def __init__(self, connections: set[Connection], request: bool) -> None:
        self._connections = connections
        self._request = request
        self._done: asyncio.Future[Literal["taken", "history"]] = asyncio.get_running_loop().create_future()

    async def wait(self) -> Literal["taken", "history"]:
        return await self._done

    def by(self, connection: Connection) -> bool:
        """The client has it; False for a client that was never sent it."""
        if connection in self._connections and not self._done.done():
            self._done.set_result("taken")
        return self._done.done()

    def lost(self, connection: Connection) -> bool:
        """The client is gone; True when nobody is left who could acknowledge."""
        self._connections.discard(connection)
        if self._connections or self._done.done():
            return self._done.done()
        if self._request:
            self._done.set_result("history")
        else:
            self._done.set_exception(Wait("the client left before it acknowledged", until=None))
            self._done.exception()
        return True


class TerminalChannel:
    """Implements `ports.Channel` and `ports.Draining`. Its addresses are sessions; a thread names one request whose
    client does not come back (`agentd ask`), so that its answer rests in the history when the connection is gone.
    """

    name = "terminal"

    def __init__(
        self,
        *,
        paths: Sequence[tuple[Path, int]],
        version: str,
        principals: Principals,
        sessions: SessionView,
        documents: DocumentView,
        feed: Feed,
        deliveries: Deliveries,
        status: Status,
        control: Control,
        letters: DeliveryDesk,
        budgets: Budgets,
        hand_over: Callable[[Principal], float],
    ) -> None:
        self._paths = paths
        self._version = version
        self._principals = principals
        self.sessions = sessions
        self.documents = documents
        self.feed = feed
        self.status = status
        self.control = control
        self.letters = letters
        self.budgets = budgets
        self._deliveries = deliveries
        self._hand_over = hand_over
        self._closing = "agentd stops"
        self._inbox: Inbox | None = None
        self._bound: list[Bound] = []
        self._servers: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._awaited: dict[str, Acknowledgement] = {}

    @property
    def inbox(self) -> Inbox:
        assert self._inbox is not None, "a connection is served by run(), which has the inbox"
        return self._inbox

    def listen(self) -> None:
        """Bind the sockets, so that their errors are errors of the start; clients wait until `run`."""
        for path, mode in self._paths:
            self._bound.append(bind(path, mode))

    async def run(self, inbox: Inbox, report: Report) -> None:
        """Serve clients until cancelled."""
        self._inbox = inbox
        if not self._bound:
            self.listen()
        try:
            for bound in self._bound:
                server = await asyncio.start_unix_server(
                    self._server(shared_group(bound.path)), sock=bound.listener, limit=READ_BYTES
                )
                self._servers.append(server)
            report.connected()
            await asyncio.get_running_loop().create_future()
        finally:
            await self._end()

    def _server(self, group: int | None) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            task.set_name("client of the terminal channel")
            self._tasks.add(task)
            try:
                await self._serve(reader, writer, group)
            except asyncio.CancelledError:
                # Only `_end` cancels it, and asyncio.streams takes a connection's cancelled task for a bug.
                log.debug("a client was cut off at the end")
            finally:
                self._tasks.discard(task)

        return connected

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, group: int | None) -> None:
        caller = self._principals.local(writer.get_extra_info("socket"), group=group)
        if caller is None:
            writer.transport.abort()
            return
        connection = Connection(reader, writer, self, caller, f"agentd {self._version}")
        self._connections.add(connection)
        try:
            await connection.serve(os.getpid())
        finally:
            self._connections.discard(connection)
            self._awaited = {k: a for k, a in self._awaited.items() if not a.lost(connection)}

    async def stop_receiving(self) -> None:
        """No new clients; those that are here are told and may still get their answers."""
        self.close()
        farewell = encode(Closing(reason=self._closing))
        told = {asyncio.create_task(self._tell(c, farewell), name="farewell to a client") for c in self._connections}
        self._tasks |= told
        for task in told:
            task.add_done_callback(self._tasks.discard)
        if told:
            await asyncio.wait(told, timeout=CLOSING_SECONDS)

    async def _tell(self, connection: Connection, frame: bytes) -> None:
        with suppress(ConnectionError):
            await connection.write(frame)

    def hand_over(self, to: Caller) -> float:
        """End this daemon for one that `to` starts; the seconds that takes at most. `UsageError` where it goes on."""
        seconds = self._hand_over(to.principal)
        self._closing = f"`agentd run` takes over ({to.sender.name})"
        return seconds

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

    async def _end(self) -> None:
        self.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    # --- delivery ---

    def address(self, session_id: str, request: str = "") -> Address:
        return Address(channel=self.name, account="local", chat=session_id, thread=request)

    def follows(self, connection: Connection, session_id: str) -> None:
        """A client is there for this session now."""
        self._deliveries.reachable(self.address(session_id))

    def acknowledged(self, connection: Connection, outbound_id: str) -> None:
        awaited = self._awaited.get(outbound_id)
        if awaited is not None and awaited.by(connection):
            del self._awaited[outbound_id]

    async def send(self, event: OutboundEvent, progress: PartDone) -> Acknowledgement | Literal["taken", "history"]:
        """Write the answer to everybody who follows its session; see `ports.Channel`."""
        request = event.address.thread != ""
        readers = [c for c in self._connections if c.follows(event.address.chat)]
        awaited = Acknowledgement({c for c in readers if c.acks}, request)
        self._awaited[event.id] = awaited
        written: list[Connection] = []
        try:
            frame = frames.fitting(answer_message(event, repeat=progress.repeat)) if readers else b""
            results = await asyncio.gather(*(c.write(frame) for c in readers), return_exceptions=True)
            written = [c for c, result in zip(readers, results, strict=True) if result is None]
        finally:
            if not written or not all(c.acks for c in written):
                self._awaited.pop(event.id, None)
        if any(not c.acks for c in written):
            return "taken"
        if written:
            return awaited
        if request:
            return "history"
        raise Wait("nobody is connected to this session", until=None)
