"""Dead letters are kept with their reason until a person decides."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agentd.errors import NotFound
from agentd.events import ToolCallStarted
from agentd.host.files import OsFiles
from agentd.pending import PendingDirectory
from agentd.pending.file import encode_file
from agentd.testing.clock import FakeClock
from tests.builders import IDS, TIME, inbound, outbound
from tests.pending_files import directory, in_pending
from tests.unfinished import unfinished


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[PendingDirectory]:
    async with directory(tmp_path) as found:
        yield found


async def test_a_buried_event_is_dead_with_its_reason_until_it_is_dropped(tmp_path: Path) -> None:
    event = inbound()
    answer = outbound(event)
    async with directory(tmp_path) as opened:
        await opened.accept(event)
        await opened.answer(answer)
        await opened.defer(event.id, until=None, attempt=12, error="403")
        await opened.bury(event.id, "bot was blocked by the user")
        assert not await unfinished(opened)
        assert in_pending(tmp_path) == []
    async with directory(tmp_path) as opened:
        [letter] = await opened.dead()
        assert (letter.id, letter.turn_id, letter.kind) == (answer.id, event.id, "outbound")
        assert (letter.reason, letter.time, letter.attempts) == ("bot was blocked by the user", TIME, 12)
        assert letter.size == len(encode_file(answer))
        assert await opened.dead_event(answer.id) == answer
        assert opened.last_id == answer.id
        await opened.drop(answer.id)
        assert await opened.dead() == []
        with pytest.raises(NotFound):
            await opened.drop(answer.id)
    assert os.listdir(tmp_path / "dead") == []


async def test_a_question_that_is_buried_leaves_a_notice(opened: PendingDirectory) -> None:
    event = inbound()
    await opened.accept(event)
    notice = outbound(event, "put aside", answers=())
    await opened.bury(event.id, "it crashed the daemon", notice)
    assert list(await unfinished(opened)) == [notice.id]
    assert await opened.load(notice.id) == notice
    assert [letter.id for letter in await opened.dead()] == [event.id]


async def test_a_notice_that_is_pending_already_is_not_written_again(opened: PendingDirectory) -> None:
    event = inbound()
    notice = outbound(event, answers=())
    await opened.accept(event)
    await opened.accept(notice)
    await opened.sending(notice.id)
    await opened.bury(event.id, "it crashed the daemon", notice)
    assert (await unfinished(opened))[notice.id].sending


async def test_a_retry_begins_with_all_attempts_and_without_the_parts_that_arrived(tmp_path: Path) -> None:
    event = inbound()
    answer = outbound(event)
    clock = FakeClock(TIME)
    async with directory(tmp_path, clock=clock) as opened:
        await opened.accept(event)
        await opened.answer(answer)
        await opened.sending(event.id, ["a", "b"])
        await opened.part_done(event.id, 0)
        await opened.defer(event.id, until=TIME, attempt=12, error="403")
        await opened.bury(event.id, "given up")
        clock.advance(60)
        turn = await opened.retry(answer.id)
        assert (turn.id, turn.outbound_id, turn.attempts, turn.not_before) == (event.id, answer.id, 0, None)
        assert (turn.parts, turn.parts_done, turn.retried) == (("a", "b"), 1, clock.now())
        assert await opened.dead() == []
        assert await opened.load(event.id) == answer
        with pytest.raises(NotFound):
            await opened.retry(answer.id)
    async with directory(tmp_path) as opened:
        assert (await unfinished(opened))[event.id] == turn


class Reading(OsFiles):
    """Keeps the names of the files that are read."""

    def __init__(self) -> None:
        self.read_names: list[str] = []

    def blocks(self, path: str) -> Iterator[bytes]:
        self.read_names.append(os.path.basename(path))
        return super().blocks(path)


async def test_however_often_the_letters_are_asked_for_each_is_read_once(tmp_path: Path) -> None:
    events, files = [inbound(), inbound(), inbound()], Reading()
    async with directory(tmp_path) as opened:
        for event in events[:2]:
            await opened.accept(event)
            await opened.bury(event.id, "no")
    async with directory(tmp_path, files) as opened:
        files.read_names = []
        listed = await asyncio.gather(*(opened.dead() for _ in range(10)))
        assert [[letter.id for letter in letters] for letters in listed] == [[event.id for event in events[:2]]] * 10
        assert sorted(files.read_names) == sorted(f"{e.id}.{suffix}" for e in events[:2] for suffix in ("event", "log"))
        await opened.accept(events[2])
        await opened.bury(events[2].id, "no")
        files.read_names = []
        assert len(await opened.dead()) == 3
        assert sorted(files.read_names) == [f"{events[2].id}.event", f"{events[2].id}.log"]
        await opened.drop(events[0].id)
        assert [letter.id for letter in await opened.dead()] == [event.id for event in events[1:]]


async def test_a_letter_that_is_given_up_once_more_has_its_new_reason(opened: PendingDirectory) -> None:
    event = inbound()
    await opened.accept(event)
    for reason in ("the first", "the second"):
        await opened.bury(event.id, reason)
        assert [letter.reason for letter in await opened.dead()] == [reason]
        await opened.retry(event.id)


async def test_what_was_given_up_long_ago_is_purged(tmp_path: Path) -> None:
    clock = FakeClock(TIME)
    async with directory(tmp_path, clock=clock) as opened:
        events = [inbound(), inbound()]
        for event in events:
            await opened.accept(event)
            await opened.bury(event.id, "no")
            clock.advance(3600)
        assert await opened.purge(timedelta(minutes=90)) == 1
        assert [letter.id for letter in await opened.dead()] == [events[1].id]


async def test_what_a_turn_has_done_comes_back_with_its_question(tmp_path: Path) -> None:
    event = inbound()
    step = ToolCallStarted(id=IDS.next(), time=TIME, turn_id=event.id, session_id=event.session_id, call_id="c")
    async with directory(tmp_path) as opened:
        await opened.accept(event)
        await opened.stepped(event.id, [step], durable=True)
        await opened.bury(event.id, "it crashed the daemon")
        turn = await opened.retry(event.id)
        assert turn.stepped and await opened.steps(event.id) == [step]
    async with directory(tmp_path) as opened:
        assert (await unfinished(opened))[event.id].stepped and await opened.steps(event.id) == [step]
