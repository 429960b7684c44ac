"""`/ws`: who is let in, and how those who are not are told."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from channels.websocket import socket
from tests.channels.websocket.web import Web, web


def address(gateway: Web) -> str:
    return f"ws://{gateway.host}/ws"


async def closing(gateway: Web, *said: str | bytes, **options: object) -> tuple[int, str]:
    """The code with which the daemon ends a connection over which this was said, and the error's code before that."""
    async with connect(address(gateway), proxy=None, **options) as client:  # type: ignore[arg-type]
        for message in said:
            await client.send(message)
        error = json.loads(await client.recv())
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, error["code"]


async def test_a_program_with_an_unknown_token_is_refused_before_there_is_a_connection(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(address(gateway), additional_headers={"Authorization": "Bearer x"}, proxy=None):
                pass
    assert refused.value.response.status_code == 401


async def test_a_page_is_told_why_it_is_not_let_in(tmp_path: Path) -> None:
    """A browser tells its page nothing of a handshake that failed."""
    async with web(tmp_path) as gateway:
        bearer = "agentd.bearer." + base64.urlsafe_b64encode(b"unknown").decode().rstrip("=")
        own = {"origin": gateway.address, "subprotocols": ["agentd.v1", bearer]}
        assert await closing(gateway, **own) == (4401, "unauthorized")
        async with connect(address(gateway), origin="http://evil.example", proxy=None) as other:  # type: ignore[arg-type]
            with pytest.raises(ConnectionClosed) as closed:
                await other.recv()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4403


async def test_a_first_message_must_say_who_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with web(tmp_path) as gateway:
        assert await closing(gateway, '{"type":"auth","token":"unknown"}') == (4401, "unauthorized")
        assert await closing(gateway, '{"type":"open","id":"1"}') == (4401, "unauthorized")
        assert await closing(gateway, b"\x00") == (1003, "bad_message")
        monkeypatch.setattr(socket, "AUTH_SECONDS", 0.01)
        assert await closing(gateway) == (4408, "timeout")
