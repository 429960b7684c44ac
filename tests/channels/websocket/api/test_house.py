"""The status for everybody, and deliveries for the owner."""

from __future__ import annotations

from pathlib import Path

from agentd.testing.model import ScriptedModel
from tests.channels.websocket.api.api import begun, owner, person, refusal
from tests.channels.websocket.web import web
from tests.house import status_until


async def test_the_owner_is_told_more_than_others(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, owner(gateway) as http, person(gateway, "ann") as ann:
        assert (await http.get("/api/status")).json()["pending"]["undelivered"] == 0
        told = (await ann.get("/api/status")).json()
        assert told["yours"]["documents"] == 0 and "pending" not in told and "channels" not in told


async def test_deliveries_are_the_business_of_the_owner_alone(tmp_path: Path) -> None:
    async with web(tmp_path, ScriptedModel()) as gateway, owner(gateway) as http, person(gateway, "ann") as ann:
        session = await begun(http)
        await http.post("/api/messages", json={"session": session, "text": "one"})
        async with gateway.house.client() as client:
            await status_until(client, "pending", undelivered=1)
        letters = (await http.get("/api/deliveries")).json()
        (letter,) = letters["pending"]
        assert letters["counts"] == {"pending": 1, "dead": 0} and letter["session"] == session
        shown = (await http.get(f"/api/deliveries/{letter['id']}")).json()
        assert shown["event"]["text"] == "one "
        assert refusal(await http.get("/api/deliveries/x")) == (404, "not_found")
        for what in ("retry", "drop"):
            decided = await http.post(f"/api/deliveries/{what}", json={"older_than": 0})
            assert decided.json() == {"done": [], "failed": {}, "more": False}
            assert refusal(await ann.post(f"/api/deliveries/{what}", json={})) == (403, "forbidden")
        assert refusal(await ann.get("/api/deliveries")) == (403, "forbidden")
        assert refusal(await ann.get(f"/api/deliveries/{letter['id']}")) == (403, "forbidden")
