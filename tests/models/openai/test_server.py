"""The calls of a model server have limits, and each of its faults is explained."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from agentd.models.openai.server import MOST_LIST, Endpoint, Failed, Server
from agentd.testing.http import HttpServer, Reply, Request

DEADLINE = 60.0


@asynccontextmanager
async def served(
    status: int, body: bytes, *, base: str = "{}/v1", key: str = "sk-very-secret"
) -> AsyncIterator[tuple[Server, list[Request]]]:
    seen: list[Request] = []

    async def handle(request: Request, reply: Reply) -> None:
        seen.append(request)
        await reply.send(status, body)

    async with HttpServer(handle) as http, asyncio.timeout(DEADLINE):
        server = Server(Endpoint(base_url=base.format(http.url), api_key=SecretStr(key)))
        try:
            yield server, seen
        finally:
            await server.close()


@pytest.mark.parametrize(
    ("listed", "names"),
    [
        ({"object": "list", "data": [{"id": "a"}, {"id": "b"}]}, ["a", "b"]),
        ({"models": [{"name": "a"}, {"model": "b"}]}, ["a", "b"]),
        ([{"id": "a"}], ["a"]),
        ({"data": [{"id": 5}, {"id": None}, "x", {}, {"id": "half \ud83d\n"}]}, ["5", "half \ufffd\ufffd"]),
        ({"data": None}, []),
        ({"data": [{"id": "x" * 5000}]}, ["x" * 200]),
        (5, []),
    ],
)
async def test_the_list_of_models_is_read_in_every_form(listed: object, names: list[str]) -> None:
    async with served(200, json.dumps(listed).encode()) as (server, seen):
        assert await server.models() == names
    assert seen[0].path == "/v1/models" and seen[0].headers["authorization"] == "Bearer sk-very-secret"


async def test_a_name_and_a_password_are_sent_as_they_are_given() -> None:
    async with served(200, b'{"data": [{"id": "a"}]}', key="Basic Ym9iOnBhc3M=") as (server, seen):
        await server.models()
    assert seen[0].headers["authorization"] == "Basic Ym9iOnBhc3M="


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<!doctype html><html>", r"chat completions \(a web page\)"),
        (200, b" " * (MOST_LIST + 1), "sends more than"),
        (404, b"not found", r"offers no model \(.*404\)"),
        (401, b'{"error": {"message": "wrong key sk-very-secret"}}', r"refused the key \(401\): wrong key \*+;"),
        (500, b'{"error": "boom \\ud83d"}', "boom \ufffd"),
    ],
)
async def test_a_list_that_is_none_is_told(status: int, body: bytes, said: str) -> None:
    async with served(status, body) as (server, _):
        with pytest.raises(Failed, match=said):
            await server.models()


async def test_a_completion_is_refused_in_the_servers_words_of_which_only_the_beginning_is_read() -> None:
    async with served(400, b"no, because " + b"x" * 10_000_000) as (server, _):
        with pytest.raises(Failed, match="no, because"):
            async with server.complete({"model": "m"}, longest_wait=DEADLINE):
                pass


async def test_the_query_of_an_address_stays_and_is_a_secret() -> None:
    base = "{}/openai/deployments/x?api-version=2&code=sesame-open"
    async with served(400, b"bad code sesame-open", base=base) as (server, seen):
        with pytest.raises(Failed) as caught:
            async with server.complete({"model": "m"}, longest_wait=DEADLINE):
                pass
    assert seen[0].path == "/openai/deployments/x/chat/completions"
    assert seen[0].query == {"api-version": ["2"], "code": ["sesame-open"]}
    assert "sesame" not in str(caught.value)


async def test_calls_beside_the_completions_lie_beside_their_address() -> None:
    async with served(200, b'{"tokens": [1]}') as (server, seen):
        assert await server.call("/tokenize", {"content": "half \ud83d"}) == {"tokens": [1]}
    assert seen[0].path == "/tokenize" and seen[0].json == {"content": "half ?"}
    async with served(200, b"{" * 100_000) as (server, _):
        with pytest.raises(Failed, match="does not speak"):
            await server.call("/tokenize", {})
