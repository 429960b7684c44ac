"""Clients without a socket, for tests of what clients see, and the channel that they use.

A daemon builds `MemoryChannel` like any other channel; under the name `terminal` it speaks for users of the machine:

    channel = MemoryChannel()
    ...                                        # a daemon whose configuration names what builds it
    async with channel.client(OWNER) as client:
        opened = await client.ask(protocol.Open(id="1"), protocol.SessionOpened)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Literal, TypeVar

from agentd.events import OutboundEvent
from agentd.ports.channels import Caller, Confirmation, Inbox, PartDone, Report
from agentd.records import Principal, Sender
from agentd.serving import protocol
from agentd.serving.budget import Seat
from agentd.serving.clients import Clients
from agentd.serving.given import Given

Told = TypeVar("Told", bound=protocol.ServerMessage)
Data = TypeVar("Data", bound=protocol.ToldData)

DEADLINE = 60.0
"""How many seconds a client waits for the message that it wants."""
QUEUED = 1000
"""How many messages may wait in either direction."""


class MemoryTransport:
    """Implements `serving.connection.Transport` between two tasks. The client reads while `reading` is set."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUED)
        self.heard: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUED)
        self.reading = asyncio.Event()
        self.reading.set()
        self.gone = asyncio.Event()
        """Set when either side has ended the connection."""

    async def read(self, seat: Seat) -> bytes | None:
        line = None if self.gone.is_set() else await self.said.get()
        if line is not None:
            await seat.arrive(len(line))
            seat.arrived()
        return line

    async def write(self, data: bytes) -> None:
        await self.reading.wait()
        if self.gone.is_set():
            raise ConnectionError("the client is gone")
        await self.heard.put(data)

    def end(self, last: bytes = b"") -> None:
        if self.gone.is_set():
            return
        self.gone.set()
        for queue, line in ((self.heard, last), (self.heard, None), (self.said, None)):
            if line != b"" and not queue.full():
                queue.put_nowait(line)


class MemoryClient:
    """One client; messages that nobody asked for yet are kept in order."""

    def __init__(self, transport: MemoryTransport) -> None:
        self.transport = transport
        self._passed: list[protocol.ServerMessage] = []

    async def say(self, message: protocol.ClientMessage) -> None:
        await self.transport.said.put(protocol.encode(message))

    async def say_line(self, line: bytes) -> None:
        """Anything at all."""
        await self.transport.said.put(line)

    async def hear(self, kind: type[Told], **members: object) -> Told:
        """The next message of this kind with these members; `ConnectionError` if the connection ends before that."""
        found = await self._hear(lambda message: isinstance(message, kind) and _has(message, members))
        assert isinstance(found, kind)
        return found

    async def _hear(self, wanted: Callable[[protocol.ServerMessage], bool]) -> protocol.ServerMessage:
        for n, message in enumerate(self._passed):
            if wanted(message):
                return self._passed.pop(n)
        async with asyncio.timeout(DEADLINE):
            while (line := await self.transport.heard.get()) is not None:
                message = protocol.decode_server(line)
                if wanted(message):
                    return message
                self._passed.append(message)
        raise ConnectionError("the daemon ended the connection")

    async def ask(self, message: protocol.ClientMessage, kind: type[Told]) -> Told:
        """Send a request and return its reply, whatever comes in between; `AssertionError` if it is another."""
        await self.say(message)
        reply = await self.reply(message)
        assert isinstance(reply, kind), reply
        return reply

    async def reply(self, message: protocol.ClientMessage) -> protocol.ServerMessage:
        """The reply to a request that was sent, whatever comes in between."""
        request = {"re": getattr(message, "id", "")}
        return await self._hear(lambda heard: _has(heard, request))

    async def told(self, message: protocol.ClientMessage, kind: type[Data]) -> Data:
        """The record in the reply to a request."""
        return kind.model_validate((await self.ask(message, protocol.Told)).data)


def _has(message: protocol.ServerMessage, members: Mapping[str, object]) -> bool:
    return all(getattr(message, name, None) == value for name, value in members.items())


class MemoryChannel:
    """Implements `ports.Channel` and `ports.Draining`: clients that are tasks of the same process."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.running = asyncio.Event()
        """Set while `run` runs."""
        self._clients: Clients | None = None
        self._given: Given | None = None

    def build(self, given: Given) -> MemoryChannel:
        """Called by the daemon to build the channel."""
        self._given, self._clients = given, given.clients()
        return self

    @property
    def clients(self) -> Clients:
        assert self._clients is not None, "the daemon builds the channel first"
        return self._clients

    @property
    def given(self) -> Given:
        assert self._given is not None, "the daemon builds the channel first"
        return self._given

    @asynccontextmanager
    async def client(
        self, who: Principal | Caller, *, acks: bool = False, name: str = "test"
    ) -> AsyncIterator[MemoryClient]:
        """A client of this principal, or of this caller, that has said hello; it leaves at the end of the block."""
        await self.running.wait()
        transport = MemoryTransport()
        if isinstance(who, Principal):
            who = Caller(principal=who, sender=Sender(id=who.id or "owner", name=name))
        serving = asyncio.create_task(self.clients.serve(transport, who), name="client in memory")
        client = MemoryClient(transport)
        try:
            await client.hear(protocol.Welcome)
            await client.say(protocol.Hello(client=name, acks=acks))
            yield client
        finally:
            transport.reading.set()
            transport.end()
            await serving

    async def run(self, inbox: Inbox, report: Report) -> None:
        """Runs until cancelled; nothing comes in by itself."""
        self.running.set()
        report.connected()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.running.clear()

    async def send(self, event: OutboundEvent, progress: PartDone) -> Confirmation | Literal["taken", "history"]:
        return await self.clients.send(event, progress)

    async def stop_receiving(self) -> None:
        await self.clients.say_goodbye()
