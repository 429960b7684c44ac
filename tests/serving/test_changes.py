"""A deletion and a question exclude each other, and nothing of the conversation stays among the unfinished work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from agentd.bus.bus import EventBus
from agentd.clock import SystemClock
from agentd.errors import Busy, NotFound, StateError
from agentd.events import BranchSelected, Event, SessionDeleted
from agentd.ids import IdSource
from agentd.pending import PendingDirectory
from agentd.ports.sessions import SessionInfo
from agentd.ports.work import DeadLetter
from agentd.records import OWNER, Principal
from agentd.serving.changes import Changes
from agentd.storage.sessions import Sessions
from agentd.storage.store import Store, load_migrations
from agentd.storage.turns import TurnRecords
from agentd.testing.clock import FakeClock
from agentd.turns.conversation import Conversations
from tests.builders import SESSION, TIME, inbound, outbound

ANN = Principal(kind="person", id="ann")


@dataclass
class OneSession:
    """Sessions of one principal, whose deletion takes until `go` is set."""

    whose: Principal = OWNER
    go: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    faults: list[Exception] = field(default_factory=list)
    gone: bool = False

    async def session(self, principal: Principal, session_id: str) -> SessionInfo:
        await asyncio.sleep(0)  # the real one reads a file
        if self.gone or principal not in (OWNER, self.whose):
            raise NotFound("there is no such session.")
        return SessionInfo(
            id=session_id, principal=self.whose, name="", title="", created=TIME, updated=TIME, messages=2, unread=0
        )

    async def select(self, principal: Principal, session_id: str, turn_id: str, *, before: bool = False) -> str:
        await self.session(principal, session_id)
        self.begun.set()
        await self.go.wait()
        return f"before {turn_id}" if before else turn_id

    async def delete(self, principal: Principal, session_id: str) -> SessionInfo:
        session = await self.session(principal, session_id)
        if self.faults:
            raise self.faults.pop()
        self.begun.set()
        await self.go.wait()
        self.gone = True
        return session

    async def expired(self, older_than: timedelta, *, after: str, limit: int) -> Sequence[str]:
        return []

    async def expire(self, session_ids: Collection[str], older_than: timedelta) -> Sequence[str]:
        return []


class Meanwhile(PendingDirectory):
    """Something happens just before the dead letters are looked through."""

    happens: Callable[[], Awaitable[object]] | None = None

    async def dead(self) -> list[DeadLetter]:
        if self.happens is not None:
            await self.happens()
        return await super().dead()


class House:
    def __init__(self, pending: Meanwhile) -> None:
        self.told: list[Event] = []
        self.pending = pending
        self.conversations = Conversations()
        reducers = (self.conversations.apply, self.told.append)
        bus = EventBus(pending, reducers, ids=IdSource(), clock=SystemClock())
        self.store = OneSession()
        self.changes = Changes(self.store, pending, self.conversations, bus)

    async def owe(self, text: str, session_id: str = SESSION) -> str:
        """An answer that nobody has taken; its id."""
        asked = inbound(f"{text}?", session_id=session_id)
        await self.pending.accept(asked)
        await self.pending.answer(answer := outbound(asked, text))
        return answer.id


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[House]:
    async with Meanwhile(folder) as pending:
        yield House(pending)


async def nothing() -> None:
    """Something that is asked, and over at once."""


def files_with(folder: Path, word: bytes) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and word in path.read_bytes())


async def test_while_something_is_asked_or_waits_for_its_answer_the_session_stays(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        house.store.go.set()
        asked = asyncio.Event()
        asking = [asyncio.create_task(house.changes.asked(SESSION, asked.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await house.changes.delete(OWNER, SESSION)
        asked.set()
        await asyncio.gather(*asking)
        house.conversations.apply(inbound())
        with pytest.raises(Busy):
            await house.changes.delete(OWNER, SESSION)
        assert not house.store.begun.is_set() and not house.told


async def test_while_it_is_deleted_nothing_is_asked_and_then_it_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        deleting = asyncio.create_task(house.changes.delete(OWNER, SESSION))
        await house.store.begun.wait()
        with pytest.raises(NotFound):
            await house.changes.asked(SESSION, nothing)
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
        await house.changes.delete(OWNER, SESSION)
        assert not files_with(tmp_path, b"xylophone") and files_with(tmp_path, b"trombone")
        assert [turn.outbound_id for turn in await house.pending.undelivered()] == [kept]
        assert [event.undelivered for event in house.told if isinstance(event, SessionDeleted)] == [(owed,)]


async def test_an_answer_for_which_somebody_else_waits_keeps_the_session(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        house.store.go.set()
        house.store.whose = ANN
        owed = await house.owe("a xylophone")
        with pytest.raises(Busy):
            await house.changes.delete(OWNER, SESSION)
        assert not house.store.begun.is_set()
        assert [turn.outbound_id for turn in await house.pending.undelivered()] == [owed]
        await house.changes.delete(ANN, SESSION)
        assert not await house.pending.undelivered()


async def test_a_question_whose_asker_is_gone_keeps_the_session_until_it_is_accepted(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        house.store.go.set()
        asked = asyncio.Event()
        asking = asyncio.create_task(house.changes.asked(SESSION, asked.wait))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
        with pytest.raises(Busy):
            await house.changes.delete(OWNER, SESSION)
        asked.set()
        async with asyncio.timeout(60):
            while not house.store.gone:
                with suppress(Busy):
                    await house.changes.delete(OWNER, SESSION)


async def test_a_deletion_whose_asker_is_gone_is_told_all_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        deleting = asyncio.create_task(house.changes.delete(OWNER, SESSION))
        await house.store.begun.wait()
        deleting.cancel()
        await asyncio.wait([deleting])
        house.store.go.set()
        with pytest.raises(NotFound):
            await house.changes.delete(OWNER, SESSION)
        assert isinstance(house.told[0], SessionDeleted) and house.store.gone


async def test_while_two_delete_it_and_one_of_them_fails_nothing_is_asked(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        house.store.faults.append(StateError("the disk is full"))
        first, second = (asyncio.create_task(house.changes.delete(OWNER, SESSION)) for _ in range(2))
        with pytest.raises(StateError):
            await first
        await house.store.begun.wait()
        with pytest.raises(NotFound):
            await house.changes.asked(SESSION, nothing)
        house.store.go.set()
        await second
        with pytest.raises(NotFound):
            await house.changes.delete(OWNER, SESSION)


async def test_somebody_elses_session_cannot_be_deleted_nor_held_up_and_is_as_unknown_as_one_that_is_not_there(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as house:
        house.store.go.set()
        deleting = asyncio.create_task(house.changes.delete(ANN, SESSION))
        await asyncio.sleep(0)
        await house.changes.asked(SESSION, nothing)
        with pytest.raises(NotFound):
            await deleting
        house.conversations.apply(inbound())
        with pytest.raises(NotFound):
            await house.changes.delete(ANN, SESSION)


async def test_a_question_that_another_process_is_to_answer_keeps_the_session(tmp_path: Path) -> None:
    """A daemon inside a command does not follow the questions of channels that it does not run."""
    async with opened(tmp_path) as house:
        house.store.go.set()
        await house.pending.accept(asked := inbound("a xylophone?"))
        with pytest.raises(Busy):
            await house.changes.delete(OWNER, SESSION)
        assert not house.store.gone and await house.pending.find(asked.id) is not None


async def test_what_is_taken_back_out_of_the_dead_letters_meanwhile_keeps_the_session(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        house.store.go.set()
        owed = await house.owe("a xylophone")
        (turn,) = await house.pending.undelivered()
        await house.pending.bury(turn.id, "it was refused")
        house.pending.happens = lambda: house.pending.retry(owed)
        with pytest.raises(Busy):
            await house.changes.delete(OWNER, SESSION)
        house.pending.happens = None
        await house.changes.delete(OWNER, SESSION)
        assert house.store.gone and not files_with(tmp_path, b"xylophone")


# --- those that were for one question ---


class Expiring(Sessions):
    """Sessions over a real database; `happens` just before the expired ones are deleted."""

    happens: Callable[[], Awaitable[object]] | None = None

    async def expire(self, session_ids: Collection[str], older_than: timedelta) -> Sequence[str]:
        if self.happens is not None:
            await self.happens()
        return await super().expire(session_ids, older_than)


WEEK = timedelta(days=7)


@dataclass
class OldHouse:
    """Sessions that were opened for one question each more than a week ago."""

    house: House
    sessions: Expiring
    turns: TurnRecords
    changes: Changes
    old: list[str]
    followed: set[str] = field(default_factory=set)

    async def left(self) -> list[str]:
        """Those of the old ones that are still there."""
        found = []
        for session_id in self.old:
            with suppress(NotFound):
                found.append((await self.sessions.session(OWNER, session_id)).id)
        return found


@asynccontextmanager
async def old_house(folder: Path, count: int) -> AsyncIterator[OldHouse]:
    clock = FakeClock()
    async with opened(folder) as house, Store(folder / "agentd.db", load_migrations("agentd.storage")) as store:
        sessions, turns, old = Expiring(store, IdSource(), clock), TurnRecords(store, clock), []
        for _ in range(count):
            old.append((await sessions.open(ANN, None, channel="websocket", listed=False)).id)
            asked = inbound(session_id=old[-1], principal=ANN)
            await turns.finish([asked], outbound(asked))
        clock.advance(WEEK.total_seconds() + 60)
        bus = EventBus(house.pending, (house.told.append,), ids=IdSource(), clock=SystemClock())
        followed: set[str] = set()
        changes = Changes(sessions, house.pending, house.conversations, bus, followed=lambda: followed)
        yield OldHouse(house, sessions, turns, changes, old, followed)


async def test_the_old_ones_that_nobody_uses_go_in_steps_and_whoever_asks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentd.serving.changes.AT_ONCE", 2)
    async with old_house(tmp_path, 5) as h:
        assert await h.changes.purge(WEEK) == 5
        assert await h.left() == []
        assert sorted(told.session_id for told in h.house.told if isinstance(told, SessionDeleted)) == sorted(h.old)
        assert await h.changes.purge(WEEK) == 0


async def test_one_that_is_followed_asked_or_busy_or_has_something_pending_or_dead_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentd.serving.changes.AT_ONCE", 2)
    async with old_house(tmp_path, 6) as h:
        followed, being_asked, busy, owed, dead, _ = h.old
        h.followed.add(followed)
        go = asyncio.Event()
        asking = asyncio.create_task(h.changes.asked(being_asked, go.wait))
        await asyncio.sleep(0)
        h.house.conversations.apply(inbound(session_id=busy))
        await h.house.owe("a xylophone", owed)
        await h.house.pending.accept(lost := inbound(session_id=dead))
        await h.house.pending.bury(lost.id, "it was refused")
        assert await h.changes.purge(WEEK) == 1
        assert await h.left() == [followed, being_asked, busy, owed, dead]
        assert len(await h.house.pending.undelivered()) == 1 and len(await h.house.pending.dead()) == 1
        go.set()
        await asking


async def test_while_it_goes_nothing_is_asked_in_it_and_what_was_continued_stays(tmp_path: Path) -> None:
    async with old_house(tmp_path, 2) as h:
        going, continued = h.old

        async def happens() -> None:
            with pytest.raises(NotFound):
                await h.changes.asked(going, nothing)
            again = inbound(session_id=continued, principal=ANN)
            await h.turns.finish([again], outbound(again))

        h.sessions.happens = happens
        assert await h.changes.purge(WEEK) == 1
        assert await h.left() == [continued]


# --- another branch ---


async def test_what_is_asked_while_another_branch_is_selected_comes_after_that(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        selecting = asyncio.create_task(house.changes.select(OWNER, SESSION, "t1", before=True))
        await house.store.begun.wait()
        told: list[int] = []

        async def ask() -> None:
            told.append(len(house.told))

        asking = asyncio.create_task(house.changes.asked(SESSION, ask))
        deleting = asyncio.create_task(house.changes.delete(OWNER, SESSION))
        await asyncio.sleep(0)
        assert told == []
        house.store.go.set()
        assert await selecting == "before t1"
        await asking
        (selected, *_) = house.told
        assert isinstance(selected, BranchSelected) and selected.turn_id == "before t1" and told == [1]
        with suppress(Busy):  # It may have come before the question was asked or after it.
            await deleting


async def test_no_branch_is_selected_while_a_question_has_no_answer(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        house.store.go.set()
        asked = asyncio.Event()
        asking = asyncio.create_task(house.changes.asked(SESSION, asked.wait))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await house.changes.select(OWNER, SESSION, "t1")
        asked.set()
        await asking
        question = inbound()
        await house.pending.accept(question)  # over a channel that does not run here
        with pytest.raises(Busy):
            await house.changes.select(OWNER, SESSION, "t1")
        await house.pending.answer(outbound(question))
        assert await house.changes.select(OWNER, SESSION, "t1") == "t1"
        with pytest.raises(NotFound):
            await house.changes.select(ANN, SESSION, "t1")
