"""The connection on which a reply goes out: whole, or as a stream that begins when there is something to say."""

from __future__ import annotations

from fastapi import Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from channels.websocket.asgi import Receive, Scope, Send

SESSION = "X-Agentd-Session"
"""The header with the session of a turn."""


class Line:
    """Of one request."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, session: str) -> None:
        self.begun = False
        """Whether the stream has begun, so that its status is 200 whatever comes."""
        self._scope = scope
        self._receive = receive
        self._send = send
        self._session = session

    async def send(self, body: BaseModel) -> None:
        """The whole reply."""
        await self._respond(JSONResponse(body.model_dump(mode="json"), headers={SESSION: self._session}))

    async def fail(self, refusal: JSONResponse) -> None:
        """Why there is no (more) answer."""
        if not self.begun:
            await self._respond(refusal)
            return
        await self.end(b"data: " + bytes(refusal.body) + b"\n\n")

    async def begin(self, data: bytes) -> None:
        headers = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            "x-accel-buffering": "no",
            SESSION: self._session,
        }
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        self.begun = True
        await self._send({"type": "http.response.start", "status": 200, "headers": encoded})
        await self.write(data)

    async def write(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes) -> None:
        """The last of the stream."""
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def _respond(self, response: Response) -> None:
        await response(self._scope, self._receive, self._send)
