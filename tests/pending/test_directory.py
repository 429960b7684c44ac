"""What the pending directory keeps, and in which order its moves are made."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from agentd.errors import NotAccepted, NotFound, StateError
from agentd.events import InboundEvent
from agentd.pending import PendingDirectory
from tests.builders import TIME, address, inbound, outbound
from tests.pending_files import CountingFiles, FailingFiles, GatedFiles, directory, in_pending, until
from tests.unfinished import unfinished


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[PendingDirectory]:
    async with directory(tmp_path) as found:
        yield found


async def test_what_was_accepted_is_there_after_a_restart(tmp_path: Path) -> None:
    events = [inbound(f"question {n}", address=address(chat=str(n))) for n in range(3)]
    async with directory(tmp_path) as first:
        for event in events:
            await first.accept(event)
    async with directory(tmp_path) as second:
        assert list(await unfinished(second)) == [event.id for event in events]
        for event in events:
            turn = (await unfinished(second))[event.id]
            assert (turn.session_id, turn.dedupe_key) == (event.session_id, event.dedupe_key)
            assert (turn.address, turn.outbound_id) == (event.address, "")
            assert await second.load(event.id) == event
        assert second.last_id == events[-1].id


async def test_how_much_is_pending_is_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="agentd.pending")
    for told in ("1 turn is pending", "2 turns are pending"):
        async with directory(tmp_path) as opened:
            await opened.accept(inbound(address=address(chat=told)))
        async with directory(tmp_path):
            assert told in caplog.messages


async def test_only_the_owner_may_read(opened: PendingDirectory, tmp_path: Path) -> None:
    event = inbound()
    await opened.accept(event)
    for name in ("pending", "dead", "corrupt"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "pending" / f"{event.id}.event").stat().st_mode & 0o777 == 0o600


async def test_a_directory_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "pending").mkdir(mode=0o755)
    async with directory(tmp_path):
        assert (tmp_path / "pending").stat().st_mode & 0o777 == 0o700


async def test_an_answer_takes_the_place_of_all_the_questions_that_it_answers(
    opened: PendingDirectory, tmp_path: Path
) -> None:
    one, two = inbound("one"), inbound("two")
    await opened.accept(one)
    await opened.accept(two)
    await opened.started(one.id, alone=False)
    answer = outbound(two, answers=(one.id, two.id))
    await opened.answer(answer)
    assert list(await unfinished(opened)) == [two.id]
    assert (await unfinished(opened))[two.id].outbound_id == answer.id
    assert await opened.load(two.id) == answer
    assert in_pending(tmp_path) == [f"{two.id}.event"]


async def test_an_answer_stays_as_it_is(opened: PendingDirectory) -> None:
    event = inbound()
    await opened.accept(event)
    answer = outbound(event)
    await opened.answer(answer)
    await opened.answer(answer)
    with pytest.raises(StateError, match="already"):
        await opened.answer(outbound(event, "another"))
    assert await opened.load(event.id) == answer


async def test_an_ack_leaves_nothing(opened: PendingDirectory, tmp_path: Path) -> None:
    event = inbound()
    await opened.accept(event)
    await opened.started(event.id, alone=False)
    await opened.answer(outbound(event))
    await opened.sending(event.id)
    await opened.ack(event.id)
    assert in_pending(tmp_path) == []
    assert not await unfinished(opened)


async def test_a_notice_lives_under_its_own_id(opened: PendingDirectory) -> None:
    notice = outbound(inbound(), answers=())
    await opened.accept(notice)
    assert (await unfinished(opened))[notice.id].outbound_id == notice.id
    await opened.ack(notice.id)
    assert not await unfinished(opened)


async def test_moves_cost_the_syncs_that_they_say(tmp_path: Path) -> None:
    files, event = CountingFiles(), inbound()
    costs: dict[str, int] = {}
    async with directory(tmp_path, files) as opened:
        steps: list[tuple[str, Callable[[], Awaitable[object]]]] = [
            ("accept", lambda: opened.accept(event)),
            ("started", lambda: opened.started(event.id, alone=False)),
            ("answer", lambda: opened.answer(outbound(event))),
            ("sending", lambda: opened.sending(event.id)),
            ("again", lambda: opened.sending(event.id)),
            ("deferred", lambda: opened.defer(event.id, until=None, attempt=1, error="")),
            ("unsure", lambda: opened.defer(event.id, until=None, attempt=1, error="", uncertain=True)),
            ("ack", lambda: opened.ack(event.id)),
        ]
        for name, move in steps:
            files.syncs = 0
            await move()
            costs[name] = files.syncs
    cheap = {"again": 0, "deferred": 0}
    assert costs == {"accept": 2, "started": 2, "answer": 2, "sending": 1, "unsure": 1, "ack": 1, **cheap}


async def test_the_log_is_read_again_after_a_restart(tmp_path: Path) -> None:
    event, answered = inbound(), inbound()
    async with directory(tmp_path) as first:
        await first.accept(event)
        await first.started(event.id, alone=True)
        await first.started(event.id, alone=True)
        await first.accept(answered)
        await first.started(answered.id, alone=False)
        await first.answer(outbound(answered))
        await first.sending(answered.id)
        await first.sending(answered.id, ["a", "b", "c"])
        await first.part_done(answered.id, 0)
        await first.part_done(answered.id, 1)
        await first.defer(answered.id, until=TIME, attempt=3, error="flood")
        await first.sending(answered.id)
        before = await unfinished(first)
    async with directory(tmp_path) as second:
        assert await unfinished(second) == before
    turn = before[event.id]
    assert (turn.starts, turn.running, turn.starts_alone) == (2, True, 2)
    turn = before[answered.id]
    assert (turn.starts, turn.running, turn.sending) == (0, False, True)
    assert (turn.parts, turn.parts_done) == (("a", "b", "c"), 2)
    assert (turn.attempts, turn.not_before, turn.last_error) == (3, TIME, "flood")


async def test_a_held_turn_is_not_to_blame_for_a_death_before_it_runs_and_keeps_its_count(
    opened: PendingDirectory,
) -> None:
    event = inbound()
    await opened.accept(event)
    await opened.started(event.id, alone=True)
    turn = await opened.held(event.id)
    assert not turn.running and turn.starts_alone == 1
    turn = await opened.started(event.id, alone=True)
    assert turn.running and turn.starts_alone == 2
    turn = await opened.started(event.id, alone=False)
    assert turn.starts_alone == 0 and (await unfinished(opened))[event.id] == turn


async def test_a_parked_turn_is_not_to_blame(opened: PendingDirectory) -> None:
    event = inbound()
    await opened.accept(event)
    await opened.started(event.id, alone=True)
    await opened.parked(event.id)
    assert not (await unfinished(opened))[event.id].running
    assert (await unfinished(opened))[event.id].starts_alone == 0


async def test_turns_are_in_the_order_of_their_ids_however_they_come(opened: PendingDirectory) -> None:
    events = [inbound() for _ in range(20)]
    for event in reversed(events):
        await opened.accept(event)
    assert list(await unfinished(opened)) == [event.id for event in events]
    assert [turn.id for turn in (await unfinished(opened)).values()] == [event.id for event in events]


async def test_what_is_not_pending_cannot_be_moved(opened: PendingDirectory) -> None:
    unknown = inbound().id
    for move in (opened.ack(unknown), opened.load(unknown), opened.sending(unknown), opened.bury(unknown, "no")):
        with pytest.raises(StateError, match="not pending"):
            await move


async def test_an_id_is_accepted_once(opened: PendingDirectory) -> None:
    event = inbound()
    await opened.accept(event)
    with pytest.raises(NotAccepted, match="already"):
        await opened.accept(event)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "x" * 300, "1700000000_a/b"])
async def test_only_our_own_ids_become_names_of_files(opened: PendingDirectory, tmp_path: Path, name: str) -> None:
    with pytest.raises(NotAccepted):
        await opened.accept(inbound().model_copy(update={"id": name, "turn_id": name}))
    with pytest.raises(StateError):
        await opened.answer(outbound(turn_id=name, answers=(name,)))
    with pytest.raises(NotFound):
        await opened.retry(name)
    with pytest.raises(NotFound):
        await opened.drop(name)
    assert in_pending(tmp_path) == []


async def test_half_a_character_comes_back_as_one_that_says_so(opened: PendingDirectory) -> None:
    event = inbound("half \ud800")
    await opened.accept(event)
    found = await opened.load(event.id)
    assert isinstance(found, InboundEvent) and found.text == "half \ufffd"


async def test_a_long_message_comes_back_whole(tmp_path: Path) -> None:
    event = inbound("é" * 1_000_000)
    async with directory(tmp_path) as opened:
        await opened.accept(event)
        assert await opened.load(event.id) == event


async def test_a_file_that_was_damaged_while_we_run_is_not_believed(opened: PendingDirectory, tmp_path: Path) -> None:
    event = inbound("x" * 20_000)
    await opened.accept(event)
    path = tmp_path / "pending" / f"{event.id}.event"
    path.write_bytes(path.read_bytes().replace(b"xxx", b"xyx", 1))
    with pytest.raises(StateError, match="damaged"):
        await opened.load(event.id)


# --- many at once ---


async def test_a_move_that_has_begun_completes_without_its_caller(tmp_path: Path) -> None:
    files, event = GatedFiles(), inbound()
    async with directory(tmp_path, files) as opened:
        files.gate.clear()
        caller = asyncio.create_task(opened.accept(event), name="caller")
        await until(lambda: files.waiting == 1)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert not await unfinished(opened)
        files.gate.set()
        assert await opened.settled() == [] and event.id in await unfinished(opened)
        assert await opened.load(event.id) == event


async def test_moves_of_one_turn_follow_each_other_and_those_of_others_do_not_wait(tmp_path: Path) -> None:
    files, event, other = GatedFiles(), inbound(), inbound()
    async with directory(tmp_path, files) as opened:
        files.gate.clear()
        moves = [
            asyncio.create_task(opened.accept(event), name="accept"),
            asyncio.create_task(opened.answer(outbound(event)), name="answer"),
            asyncio.create_task(opened.ack(event.id), name="ack"),
            asyncio.create_task(opened.accept(other), name="other"),
        ]
        await until(lambda: files.waiting == 2)
        assert not any(move.done() for move in moves)
        files.gate.set()
        await asyncio.gather(*moves)
        assert list(await unfinished(opened)) == [other.id]


async def test_what_is_begun_is_an_answer_or_an_accept_and_says_what_came_of_it(opened: PendingDirectory) -> None:
    told = list[BaseException | None]()
    asked = inbound()
    notice, answer, foreign = outbound(answers=()), outbound(asked), inbound().model_copy(update={"turn_id": "../x"})
    for event in (asked, notice, answer, foreign.model_copy(update={"id": "../x"})):
        opened.begin(event, told.append)
    assert len(told) == 1 and isinstance(told[0], NotAccepted)
    await until(lambda: len(told) == 4)
    assert told[1:] == [None, None, None]
    assert {turn.outbound_id for turn in (await unfinished(opened)).values()} == {notice.id, answer.id}


async def test_closing_waits_for_what_has_begun(tmp_path: Path) -> None:
    files, event = GatedFiles(), inbound()
    async with directory(tmp_path, files) as opened:
        files.gate.clear()
        caller = asyncio.create_task(opened.accept(event), name="caller")
        await until(lambda: files.waiting == 1)
        caller.cancel()
        asyncio.get_running_loop().call_soon(files.gate.set)
    async with directory(tmp_path) as opened:
        assert event.id in await unfinished(opened)


async def test_a_failed_move_leaves_the_next_one_of_its_turn_alone(tmp_path: Path) -> None:
    files, event = FailingFiles(), inbound()
    async with directory(tmp_path, files) as opened:
        await opened.accept(event)
        files.number = errno.EIO
        with pytest.raises(StateError, match="input/output error"):
            await opened.answer(outbound(event))
        files.number = 0
        answer = outbound(event)
        await opened.answer(answer)
        assert await opened.load(event.id) == answer
