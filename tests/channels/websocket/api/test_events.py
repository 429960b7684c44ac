"""`GET /api/events`: what happens in a session, from where a client was when it left."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.testing.model import ScriptedModel
from tests.channels.websocket.api.api import asked, begun, following, owner, person, refusal
from tests.channels.websocket.web import web
from tests.house import status_until


async def test_a_stream_goes_on_behind_the_last_event_that_its_client_had(tmp_path: Path) -> None:
    model = ScriptedModel()
    async with web(tmp_path, model) as gateway, owner(gateway) as http, gateway.house.client() as client:
        session = await begun(http)
        async with following(http, session) as events:
            assert (await events.next()).name == "session"
            await http.post("/api/messages", json={"session": session, "text": "one two", "id": "m1"})
            assert (await events.next("question")).data["id"] == "m1"
            first = await events.next("answer")
            assert first.data["text"] == "one two "
        await status_until(client, "pending", undelivered=1)
        await http.post("/api/messages", json={"session": session, "text": "three", "id": "m2"})
        await status_until(client, "pending", unanswered=0, undelivered=2)
        async with following(http, session, after=first.id) as events:
            assert (await events.next("answer")).data["in_reply_to"] == "m2"
            await status_until(client, "pending", undelivered=1)


async def test_an_answer_that_was_not_seen_comes_again(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, owner(gateway) as http:
        session = await begun(http)
        async with following(http, session) as events:
            await http.post("/api/messages", json={"session": session, "text": "one"})
            before = await events.next("question")
            await events.next("answer")
        async with following(http, session, after=before.id) as events:
            assert (await events.next("answer")).data["text"] == "one "


async def test_who_was_away_too_long_is_told_so_and_gets_the_session_as_it_is(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with web(tmp_path, model) as gateway, owner(gateway) as http, gateway.house.client() as client:
        session = await begun(http)
        asking = {"session": session, "text": "one two", "id": "m"}
        turn = (await http.post("/api/messages", json=asking)).json()["turn"]
        await status_until(client, "turns", running=1)
        async with following(http, session, after="abcd:5:1:0") as events:
            await events.next("truncated")
            assert (await events.next("session")).data["running"] == turn
            assert (await events.next("state")).data["turn"] == turn
            model.gate.set()
            assert (await events.next("answer")).data["text"] == "one two "


async def test_nobody_follows_the_sessions_of_others_or_what_does_not_exist(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, owner(gateway) as http, person(gateway, "ann") as ann:
        session = await begun(http, "diary")
        assert refusal(await ann.get("/api/events", params={"session": session})) == (404, "not_found")
        assert refusal(await http.get("/api/events", params={"session": "nothing"})) == (404, "not_found")
        wrong = {"Last-Event-ID": "x"}
        assert refusal(await http.get("/api/events", params={"session": session}, headers=wrong)) == (400, "usage")
        assert refusal(await ann.get("/api/events", params={"everybody": "true"})) == (403, "forbidden")


async def test_without_a_session_all_that_is_one_s_own_is_told(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, owner(gateway) as http, person(gateway, "ann") as ann:
        async with following(ann) as hers, following(http, everybody="true") as everybody:
            assert (await hers.next()).name == (await everybody.next()).name == "watching"
            await asked(http, id="o")
            await asked(ann, id="a")
            assert (await hers.next("question")).data["id"] == "a"
            last = await hers.next("answer")
            assert [(await everybody.next("question")).data["id"] for _ in range(2)] == ["o", "a"]
        async with following(ann, after=last.id) as hers:
            assert [(await hers.next()).name for _ in range(2)] == ["watching", "truncated"]


async def test_a_stream_stays_alive_while_nothing_happens_and_ends_with_its_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastapi.routing._PING_INTERVAL", 0.01)
    async with web(tmp_path) as gateway, owner(gateway) as http:
        session = await begun(http)
        async with following(http, session) as events:
            await events.next("session")
            await asked(http, session=session)
            await events.next("answer")
            while not events.comments:
                await http.get("/version")
                await asked(http, session=session)
                await events.next("answer")
            while (await http.delete(f"/api/sessions/{session}")).status_code != 200:
                pass
            ended = await events.next("failure")
            assert ended.data["code"] == "not_found" and "event: failure" not in await events.rest()


async def test_a_stream_ends_when_the_daemon_does(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, owner(gateway) as http:
        session = await begun(http)
        async with following(http, session) as events:
            await events.next("session")
            gateway.house.stop.set()
            await events.next("closing")
            await events.rest()
