"""The newest summary of each session, kept in a real database."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.errors import NotFound
from agentd.ids import NO_ID, IdSource
from agentd.ports.sessions import Summary
from agentd.records import OWNER
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store, load_migrations
from agentd.storage.summaries import Summaries
from agentd.testing.clock import FakeClock


async def test_the_newest_summary_counts_until_its_session_is_deleted(tmp_path: Path) -> None:
    async with Store(tmp_path / "agentd.db", load_migrations("agentd.storage")) as store:
        sessions, summaries = Sessions(store, IdSource(), FakeClock()), Summaries(store, FakeClock())
        session = (await sessions.open(OWNER, None)).id
        assert await summaries.of(session) == Summary(text="", through=NO_ID)
        for n in (1, 2):
            await summaries.keep(session, Summary(text=f"summary {n}", through=f"turn {n}"), "m")
        assert await summaries.of(session) == Summary(text="summary 2", through="turn 2")
        await sessions.delete(OWNER, session)
        with pytest.raises(NotFound):
            await summaries.keep(session, Summary(text="late", through="turn 3"), "m")
        assert (await summaries.of(session)).text == ""
