"""What the owner wants waits for nobody else, and the other principals take turns."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from agentd.records import OWNER, Principal
from agentd.retrieval.ingest import DocumentIngest
from agentd.retrieval.search import KeywordSearch
from agentd.retrieval.turnstile import Turnstile
from agentd.storage.store import Store, load_migrations
from agentd.testing.clock import FakeClock

ALICE, BOB = Principal(kind="user", id="1000"), Principal(kind="user", id="1001")
DEADLINE = 60.0


async def test_others_do_not_take_the_places_of_the_owner_and_have_one_together() -> None:
    turnstile, inside = Turnstile(2, 1), asyncio.Event()
    began: list[str] = []
    free = {name: asyncio.Event() for name in ("a1", "a2", "a3", "b1")}

    async def ingest(name: str, principal: Principal) -> None:
        async with turnstile.enter(principal):
            began.append(name)
            inside.set()
            await free[name].wait()

    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
        for name in free:
            tasks.create_task(ingest(name, ALICE if name.startswith("a") else BOB))
        await inside.wait()
        async with AsyncExitStack() as owner:
            for _ in range(2):
                await owner.enter_async_context(turnstile.enter(OWNER))
        assert began == ["a1"]
        for event in free.values():
            event.set()
    assert began.index("b1") == 1


async def test_one_principal_does_not_take_all_places_of_the_others() -> None:
    turnstile = Turnstile(1, 2)
    async with asyncio.timeout(DEADLINE), turnstile.enter(ALICE):
        second = asyncio.create_task(turnstile.enter(ALICE).__aenter__())
        async with turnstile.enter(BOB):
            assert not second.done()
        second.cancel()


async def test_an_upload_of_the_owner_is_read_while_those_of_others_wait(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(DEADLINE),
        Store(tmp_path / "documents.db", load_migrations("agentd.retrieval")) as store,
    ):
        ingest = DocumentIngest(store, FakeClock())

        async def upload(principal: Principal) -> int:
            return [state async for state in ingest.upload("a.md", b"# Owls", principal)][-1].added

        async with ingest._turnstile.enter(ALICE):
            waiting = asyncio.create_task(upload(BOB))
            assert await upload(OWNER) == 1 and not waiting.done()
        assert await waiting == 1


async def test_a_search_of_the_owner_is_answered_while_those_of_others_wait(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(DEADLINE),
        Store(tmp_path / "documents.db", load_migrations("agentd.retrieval")) as store,
    ):
        search = KeywordSearch(store)
        carol = Principal(kind="user", id="1002")
        async with search._turnstile.enter(ALICE), search._turnstile.enter(carol):
            waiting = asyncio.create_task(search.search("owls", BOB))
            assert await search.search("owls", OWNER) == [] and not waiting.done()
        assert await waiting == []
