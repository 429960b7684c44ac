"""The HTTP server of the tests does what its handler says, to the byte."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from agentd.testing.http import HttpServer, Reply, Request


async def test_a_handler_gets_the_request_and_answers_it() -> None:
    async def echo(request: Request, reply: Reply) -> None:
        seen = [request.method, request.path, dict(request.query), request.headers["x-a"], request.json]
        await reply.send_json(201, seen, {"x-b": "c"})

    async with HttpServer(echo) as server, httpx2.AsyncClient() as client:
        reply = await client.post(f"{server.url}/a%20b?c=d", json={"e": 1}, headers={"X-A": "f"})
    assert (reply.status_code, reply.headers["x-b"]) == (201, "c")
    assert reply.json() == ["POST", "/a b", {"c": ["d"]}, "f", {"e": 1}]


@pytest.mark.parametrize("whole", [True, False])
async def test_a_body_in_chunks_is_whole_only_with_its_end(whole: bool) -> None:
    async def parts(request: Request, reply: Reply) -> None:
        await reply.head(200, {})
        await reply.write(b"ab")
        await reply.write(b"cd")
        if whole:
            await reply.end()

    async with HttpServer(parts) as server, httpx2.AsyncClient() as client:
        if whole:
            assert (await client.get(server.url)).content == b"abcd"
        else:
            with pytest.raises(httpx2.RemoteProtocolError):
                await client.get(server.url)


async def test_a_client_that_leaves_ends_the_handler() -> None:
    ended = asyncio.Event()

    async def forever(request: Request, reply: Reply) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with HttpServer(forever) as server, httpx2.AsyncClient(timeout=httpx2.Timeout(60, read=0.1)) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.get(server.url)
        async with asyncio.timeout(60):
            await ended.wait()
        assert server.abandoned == 1
