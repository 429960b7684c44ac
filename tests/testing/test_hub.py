"""The hub of the tests keeps its promises unless it is told to break them."""

from __future__ import annotations

import hashlib

import httpx2

from agentd.testing.hub import Hub

DATA = bytes(range(256)) * 1000


async def test_a_repository_and_its_files_are_served_as_the_hub_does() -> None:
    async with Hub({"o/r/a.gguf": DATA}) as hub, httpx2.AsyncClient(base_url=hub.url, follow_redirects=True) as client:
        info = (await client.get("/api/models/o/r/revision/main?blobs=true")).json()
        assert info["sha"] == hub.revision("o/r")
        (file,) = info["siblings"]
        assert (file["rfilename"], file["size"]) == ("a.gguf", len(DATA))
        assert file["lfs"]["sha256"] == hashlib.sha256(DATA).hexdigest()
        whole = await client.get("/o/r/resolve/main/a.gguf")
        assert whole.content == DATA and whole.headers["x-repo-commit"] == info["sha"]
        part = await client.get("/o/r/resolve/main/a.gguf", headers={"range": "bytes=1000-"})
        assert part.status_code == 206 and part.content == DATA[1000:]
        assert part.headers["content-range"] == f"bytes 1000-{len(DATA) - 1}/{len(DATA)}"
        head = await client.head("/o/r/resolve/main/a.gguf")
        assert head.headers["content-length"] == str(len(DATA)) and len(hub.downloads) == 2
        assert all(request.query == {"X-Signature": ["signed"]} for request in hub.asked_elsewhere)
        for missing in ("/api/models/o/none", "/api/models/o/r/revision/none", "/o/r/resolve/main/none", "/else"):
            assert (await client.get(missing)).status_code == 404


async def test_promises_are_broken_on_request() -> None:
    async with (
        Hub({"o/r/a.gguf": DATA}) as hub,
        httpx2.AsyncClient(base_url=hub.url, timeout=60, follow_redirects=True) as client,
    ):
        hub.cut_after = [100]
        try:
            await client.get("/o/r/resolve/main/a.gguf")
        except httpx2.RemoteProtocolError:
            hub.stall_after = [100]
        try:
            await client.get("/o/r/resolve/main/a.gguf", timeout=0.3)
        except httpx2.ReadTimeout:
            hub.surplus, hub.ranges = b"more", False
        reply = await client.get("/o/r/resolve/main/a.gguf", headers={"range": "bytes=1000-"})
        assert reply.status_code == 200 and reply.content == DATA + b"more"
        hub.status = 503
        assert (await client.get("/api/models/o/r")).status_code == 503
