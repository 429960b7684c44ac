"""What is thrown away in time, and what is not."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from pathlib import Path

import pytest

from agentd.clock import SystemClock
from agentd.config import Settings
from agentd.config.sections import AgentSection, DeliverySection
from agentd.errors import NotFound, StateError
from agentd.ids import IdSource
from agentd.pending import PendingDirectory
from agentd.records import OWNER
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store, load_migrations
from agentd.storage.turns import TURNS_KEPT, TurnRecords
from agentd.testing.clock import FakeClock
from tests.builders import inbound, outbound
from tests.fakes import MemoryTurns
from tests.house import running, status_until
from workers.housekeeping import Housekeeping

DAY = 24 * 3600.0


class Purges(MemoryTurns):
    """Counts the sweeps; `faults` are raised, one each."""

    def __init__(self, *faults: Exception) -> None:
        super().__init__()
        self.faults = list(faults)
        self.turns = 0
        self.swept = asyncio.Event()

    async def purge(self) -> int:
        self.turns += 1
        if self.faults:
            raise self.faults.pop(0)
        self.swept.set()
        return 1


class Letters:
    """Remembers with what age it was asked to purge."""

    def __init__(self) -> None:
        self.retentions: list[timedelta] = []

    async def purge(self, older_than: timedelta) -> int:
        self.retentions.append(older_than)
        return 1


async def test_old_turns_and_old_dead_letters_go_and_young_ones_stay(tmp_path: Path) -> None:
    clock = FakeClock()
    async with (
        PendingDirectory(tmp_path / "s", clock=clock) as pending,
        Store(tmp_path / "s" / "agentd.db", load_migrations("agentd.storage")) as store,
    ):
        turns = TurnRecords(store, clock)
        letters = []
        for _ in range(2):
            asked = inbound()
            await turns.finish([asked], outbound(asked))
            await pending.accept(asked)
            await pending.bury(asked.id, "no")
            letters.append(asked)
            clock.advance(TURNS_KEPT.total_seconds() - DAY)
        sweeper = Housekeeping(turns, {"dead letters": (pending, 10)})
        assert await sweeper.sweep() == {"ended turns": 1, "dead letters": 1}
        assert [letter.id for letter in await pending.dead()] == [letters[1].id]
        assert await turns.finished(letters[0].id) is None
        assert await turns.finished(letters[1].id) is not None


async def test_without_a_retention_every_dead_letter_waits_for_a_person() -> None:
    letters = Letters()
    assert await Housekeeping(Purges(), {"dead letters": (letters, 0)}).sweep() == {"ended turns": 1}
    assert letters.retentions == []


async def test_it_sweeps_after_the_start_and_again_and_again_whatever_the_disk_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    purges = Purges(StateError("the disk is full"), OSError("worse"))
    keeper = Housekeeping(purges, {"dead letters": (Letters(), 1)}, first=0, every=0)
    with caplog.at_level(logging.WARNING):
        task = asyncio.create_task(keeper.run(), name="housekeeping")
        async with asyncio.timeout(60):
            await purges.swept.wait()
        task.cancel()
        await asyncio.wait([task])
    assert purges.turns >= 3 and task.cancelled()
    assert "disk is full" in caplog.text and "worse" in caplog.text


async def test_the_daemon_keeps_house_by_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "s"
    async with PendingDirectory(state, clock=FakeClock(SystemClock().now() - timedelta(days=3))) as pending:
        asked = inbound()
        await pending.accept(asked)
        await pending.bury(asked.id, "no")
    clock = FakeClock(SystemClock().now() - timedelta(days=3))
    async with Store(state / "agentd.db", load_migrations("agentd.storage")) as store:
        single = await Sessions(store, IdSource(), clock).open(OWNER, None, channel="terminal", listed=False)
        await TurnRecords(store, clock).finish([asked := inbound(session_id=single.id)], outbound(asked))
    monkeypatch.setattr("workers.housekeeping.FIRST_SECONDS", 0.0)
    settings = Settings(delivery=DeliverySection(dead_retention_days=2), agent=AgentSection(unlisted_days=2))
    async with running(state, settings=settings) as house, house.client() as client:
        await status_until(client, "pending", dead=0)
        async with asyncio.timeout(60):
            with pytest.raises(NotFound):
                while await client.session(single.id):
                    pass
