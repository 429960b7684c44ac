"""Marks of answers, in a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agentd.errors import NotFound
from agentd.ids import IdSource
from agentd.records import OWNER, Principal
from agentd.storage.marks import Marks
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store, load_migrations
from agentd.testing.clock import FakeClock

GUEST = Principal(kind="chat", id="7")


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Marks, Sessions]]:
    clock = FakeClock()
    async with Store(folder / "agentd.db", load_migrations("agentd.storage")) as store:
        yield Marks(store, clock), Sessions(store, IdSource(), clock)


async def test_a_second_mark_replaces_the_first(tmp_path: Path) -> None:
    async with opened(tmp_path) as (marks, sessions):
        session = (await sessions.open(OWNER, None)).id
        await marks.set(OWNER, session, "turn", "good", "well said")
        await marks.set(OWNER, session, "turn", "bad")
        [mark] = await marks.of_session(OWNER, session)
        assert (mark.turn_id, mark.verdict, mark.note, mark.principal) == ("turn", "bad", "", OWNER)


async def test_everybody_has_a_mark_of_their_own_and_the_owner_sees_all(tmp_path: Path) -> None:
    async with opened(tmp_path) as (marks, sessions):
        session = (await sessions.open(GUEST, None)).id
        await marks.set(GUEST, session, "turn", "bad")
        await marks.set(OWNER, session, "turn", "good")
        assert [mark.verdict for mark in await marks.of_session(GUEST, session)] == ["bad"]
        assert sorted(mark.verdict for mark in await marks.of_session(OWNER, session)) == ["bad", "good"]


async def test_marks_go_with_their_session(tmp_path: Path) -> None:
    async with opened(tmp_path) as (marks, sessions):
        session = (await sessions.open(OWNER, None)).id
        await marks.set(OWNER, session, "turn", "good")
        await sessions.delete(OWNER, session)
        assert await marks.of_session(OWNER, session) == []
        with pytest.raises(NotFound, match="was deleted"):
            await marks.set(OWNER, session, "turn", "good")
