"""A deletion and a question exclude each other, and nothing of the conversation stays among the unfinished work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agentd.bus.bus import EventBus
from agentd.clock import SystemClock
from agentd.errors import Busy, NotFound
from agentd.events import OWNER, Event, Principal, SessionDeleted
from agentd.ids import IdSource
from agentd.pending import PendingDirectory
from agentd.ports.sessions import SessionInfo
from agentd.serving.deletions import Deletions
from agentd.turns.conversation import Conversations
from tests.builders import SESSION, TIME, inbound, outbound

ANN = Principal(kind="token", id="ann")


@dataclass
class Store:
    """Sessions of one principal, whose deletion takes until `go` is set."""

    whose: Principal = OWNER
    go: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def session(self, principal: Principal, session_id: str) -> SessionInfo:
        return SessionInfo(
            id=session_id, principal=self.whose, name="", title="", created=TIME, updated=TIME, messages=2, unread=0
        )

    async def delete(self, principal: Principal, session_id: str) -> SessionInfo:
        self.begun.set()
        await self.go.wait()
        return await self.session(principal, session_id)


class House:
    def __init__(self, pending: PendingDirectory) -> None:
        self.told: list[Event] = []
        self.pending = pending
        self.conversations = Conversations()
        reducers = (self.conversations.apply, self.told.append)
        bus = EventBus(pending, reducers, ids=IdSource(), clock=SystemClock())
        self.store = Store()
        self.deletions = Deletions(self.store, pending, self.conversations, bus)

    async def owe(self, text: str, session_id: str = SESSION) -> str:
        """An answer that nobody has taken; its id."""
        asked = inbound(f"{text}?", session_id=session_id)
        await self.pending.accept(asked)
        await self.pending.answer(answer := outbound(asked, text))
        return answer.id


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[House]:
    async with PendingDirectory(folder) as pending:
        yield House(pending)


def files_with(folder: Path, word: bytes) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and word in path.read_bytes())


async def test_while_something_is_asked_or_waits_for_its_answer_the_session_stays(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        house.store.go.set()
        with house.deletions.asking(SESSION), house.deletions.asking(SESSION):
            with pytest.raises(Busy):
                await house.deletions.delete(OWNER, SESSION)
        house.conversations.apply(inbound())
        with pytest.raises(Busy):
            await house.deletions.delete(OWNER, SESSION)
        assert not house.store.begun.is_set() and not house.told


async def test_while_it_is_deleted_nothing_is_asked_and_then_it_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        deleting = asyncio.create_task(house.deletions.delete(OWNER, SESSION))
        await house.store.begun.wait()
        with pytest.raises(NotFound), house.deletions.asking(SESSION):
            pass
        house.store.go.set()
        assert (await deleting).messages == 2
        (event,) = house.told
        assert isinstance(event, SessionDeleted) and event.session_id == SESSION


async def test_what_is_undelivered_or_dead_of_it_goes_with_it(tmp_path: Path) -> None:
    other = "00000000000000bb-00000000"
    async with opened(tmp_path) as house:
        house.store.go.set()
        owed = await house.owe("a xylophone")
        dead = inbound("a dead xylophone?")
        await house.pending.accept(dead)
        await house.pending.bury(dead.id, "it crashed")
        kept = await house.owe("a trombone", other)
        assert files_with(tmp_path, b"xylophone")
        await house.deletions.delete(OWNER, SESSION)
        assert not files_with(tmp_path, b"xylophone") and files_with(tmp_path, b"trombone")
        assert [entry.outbound_id for entry in await house.pending.undelivered()] == [kept]
        assert [event.undelivered for event in house.told if isinstance(event, SessionDeleted)] == [(owed,)]


async def test_an_answer_for_which_somebody_else_waits_keeps_the_session(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        house.store.go.set()
        house.store.whose = ANN
        owed = await house.owe("a xylophone")
        with pytest.raises(Busy):
            await house.deletions.delete(OWNER, SESSION)
        assert not house.store.begun.is_set()
        assert [entry.outbound_id for entry in await house.pending.undelivered()] == [owed]
        await house.deletions.delete(ANN, SESSION)
        assert not await house.pending.undelivered()
