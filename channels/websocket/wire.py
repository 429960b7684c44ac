"""The connections of uvicorn, with what it lacks: an end at once, a write that has left, and a bounded beginning."""

from __future__ import annotations

import asyncio
from asyncio.transports import BaseTransport

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

REQUEST_SECONDS = 20.0
"""How long a connection may take for the head of its first request."""
CLOSE_SECONDS = 2.0
"""How long the other side may take to close a WebSocket after it was told."""


class HttpWire(H11Protocol):
    """A connection over which HTTP is spoken; one that asks for nothing is ended."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(REQUEST_SECONDS, self._ask_for_nothing)

    def data_received(self, data: bytes) -> None:
        timer, asked = self.timeout_keep_alive_task, self.cycle
        self.timeout_keep_alive_task = None  # what came may be a part of a head, so time goes on
        super().data_received(data)
        if self.scope is None or (self.cycle is asked and asked is not None and asked.response_complete):
            self.timeout_keep_alive_task = self.timeout_keep_alive_task or timer
        elif timer is not None:
            timer.cancel()

    def _ask_for_nothing(self) -> None:
        self.transport.abort()


class SocketWire(WebSocketsSansIOProtocol):
    """A WebSocket; what serves it finds it as `scope["state"]["wire"]`."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.close_timeout = CLOSE_SECONDS
        self.transport.set_write_buffer_limits(high=0)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["state"]["wire"] = self

    async def drain(self) -> None:
        """Returns when the kernel has all that was sent."""
        await self.writable.wait()
        if self.disconnected:
            raise ConnectionError("the client is gone")

    def abort(self) -> None:
        """Drop the connection now, with all that was not sent."""
        self.transport.abort()
