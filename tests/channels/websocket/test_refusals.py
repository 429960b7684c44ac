"""Requests that no route understands are told what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.channels.websocket.web import web


@pytest.mark.parametrize("path", ["/api/messages", "/v1/responses"])
async def test_a_body_that_is_not_called_json_is_told_which_header_to_send(tmp_path: Path, path: str) -> None:
    async with web(tmp_path) as gateway, gateway.http(Authorization=f"Bearer {await gateway.token()}") as http:
        for kind in ({"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": "text/plain"}, {}):
            answer = await http.post(path, content=b'{"text": "hi"}', headers=kind)
            assert (answer.status_code, answer.json()["error"]["code"]) == (415, "usage"), kind
            assert "Content-Type: application/json" in answer.json()["error"]["message"]
        wrong = await http.post(path, content=b"[", headers={"Content-Type": "application/json; charset=utf-8"})
        assert wrong.status_code in (400, 422)


async def test_what_no_route_does_is_told_where_routes_are_listed(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, gateway.http() as http:
        for path in ("/nowhere", "/api/nowhere", "/v1/nowhere"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), path
            assert "/api/openapi.json" in answer.json()["error"]["message"]
        answer = await http.put("/v1/chat/completions")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert "PUT" in answer.json()["error"]["message"]
