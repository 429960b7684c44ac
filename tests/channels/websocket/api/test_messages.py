"""`POST /api/messages` asks, `GET /api/turns/{turn}` looks up, and both know a message that comes again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from agentd.serving import protocol
from agentd.testing.model import ScriptedModel
from tests.channels.websocket.api.api import asked, begun, following, owner, person, refusal, token
from tests.channels.websocket.web import web
from tests.house import status_until


async def test_a_message_is_accepted_or_answered_and_is_one_turn_however_often_it_comes(tmp_path: Path) -> None:
    model = ScriptedModel()
    async with web(tmp_path, model) as gateway, owner(gateway) as http, gateway.house.client() as client:
        first = await asked(http, id="m1")
        assert first["answer"]["text"] == "one two " and first["duplicate"] is False
        await status_until(client, "pending", unanswered=0, undelivered=0)
        again = await asked(http, id="m1")
        assert (again["session"], again["turn"], again["duplicate"]) == (first["session"], first["turn"], True)
        assert again["answer"]["text"] == "one two " and len(model.requests) == 1
        reused = await http.post("/api/messages", json={"id": "m1", "text": "other", "wait": True})
        assert refusal(reused) == (409, "id_reused")
        listed = (await http.get("/api/sessions")).json()["sessions"]
        assert [session["id"] for session in listed] == [first["session"]]


async def test_an_answer_that_takes_longer_than_it_is_waited_for_is_fetched(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with web(tmp_path, model) as gateway, owner(gateway) as http, person(gateway, "ann") as ann:
        session = await begun(http)
        message = {"session": session, "text": "one", "reply": "request"}
        reply = await http.post("/api/messages", json=message, headers={"Prefer": "wait=0"})
        assert reply.status_code == 202 and reply.json()["answer"] is None
        turn = reply.json()["turn"]
        found = (await http.get(f"/api/turns/{turn}")).json()
        assert found["session"] == session and found["state"] in ("queued", "running") and found["answer"] is None
        assert refusal(await ann.get(f"/api/turns/{turn}")) == (404, "not_found")
        model.gate.set()
        while (found := (await http.get(f"/api/turns/{turn}")).json())["state"] != "ended":
            pass
        assert found["answer"]["text"] == "one "


async def test_who_leaves_before_the_answer_finds_it_in_the_history(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with web(tmp_path, model) as gateway, owner(gateway) as http, gateway.house.client() as client:
        session = await begun(http)
        body = json.dumps({"session": session, "text": "one", "id": "m", "wait": True}).encode()
        secret = await token(gateway)
        head = f"POST /api/messages HTTP/1.1\r\nHost: {gateway.host}\r\nAuthorization: Bearer {secret}\r\n"
        async with gateway.raw() as (_, writer):
            writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            await status_until(client, "turns", running=1)
        model.gate.set()
        await status_until(client, "pending", unanswered=0, undelivered=0)
        history = (await http.get(f"/api/sessions/{session}/messages")).json()["messages"]
        assert [message["text"] for message in history] == ["one", "one "]


async def test_a_request_that_waits_is_told_when_the_daemon_stops(tmp_path: Path) -> None:
    model = ScriptedModel()
    model.gate.clear()
    async with web(tmp_path, model) as gateway, owner(gateway) as http, gateway.house.client() as client:
        waiting = asyncio.create_task(http.post("/api/messages", json={"text": "one", "wait": True}))
        await status_until(client, "turns", running=1)
        gateway.house.stop.set()
        gateway.house.fast.set()
        reply = await waiting
        assert reply.status_code == 202 and reply.json()["turn"]


async def test_what_is_no_message_is_refused_with_its_reason(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, owner(gateway) as http, gateway.http() as nobody:
        assert refusal(await nobody.post("/api/messages", json={"text": "one"})) == (401, "unauthorized")
        assert refusal(await http.post("/api/messages", json={"text": "one", "model": "x"})) == (422, "usage")
        assert refusal(await http.post("/api/messages", content=b"\xff")) == (415, "usage")
        json_type = {"Content-Type": "application/json"}
        assert refusal(await http.post("/api/messages", content=b"\xff", headers=json_type)) == (400, "usage")
        assert refusal(await http.post("/api/messages", json={"text": " "})) == (400, "usage")
        unknown = {"session": "00000000000000aa-00000000", "text": "one"}
        assert refusal(await http.post("/api/messages", json=unknown)) == (404, "not_found")
        assert refusal(await http.get("/api/turns/x")) == (404, "not_found")


async def test_a_token_is_good_for_its_scopes_alone(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, owner(gateway, "documents") as http, owner(gateway, "chat") as chat:
        assert refusal(await http.post("/api/messages", json={"text": "one"})) == (403, "forbidden")
        assert refusal(await http.get("/api/deliveries")) == (403, "forbidden")
        assert (await http.get("/api/documents")).status_code == 200
        assert refusal(await chat.get("/api/documents")) == (403, "forbidden")
        assert refusal(await chat.get("/api/events")) == (403, "forbidden")


async def test_answers_that_are_acknowledged_are_taken_and_do_not_come_again(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, owner(gateway) as http, gateway.house.client() as client:
        session = await begun(http)
        async with following(http, session) as events:
            await http.post("/api/messages", json={"session": session, "text": "one"})
            answer = await events.next("answer")
            await status_until(client, "pending", undelivered=1)
            assert (await http.post("/api/acks", json={"ids": [answer.data["id"]]})).status_code == 204
            await status_until(client, "pending", undelivered=0)
        protocol.Answer.model_validate(answer.data)
