"""What comes in with requests and goes out with their answers, within limits of bytes and of time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from fastapi import HTTPException
from fastapi.datastructures import Headers

from agentd.serving.outbox import STUCK_SECONDS
from agentd.serving.protocol import MAX_FRAME_BYTES
from channels.websocket.asgi import App, Message, Receive, Scope, Send
from channels.websocket.refusals import refusal

MAX_BYTES = MAX_FRAME_BYTES
"""Of one request."""
UNKNOWN_BYTES = 64 * 1024
"""Of a request of somebody who is not known."""
ALL_BYTES = 64 * 1024 * 1024
"""Of all requests that are worked on."""
PIECE_SECONDS = 30.0
"""How long the next piece of a request may take."""
DROPPED_BYTES = 4 * MAX_BYTES
DROPPED_SECONDS = 5.0
"""How much more of a request that is too large is read, and for how long: many clients send all of it before they read,
and a connection that is closed earlier takes the answer with it.
"""
TOO_LARGE = f"a request may have {MAX_BYTES:,} bytes; send less at once."


class Bodies:
    """Around the application: `known` says whether somebody is let in by what a request shows."""

    def __init__(self, app: App, known: Callable[[Scope], Awaitable[bool]]) -> None:
        self._app = app
        self._known = known
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(self, scope, receive)
        app = self._app
        if _announced(scope) > MAX_BYTES:
            app = refusal(413, "too_large", TOO_LARGE, {"Connection": "close"})
        try:
            await app(scope, body.receive, body.dropping(_in_time(send)))
        except ConnectionError:
            scope["state"]["wire"].abort()
        finally:
            self._bytes -= body.size

    async def add(self, scope: Scope, size: int, more: int) -> None:
        """A request that had `size` bytes has so many more; `HTTPException` if that is too much."""
        self._bytes += more
        if size + more > MAX_BYTES:
            raise HTTPException(413, TOO_LARGE, {"Connection": "close"})
        if size <= UNKNOWN_BYTES < size + more and not await self._known(scope):
            raise HTTPException(401, "say who you are to send so much.", {"WWW-Authenticate": "Bearer"})
        if self._bytes > ALL_BYTES:
            raise HTTPException(503, "too much is on its way in; send it again.", {"Retry-After": "1"})


class _Body:
    def __init__(self, bodies: Bodies, scope: Scope, receive: Receive) -> None:
        self.size = 0
        self._bodies = bodies
        self._scope = scope
        self._receive = receive
        self._whole = False

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout(PIECE_SECONDS):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, "the request did not come whole in time.", {"Connection": "close"}) from None
        self._whole = not message.get("more_body", False)
        if message["type"] == "http.request":
            more = len(message.get("body", b""))
            size, self.size = self.size, self.size + more
            await self._bodies.add(self._scope, size, more)
        return message

    def dropping(self, send: Send) -> Send:
        """What is sent; the answer that a request is too large ends when nothing more of the request is read."""
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            if status == 413 and message["type"] == "http.response.body" and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await self._drop()
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        return sending

    async def _drop(self) -> None:
        dropped = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(DROPPED_SECONDS):
                while not self._whole and dropped < DROPPED_BYTES:
                    message = await self._receive()
                    dropped += len(message.get("body", b""))
                    self._whole = not message.get("more_body", False)


def _in_time(send: Send) -> Send:
    """What is sent; a client that takes nothing of it for too long is cut off."""

    async def sending(message: Message) -> None:
        try:
            async with asyncio.timeout(STUCK_SECONDS):
                await send(message)
        except TimeoutError:
            raise BrokenPipeError("the client does not read") from None

    return sending


def _announced(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() else 0
