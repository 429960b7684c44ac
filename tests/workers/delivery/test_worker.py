from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from agentd.clock import SystemClock
from agentd.delivery import Policy
from agentd.errors import Permanent, Retry, Wait
from agentd.events import (
    Buried,
    Delivered,
    DeliveryAttempted,
    DeliveryDeferred,
    Reopened,
    SessionDeleted,
)
from agentd.testing.channel import Gate, Hang, Unconfirmed
from tests.builders import IDS, TIME, address, inbound, outbound
from tests.delivery_house import House, connected, running, texts, turn_over, unannounced
from tests.unfinished import unfinished


async def test_an_answer_is_sent_acked_and_told() -> None:
    house = House()
    async with running(house):
        event = await house.answer()
        (told,) = await house.wait_for(Delivered)
        assert (told.outbound_id, told.turn_id, told.how) == (event.id, event.turn_id, "taken")
        assert house.channel.attempts == [event] and not await unfinished(house.pending)
        assert [attempt.attempt for attempt in house.all(DeliveryAttempted)] == [1]
        moves = [move for move, _ in house.pending.moves]
        assert moves.index("sending") < moves.index("ack")


async def test_what_was_pending_at_the_start_goes_once_its_channel_is_connected() -> None:
    house = House()
    for n in range(3):
        await house.answer(f"m{n}")
    async with running(house, connected=False):
        await turn_over(lambda: house.worker.stats().pending == 3)
        assert not house.channel.attempts
        await house.state("connected")
        await house.wait_for(Delivered, 3)
        assert texts(house.channel) == ["m0", "m1", "m2"]
        assert all(attempt.attempt == 1 for attempt in house.all(DeliveryAttempted))


async def test_more_answers_than_the_bus_keeps_for_it_are_all_found() -> None:
    house = House()
    for n in range(700):
        await house.answer(str(n), chat=str(n % 9))
    async with running(house):
        await house.wait_for(Delivered, 700)
        assert not await unfinished(house.pending)


async def test_a_gap_in_what_the_bus_tells_makes_it_look_again() -> None:
    house = House()
    async with running(house):
        await house.answer()
        await house.wait_for(Delivered)
        event = await unannounced(house)
        about = {"id": IDS.next(), "time": TIME, "turn_id": "t", "session_id": "s", "dead_id": "d", "reason": "r"}
        for _ in range(300):
            await house.bus.publish(Buried.model_validate(about))
        assert (await house.wait_for(Delivered, 2))[1].outbound_id == event.id


async def test_draining_sends_what_was_answered_at_the_last_moment() -> None:
    house = House()
    async with running(house):
        await house.answer()
        await house.wait_for(Delivered)
        await unannounced(house)
        assert await house.worker.drain(60)
        assert texts(house.channel) == ["hi", "unannounced"]


async def test_while_a_channel_is_down_nothing_is_tried_and_afterwards_all_of_it() -> None:
    house = House()
    async with running(house):
        await turn_over(lambda: connected(house))
        await house.state("down")
        await turn_over(lambda: not connected(house))
        await house.answer()
        await turn_over(lambda: house.worker.stats().pending == 1)
        assert not house.channel.attempts
        await house.state("connected")
        await house.wait_for(Delivered)


async def test_a_failure_is_deferred_told_and_tried_again_in_order() -> None:
    house = House()
    house.channel.script(Retry("503"), Retry("502"))
    async with running(house):
        first = await house.answer("first")
        await house.answer("second")
        await house.wait_for(Delivered, 2)
        assert texts(house.channel) == ["first", "second"]
        deferred = house.all(DeliveryDeferred)
        assert [(told.attempt, told.error, told.outbound_id) for told in deferred] == [
            (1, "503", first.id),
            (2, "502", first.id),
        ]
        assert house.worker.stats().last["test"].error == "502"


async def test_a_wait_lasts_until_its_time_and_costs_no_attempt() -> None:
    house, clock = House(), SystemClock()
    until = clock.now() + timedelta(seconds=0.2)
    house.channel.script(Wait("429", until=until))
    async with running(house):
        await house.answer()
        (told,) = await house.wait_for(Delivered)
        assert told.time >= until
        (deferred,) = house.all(DeliveryDeferred)
        assert deferred.attempt == 0 and deferred.until is not None
        assert abs((deferred.until - until).total_seconds()) < 0.01


async def test_what_can_never_be_sent_is_buried_in_the_platforms_words_and_the_next_goes() -> None:
    house = House()
    house.channel.script(Permanent("403: blocked by the user"))
    async with running(house):
        first = await house.answer("first")
        await house.answer("second")
        await house.wait_for(Delivered)
        assert house.pending.dead[first.id].reason == "403: blocked by the user"
        assert [(told.dead_id, told.reason) for told in house.all(Buried)] == [(first.id, "403: blocked by the user")]
        assert texts(house.channel) == ["second"]


