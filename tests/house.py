"""The real daemon inside the test's own process, with a model that the test scripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from agentd import protocol
from agentd.client import Client
from agentd.config import Settings
from agentd.daemon import Daemon
from agentd.ports import ChatModel
from agentd.testing.model import ScriptedModel

DEADLINE = 20.0


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
) -> AsyncIterator[RunningDaemon]:
    """A daemon that is ready; it is stopped in good order at the end."""
    house = RunningDaemon(state_dir, model or ScriptedModel())
    daemon = Daemon(
        settings or Settings(), state_dir, sockets=[(house.socket, 0o600)], channels=channels, model=house.model
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
            shown = (await client.get("status"))[group]
