"""A daemon in the test's own process that serves its gateway on a real port."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import JsonValue
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from agentd.config import Settings
from agentd.ports.models import ChatModel
from agentd.records import SCOPES, Scope
from agentd.serving.protocol import TokenOrder
from tests.house import DEADLINE, RunningDaemon, running


class Web:
    """`address` is the gateway's, `house` the daemon."""

    def __init__(self, house: RunningDaemon, address: str) -> None:
        self.house = house
        self.address = address

    @property
    def host(self) -> str:
        """What stands in `Host`."""
        return self.address.removeprefix("http://")

    @asynccontextmanager
    async def http(self, **headers: str) -> AsyncIterator[httpx2.AsyncClient]:
        async with httpx2.AsyncClient(
            base_url=self.address, headers=headers, timeout=DEADLINE, trust_env=False
        ) as http:
            yield http

    async def token(self, name: str = "laptop", *scopes: Scope, principal: str = "") -> str:
        """The secret of a new token; of all scopes if none is named."""
        order = TokenOrder(
            what="create", name=name, scopes=scopes or tuple(sorted(SCOPES)), principal=principal or None
        )
        async with self.house.client() as owner:
            secret = (await owner.tokens(order)).secret
        assert secret is not None
        return secret

    @asynccontextmanager
    async def raw(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection without a client's manners."""
        host, _, port = self.host.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    @asynccontextmanager
    async def client(self, name: str = "ann", **options: Any) -> AsyncIterator[WebSocket]:
        """A WebSocket of this person, as a proxy says it; see `PROXY`."""
        given = {"proxy": None, "max_size": None, "additional_headers": {"X-Forwarded-User": name}, **options}
        async with connect(f"ws://{self.host}/ws", **given) as connection:
            yield WebSocket(connection)


class WebSocket:
    """A client of `websockets` that speaks JSON."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def hear(self, kind: str, **members: object) -> dict[str, Any]:
        """The next message of this type with these members; others before it are dropped."""
        async with asyncio.timeout(DEADLINE):
            while True:
                message: dict[str, Any] = json.loads(await self.connection.recv())
                if message["type"] == kind and all(message.get(name) == value for name, value in members.items()):
                    return message

    async def end(self) -> tuple[int, str]:
        """The code and the reason with which the daemon ends the connection."""
        async with asyncio.timeout(DEADLINE):
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await self.connection.recv()
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code, closed.value.rcvd.reason


PROXY: Mapping[str, JsonValue] = {"trusted_proxies": ["127.0.0.1"]}
"""Settings with which whoever connects may say their name."""


@asynccontextmanager
async def web(
    folder: Path, model: ChatModel | None = None, settings: Mapping[str, JsonValue] | None = None, **more: Any
) -> AsyncIterator[Web]:
    """The daemon is ready, and its gateway has a port of its own; `settings` are more of the channel's."""
    table = {"port": 0, **(settings or {})}
    async with running(folder / "s", model, Settings(channels={"websocket": table}, **more)) as house:
        yield Web(house, await _address(house))


async def _address(house: RunningDaemon) -> str:
    async with house.client() as client, asyncio.timeout(DEADLINE):
        while True:
            for channel in (await client.status()).channels:
                if channel.name == "websocket" and channel.address:
                    return channel.address
