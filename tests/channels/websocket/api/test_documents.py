"""Documents over HTTP: uploaded, listed, cited, removed; folders are read for the owner alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from agentd.serving import protocol
from agentd.testing.model import ScriptedModel
from tests.channels.websocket.api.api import Events, asked, owner, person, refusal, token
from tests.channels.websocket.web import web
from tests.house import DEADLINE

NOTE = b"# Zebra\n\nThe zebrakey is SK-ANN.\n"


async def test_documents_are_uploaded_listed_cited_and_removed_by_those_whose_they_are(tmp_path: Path) -> None:
    model = ScriptedModel()
    async with web(tmp_path, model) as gateway, person(gateway, "ann") as ann, person(gateway, "ben") as ben:
        uploaded = await ann.put("/api/documents/note.md", content=NOTE)
        assert uploaded.json() == {"added": 1, "changed": 0, "unchanged": 0, "chunks": 1}
        assert (await ann.put("/api/documents/note.md", content=NOTE)).json()["unchanged"] == 1
        (listed,) = (await ann.get("/api/documents")).json()["documents"]
        assert (listed["source"], listed["principal"]) == ("upload:note.md", {"kind": "person", "id": "ann"})
        await asked(ann, "What is the zebrakey?")
        assert "SK-ANN" in str(model.requests[-1])
        place: dict[str, str | int] = {"source": listed["source"], "start": 9, "end": 33}
        assert "SK-ANN" in (await ann.get("/api/passage", params=place)).json()["text"]
        assert refusal(await ben.get("/api/passage", params=place)) == (404, "not_found")
        assert (await ben.get("/api/documents")).json() == {"documents": []}
        assert refusal(await ben.delete(f"/api/documents/{listed['id']}")) == (404, "not_found")
        assert (await ann.delete(f"/api/documents/{listed['id']}")).json() == {"removed": [listed["id"]]}
        await asked(ann, "What is the zebrakey?")
        assert "SK-ANN" not in str(model.requests[-1])


async def test_what_is_no_document_is_refused_with_its_reason(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, person(gateway, "ann") as ann:

        async def pieces() -> AsyncIterator[bytes]:
            yield bytes(protocol.MAX_UPLOAD_BYTES + 1)

        assert refusal(await ann.put("/api/documents/a.md", content=pieces())) == (413, "too_large")
        assert refusal(await ann.put("/api/documents/a.png", content=b"\x89PNG\0")) == (415, "no_document")
        assert refusal(await ann.put("/api/documents/%1b", content=b"a")) == (400, "usage")
        assert (await ann.get("/api/documents")).json() == {"documents": []}


async def test_an_upload_that_is_too_long_is_refused_before_it_comes(tmp_path: Path) -> None:
    async with web(tmp_path) as gateway, gateway.raw() as (reader, writer):
        secret = await token(gateway)
        head = f"PUT /api/documents/a.md HTTP/1.1\r\nHost: {gateway.host}\r\nAuthorization: Bearer {secret}\r\n"
        writer.write(f"{head}Content-Length: {protocol.MAX_UPLOAD_BYTES + 1}\r\n\r\n".encode())
        async with asyncio.timeout(DEADLINE):
            assert b"413" in await reader.readline()


async def test_folders_are_read_for_the_owner_alone_with_their_progress(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "note.md").write_bytes(NOTE)
    async with web(tmp_path) as gateway, owner(gateway) as http, person(gateway, "ann") as ann:
        paths = {"paths": [str(folder)]}
        assert refusal(await ann.post("/api/documents/ingest", json=paths)) == (403, "forbidden")
        assert refusal(await http.post("/api/documents/ingest", json={"paths": ["notes"]})) == (400, "usage")
        async with http.stream("POST", "/api/documents/ingest", json=paths) as response:
            events = Events(response)
            while not (state := await events.next("ingest_state")).data["finished"]:
                pass
            assert state.data["added"] == 1
        (listed,) = (await http.get("/api/documents", params={"limit": 1})).json()["documents"]
        assert listed["source"] == str(folder / "note.md")
        older = await http.get("/api/documents", params={"before": listed["id"]})
        assert older.json() == {"documents": []}
