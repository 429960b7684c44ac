"""The real daemon inside the test's own process, with a model that the test scripts."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from agentd.config import Settings
from agentd.daemon import Daemon
from agentd.host.peers import Peer, peer
from agentd.ports.models import ChatModel
from agentd.serving import protocol
from agentd.serving.carriers import SocketCarrier
from agentd.serving.client import Client
from agentd.testing.model import ScriptedModel

DEADLINE = 60.0
_ends = count()


def peer_by_name(connection: socket.socket) -> Peer:
    """Who connected: a client of `RunningDaemon.user` has its uid in the name of its end; of others the kernel's word.

    Such a user is in the group of the test's own process, with which a shared socket is shared.
    """
    name = connection.getpeername() or b""
    found = re.search(rb"-uid(\d+)\Z", name if isinstance(name, bytes) else name.encode())
    if found is None:
        return peer(connection)
    return Peer(pid=1, uid=int(found[1]), gid=int(found[1]), groups=frozenset({int(found[1]), os.getgid()}))


def without_port(settings: Settings) -> Settings:
    """With the gateway switched off, unless the settings say where it listens: two daemons cannot share its port."""
    if "websocket" in settings.channels:
        return settings
    return settings.model_copy(update={"channels": {**settings.channels, "websocket": {"enabled": False}}})


class RunningDaemon:
    def __init__(self, state_dir: Path, model: ChatModel) -> None:
        self.state_dir = state_dir
        self.socket = state_dir / "agentd.sock"
        self.model = model
        self.stop = asyncio.Event()
        self.fast = asyncio.Event()

    @asynccontextmanager
    async def client(self, *, acks: bool = True) -> AsyncIterator[Client]:
        async with await Client.connect(self.socket, name="test", acks=acks) as client:
            yield client

    @asynccontextmanager
    async def user(self, uid: int) -> AsyncIterator[Client]:
        """A client of another user, see `peer_by_name`. It does not acknowledge."""
        end = socket.socket(socket.AF_UNIX)
        end.setblocking(False)
        end.bind(f"\0agentd-test-{os.getpid()}-{next(_ends)}-uid{uid}")
        end.connect(str(self.socket))
        reader, writer = await asyncio.open_unix_connection(sock=end, limit=protocol.MAX_FRAME_BYTES)
        try:
            welcome = protocol.decode_server(await reader.readuntil(b"\n"))
        except (OSError, EOFError):
            writer.close()
            raise
        assert isinstance(welcome, protocol.Welcome)
        async with Client(SocketCarrier(reader, writer), welcome) as client:
            yield client

    @asynccontextmanager
    async def raw(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection without the client's manners."""
        reader, writer = await asyncio.open_unix_connection(str(self.socket), limit=protocol.MAX_FRAME_BYTES)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


@asynccontextmanager
async def running(
    state_dir: Path,
    model: ChatModel | None = None,
    settings: Settings | None = None,
    channels: Sequence[str] | None = None,
    *,
    shared: bool = False,
) -> AsyncIterator[RunningDaemon]:
    """A daemon that is ready; it is stopped in good order at the end. A `shared` one is open to its group."""
    house = RunningDaemon(state_dir, model or ScriptedModel())
    daemon = Daemon(
        without_port(settings or Settings()),
        state_dir,
        sockets=[(house.socket, 0o660 if shared else 0o600)],
        channels=channels,
        model=house.model,
        peer=peer_by_name,
    )
    ready = asyncio.Event()
    task = asyncio.create_task(daemon.run(stop=house.stop, ready=ready.set, fast=house.fast), name="daemon")
    waiter = asyncio.create_task(ready.wait(), name="ready")
    async with asyncio.timeout(DEADLINE):
        await asyncio.wait([task, waiter], return_when=asyncio.FIRST_COMPLETED)
    waiter.cancel()
    if task.done():
        task.result()
    try:
        yield house
    finally:
        house.stop.set()
        async with asyncio.timeout(60):
            await task


async def next_of(client: Client, kind: type[protocol.ServerMessage], **fields: object) -> protocol.ServerMessage:
    """The next live message of this kind with these fields; others before it are dropped."""
    async with asyncio.timeout(DEADLINE):
        async for message in client.messages():
            if isinstance(message, kind) and all(getattr(message, k) == v for k, v in fields.items()):
                return message
    raise AssertionError("the connection ended")


async def next_answer(client: Client) -> protocol.Answer:
    message = await next_of(client, protocol.Answer)
    assert isinstance(message, protocol.Answer)
    return message


async def status_until(client: Client, group: str, **figures: int) -> None:
    """Wait until these figures of the status hold."""
    async with asyncio.timeout(DEADLINE):
        shown: dict[str, int] = {}
        while any(shown.get(name) != value for name, value in figures.items()):
            shown = (await client.status()).as_json()[group]
