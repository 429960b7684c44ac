"""uvicorn inside the daemon: no signals of its own, nothing in the log that could be a secret, an end within limits."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn

from agentd.serving.protocol import MAX_FRAME_BYTES
from channels.websocket.asgi import App
from channels.websocket.tls import Certificate
from channels.websocket.wire import HttpWire, SocketWire

BACKLOG = 128
END_SECONDS = 2
"""How long requests may take to end when everything must."""

STRANGERS_FAULTS = frozenset(
    {
        "Invalid UTF-8 sequence received from client.",
        "Invalid HTTP request received.",
        "Unsupported upgrade request.",
    }
)
"""What whoever connects could fill the log with."""

for noisy in ("uvicorn", "websockets"):
    # At other levels they write addresses and headers, and so secrets.
    logging.getLogger(noisy).setLevel(logging.WARNING)
logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg not in STRANGERS_FAULTS)


class Server(uvicorn.Server):
    """One server on sockets that listen already."""

    def __init__(self, app: App, certificate: Certificate | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=HttpWire,
                ws=SocketWire,
                ws_max_size=MAX_FRAME_BYTES,
                ws_per_message_deflate=False,  # what is compressed hides that nobody reads it
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_graceful_shutdown=END_SECONDS,
                ssl_context_factory=None if certificate is None else lambda config, default: certificate.context,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the daemon's."""
        yield

    async def serve_until_cancelled(self, sockets: Sequence[socket.socket], ending: asyncio.Event) -> None:
        """Serve; at the end `ending` is set, every connection is told, and all are gone when this returns."""
        serving = asyncio.create_task(self.serve(list(sockets)), name="server of the websocket channel")
        try:
            await asyncio.shield(serving)
        finally:
            ending.set()
            self.should_exit = True
            await asyncio.wait([serving])
            for connection in list(self.server_state.connections):
                connection.transport.abort()
