"""What carries a client's messages to a daemon and back: the unix socket of this machine, or a WebSocket."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit, urlunsplit

from agentd.errors import Unauthorized, UsageError
from agentd.host.proxies import is_this_machine
from agentd.serving.protocol import MAX_FRAME_BYTES
from agentd.serving.socket import open_socket, refuse_impostor

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

CLOSE_SECONDS = 5.0
SUBPROTOCOL = "agentd.v1"


class Carrier(Protocol):
    """A message is one line of JSON."""

    async def send(self, line: bytes) -> None:
        """`OSError` if the other side is gone."""
        ...

    async def receive(self) -> bytes:
        """The next line; `OSError` or `EOFError` if the other side is gone, `UsageError` for what is no line."""
        ...

    def abort(self) -> None:
        """Drop the connection now."""
        ...

    async def close(self) -> None:
        """End the connection once what was sent has left."""
        ...


class SocketCarrier:
    """Over a unix socket, a message in each line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, path: Path) -> SocketCarrier:
        """`OSError` if nobody listens there, `Impostor` if it is somebody who must not be believed."""
        reader, writer = await open_socket(path)
        refuse_impostor(path, writer)
        return cls(reader, writer)

    async def send(self, line: bytes) -> None:
        self._writer.write(line)
        await self._writer.drain()

    async def receive(self) -> bytes:
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError as error:
            raise UsageError(str(error)) from None

    def abort(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._writer.wait_closed()


class WebCarrier:
    """Over a WebSocket, a message in each text frame."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    @classmethod
    async def connect(cls, address: str, token: str) -> WebCarrier:
        """`OSError` if nobody answers there, `Unauthorized` if the token is not known there."""
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidHandshake, InvalidStatus

        try:
            connection = await connect(
                socket_address(address),
                subprotocols=[SUBPROTOCOL],  # type: ignore[list-item]
                additional_headers={"Authorization": f"Bearer {token}"},
                max_size=MAX_FRAME_BYTES,
                compression=None,
                proxy=None,
            )
        except InvalidStatus as error:
            if error.response.status_code == 401:
                raise Unauthorized("this token is not known there; `agentd token create NAME` makes one.") from None
            raise ConnectionError(f"it answered with the status {error.response.status_code}") from None
        except InvalidHandshake as error:
            raise ConnectionError(str(error)) from None
        return cls(connection)

    async def send(self, line: bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await self._connection.send(line[:-1], text=True)
        except ConnectionClosed as error:
            raise ConnectionError(str(error)) from None

    async def receive(self) -> bytes:
        from websockets.exceptions import ConnectionClosed

        try:
            return await self._connection.recv(decode=False) + b"\n"
        except ConnectionClosed as error:
            raise ConnectionError(str(error)) from None

    def abort(self) -> None:
        self._connection.transport.abort()

    async def close(self) -> None:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._connection.close()


def socket_address(address: str) -> str:
    """Where the WebSocket of a gateway is; `UsageError` if a token would go there for everybody to read."""
    parts = urlsplit(address)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname:
        raise UsageError(f"{address} is not the address of an agentd; it looks like http://127.0.0.1:24368.")
    if scheme == "ws" and not is_this_machine(parts.hostname):
        raise UsageError(f"others could read the token on its way to {parts.hostname}; use an https address.")
    return urlunsplit((scheme, parts.netloc, parts.path if parts.path.strip("/") else "/ws", "", ""))
