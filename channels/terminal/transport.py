"""What carries one client of the unix socket, a message in each line; implements `serving.connection.Transport`."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

from agentd.serving.budget import Seat
from channels.terminal.lines import Lines

PIECE_BYTES = 64 * 1024
"""Bytes that are written at once, so that what a client does not read is held once for all clients."""


class SocketTransport:
    """A connection that was accepted."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._lines = Lines(reader)
        self._half_said = False
        writer.transport.set_write_buffer_limits(high=0)

    async def read(self, seat: Seat) -> bytes | None:
        return await self._lines.next(seat)

    async def write(self, data: bytes) -> None:
        """Returns when the kernel has it. A message that is not said whole ends the connection."""
        self._half_said = True
        try:
            for start in range(0, len(data), PIECE_BYTES):
                self._writer.write(data[start : start + PIECE_BYTES])
                await self._writer.drain()
            self._half_said = False
        finally:
            if self._half_said:  # what comes next could not be told from the rest of this
                self._writer.transport.abort()

    def end(self, last: bytes = b"") -> None:
        if last and not self._half_said and not self._writer.transport.get_write_buffer_size():
            # Past the transport, which would keep the error of a client that has gone for somebody who asks for it.
            with suppress(OSError):
                os.write(self._writer.get_extra_info("socket").fileno(), last)
        self._lines.drop()
        self._writer.transport.abort()
