"""The daemon that is attacked, the clients that attack it, and a client beside them that only asks."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentd.serving import protocol
from agentd.serving.client import Client
from tests.daemons import DaemonProcess
from tests.hostile.watched import heaviest

MIB = 1 << 20
SETTLED = 64 * MIB
"""Bytes of memory that may stay after an attack."""
CALLBACK = 0.25
"""Seconds of the processor that one callback of the loop may take."""
DEADLINE = 240.0
QUESTION = "What is a zebra?"
DOCUMENT = "# Zebras\n\nA zebra is an animal with stripes.\n"


class Raw:
    """A connection that may say anything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> bool:
        """False if the daemon has closed the connection, or takes no more of it for some seconds."""
        try:
            self._writer.write(data)
            async with asyncio.timeout(5):
                await self._writer.drain()
        except (OSError, TimeoutError):
            return False
        return not self._writer.is_closing()

    async def say(self, **message: Any) -> bool:
        return await self.send(json.dumps(message).encode() + b"\n")

    async def hear(self, *types: str) -> dict[str, Any] | None:
        """The next message, or the next of these types; None if the connection ends first."""
        async with asyncio.timeout(DEADLINE):
            while line := await self._line():
                message: dict[str, Any] = json.loads(line)
                if not types or message["type"] in types:
                    return message
        return None

    async def _line(self) -> bytes:
        try:
            return await self._reader.readline()
        except (OSError, ValueError):
            return b""

    async def close(self) -> None:
        """What was not sent yet is dropped."""
        self._writer.transport.abort()
        with suppress(OSError):
            await self._writer.wait_closed()


@dataclass(kw_only=True, slots=True)
class Seen:
    """What an attack did to the daemon; seconds of the clock are only looked at by `make prove`."""

    callback: float = 0.0
    which: str = ""
    before: int = 0
    peak: int = 0
    after: int = 0
    log: int = 0
    idle: list[float] = field(default_factory=list)
    """Seconds that questions took before the attack."""
    waits: list[float] = field(default_factory=list)
    """The same during the attack."""
    stopped: float = 0.0

    @property
    def grown(self) -> int:
        return self.after - self.before


class House:
    """One daemon with one document; `attack` is what is done to it."""

    def __init__(self, place: Path, *arguments: str) -> None:
        self.place = place
        self._watched = place / "watched.json"
        environment = {**os.environ, "WATCHED": str(self._watched)}
        self.daemon = DaemonProcess(
            place / "state", *arguments, program="tests.hostile.watched", environment=environment
        )
        self.seen = Seen()
        self.accepted: dict[str, str] = {}
        """Messages that were accepted, with their session."""
        self._stack = AsyncExitStack()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[House]:
        """The daemon, warm; when this ends it was stopped, and what was seen is complete."""
        async with self.daemon:
            await self.ingest({"zebra.md": DOCUMENT})
            await self.ask()
            self.seen.before = self._memory("VmRSS")
            self._watched.unlink(missing_ok=True)  # the start, with all that it imports, is no attack
            try:
                yield self
                await self.ask()
                await self._answered()
                await self._settled()
            finally:
                await self._stack.aclose()
            began = time.monotonic()
            assert await self.daemon.end() == 0, self.log()
            self.seen.stopped = time.monotonic() - began
            self.seen.log = self.daemon.log.stat().st_size
            self.seen.callback, self.seen.which = heaviest(self._watched)

    # --- what a client does that means no harm ---

    @asynccontextmanager
    async def asked_all_the_time(self) -> AsyncIterator[None]:
        """Somebody else asks again and again, whatever goes on."""
        task = asyncio.create_task(self._ask_for_ever(), name="somebody else who asks")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _ask_for_ever(self) -> None:
        while True:
            await self.ask()

    async def ask(self, question: str = QUESTION) -> protocol.Answer:
        """A question of somebody else, while whatever goes on goes on; its answer."""
        began = time.monotonic()
        async with asyncio.timeout(DEADLINE), self.daemon.client(acks=False) as client:
            answer = await asked(client, question)
        self.seen.waits.append(time.monotonic() - began)
        return answer

    async def ingest(self, files: dict[str, str]) -> protocol.IngestState:
        folder = self.place / "documents"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text)
        async with asyncio.timeout(DEADLINE), self.daemon.client() as client:
            async for state in client.ingest([folder]):
                if state.finished:
                    return state
        raise AssertionError("it never finished")

    # --- what others do ---

    async def raw(self, *, hello: bool = True) -> Raw:
        """A connection that stays until the attack is over."""
        reader, writer = await asyncio.open_unix_connection(str(self.daemon.socket), limit=64 * MIB)
        raw = Raw(reader, writer)
        self._stack.push_async_callback(raw.close)
        if hello:
            await raw.hear()
        return raw

    async def session(self, raw: Raw, name: str | None = None) -> str:
        await raw.say(type="open", id="o", session=name)
        opened = await raw.hear("session", "error")
        assert opened is not None and opened["type"] == "session", opened
        return str(opened["session"])

    async def post(self, raw: Raw, session: str, text: str, message_id: str = "m") -> dict[str, Any] | None:
        """What the daemon says to a message: accepted, an error, or None if it closed the connection."""
        await raw.send(json.dumps({"type": "message", "id": message_id, "session": session, "text": text}).encode())
        await raw.send(b"\n")
        reply = await raw.hear("accepted", "error")
        if reply is not None and reply["type"] == "accepted":
            self.accepted[message_id] = session
        return reply

    # --- what is seen ---

    def log(self) -> str:
        return self.daemon.log.read_text(errors="replace")[-4000:]

    def _memory(self, name: str) -> int:
        """Bytes, from /proc/PID/status."""
        status = Path(f"/proc/{self.daemon.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith(f"{name}:")).split()[1]) * 1024

    async def _answered(self) -> None:
        """Every message that was accepted has its answer in its session, whoever is there to hear it."""
        async with asyncio.timeout(DEADLINE), self.daemon.client() as client:
            for session in set(self.accepted.values()):
                wanted = sum(there == session for there in self.accepted.values())
                while await _answers(client, session) < wanted:  # noqa: ASYNC110 (another process tells nothing)
                    await asyncio.sleep(0.05)

    async def _settled(self) -> None:
        """Memory that is still held some time after everybody has gone."""
        await self._stack.aclose()
        until = time.monotonic() + 60
        while True:
            self.seen.after, self.seen.peak = self._memory("VmRSS"), self._memory("VmHWM")
            if self.seen.grown <= SETTLED or time.monotonic() > until:
                return
            await asyncio.sleep(0.2)


async def asked(client: Client, question: str) -> protocol.Answer:
    opened = await client.open(None)
    await client.post(opened.session, question)
    async for message in client.messages():
        if isinstance(message, protocol.Answer):
            return message
    raise AssertionError("the connection ended")


async def _answers(client: Client, session: str) -> int:
    told = (await client.history(session, limit=1000)).as_json()
    return sum(line["role"] == "assistant" for line in told["messages"])
