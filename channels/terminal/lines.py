"""What a client sends, one message a line, as it arrives: of a bounded length, in time, and with room in its budget."""

from __future__ import annotations

import asyncio

from agentd.errors import AgentdError
from agentd.serving.budget import Seat
from agentd.serving.protocol import MAX_FRAME_BYTES

READ_BYTES = 64 * 1024
"""Bytes that are read at once; a message that is not longer needs no room in the budget."""
HELLO_SECONDS = 10.0
"""How long a new client may take for its first message."""
MESSAGE_SECONDS = 30.0
"""How long a message may take from its first byte to its end."""


class TooLarge(AgentdError):
    code = "too_large"

    def __init__(self) -> None:
        super().__init__(f"a message may have {MAX_FRAME_BYTES:,} bytes; put long text into a file and ingest that.")


class TooSlow(AgentdError):
    code = "timeout"


class Lines:
    """The lines of one client."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._data = bytearray()
        self._searched = 0
        self._counted = 0

    async def next(self, seat: Seat) -> bytes | None:
        """The next line, None when the client has gone; `TooLarge` or `TooSlow` if there is none to come."""
        limit = None if seat.greeted else HELLO_SECONDS
        try:
            async with asyncio.timeout(limit) as wait:
                while (end := self._data.find(b"\n", self._searched)) < 0:
                    self._searched = len(self._data)
                    if self._data and limit is None:
                        limit = MESSAGE_SECONDS
                        wait.reschedule(asyncio.get_running_loop().time() + limit)
                    if not await self._more(seat):
                        return None
        except TimeoutError:
            raise TooSlow(f"no whole message came within {limit:g} s; connect again when there is one.") from None
        line = self._taken(end + 1)
        seat.arrived()
        return line

    def drop(self) -> None:
        """Let go at once of what has come and is not whole."""
        self._data = bytearray()
        self._searched = self._counted = 0

    async def _more(self, seat: Seat) -> bool:
        """Take in what has come; False at the end."""
        if len(self._data) > MAX_FRAME_BYTES:
            raise TooLarge
        more = await self._reader.read(READ_BYTES)
        self._data.extend(more)
        if (over := len(self._data) - READ_BYTES - self._counted) > 0:
            self._counted += over
            await seat.arrive(over)
        return bool(more)

    def _taken(self, size: int) -> bytes:
        if size > MAX_FRAME_BYTES:
            raise TooLarge
        line = bytes(memoryview(self._data)[:size])
        del self._data[:size]
        self._searched = self._counted = 0
        return line
