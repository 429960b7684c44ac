"""`WebSocketChannel`: WebSocket and HTTP on one port, and the answers to what was asked over them."""

from __future__ import annotations

import asyncio
import socket
from functools import partial
from typing import Literal

from fastapi.middleware.cors import CORSMiddleware

from agentd.events import OutboundEvent
from agentd.ports.channels import Confirmation, Inbox, PartDone, Report
from agentd.serving.given import Given
from agentd.serving.rates import Rate, Rates
from channels.websocket import listening
from channels.websocket.app import make_app
from channels.websocket.asgi import App
from channels.websocket.authentication import known
from channels.websocket.bodies import Bodies
from channels.websocket.gateway import Gateway
from channels.websocket.guard import Guard
from channels.websocket.server import Server
from channels.websocket.settings import WebSocketSettings
from channels.websocket.tls import Certificate

SETTINGS = WebSocketSettings


def build(given: Given) -> WebSocketChannel:
    """The channel as the daemon builds it."""
    settings = WebSocketSettings.model_validate(given.settings)
    clients = given.clients()
    clients.rates = Rates(Rate(settings.requests_per_minute), Rate(settings.questions_per_minute))
    return WebSocketChannel(Gateway(door=given.door, clients=clients, settings=settings))


class WebSocketChannel:
    """Implements `ports.Channel`, `ports.Listening`, `ports.Addressed` and `ports.Draining`.

    The addresses of its answers are sessions, like those of the terminal.
    """

    name = "websocket"

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._listener: socket.socket | None = None
        self._certificate: Certificate | None = None

    def listen(self) -> None:
        """Bind the port, so that its errors are errors of the start; clients wait until `run`."""
        self._certificate = Certificate.of(self._gateway.settings)
        self._listener = listening.listen(self._gateway.settings.host, self._gateway.settings.port)

    @property
    def address(self) -> str:
        """What people open, and programs too."""
        assert self._listener is not None, "listen first"
        host, port = self._listener.getsockname()[:2]
        scheme = "http" if self._certificate is None else "https"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def run(self, inbox: Inbox, report: Report) -> None:
        """Serve clients until cancelled."""
        if self._listener is None:
            self.listen()
        assert self._listener is not None
        self._gateway.ending.clear()  # set if it crashed and is started again
        settings = self._gateway.settings
        app: App = Bodies(make_app(self._gateway), partial(known, self._gateway))
        if settings.origins:
            app = CORSMiddleware(app, allow_origins=settings.origins, allow_methods=["*"], allow_headers=["*"])
        server = Server(Guard(app, settings), self._certificate)
        report.connected()
        try:
            async with asyncio.TaskGroup() as tasks:
                if self._certificate is not None:
                    tasks.create_task(self._certificate.follow(), name="certificate of the websocket channel")
                await server.serve_until_cancelled([self._listener], self._gateway.ending)
        finally:
            self.close()

    async def stop_receiving(self) -> None:
        """Nothing new is taken in; clients that are here are told and may still get their answers."""
        self._gateway.stopping.set()
        await self._gateway.clients.say_goodbye()

    def close(self) -> None:
        """Give the port up."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def send(self, event: OutboundEvent, progress: PartDone) -> Confirmation | Literal["taken", "history"]:
        """Write the answer to everybody who follows its session; see `ports.Channel`."""
        return await self._gateway.clients.send(event, progress)
