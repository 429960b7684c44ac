from __future__ import annotations

import asyncio

import pytest

from agentd.errors import DeliveryFailure, Permanent, Retry, StateError, Wait
from agentd.events import OutboundEvent
from agentd.ports.channels import Confirmation, PartDone
from agentd.testing.channel import AfterParts, FakeChannel, Gate, Hang, How, Unconfirmed
from agentd.testing.pending import MemoryPending
from tests.builders import inbound, outbound
from tests.unfinished import unfinished
from workers.delivery import sending
from workers.delivery.sending import Failed, NotLogged, PartLog, Taken, Unacknowledged, Written, confirm, finish, send


class Errand:
    """One durable answer, about to be sent."""

    def __init__(self, text: str = "hi") -> None:
        self.asked = inbound()
        self.event = outbound(self.asked, text)
        self.pending = MemoryPending()

    async def log(self, *, repeat: bool = False, done: int = 0) -> PartLog:
        if not await unfinished(self.pending):
            await self.pending.accept(self.asked)
            await self.pending.answer(self.event)
        return PartLog(self.pending, (await unfinished(self.pending))[self.asked.id], repeat=repeat, done=done)


@pytest.mark.parametrize(
    ("outcome", "uncertain"),
    [
        (Retry("503"), False),
        (Retry("no reply", uncertain=True), True),
        (Wait("429", until=None), False),
        (Permanent("403"), False),
    ],
)
async def test_a_delivery_failure_is_passed_on_as_a_value(outcome: Retry | Wait | Permanent, uncertain: bool) -> None:
    errand, channel = Errand(), FakeChannel()
    channel.script(outcome)
    result = await send(channel, errand.event, await errand.log(), limit=5)
    assert result == Failed(error=outcome, uncertain=uncertain)


@pytest.mark.parametrize("outcome", [ValueError("oops"), ConnectionResetError("reset"), KeyError("chat")])
async def test_anything_else_that_is_raised_is_an_uncertain_failure(outcome: Exception) -> None:
    errand, channel = Errand(), FakeChannel()
    channel.script(outcome)
    result = await send(channel, errand.event, await errand.log(), limit=5)
    assert isinstance(result, Failed) and isinstance(result.error, Retry) and result.uncertain


class Quitter(FakeChannel):
    """Cancels itself."""

    async def send(self, event: OutboundEvent, progress: PartDone) -> Confirmation | How:
        raise asyncio.CancelledError


async def test_a_channel_that_cancels_its_own_send_does_not_stop_the_worker() -> None:
    errand = Errand()
    result = await send(Quitter(), errand.event, await errand.log(), limit=5)
    assert isinstance(result, Failed) and isinstance(result.error, Retry) and result.uncertain


async def test_a_kind_of_failure_that_is_not_ours_is_a_retry() -> None:
    errand, channel = Errand(), FakeChannel()
    channel.script(DeliveryFailure("new kind"))
    result = await send(channel, errand.event, await errand.log(), limit=5)
    assert isinstance(result, Failed) and isinstance(result.error, Retry) and str(result.error) == "new kind"


@pytest.mark.parametrize("how", ["taken", "history"])
async def test_how_it_was_taken_is_passed_on(how: How) -> None:
    errand, channel = Errand(), FakeChannel()
    channel.script(how)
    assert await send(channel, errand.event, await errand.log(), limit=5) == Taken(how=how)


async def test_a_send_without_progress_ends_at_its_limit() -> None:
    errand, channel = Errand(), FakeChannel()
    channel.script(Hang(Gate()))
    result = await send(channel, errand.event, await errand.log(), limit=0.02)
    assert isinstance(result, Failed) and result.uncertain and "0.02 s" in str(result.error)


class Slow(FakeChannel):
    """Every part takes most of the limit."""

    async def send(self, event: OutboundEvent, progress: PartDone) -> Confirmation | How:
        parts, _ = await progress.begin(list(event.text))
        for n in range(len(parts)):
            try:
                await asyncio.wait_for(asyncio.Event().wait(), 0.4)
            except TimeoutError:
                await progress.part(n)
        return "taken"


async def test_each_confirmed_part_gives_it_the_whole_limit_again() -> None:
    errand = Errand("abcdef")
    log = await errand.log()
    assert await send(Slow(), errand.event, log, limit=2.0) == Taken(how="taken")
    assert log.done == 6


class Deaf(FakeChannel):
    """Ignores being cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.release = asyncio.Event()

    async def send(self, event: OutboundEvent, progress: PartDone) -> Confirmation | How:
        while not self.release.is_set():
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                continue
        return "taken"


async def test_a_channel_that_ignores_being_cancelled_is_left_behind_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sending, "CANCEL_SECONDS", 0.02)
    errand, channel = Errand(), Deaf()
    result = await send(channel, errand.event, await errand.log(), limit=0.02)
    assert isinstance(result, Failed) and result.uncertain
    assert "ignores being cancelled" in caplog.text
    channel.release.set()


async def test_cancelling_ends_the_channels_send() -> None:
    errand, channel, gate = Errand(), FakeChannel(), Gate()
    channel.script(Hang(gate))
    task = asyncio.create_task(send(channel, errand.event, await errand.log(), limit=5))
    await gate.entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [other for other in asyncio.all_tasks() if "sends" in other.get_name()] == []


async def test_a_split_that_the_disk_did_not_take_means_that_nothing_was_sent() -> None:
    errand, channel = Errand("aabb"), FakeChannel(part_size=2)
    log = await errand.log()
    errand.pending.fail("sending", StateError("the disk is full"))
    assert await send(channel, errand.event, log, limit=5) == NotLogged(error="the disk is full")
    assert not channel.received


async def test_the_first_split_is_kept_with_what_was_confirmed_of_it() -> None:
    errand, channel = Errand("aabbcc"), FakeChannel(part_size=2)
    channel.script(AfterParts(1, Retry("503")))
    await send(channel, errand.event, await errand.log(), limit=5)
    assert await (await errand.log()).begin(["other"]) == (("aa", "bb", "cc"), 1)
    assert await (await errand.log(done=2)).begin(["other"]) == (("aa", "bb", "cc"), 2)


async def test_an_acknowledgement_is_waited_for() -> None:
    errand, channel, gate = Errand(), FakeChannel(), Gate()
    channel.script(Unconfirmed(gate))
    written = await send(channel, errand.event, await errand.log(), limit=5)
    assert isinstance(written, Written)
    gate.open()
    assert await confirm(written.confirmation, "e", limit=5) == Taken(how="taken")


async def test_an_acknowledgement_that_fails_leaves_it_uncertain() -> None:
    gate, gone = Gate(), Wait("gone", until=None)
    gate.fail(gone)
    assert await confirm(gate, "e", limit=5) == Failed(error=gone, uncertain=True)


async def test_an_acknowledgement_that_stays_out_ends_at_its_limit() -> None:
    result = await confirm(Gate(), "e", limit=0.02)
    assert isinstance(result, Unacknowledged)
    assert not [task for task in asyncio.all_tasks() if "acknowledgement" in task.get_name()]


async def test_what_is_being_written_is_finished_in_spite_of_a_cancellation() -> None:
    gate, done = asyncio.Event(), asyncio.Event()

    async def write() -> None:
        await gate.wait()
        done.set()

    task = asyncio.create_task(finish(write(), "writing", limit=5))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()


async def test_but_not_beyond_its_limit(caplog: pytest.LogCaptureFixture) -> None:
    async def write() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(finish(write(), "writing", limit=0.02))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "after a restart" in caplog.text
    assert not [other for other in asyncio.all_tasks() if other.get_name() == "writing"]
