"""What who watches over the daemon is told."""

from __future__ import annotations

from pathlib import Path

from agentd import __version__
from agentd.serving import protocol
from agentd.testing.model import ScriptedModel
from tests.channels.websocket.web import web
from tests.house import next_of


async def test_everybody_may_ask_whether_it_lives_is_ready_and_which_version_it_is(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, gateway.http() as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        assert (await http.get("/readyz")).json() == {"status": "ok"}
        assert (await http.get("/version")).json() == {"version": __version__}


async def test_head_is_answered_like_get_without_a_body(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, gateway.http(Authorization=f"Bearer {await gateway.token()}") as http:
        for path in ("/", "/healthz", "/readyz", "/version", "/v1/models"):
            got, head = await http.get(path), await http.head(path)
            assert (head.status_code, head.content) == (got.status_code, b"") == (200, b""), path
            assert head.headers["content-type"] == got.headers["content-type"], path


async def test_it_is_not_ready_from_the_moment_on_at_which_it_stops(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with web(tmp_path, model) as gateway, gateway.http() as http:
        async with gateway.house.client() as client:
            session = (await client.open()).session
            await client.post(session, "hello")
            gateway.house.stop.set()
            await next_of(client, protocol.Closing)
            while (answer := await http.get("/readyz")).status_code == 200:
                pass
            assert (answer.status_code, answer.json()) == (503, {"status": "stopping"})
            assert (await http.get("/healthz")).status_code == 200
            model.gate.set()
