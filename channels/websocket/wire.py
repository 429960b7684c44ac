"""The connections of uvicorn, with the limits that it lacks: of a first request, of what has come, and of the end."""

from __future__ import annotations

import asyncio
import resource
from asyncio.transports import BaseTransport
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

REQUEST_SECONDS = 20.0
"""How long a connection may take for the head of its first request."""
CLOSE_SECONDS = 2.0
"""How long the other side may take to close a WebSocket after it was told."""
MOST_CONNECTIONS = 4096
"""And at most half of the files that this process may have open, so that the rest of it can go on."""
FED_BYTES, FED_MESSAGES = 4096, 32
"""What came is read in pieces, and no further while so many messages wait: the smallest has six bytes."""
ARRIVED_BYTES = 64 * 1024
"""An unfinished message is told of each time when it has so many bytes more."""


def _most_connections() -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if files == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, files // 2)


class HttpWire(H11Protocol):
    """A connection over which HTTP is spoken, `scope["state"]["wire"]` of its requests; one that asks for nothing is
    ended.
    """

    _first: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > _most_connections():
            transport.abort()
        self._first = self.loop.call_later(REQUEST_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.scope is not None:
            self._has_asked()

    def handle_events(self) -> None:
        super().handle_events()
        if self.scope is not None:
            self.scope["state"]["wire"] = self

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_asked()
        super().connection_lost(exc)

    def abort(self) -> None:
        """Drop the connection now, with all that was not sent."""
        self.transport.abort()

    def _has_asked(self) -> None:
        if self._first is not None:
            self._first.cancel()
            self._first = None


class SocketWire(WebSocketsSansIOProtocol):
    """A WebSocket; what serves it finds it as `scope["state"]["wire"]`.

    Beside the events of ASGI, `receive` has `{"type": "arriving", "bytes": n}` for so much more of a message that is
    not whole yet; nothing more is read until it was received.
    """

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.close_timeout = CLOSE_SECONDS
        self._held = bytearray()
        self._arrived = 0

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=0)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["state"]["wire"] = self

    def data_received(self, data: bytes) -> None:
        self._held.extend(data)
        self._feed()

    def _feed(self) -> None:
        while self._held and self.queue.qsize() < FED_MESSAGES and not self.disconnected:
            piece = bytes(memoryview(self._held)[:FED_BYTES])
            del self._held[:FED_BYTES]
            before = self.queue.qsize()
            super().data_received(piece)
            self._count(len(piece), self.queue.qsize() > before)

    def _count(self, size: int, whole: bool) -> None:
        self._arrived = 0 if whole else self._arrived + size
        if self._arrived >= ARRIVED_BYTES and self.handshake_complete and not self.close_sent:
            self.queue.put_nowait({"type": "arriving", "bytes": self._arrived})  # type: ignore[typeddict-item]
            self._arrived = 0
            if not self.read_paused:
                self.read_paused = True
                self.transport.pause_reading()

    async def receive(self) -> Any:
        event = await super().receive()
        if self._held:
            self._feed()
        return event

    async def drain(self) -> None:
        """Returns when the kernel has all that was sent."""
        await self.writable.wait()
        if self.disconnected:
            raise ConnectionError("the client is gone")

    def abort(self) -> None:
        """Drop the connection now, with all that was not sent."""
        self.transport.abort()
