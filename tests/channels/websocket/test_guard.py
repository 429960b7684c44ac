"""Requests that pages of others make through somebody's browser are refused, whatever they ask for."""

from __future__ import annotations

from pathlib import Path

from pydantic import JsonValue

from tests.channels.websocket.web import web

REQUESTS: list[tuple[dict[str, str], int]] = [
    ({}, 200),
    ({"Host": "localhost:1234"}, 200),
    ({"Host": "[::1]"}, 200),
    ({"Host": "MY.example"}, 200),
    ({"Host": "evil.example"}, 403),
    ({"Host": "127.0.0.1.evil.example:80"}, 403),
    ({"Host": ""}, 403),
    ({"Origin": "http://my.example", "Host": "my.example"}, 200),
    ({"Origin": "https://friend.example"}, 200),
    ({"Origin": "http://friend.example"}, 403),
    ({"Origin": "https://friend.example.evil.example"}, 403),
    ({"Origin": "http://127.0.0.1:1"}, 403),
    ({"Origin": "null"}, 403),
    ({"Sec-Fetch-Site": "same-origin"}, 200),
    ({"Sec-Fetch-Site": "none"}, 200),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "https://friend.example"}, 200),
    ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200),
    ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403),
]


async def test_who_asks_under_which_name_and_from_which_page(tmp_path: Path) -> None:
    settings: dict[str, JsonValue] = {"hosts": ["my.example"], "origins": ["https://friend.example"]}
    async with web(tmp_path, settings=settings) as gateway, gateway.http() as http:
        answered = [(headers, (await http.get("/healthz", headers=headers)).status_code) for headers, _ in REQUESTS]
    assert answered == REQUESTS
