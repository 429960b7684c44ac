"""Clients of `/api` for tests: the owner's, those of people, and readers of events."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from agentd.records import Scope
from agentd.serving.protocol import TokenOrder
from tests.channels.websocket.web import Web
from tests.house import DEADLINE

SCOPES: tuple[Scope, ...] = ("chat", "documents", "events", "admin")


async def token(gateway: Web, *, whose: str = "", scopes: Sequence[Scope] = SCOPES) -> str:
    """A new one of the owner, or of the person of this name."""
    order = TokenOrder(what="create", name=uuid.uuid4().hex, principal=whose or None, scopes=tuple(scopes))
    async with gateway.house.client() as client:
        return (await client.tokens(order)).secret


@asynccontextmanager
async def owner(gateway: Web, *scopes: Scope) -> AsyncIterator[httpx2.AsyncClient]:
    """With a token of the owner's, for these scopes or all."""
    async with gateway.http(Authorization=f"Bearer {await token(gateway, scopes=scopes or SCOPES)}") as http:
        yield http


@asynccontextmanager
async def person(gateway: Web, name: str) -> AsyncIterator[httpx2.AsyncClient]:
    """With a token of the person of this name."""
    async with gateway.http(Authorization=f"Bearer {await token(gateway, whose=name)}") as http:
        yield http


async def begun(http: httpx2.AsyncClient, name: str | None = None) -> str:
    """The id of a session."""
    reply = await http.post("/api/sessions", json={"name": name})
    assert reply.status_code == 201
    return str(reply.json()["id"])


async def asked(http: httpx2.AsyncClient, text: str = "one two", **members: Any) -> dict[str, Any]:
    """The reply, with the answer."""
    reply = await http.post("/api/messages", json={"text": text, "wait": True, **members})
    assert reply.status_code == 200, reply.text
    told: dict[str, Any] = reply.json()
    return told


def refusal(reply: httpx2.Response) -> tuple[int, str]:
    """The status, and the error's code."""
    return reply.status_code, reply.json()["error"]["code"]


@dataclass(frozen=True, kw_only=True)
class Event:
    name: str
    id: str
    data: dict[str, Any]


class Events:
    """What comes on one stream."""

    def __init__(self, response: httpx2.Response) -> None:
        self._lines = response.aiter_lines()
        self.comments = 0

    async def next(self, *names: str) -> Event:
        """The next event of one of these names, or of any."""
        async with asyncio.timeout(DEADLINE):
            while True:
                event = await self._event()
                if not names or event.name in names:
                    return event

    async def _event(self) -> Event:
        fields: dict[str, str] = {}
        while "data" not in fields:
            fields = {}
            while (line := await anext(self._lines)) != "":
                name, _, value = line.partition(": ")
                self.comments += not name
                fields[name] = value
        return Event(name=fields.get("event", ""), id=fields.get("id", ""), data=json.loads(fields["data"]))

    async def rest(self) -> list[str]:
        """The lines until the end of the stream."""
        async with asyncio.timeout(DEADLINE):
            return [line async for line in self._lines]


@asynccontextmanager
async def following(
    http: httpx2.AsyncClient, session: str | None = None, after: str = "", **params: str
) -> AsyncIterator[Events]:
    """The events of a session, or of all; the stream is broken off at the end."""
    headers = {"Last-Event-ID": after} if after else {}
    params = {**params, "session": session} if session else params
    async with http.stream("GET", "/api/events", params=params, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        yield Events(response)
