"""Crashes, stops and disks that refuse: what the DeliveryWorker promises then."""

from __future__ import annotations

import asyncio

import pytest

from agentd.delivery import Policy
from agentd.errors import Permanent, Retry, StateError, Unreadable
from agentd.events import (
    Buried,
    Delivered,
    DeliveryAttempted,
    DeliveryDeferred,
    OutboundEvent,
)
from agentd.ports.channels import PartDone
from agentd.testing.channel import AfterParts, FakeChannel, Gate, Hang, How
from agentd.testing.pending import MemoryPending
from tests.delivery_house import House, connected, running, texts, turn_over
from tests.unfinished import unfinished


async def test_a_send_that_a_crash_cut_short_is_repeated_and_called_so() -> None:
    house, gate = House(), Gate()
    house.channel.script(Hang(gate))
    async with running(house):
        cut = await house.answer("cut", chat="1")
        await gate.entered.wait()
        await house.state("down")
        await turn_over(lambda: not connected(house))
        await house.answer("fresh", chat="2")
    again = House(pending=house.pending.after_crash())
    async with running(again):
        await again.wait_for(Delivered, 2)
    assert {part.text: part.repeat for part in again.channel.received} == {"cut": True, "fresh": False}
    assert cut in again.channel.attempts


async def test_an_uncertain_failure_is_still_known_to_be_one_after_a_restart() -> None:
    house = House(policy=Policy(backoff_base=1000, backoff_cap=1000))
    house.channel.script(Retry("no reply", uncertain=True))
    async with running(house):
        event = await house.answer()
        await house.wait_for(DeliveryDeferred)
        assert (await unfinished(house.pending))[event.turn_id].attempts == 1
    assert (await unfinished(house.pending.after_crash()))[event.turn_id].sending


async def test_a_confirmed_part_is_never_sent_again_and_the_split_stays() -> None:
    house = House(FakeChannel("test", part_size=4))
    house.channel.script(AfterParts(2, Retry("503")))
    async with running(house):
        await house.answer("aaaabbbbccccdd")
        await house.channel.wait_for_attempts(1)
        house.channel.part_size = 6
        await house.wait_for(Delivered)
        assert texts(house.channel) == ["aaaa", "bbbb", "cccc", "dd"]


async def test_a_crash_between_parts_goes_on_at_the_first_unconfirmed_one() -> None:
    house = House(FakeChannel("test", part_size=2))
    house.channel.script(AfterParts(2, Hang(Gate())))
    async with running(house):
        await house.answer("aabbcc")
        await house.channel.wait_for_received(2)
        await turn_over(lambda: house.pending.moves[-1][0] == "part_done")
    again = House(FakeChannel("test", part_size=3), pending=house.pending.after_crash())
    async with running(again):
        await again.wait_for(Delivered)
    assert [(part.n, part.text, part.repeat) for part in again.channel.received] == [(2, "cc", True)]


async def test_a_confirmed_part_that_the_disk_did_not_take_is_not_sent_again_either() -> None:
    house = House(FakeChannel("test", part_size=2))
    house.channel.script(AfterParts(2, Retry("503")))
    house.pending.fail("part_done", StateError("the disk is full"), StateError("the disk is full"))
    async with running(house):
        await house.answer("aabbcc")
        await house.wait_for(Delivered)
        assert texts(house.channel) == ["aa", "bb", "cc"]


@pytest.mark.parametrize("error", [StateError("the disk is full"), OSError(28, "No space left on device")])
async def test_a_disk_that_refuses_the_ack_never_makes_it_send_again(error: Exception) -> None:
    house = House(policy=Policy(backoff_base=0.1, backoff_cap=0.1))
    house.pending.fail("ack", *[error] * 5)
    async with running(house):
        await house.answer("once")
        await turn_over(lambda: house.worker.stats().unrecorded == 1 and house.worker.stats().pending == 0)
        await house.worker.rescan()
        await house.answer("next")
        await house.wait_for(Delivered, 2)
        assert texts(house.channel) == ["once", "next"]
        assert house.worker.stats().unrecorded == 0 and not await unfinished(house.pending)


