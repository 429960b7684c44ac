"""What carries one client of `/ws`, a message in each text frame; implements `serving.connection.Transport`."""

from __future__ import annotations

import asyncio

from fastapi import WebSocket

from agentd.errors import AgentdError
from agentd.serving.budget import Seat
from agentd.serving.protocol import Failure, encode
from channels.websocket.wire import SocketWire

END_SECONDS = 2.0
"""How long the last words to a client may take."""
NORMAL, UNSUPPORTED, TRY_LATER = 1000, 1003, 1013
"""Close codes of RFC 6455 and of its registry (https://www.iana.org/assignments/websocket)."""


class Binary(AgentdError):
    code = "bad_message"

    def __init__(self) -> None:
        super().__init__("a message is JSON in a text frame; this was a binary one.")


class SocketTransport:
    """A WebSocket that was accepted."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._wire: SocketWire = websocket.scope["state"]["wire"]
        self._code = NORMAL
        self._last: asyncio.Task[None] | None = None

    async def read(self, seat: Seat) -> bytes | None:
        line = await self.receive()
        if line is not None:
            await seat.arrive(len(line))
            seat.arrived()
        return line

    async def receive(self) -> bytes | None:
        """The next message, None when the client has gone."""
        event = await self._websocket.receive()
        if event["type"] == "websocket.disconnect":
            return None
        text: str | None = event.get("text")
        if text is None:
            self._code = UNSUPPORTED
            raise Binary
        return text.encode()

    async def write(self, data: bytes) -> None:
        """Returns when the kernel has it."""
        if self._last is not None:
            raise ConnectionError("the client is gone")
        try:
            await self._websocket.send_text(data[:-1].decode())
        except (OSError, RuntimeError):  # the second one from Starlette, for one that was closed
            raise ConnectionError("the client is gone") from None
        await self._wire.drain()

    def end(self, last: bytes = b"") -> None:
        self.close(TRY_LATER if last else self._code, last)

    def close(self, code: int, last: bytes = b"", reason: str = "") -> None:
        """End the connection with this code; the first one counts."""
        if self._last is None:
            self._last = asyncio.create_task(self._close(code, last, reason), name="end of a WebSocket")

    async def ended(self) -> None:
        """Returns when nothing more is said after `end`."""
        if self._last is not None:
            await self._last

    async def _close(self, code: int, last: bytes, reason: str) -> None:
        try:
            async with asyncio.timeout(END_SECONDS):
                if last:
                    await self._websocket.send_text(last[:-1].decode())
                await self._websocket.close(code, reason)
                await self._wire.drain()
        except TimeoutError:
            self._wire.abort()
        except (OSError, RuntimeError):
            pass

    async def refuse(self, code: int, error: AgentdError) -> None:
        """Say why, and end the connection: a browser tells its page nothing of a handshake that failed."""
        self.close(code, encode(Failure(code=error.code, message=str(error))), str(error)[:100])
        await self.ended()
