"""The clients of the gateway's benchmark: WebSockets that measure how late the pieces of an answer come."""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

CONNECTING = 50
"""Clients that connect at a time."""
_SENT = re.compile(r"t(\d+) ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A server of the benchmark; `token` is "" for the bare one, which knows no sessions."""

    name: str
    port: int
    pid: int
    token: str = ""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


class Listener:
    """One client with a session of its own."""

    def __init__(self, socket: ClientConnection, session: str) -> None:
        self.socket = socket
        self.session = session
        self._numbers = iter(range(1_000_000))

    async def ask(self, text: str) -> None:
        message = {"type": "message", "id": f"m{next(self._numbers)}", "session": self.session, "text": text}
        await self.socket.send(json.dumps(message))

    async def until(self, kind: str) -> dict[str, Any]:
        """The next message of this kind."""
        while True:
            message: dict[str, Any] = json.loads(await self.socket.recv())
            if message["type"] == kind:
                return message
            if message["type"] == "error":
                raise RuntimeError(f"the gateway refused: {message['message']}")

    async def delays(self, count: int, rate: float) -> list[tuple[int, float]]:
        """Ask for a beat; of each piece when it was sent, in ns, and how many seconds later it is here."""
        await self.ask(f"{count} {rate:g}")
        found: list[tuple[int, float]] = []
        while True:
            text = await self.socket.recv()
            now = time.monotonic_ns()
            message = json.loads(text)
            if message["type"] == "chunk":
                found += [(int(sent), (now - int(sent)) / 1e9) for sent in _SENT.findall(message["text"])]
            elif message["type"] == "answer":
                return found
            elif message["type"] == "error":
                raise RuntimeError(f"the gateway refused: {message['message']}")


@asynccontextmanager
async def listeners(server: Server, count: int) -> AsyncIterator[list[Listener]]:
    """So many clients, each with a session of its own if the server knows sessions."""
    async with AsyncExitStack() as stack:
        found: list[Listener] = []
        for begin in range(0, count, CONNECTING):
            some = range(begin, min(begin + CONNECTING, count))
            sockets = [
                connect(f"ws://{server.address}/ws", additional_headers=server.headers, ping_interval=None)
                for _ in some
            ]
            for socket in await asyncio.gather(*map(stack.enter_async_context, sockets)):
                found.append(Listener(socket, ""))
            if server.token:
                await asyncio.gather(*map(_open, found[begin:]))
        yield found


async def _open(listener: Listener) -> None:
    await listener.until("welcome")
    await listener.socket.send(json.dumps({"type": "open", "id": "o", "session": None}))
    listener.session = (await listener.until("session"))["session"]


async def chunk_delays(server: Server, clients: int, *, count: int, rate: float, spread: float) -> list[float]:
    """How late the pieces are, in seconds, from when all answers have begun; they begin within `spread` seconds."""
    async with listeners(server, clients) as here:

        async def one(n: int) -> list[tuple[int, float]]:
            await asyncio.sleep(spread * n / clients)
            return await here[n].delays(count, rate)

        begun = time.monotonic_ns() + int(1.5e9 * spread)
        answers = await asyncio.gather(*map(one, range(clients)))
        return [delay for found in answers for sent, delay in found if sent >= begun]


async def accepts(server: Server, clients: int, *, seconds: float) -> float:
    """Questions that are durably accepted in a second, if every client waits for one before it sends the next."""
    counted = 0
    async with listeners(server, clients) as here:
        end = time.perf_counter() + seconds

        async def one(listener: Listener) -> None:
            nonlocal counted
            while time.perf_counter() < end:
                await listener.ask("2 0.001")
                await listener.until("accepted")
                counted += 1

        began = time.perf_counter()
        await asyncio.gather(*map(one, here))
        return counted / (time.perf_counter() - began)


async def idle_kib(server: Server, steps: Sequence[int]) -> float:
    """KiB of the server's memory for each idle connection: the slope over these numbers of connections."""
    points = []
    for count in steps:
        async with listeners(server, count):
            points.append((float(count), float(resident_kib(server.pid))))
    slope, _ = statistics.linear_regression([x for x, _ in points], [y for _, y in points])
    return slope


def resident_kib(pid: int) -> int:
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def quantile(values: Sequence[float], q: float) -> float:
    return sorted(values)[int(len(values) * q)]
