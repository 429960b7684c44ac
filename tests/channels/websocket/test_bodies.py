"""What comes in with requests has limits before anybody reads it."""

from __future__ import annotations

from pathlib import Path

from channels.websocket.bodies import MAX_BYTES, UNKNOWN_BYTES
from tests.channels.websocket.web import Web, web


async def status_of(gateway: Web, head: str, *pieces: bytes) -> int:
    """The status that answers a request of these pieces."""
    async with gateway.raw() as (reader, writer):
        writer.write(f"POST /api/nothing HTTP/1.1\r\nHost: {gateway.host}\r\n{head}\r\n\r\n".encode())
        for piece in pieces:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        return int((await reader.readline()).split()[1])


async def test_a_request_that_announces_too_much_is_refused_at_once(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway:
        assert await status_of(gateway, f"Content-Length: {MAX_BYTES + 1}") == 413


async def test_answers_say_that_nobody_may_keep_frame_or_sniff_them(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, gateway.http() as http:
        headers = (await http.get("/version")).headers
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


def test_strangers_send_less_than_who_is_known() -> None:
    assert UNKNOWN_BYTES < MAX_BYTES