async def test_an_answer_that_cannot_be_read_back_is_set_aside_and_a_notice_goes_in_its_place() -> None:
    house = House()
    house.pending.fail("load", Unreadable("the event is damaged"))
    async with running(house):
        await house.answer("lost")
        await house.wait_for(Delivered, 1)
        await house.answer("next")
        await house.wait_for(Delivered, 2)
        told, following = texts(house.channel)
        assert "could not be read" in told
        assert following == "next"
        assert [letter.reason for letter in house.pending.corrupt.values()] == ["the event is damaged"]
        assert not await unfinished(house.pending)


async def test_a_disk_that_refuses_to_bury_is_asked_again() -> None:
    house = House()
    house.channel.script(Permanent("403"))
    house.pending.fail("bury", StateError("the disk is full"), OSError(5, "Input/output error"))
    async with running(house):
        event = await house.answer()
        await house.wait_for(Buried)
        assert event.id in house.pending.dead and len(house.channel.attempts) == 1


async def test_looking_again_revives_nothing_that_was_given_up_and_is_not_buried_yet() -> None:
    house = House(policy=Policy(max_age=0.05, backoff_base=0.1, backoff_cap=0.1))
    house.pending.fail("bury", *[StateError("the disk is full")] * 5)
    async with running(house, connected=False):
        await house.answer()
        await turn_over(lambda: house.worker.stats().unrecorded == 1)
        await house.worker.rescan()
        await house.wait_for(Buried)
        assert await house.worker.drain(60)
        assert not await unfinished(house.pending)
        assert len(house.all(Buried)) == 1 and not house.channel.attempts


@pytest.mark.parametrize("move", ["sending", "load"])
async def test_nothing_is_sent_before_the_disk_has_taken_that_it_will_be(move: str) -> None:
    house = House()
    house.pending.fail(move, StateError("read-only"), StateError("read-only"))  # type: ignore[arg-type]
    async with running(house):
        await house.answer()
        await house.wait_for(Delivered)
        assert len(house.channel.attempts) == 1
        assert [attempt.attempt for attempt in house.all(DeliveryAttempted)] == [1]


async def test_a_disk_that_refuses_to_defer_stops_nothing() -> None:
    house = House()
    house.channel.script(Retry("503"))
    house.pending.fail("defer", StateError("read-only"))
    async with running(house):
        await house.answer()
        await house.wait_for(Delivered)


class SlowAck(MemoryPending):
    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    async def ack(self, turn_id: str) -> None:
        self.begun.set()
        await self.go.wait()
        await super().ack(turn_id)


async def test_a_stop_never_leaves_a_sent_message_without_its_ack() -> None:
    pending = SlowAck()
    house = House(pending=pending)
    async with running(house) as task:
        await house.answer()
        await pending.begun.wait()
        task.cancel()
        await turn_over(lambda: task.cancelling() > 0)
        assert await unfinished(pending)
        pending.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not await unfinished(pending)


class Stubborn(FakeChannel):
    """Its platform answers at the very moment at which the send is cancelled."""

    async def send(self, event: OutboundEvent, progress: PartDone) -> How:
        self.attempts.append(event)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "taken"
        raise AssertionError("never reached")


async def test_an_answer_of_the_platform_that_comes_with_the_stop_is_acked() -> None:
    house = House(Stubborn("test"))
    async with running(house) as task:
        await house.answer()
        await turn_over(lambda: len(house.channel.attempts) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not await unfinished(house.pending)


async def test_a_stop_in_the_middle_of_a_send_leaves_it_pending_as_a_possible_repeat() -> None:
    house, gate = House(), Gate()
    house.channel.script(Hang(gate))
    async with running(house) as task:
        event = await house.answer()
        await gate.entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await unfinished(house.pending))[event.turn_id].sending
