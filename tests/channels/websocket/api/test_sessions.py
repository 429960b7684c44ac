"""Sessions over HTTP, and that nobody reaches those of others."""

from __future__ import annotations

from pathlib import Path

from tests.channels.websocket.api.api import asked, begun, owner, person, refusal
from tests.channels.websocket.web import web


async def test_sessions_are_listed_read_searched_renamed_marked_exported_and_deleted(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, owner(gateway) as http:
        session = await begun(http, "birds")
        assert await begun(http, "birds") == session
        await asked(http, "Owls are nice.", session=session)
        listed = (await http.get("/api/sessions")).json()["sessions"]
        assert [(each["id"], each["messages"]) for each in listed] == [(session, 2)]
        found = (await http.get("/api/search", params={"text": "owls"})).json()["sessions"]
        assert [each["id"] for each in found] == [session]
        history = (await http.get(f"/api/sessions/{session}/messages")).json()["messages"]
        assert [message["role"] for message in history] == ["user", "assistant"]
        renamed = await http.patch(f"/api/sessions/{session}", json={"name": "öwls"})
        assert renamed.json()["name"] == "öwls" == (await http.get(f"/api/sessions/{session}")).json()["name"]
        marked = await http.post(f"/api/sessions/{session}/mark", json={"mark": "good", "note": "a\n/bad"})
        assert marked.status_code == 200 and "good" in marked.json()["text"]
        assert (await http.post(f"/api/sessions/{session}/stop")).json() == {"running": False}
        export = await http.get(f"/api/sessions/{session}/export")
        assert export.headers["content-type"] == "text/markdown; charset=utf-8"
        assert export.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%B6wls.md"
        assert export.text.startswith("# Owls are nice.\n")
        export = await http.get(f"/api/sessions/{session}/export", params={"format": "json"})
        assert [message["role"] for message in export.json()["messages"]] == ["user", "assistant"]
        while (deleted := await http.delete(f"/api/sessions/{session}")).status_code == 429:
            assert deleted.headers["retry-after"] == "1"
        assert deleted.json()["id"] == session
        assert refusal(await http.get(f"/api/sessions/{session}")) == (404, "not_found")


async def test_what_is_edited_and_asked_again_is_another_branch(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, owner(gateway) as http:
        first = await asked(http, "Owls?")
        session = first["session"]
        path = f"/api/sessions/{session}"
        edited = await asked(http, "Bats?", session=session, replaces=first["turn"])
        again = await asked(http, "", session=session, replaces=edited["turn"])
        branches = (await http.get(f"{path}/branches")).json()["branches"]
        assert [(branch["turn"], branch["shown"]) for branch in branches] == [
            (again["turn"], True),
            (edited["turn"], False),
            (first["turn"], False),
        ]
        shown = await http.put(f"{path}/branch", json={"turn": first["turn"]})
        assert shown.json() == {"turn": first["turn"]}
        history = (await http.get(f"{path}/messages")).json()["messages"]
        assert [message["text"] for message in history] == ["Owls?", "Owls? "]
        unknown = await http.put(f"{path}/branch", json={"turn": "x"})
        assert refusal(unknown) == (404, "not_found")


async def test_a_session_of_somebody_else_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, person(gateway, "ann") as ann, person(gateway, "ben") as ben:
        session = (await asked(ann, "My secret."))["session"]
        path = f"/api/sessions/{session}"
        attempts = [
            ben.get(path),
            ben.get(f"{path}/messages"),
            ben.get(f"{path}/branches"),
            ben.put(f"{path}/branch", json={"turn": "x"}),
            ben.patch(path, json={"name": "mine"}),
            ben.delete(path),
            ben.post(f"{path}/stop"),
            ben.post(f"{path}/mark", json={"mark": "bad"}),
            ben.get(f"{path}/export"),
            ben.get(f"{path}/export", params={"format": "json"}),
            ben.post("/api/messages", json={"session": session, "text": "What did I say?"}),
        ]
        for attempt in attempts:
            assert refusal(await attempt) == (404, "not_found")
        assert (await ben.get("/api/sessions")).json() == {"sessions": []}
        assert (await ben.get("/api/search", params={"text": "secret"})).json() == {"sessions": []}
        assert (await ann.get(path)).status_code == 200
