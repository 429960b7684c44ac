"""What carries one client of `/ws`, a message in each text frame; implements `serving.connection.Transport`."""

from __future__ import annotations

import asyncio
import json

from fastapi import WebSocket, WebSocketDisconnect

from agentd.errors import AgentdError, Unauthorized
from agentd.serving.budget import Seat
from agentd.serving.protocol import Failure, encode
from channels.websocket.wire import SocketWire

END_SECONDS = 2.0
"""How long the last words to a client may take."""
MESSAGE_SECONDS = 30.0
"""How long a message may take from its first piece to its end."""
NORMAL, UNSUPPORTED, REFUSED, TOO_BIG, TRY_LATER = 1000, 1003, 1008, 1009, 1013
"""Close codes of RFC 6455 and of its registry (https://www.iana.org/assignments/websocket)."""
UNAUTHORIZED, TOO_LATE = 4401, 4408
"""Close codes of our own: for who is not let in, or no longer, and for who was waited for. The statuses of HTTP after
which they are called mean the same.
"""
GONE = (OSError, RuntimeError, WebSocketDisconnect)
"""What the libraries raise if something is sent over a connection that was closed."""
REASON_BYTES = 120
"""Of the words that a close frame has room for."""


class Binary(AgentdError):
    code = "bad_message"

    def __init__(self) -> None:
        super().__init__("a message is JSON in a text frame; this was a binary one.")


class TooSlow(AgentdError):
    code = "timeout"


class TooLarge(AgentdError):
    code = "too_large"


class SocketTransport:
    """A WebSocket that was accepted."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._wire: SocketWire = websocket.scope["state"]["wire"]
        self._code = NORMAL
        self._gone = False
        self._last: asyncio.Task[None] | None = None

    async def read(self, seat: Seat) -> bytes | None:
        """See `serving.connection.Transport`; `Binary` or `TooSlow` ends the connection."""
        try:
            async with asyncio.timeout(None) as wait:
                while isinstance(news := await self._next(), int):
                    if wait.when() is None:
                        wait.reschedule(asyncio.get_running_loop().time() + MESSAGE_SECONDS)
                    await seat.arrive(news)
        except TimeoutError:
            self._code = TOO_LATE
            raise TooSlow(f"a message did not come whole within {MESSAGE_SECONDS:g} s.") from None
        if news is None:
            self._gone = True
        else:
            seat.arrived()
            self._code = REFUSED  # unless something else ends the connection, it is because of what this holds
        return news

    async def receive(self) -> bytes | None:
        """The next message of a client that nobody knows yet, None when it has gone; `TooLarge` for a long one."""
        news = await self._next()
        if isinstance(news, int):
            raise TooLarge("the first message is too long; say who you are in it, and nothing else.")
        return news

    async def _next(self) -> bytes | int | None:
        """A message; or how many bytes more of one have come; None when the client has gone."""
        event = await self._wire.receive()
        match event["type"]:
            case "arriving":
                return int(event["bytes"])
            case "websocket.receive" if event.get("text") is not None:
                return str(event["text"]).encode()
            case "websocket.receive":
                self._code = UNSUPPORTED
                raise Binary
        return None

    async def write(self, data: bytes) -> None:
        """Returns when the kernel has it."""
        if self._last is not None:
            raise ConnectionError("the client is gone")
        try:
            await self._websocket.send_text(data[:-1].decode())
        except GONE:
            raise ConnectionError("the client is gone") from None
        await self._wire.drain()

    def end(self, last: bytes = b"") -> None:
        code = self._code
        if last:
            code = UNAUTHORIZED if json.loads(last)["code"] == Unauthorized.code else TRY_LATER
        self.close(code, last)

    def close(self, code: int, last: bytes = b"", reason: str = "") -> None:
        """End the connection with this code; the first one counts."""
        if self._last is None:
            self._last = asyncio.create_task(self._close(code, last, reason), name="end of a WebSocket")

    async def ended(self) -> None:
        """Returns when nothing more is said after `end`."""
        if self._last is not None:
            await self._last

    async def _close(self, code: int, last: bytes, reason: str) -> None:
        if self._gone:
            return
        try:
            async with asyncio.timeout(END_SECONDS):
                if last:
                    await self._websocket.send_text(last[:-1].decode())
                await self._websocket.close(code, reason.encode()[:REASON_BYTES].decode(errors="ignore"))
                await self._wire.drain()
        except TimeoutError:
            self._wire.abort()
        except GONE:
            pass

    async def refuse(self, code: int, error: AgentdError) -> None:
        """Say why, and end the connection: a browser tells its page nothing of a handshake that failed."""
        self.close(code, encode(Failure(code=error.code, message=str(error))), str(error))
        await self.ended()
