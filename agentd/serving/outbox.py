"""What one client is to get, in its order: a bounded queue that one writer empties."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from agentd.serving import frames
from agentd.serving.protocol import Chunk, ServerMessage

STUCK_SECONDS = 20.0
"""A client that does not take a message for so long is cut off; what it was owed stays owed."""
QUEUED_BYTES = 256 * 1024
"""What may wait for a client that is slow; a single longer message may wait alone."""


class Stuck(ConnectionError):
    """The client does not read."""


@dataclass(slots=True)
class _Frame:
    data: bytes
    written: asyncio.Future[None] | None


class Outbox:
    """`put` from any task; `run`, in one task, has `write` take each message before the next one."""

    def __init__(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        self._write = write
        self._frames: deque[_Frame] = deque()
        self._bytes = 0
        self._ended = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    async def put(self, message: ServerMessage) -> None:
        """Returns when it has its place; what is longer than a client reads is cut, and says so.

        `ConnectionError` once the client is gone, here and below.
        """
        for piece in frames.pieces(message) if isinstance(message, Chunk) else (message,):
            await self._add(_Frame(frames.fitting(piece), None))

    async def deliver(self, data: bytes) -> None:
        """Returns when the client's side has it."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._add(_Frame(data, written))
        await asyncio.shield(written)

    async def flush(self) -> None:
        """Returns when all that was put until now has been written."""
        if not self._frames:
            return
        last = self._frames[-1]
        if last.written is None or last.written.cancelled():
            last.written = asyncio.get_running_loop().create_future()
        await asyncio.shield(last.written)

    async def run(self) -> None:
        """Write until `close`; `Stuck` if the client does not read, or whatever else `write` raises."""
        try:
            while not self._ended:
                if self._frames:
                    await self._send(self._frames[0])
                    continue
                self._news.clear()
                await self._news.wait()
        finally:
            self.close()

    async def _send(self, frame: _Frame) -> None:
        try:
            async with asyncio.timeout(STUCK_SECONDS):
                await self._write(frame.data)
        except TimeoutError:
            raise Stuck("the client does not read") from None
        if self._frames and self._frames[0] is frame:
            self._frames.popleft()
            self._bytes -= len(frame.data)
            _settle(frame)
            self._room.set()

    def close(self) -> None:
        """The client is gone: everybody who waits is told, and nothing is kept for it."""
        self._ended = True
        for frame in self._frames:
            _settle(frame, ConnectionError("the client is gone"))
        self._frames.clear()
        self._news.set()
        self._room.set()

    async def _add(self, frame: _Frame) -> None:
        while self._frames and self._bytes + len(frame.data) > QUEUED_BYTES and not self._ended:
            self._room.clear()
            await self._room.wait()
        if self._ended:
            raise ConnectionError("the client is gone")
        self._frames.append(frame)
        self._bytes += len(frame.data)
        self._news.set()


def _settle(frame: _Frame, error: ConnectionError | None = None) -> None:
    if frame.written is None or frame.written.done():
        return
    if error is None:
        frame.written.set_result(None)
    else:
        frame.written.set_exception(error)
        with suppress(ConnectionError):  # whoever waited may have gone, too
            frame.written.exception()
