"""A small HTTP/1.1 server for tests whose handler decides every byte: it can stall, cut off, and lie about lengths.

async with HttpServer(handler) as server:
    ...                                  # a client asks server.url
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

MAX_HEADER = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """`path` is unquoted and without its query; names of headers are in lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Reply:
    """The reply to one request; only what the handler says is sent."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._chunked = False

    async def send(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """A whole reply. A `content-length` among the headers is sent as it is, true or not."""
        await self.head(status, {"content-length": str(len(body)), **(headers or {})})
        await self.write(body)

    async def send_json(self, status: int, value: object, headers: Mapping[str, str] | None = None) -> None:
        await self.send(status, json.dumps(value).encode(), {"content-type": "application/json", **(headers or {})})

    async def head(self, status: int, headers: Mapping[str, str]) -> None:
        """The beginning of a reply; without a `content-length` the body goes in chunks until `end`."""
        names = {name.lower(): value for name, value in headers.items()}
        self._chunked = "content-length" not in names
        if self._chunked:
            names["transfer-encoding"] = "chunked"
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            *(f"{name}: {value}" for name, value in names.items()),
        ]
        self._writer.write("\r\n".join([*lines, "connection: close", "", ""]).encode())
        await self._writer.drain()

    async def write(self, data: bytes) -> None:
        if data:
            self._writer.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
            await self._writer.drain()

    async def end(self) -> None:
        """The proper end of a body in chunks; without it the connection is cut off."""
        if self._chunked:
            self._writer.write(b"0\r\n\r\n")
            await self._writer.drain()

    @property
    def left(self) -> bool:
        """The client has closed its connection."""
        return self._writer.is_closing()


Handler = Callable[[Request, Reply], Awaitable[None]]


class HttpServer:
    """Serves on a free port of 127.0.0.1; each connection carries one request."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.url = ""
        self.abandoned = 0
        """Requests whose client left before the reply was complete."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=MAX_HEADER)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Refuse new connections and cut off the existing ones."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="http request")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read(reader)
            handling = asyncio.create_task(_handled(self._handler, request, Reply(writer)), name="http handler")
            gone = asyncio.create_task(reader.read(1), name="http client left")
            await asyncio.wait([handling, gone], return_when=asyncio.FIRST_COMPLETED)
            self.abandoned += not handling.done()
            for task in (handling, gone):
                task.cancel()
            await asyncio.gather(handling, gone, return_exceptions=True)
            if handling.done() and not handling.cancelled():
                handling.result()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.abandoned += 1
        finally:
            writer.close()


async def _handled(handler: Handler, request: Request, reply: Reply) -> None:
    await handler(request, reply)


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Request(method=method, path=unquote(parts.path), query=parse_qs(parts.query), headers=headers, body=body)
