"""The newest summary of each session, kept in a real database."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.errors import NotFound
from agentd.ids import NO_ID
from agentd.ports.sessions import Summary
from agentd.records import OWNER
from agentd.storage.store import Store, load_migrations
from agentd.storage.summaries import Summaries
from agentd.testing.clock import FakeClock
from tests.storage.kept import Kept, asked, end


async def test_the_newest_summary_counts_until_its_session_is_deleted(tmp_path: Path) -> None:
    async with Store(tmp_path / "agentd.db", load_migrations("agentd.storage")) as store:
        sessions, summaries = Kept(store, FakeClock()), Summaries(store, FakeClock())
        session = (await sessions.open(OWNER, None)).id
        turns = [asked(session) for _ in range(3)]
        for turn in turns:
            await end(sessions, turn)
        assert await summaries.of(session) == Summary(text="", through=NO_ID)
        kept = [Summary(text=f"up to {turn.turn_id}", through=turn.turn_id) for turn in turns]
        for summary in kept[:2]:
            await summaries.keep(session, summary, "m")
        assert await summaries.of(session) == kept[1]
        await sessions.delete(OWNER, session)
        with pytest.raises(NotFound):
            await summaries.keep(session, kept[2], "m")
        assert (await summaries.of(session)).text == ""
