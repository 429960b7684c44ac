from __future__ import annotations

import pytest

from agentd.errors import NotAccepted, StateError
from agentd.testing.pending import MemoryPending
from tests.builders import TIME, inbound, outbound
from tests.unfinished import unfinished


async def test_a_question_becomes_its_answer_and_goes_with_the_ack() -> None:
    pending, asked = MemoryPending(), inbound()
    await pending.accept(asked)
    assert (await unfinished(pending))[asked.id].outbound_id == "" and await pending.load(asked.id) == asked
    answer = outbound(asked)
    await pending.answer(answer)
    assert (await unfinished(pending))[asked.id].outbound_id == answer.id and await pending.load(asked.id) == answer
    await pending.ack(asked.id)
    assert not await unfinished(pending)


async def test_an_answer_to_several_questions_replaces_all_of_them() -> None:
    pending, asked = MemoryPending(), [inbound() for _ in range(3)]
    for question in asked:
        await pending.accept(question)
    await pending.answer(outbound(asked[2], answers=tuple(question.id for question in asked)))
    assert list(await unfinished(pending)) == [asked[2].id]


async def test_turns_are_in_id_order_whatever_the_order_of_arrival() -> None:
    pending, asked = MemoryPending(), [inbound() for _ in range(4)]
    for n in (2, 0, 3, 1):
        await pending.accept(asked[n])
    assert list(await unfinished(pending)) == [question.id for question in asked]


async def test_the_log_is_seen_in_the_turn_and_survives_a_crash() -> None:
    pending, asked = MemoryPending(), inbound()
    await pending.accept(asked)
    await pending.started(asked.id, alone=True)
    await pending.answer(outbound(asked))
    assert (await unfinished(pending))[asked.id].starts == 0, (
        "what the question went through is no state of the delivery"
    )
    await pending.sending(asked.id, ["a", "b"])
    await pending.part_done(asked.id, 0)
    await pending.sending(asked.id, ["other", "split"])
    turn = (await unfinished(pending.after_crash()))[asked.id]
    assert turn.sending and turn.parts == ("a", "b") and turn.parts_done == 1


async def test_deferring_ends_the_send() -> None:
    pending, asked = MemoryPending(), inbound()
    await pending.accept(asked)
    await pending.answer(outbound(asked))
    await pending.sending(asked.id)
    await pending.defer(asked.id, until=TIME, attempt=3, error="503")
    turn = (await unfinished(pending))[asked.id]
    assert (turn.sending, turn.not_before, turn.attempts, turn.last_error) == (False, TIME, 3, "503")


async def test_what_is_buried_lies_in_the_dead_letters_and_may_leave_a_notice() -> None:
    pending, asked = MemoryPending(), inbound()
    await pending.accept(asked)
    notice = outbound(asked, "sorry", answers=())
    await pending.bury(asked.id, "poison", notice)
    assert pending.dead[asked.id].reason == "poison" and pending.dead[asked.id].event == asked
    assert list(await unfinished(pending)) == [notice.id] and await pending.load(notice.id) == notice


async def test_a_scripted_fault_is_raised_once_and_changes_nothing() -> None:
    pending, asked = MemoryPending(), inbound()
    pending.fail("accept", NotAccepted("the disk is full"))
    with pytest.raises(NotAccepted, match="full"):
        await pending.accept(asked)
    assert not await unfinished(pending)
    await pending.accept(asked)
    assert [move for move, _ in pending.moves] == ["accept", "accept"]


async def test_a_move_of_something_that_is_not_pending_is_an_error() -> None:
    with pytest.raises(StateError, match="not pending"):
        await MemoryPending().ack("0123456789abcdef-00000000")


async def test_the_same_event_is_accepted_once() -> None:
    pending, asked = MemoryPending(), inbound()
    await pending.accept(asked)
    with pytest.raises(NotAccepted):
        await pending.accept(asked)


async def test_a_crash_leaves_a_copy_that_goes_its_own_way() -> None:
    pending, asked = MemoryPending(), inbound()
    await pending.accept(asked)
    found = pending.after_crash()
    await found.ack(asked.id)
    assert asked.id in await unfinished(pending) and not await unfinished(found)
