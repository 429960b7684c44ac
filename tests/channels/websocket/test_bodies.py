"""What comes in with requests has limits before anybody reads it, and what goes out has headers that protect it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from channels.websocket import bodies
from channels.websocket.bodies import MAX_BYTES, UNKNOWN_BYTES
from tests.channels.websocket.web import Web, web
from tests.house import DEADLINE

PIECE = b"x" * 32 * 1024


async def status_of(gateway: Web, *head: str, pieces: int = 0) -> int:
    """The status that answers a request with a body of so many pieces, which does not end."""
    async with gateway.raw() as (reader, writer):
        lines = ["POST /api/ticket HTTP/1.1", f"Host: {gateway.host}", "Content-Type: application/json", *head]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        for _ in range(pieces):
            writer.write(b"%x\r\n%s\r\n" % (len(PIECE), PIECE))
        return int((await reader.readline()).split()[1])


async def test_too_much_is_refused_before_it_is_there(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway:
        known, chunked = f"Authorization: Bearer {await gateway.token()}", "Transfer-Encoding: chunked"
        assert await status_of(gateway, known, f"Content-Length: {MAX_BYTES + 1}") == 413
        assert await status_of(gateway, known, chunked, pieces=MAX_BYTES // len(PIECE) + 1) == 413
        assert await status_of(gateway, chunked, pieces=UNKNOWN_BYTES // len(PIECE) + 1) == 401


@pytest.mark.parametrize("chunked", [True, False])
async def test_who_sends_all_before_they_read_hears_that_it_was_too_much(
    tmp_path: Path, chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "DROPPED_SECONDS", DEADLINE)
    pieces = 2 * MAX_BYTES // len(PIECE)
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {pieces * len(PIECE)}"
    async with web(tmp_path) as gateway, gateway.raw() as (reader, writer):
        known = f"Authorization: Bearer {await gateway.token()}"
        lines = [
            "POST /api/messages HTTP/1.1",
            f"Host: {gateway.host}",
            "Content-Type: application/json",
            known,
            length,
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        for _ in range(pieces):
            writer.write(b"%x\r\n%s\r\n" % (len(PIECE), PIECE) if chunked else PIECE)
            await writer.drain()
        writer.write(b"0\r\n\r\n" if chunked else b"")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert b" 413 " in head and json.loads(body)["error"]["code"] == "too_large"


async def test_answers_say_that_nobody_may_keep_frame_or_sniff_them(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, gateway.http() as http:
        headers = (await http.get("/version")).headers
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


async def test_pages_of_origins_that_are_named_may_ask_with_a_token(tmp_path: Path) -> None:
    origin = "https://friend.example"
    asking = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    async with web(tmp_path, settings={"origins": [origin]}) as gateway, gateway.http() as http:
        allowed = await http.options(
            "/api/ticket", headers={**asking, "Access-Control-Request-Headers": "authorization"}
        )
        assert allowed.status_code == 200
        assert "authorization" in allowed.headers["access-control-allow-headers"]
        answer = await http.get("/version", headers={"Origin": origin})
        assert answer.headers["access-control-allow-origin"] == origin
        assert "access-control-allow-credentials" not in answer.headers
    async with web(tmp_path / "plain") as gateway, gateway.http() as http:
        assert (await http.options("/api/ticket", headers=asking)).status_code == 403
