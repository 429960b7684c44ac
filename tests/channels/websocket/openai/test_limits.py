"""Whose answers are whose, what is refused for a while, and how requests end with the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from channels.websocket.openai import exchange
from tests.channels.websocket.openai.served import ASKED, Served, events, served, token

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"


def asking(text: str, **members: Any) -> dict[str, Any]:
    return {"model": "agentd", "messages": [{"role": "user", "content": text}], **members}


@asynccontextmanager
async def streaming(house: Served) -> AsyncIterator[asyncio.Task[str]]:
    """A stream that has begun, although the model says nothing; the task ends with all that came."""
    begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def read() -> str:
        body = ""
        async with house.http() as http, http.stream("POST", CHAT, json=asking("hello", stream=True)) as reply:
            async for text in reply.aiter_text():
                body += text
                if not begun.done():
                    begun.set_result(None)
        return body

    reading = asyncio.create_task(read(), name="a stream")
    try:
        either: list[asyncio.Future[Any]] = [reading, begun]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        yield reading
    finally:
        reading.cancel()
        await asyncio.wait([reading])


async def test_a_person_has_answers_of_their_own_and_no_more_requests_at_once_than_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "BEAT_SECONDS", 0.01)
    async with served(tmp_path, budgets={"other": {"connections": 1}}) as house:
        async with house.http() as http:
            asked = {"model": "agentd", "input": ASKED}
            mine = (await http.post(RESPONSES, json=asked)).json()
            assert len(mine["agentd"]["citations"]) == 1
        house.token = await token(house.gateway, "ann")
        async with house.http() as http:
            theirs = (await http.post(RESPONSES, json=asked)).json()
            assert theirs["agentd"]["citations"] == []
            for unknown in (mine["id"], "resp_x"):
                assert (await http.get(f"{RESPONSES}/{unknown}")).status_code == 404
            following = {**asked, "previous_response_id": mine["id"]}
            assert (await http.post(RESPONSES, json=following)).status_code == 404
            async with house.held(), streaming(house):
                refused = await http.post(CHAT, json=asking("hello"))
                assert (refused.status_code, refused.json()["error"]["code"]) == (429, "busy")
                assert int(refused.headers["Retry-After"]) > 0


async def test_a_stream_ends_with_the_daemon_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "BEAT_SECONDS", 0.01)
    async with served(tmp_path, daemon={"grace": 0}) as house, house.held(), streaming(house) as reading:
        house.gateway.house.stop.set()
        *_, last = events(await reading)
        assert last["error"]["code"] == "stopping"
