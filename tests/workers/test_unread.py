"""What nobody was there to take is unread in the history; what somebody took is not."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agentd.bus.bus import EventBus
from agentd.events import Delivered
from agentd.ids import IdSource
from agentd.records import OWNER
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store, load_migrations
from agentd.storage.turns import TurnRecords
from agentd.testing.clock import FakeClock
from agentd.testing.pending import MemoryPending
from tests.builders import inbound, outbound
from workers.unread import UnreadMarks


async def test_only_what_rests_in_the_history_is_unread(tmp_path: Path) -> None:
    async with Store(tmp_path / "agentd.db", load_migrations("agentd.storage")) as store:
        sessions, bus = Sessions(store, IdSource(), FakeClock()), EventBus(MemoryPending())
        marks = UnreadMarks(bus, sessions)
        session = (await sessions.open(OWNER, None)).id
        for how in ("taken", "history"):
            asked = inbound(how, session_id=session)
            answer = outbound(asked, f"answer to {how}")
            await TurnRecords(store, FakeClock()).finish([asked], answer)
            delivered = Delivered(
                turn_id=asked.turn_id,
                session_id=session,
                outbound_id=answer.id,
                address=answer.address,
                how="taken" if how == "taken" else "history",
            )
            await bus.publish(delivered)
        task = asyncio.create_task(marks.run(), name="unread marks")
        async with asyncio.timeout(60):
            while not (await sessions.open(OWNER, session)).unread:  # noqa: ASYNC110 - a thread writes it
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait([task])
        history = await sessions.history(OWNER, session)
        assert [line.text for line in history if line.unread] == ["answer to history"]