async def test_the_platforms_words_are_kept_without_a_secret() -> None:
    house = House()
    house.channel.script(Permanent("403 from https://me:pass@platform.test?token=abc"))
    async with running(house):
        event = await house.answer()
        await house.wait_for(Buried)
        told = "403 from https://********@platform.test?token=********"
        assert house.pending.dead[event.id].reason == told and house.all(Buried)[0].reason == told


async def test_an_unknown_exception_is_logged_and_tried_again_as_a_possible_repeat(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House()
    house.channel.script(ZeroDivisionError("oops"))
    async with running(house):
        await house.answer()
        await house.wait_for(Delivered)
    assert [part.repeat for part in house.channel.received] == [True]
    assert "ZeroDivisionError" in caplog.text
    assert house.all(DeliveryDeferred)[0].error == "ZeroDivisionError: oops"


async def test_a_send_that_hangs_is_ended_and_holds_only_its_own_address() -> None:
    house = House(policy=Policy(backoff_base=0.01, recovery_burst=1000, send_limit=2.0))
    house.channel.script(Hang(Gate()), chat="1")
    async with running(house):
        hung = await house.answer("hung", chat="1")
        await house.channel.wait_for_attempts(1)
        free = await house.answer("free", chat="2")
        told = await house.wait_for(Delivered, 2)
        assert [event.outbound_id for event in told] == [free.id, hung.id]
        assert "no progress within 2 s" in house.all(DeliveryDeferred)[0].error
        assert [part.repeat for part in house.channel.received] == [False, True]


async def test_dead_addresses_hold_up_nobody_else() -> None:
    house = House()
    house.channel.script(*[Retry("500")] * 10_000, chat="dead")
    async with running(house):
        await house.answer(chat="dead")
        await house.wait_for(DeliveryDeferred, 5)
        for n in range(20):
            await house.answer(chat=str(n))
            await house.wait_for(Delivered, n + 1)


async def test_a_message_that_awaits_its_acknowledgement_does_not_hold_later_ones() -> None:
    house, gate = House(), Gate()
    house.channel.script(Unconfirmed(gate))
    async with running(house):
        first = await house.answer("first")
        second = await house.answer("second")
        await house.wait_for(Delivered)
        assert list(await unfinished(house.pending)) == [first.turn_id]
        assert house.worker.stats().unconfirmed == 1
        gate.open()
        told = await house.wait_for(Delivered, 2)
        assert [event.outbound_id for event in told] == [second.id, first.id]


async def test_what_nobody_acknowledged_goes_again_as_a_repeat_when_somebody_arrives() -> None:
    house, gate = House(), Gate()
    house.channel.script(Unconfirmed(gate))
    async with running(house):
        event = await house.answer()
        await house.channel.wait_for_received(1)
        gate.fail(Wait("the reader left", until=None))
        (deferred,) = await house.wait_for(DeliveryDeferred)
        assert deferred.until is None and house.worker.stats().deferred == 1
        house.worker.reachable(event.address)
        await house.wait_for(Delivered)
        assert [part.repeat for part in house.channel.received] == [False, True]


async def test_an_acknowledgement_has_a_limit_and_its_absence_costs_no_attempt() -> None:
    house = House(policy=Policy(backoff_cap=0.05, confirm_limit=0.05))
    house.channel.script(Unconfirmed(Gate()))
    async with running(house):
        await house.answer()
        await house.wait_for(Delivered)
        (deferred,) = house.all(DeliveryDeferred)
        assert deferred.attempt == 0 and deferred.error == "not acknowledged within 0.05 s"


async def test_an_absent_readers_old_answer_goes_to_the_history_and_is_no_dead_letter() -> None:
    house = House(policy=Policy(absent_age=0.2))
    house.channel.script(Wait("nobody there", until=None))
    async with running(house):
        await house.answer()
        (told,) = await house.wait_for(Delivered)
        assert told.how == "history"
        assert not house.pending.dead and not await unfinished(house.pending) and len(house.channel.attempts) == 1


async def test_draining_finishes_what_is_under_way_sends_what_can_go_and_leaves_the_rest() -> None:
    house, gate = House(policy=Policy(backoff_base=1000, backoff_cap=1000)), Gate()
    house.channel.script(Hang(gate), chat="1")
    house.channel.script(Retry("503"), chat="2")
    async with running(house) as task:
        await house.answer("under way", chat="1")
        await house.answer("behind it", chat="1")
        await house.answer("later", chat="2")
        await house.wait_for(DeliveryDeferred)
        drained = asyncio.create_task(house.worker.drain(60))
        await gate.entered.wait()
        gate.open()
        assert await drained
        await asyncio.wait({task}, timeout=60)
        assert task.done() and task.exception() is None
        assert texts(house.channel) == ["under way", "behind it"]
        assert [turn.address.chat for turn in (await unfinished(house.pending)).values()] == ["2"]


async def test_draining_gives_up_at_its_limit() -> None:
    house = House()
    house.channel.script(Hang(Gate()))
    async with running(house):
        await house.answer()
        await house.channel.wait_for_attempts(1)
        assert not await house.worker.drain(0.05)


async def test_draining_a_worker_that_does_not_run_is_nothing() -> None:
    assert await House().worker.drain(1)


async def test_a_notice_that_a_buried_question_leaves_behind_is_delivered() -> None:
    house = House()
    async with running(house):
        asked = inbound()
        await house.pending.accept(asked)
        notice = outbound(asked, "put aside", answers=())
        await house.pending.bury(asked.id, "poison", notice)
        about = {"id": IDS.next(), "time": TIME, "turn_id": asked.id, "session_id": asked.session_id}
        await house.bus.publish(Buried.model_validate({**about, "dead_id": asked.id, "reason": "poison"}))
        (told,) = await house.wait_for(Delivered)
        assert (told.outbound_id, told.turn_id) == (notice.id, asked.id)


async def test_a_dead_letter_that_a_person_sends_again_is_not_too_old_for_it() -> None:
    house = House(policy=Policy(max_age=3600))
    async with running(house):
        asked = inbound(id="0000000000000001-00000000")
        await house.pending.accept(asked)
        answer = outbound(asked, id="0000000000000002-00000000")
        await house.pending.answer(answer)
        await house.pending.bury(asked.id, "too old")
        await house.pending.retry(answer.id)
        await house.bus.publish(Reopened(turn_id=asked.id, session_id=asked.session_id, outbound_id=answer.id))
        await house.wait_for(Delivered)
        assert not house.pending.dead


async def test_a_dead_letter_that_was_taken_up_again_before_a_restart_is_not_too_old_after_it() -> None:
    house = House(policy=Policy(max_age=3600))
    asked = inbound(id="0000000000000001-00000000")
    await house.pending.accept(asked)
    await house.pending.answer(outbound(asked, id="0000000000000002-00000000"))
    await house.pending.bury(asked.id, "too old")
    await house.pending.retry("0000000000000002-00000000")
    async with running(house):
        await house.wait_for(Delivered)
        assert not house.pending.dead


async def test_other_channels_answers_are_left_alone_on_request() -> None:
    house = House()
    house.worker = house.make_worker(Policy(max_age=3600, leave_others=True))
    async with running(house):
        other = inbound(id="0000000000000001-00000000", address=address(channel="other"))
        await house.pending.accept(other)
        await house.bus.publish(outbound(other, id="0000000000000002-00000000"))
        ours = inbound(address=address(channel="test"))
        await house.pending.accept(ours)
        await house.bus.publish(outbound(ours))
        await house.wait_for(Delivered)
        assert list(await unfinished(house.pending)) == [other.id]


async def test_a_turn_that_somebody_removed_is_forgotten() -> None:
    house = House()
    async with running(house, connected=False):
        event = await house.answer()
        await turn_over(lambda: house.worker.stats().pending == 1)
        await house.pending.ack(event.turn_id)
        await house.state("connected")
        await turn_over(lambda: house.worker.stats().pending == 0)
        assert not house.channel.attempts


async def test_figures_tell_what_waits_and_what_went_wrong_last() -> None:
    house = House(policy=Policy(backoff_base=1000, backoff_cap=1000))
    house.channel.script(Retry("503"), chat="1")
    async with running(house):
        await house.answer(chat="2")
        await house.wait_for(Delivered)
        await house.answer(chat="1")
        await house.wait_for(DeliveryDeferred)
        stats = house.worker.stats()
        assert (stats.pending, stats.in_flight, stats.deferred) == (1, 0, 1)
        assert stats.oldest_age is not None and 0 <= stats.oldest_age < 3600
        last = stats.last["test"]
        assert last.error == "503" and last.delivered is not None and last.failed is not None


async def test_answers_that_went_with_their_conversation_wait_no_more() -> None:
    house = House()
    async with running(house, connected=False):
        gone, kept = await house.answer("gone"), await house.answer("kept")
        await turn_over(lambda: house.worker.stats().pending == 2)
        await house.pending.ack(gone.turn_id)
        house.bus.announce(SessionDeleted(session_id=gone.session_id, undelivered=(gone.id,)))
        await turn_over(lambda: house.worker.stats().pending == 1)
        await house.state("connected")
        assert [told.outbound_id for told in await house.wait_for(Delivered)] == [kept.id]


@pytest.mark.parametrize("send", [Hang, Unconfirmed])
async def test_an_answer_whose_conversation_is_deleted_while_it_is_under_way_is_owed_no_more(
    send: type[Hang | Unconfirmed],
) -> None:
    house, gate = House(), Gate()
    house.channel.script(send(gate))
    async with running(house):
        gone = await house.answer("gone")
        await gate.entered.wait()
        await house.pending.ack(gone.turn_id)
        house.bus.announce(SessionDeleted(session_id=gone.session_id, undelivered=(gone.id,)))
        gate.fail(Wait("nobody is there", until=None))
        await turn_over(lambda: house.worker.stats().pending == 0)
        assert not house.all(DeliveryDeferred) and len(house.channel.attempts) == 1
