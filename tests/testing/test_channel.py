from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from agentd.errors import Permanent, Retry
from agentd.ports.channels import Offer, Receipt
from agentd.testing.channel import AfterParts, FakeChannel, Gate, Hang, Unconfirmed
from tests.builders import SESSION, address, inbound, offer, outbound


class Parts:
    """A `PartDone` that remembers."""

    def __init__(self, split: Sequence[str] = (), done: int = 0) -> None:
        self.repeat = False
        self.split = list(split)
        self.done = done

    async def begin(self, parts: Sequence[str]) -> tuple[Sequence[str], int]:
        self.split = self.split or list(parts)
        return self.split, self.done

    async def part(self, n: int) -> None:
        self.done = n + 1


class Said:
    """A `Report` that remembers."""

    def __init__(self) -> None:
        self.states: list[str] = []

    def connected(self) -> None:
        self.states.append("connected")

    def degraded(self, reason: str) -> None:
        self.states.append("degraded")


class AcceptAll:
    async def accept(self, offer: Offer) -> Receipt:
        return Receipt(id=offer.message_id, session_id=SESSION, duplicate=False)

    async def stop(self, session_id: str, principal: object) -> bool:
        return False


async def test_without_a_script_everything_is_taken() -> None:
    channel, event = FakeChannel(), outbound()
    assert await channel.send(event, Parts()) == "taken"
    assert channel.attempts == [event] and channel.received[0].text == event.text


async def test_outcomes_are_used_up_in_order_and_a_chats_own_come_first() -> None:
    channel = FakeChannel()
    channel.script(Retry("all"), "history")
    channel.script(Permanent("mine"), chat="1")
    mine = outbound(inbound(address=address(chat="1")))
    with pytest.raises(Permanent, match="mine"):
        await channel.send(mine, Parts())
    with pytest.raises(Retry, match="all"):
        await channel.send(mine, Parts())
    assert await channel.send(mine, Parts()) == "history"
    assert len(channel.attempts) == 3 and len(channel.received) == 1


async def test_a_send_can_hang_until_the_test_lets_it_go() -> None:
    channel, gate = FakeChannel(), Gate()
    channel.script(Hang(gate))
    sending = asyncio.create_task(channel.send(outbound(), Parts()))
    await gate.entered.wait()
    assert not channel.received
    gate.open("history")
    assert await sending == "history"
    assert len(channel.received) == 1


async def test_an_acknowledgement_can_stay_out() -> None:
    channel, gate = FakeChannel(), Gate()
    channel.script(Unconfirmed(gate))
    confirmation = await channel.send(outbound(), Parts())
    assert confirmation is gate and len(channel.received) == 1
    gate.fail(Retry("gone"))
    with pytest.raises(Retry, match="gone"):
        await confirmation.wait()


async def test_a_long_message_goes_in_parts_and_goes_on_where_it_stopped() -> None:
    channel, parts, event = FakeChannel(part_size=2), Parts(), outbound(text="aabbcc")
    channel.script(AfterParts(1, Retry("503")))
    with pytest.raises(Retry):
        await channel.send(event, parts)
    assert parts.done == 1
    assert await channel.send(event, parts) == "taken"
    assert [(part.n, part.text) for part in channel.received] == [(0, "aa"), (1, "bb"), (2, "cc")]


async def test_people_write_while_it_runs_and_it_crashes_on_request() -> None:
    channel, said = FakeChannel("phone"), Said()
    running = asyncio.create_task(channel.run(AcceptAll(), said))
    question = offer()
    assert (await channel.receive(question)).id == question.message_id
    assert said.states == ["connected"]
    channel.crash(RuntimeError("the line is dead"))
    with pytest.raises(RuntimeError, match="dead"):
        await running
    assert not channel.receiving.is_set()
    with pytest.raises(RuntimeError, match="does not run"):
        channel.crash(RuntimeError())


async def test_waiting_for_what_does_not_come_ends() -> None:
    channel = FakeChannel()
    await channel.send(outbound(), Parts())
    assert len(await channel.wait_for_attempts(1)) == len(await channel.wait_for_received(1)) == 1
    with pytest.raises(TimeoutError):
        await channel.wait_for_attempts(2, limit=0.01)
    with pytest.raises(TimeoutError):
        await channel.wait_for_received(2, limit=0.01)
