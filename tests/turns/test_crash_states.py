"""Every crash from the first byte of a question to its ack leaves one answer, which a repeated question gets again.

The agent worker ends real turns on a file system in memory and in a real database. Before each operation on the one and
after each commit of the other every crash is looked at: what a start would find on the disk, beside the rows.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from agentd.bus.bus import EventBus
from agentd.clock import SystemClock
from agentd.events import InboundEvent, OutboundEvent, TurnFinished, encode
from agentd.ids import IdSource
from agentd.pending import PendingDirectory
from agentd.pending.file import decode_file
from agentd.ports.generation import Limits, Sampling
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store, load_migrations
from agentd.storage.turns import TurnRecords
from agentd.testing.files import SimFiles
from agentd.testing.model import ScriptedModel
from agentd.turns.chronicle import Chronicle
from agentd.turns.conversation import Conversations
from agentd.turns.factory import TurnFactory
from agentd.turns.settings import TurnSettings
from agentd.turns.turn import Answerers
from agentd.turns.window import Memory
from tests.builders import inbound
from tests.fakes import ListedDocuments, prepared_from
from tests.pending_script import ASIDE, start_up
from workers.agent import AgentWorker, Ledger

LIMIT = int(os.environ.get("CRASH_LIMIT", "300"))
SETTINGS = TurnSettings(prompt_tokens=2000, sampling=Sampling(), limits=Limits())


class Watch:
    """Looks at every crash that is possible now; `wrong` is what came of them."""

    def __init__(self, files: SimFiles, database: Path) -> None:
        self._files = files
        self._database = database
        self._rng = random.Random(0)
        self.confirmed: set[str] = set()
        self.acking: set[str] = set()
        self.states = 0
        self.wrong: set[str] = set()

    def look(self) -> None:
        rows = self._rows()
        for crashed in (*self._files.power_cuts(self._rng, LIMIT), self._files.killed()):
            self.states += 1
            found = {name: item.content for name, item in start_up(crashed).items() if name != ASIDE}
            for turn_id in self.confirmed | found.keys():
                self._judge(turn_id, found.get(turn_id), rows.get(turn_id))

    def _judge(self, turn_id: str, content: bytes | None, row: bytes | None) -> None:
        if content is None:
            if row is None:
                self.wrong.add("a confirmed question is gone without an answer")
            elif turn_id not in self.acking:
                self.wrong.add("an answer that nobody took is gone")
        elif isinstance(event := decode_file(content, turn_id), OutboundEvent) and row != encode(event):
            self.wrong.add("a question that is offered again after its answer would be answered by a second turn")

    def _rows(self) -> dict[str, bytes]:
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as db:
            rows = db.execute("SELECT turn_id, outbound_json FROM turns").fetchall()
        return {turn_id: document.encode() for turn_id, document in rows}


class House:
    def __init__(self, pending: PendingDirectory, store: Store, ledger: type[Ledger]) -> None:
        self.pending = pending
        self.conversations = Conversations()
        self.bus = EventBus(pending, [self.conversations.apply])
        ids, clock = IdSource(), SystemClock()
        sessions, model = Sessions(store, ids, clock), ScriptedModel()
        turns = TurnFactory(
            chronicle=Chronicle(self.bus, pending, ids, clock),
            preparation=prepared_from(ListedDocuments(), sessions),
            memory=Memory(history=sessions),
            answerers=Answerers(model=model),
            settings=SETTINGS,
        )
        kept = ledger(pending, TurnRecords(store, clock), self.bus, clock, {"test"})
        self.worker = AgentWorker(self.bus, self.conversations, kept, turns, clock=clock, concurrency=1)


@asynccontextmanager
async def house(folder: Path, ledger: type[Ledger]) -> AsyncIterator[tuple[House, Watch]]:
    files, database = SimFiles(), folder / "agentd.db"
    watch = Watch(files, database)
    async with (
        PendingDirectory(Path("/state"), files, threads=1, min_free_bytes=0) as pending,
        Store(database, load_migrations("agentd.storage"), on_commit=watch.look) as store,
    ):
        files.before = watch.look
        made = House(pending, store, ledger)
        running = asyncio.create_task(made.worker.run(), name="agent worker")
        try:
            yield made, watch
        finally:
            running.cancel()
            await asyncio.wait([running])


async def live(folder: Path, ledger: type[Ledger] = Ledger) -> Watch:
    """Two questions from their acceptance to the acks of their answers."""
    async with house(folder, ledger) as (made, watch), asyncio.timeout(60):
        for text in ("what is it?", "and why?"):
            asked = inbound(text)
            assert isinstance(asked, InboundEvent)
            ends = made.bus.subscribe(TurnFinished, name="test")
            await made.bus.publish(asked)
            watch.confirmed.add(asked.id)
            async for _ in ends:
                break
            ends.close()
            watch.acking.add(asked.id)
            await made.pending.ack(asked.id)
            watch.look()
    return watch


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Hundreds of torn files are set aside here."""
    caplog.set_level(logging.CRITICAL, logger="agentd")


async def test_no_crash_from_question_to_ack_loses_an_answer_or_allows_a_second_turn(tmp_path: Path) -> None:
    watch = await live(tmp_path)
    assert watch.wrong == set() and watch.states > 100


class RecordsAfterTheAnswer(Ledger):
    """Writes the answer's file before the transaction that records how the turn ended."""

    async def end(self, inbound: InboundEvent, outbound: OutboundEvent) -> None:
        await self._bus.publish(outbound)
        await super().end(inbound, outbound)


class NeverRecords(Ledger):
    """Has the answer's file and no row."""

    async def end(self, inbound: InboundEvent, outbound: OutboundEvent) -> None:
        await self._bus.publish(outbound)
        turn_id, session_id = inbound.turn_id, inbound.session_id
        finished = TurnFinished(turn_id=turn_id, session_id=session_id, outcome=outbound.outcome)
        await self._bus.publish(finished)


@pytest.mark.parametrize("ledger", [RecordsAfterTheAnswer, NeverRecords])
async def test_a_turn_that_is_not_recorded_before_its_answer_is_noticed(tmp_path: Path, ledger: type[Ledger]) -> None:
    watch = await live(tmp_path, ledger)
    assert "a question that is offered again after its answer would be answered by a second turn" in watch.wrong
