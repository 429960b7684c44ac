"""Slots at an endpoint are limited; first come, first served, and a session gets its own slot again."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from agentd.errors import Busy
from agentd.models.slots import Slots, Ticket


def soon() -> float:
    return asyncio.get_running_loop().time() + 60


async def test_a_free_slot_is_taken_at_once_and_nobody_is_told_a_position() -> None:
    slots = Slots("the server", 2)
    ticket = slots.enter("a")
    assert [position async for position in slots.positions(ticket, soon())] == []
    assert ticket.slot == 0


async def test_who_waits_is_told_each_new_position_and_gets_a_slot_in_order() -> None:
    slots = Slots("the server", 1)
    first, second, third = (slots.enter(session) for session in "abc")
    told: list[int] = []

    async def wait() -> None:
        async with aclosing(slots.positions(third, soon())) as positions:
            async for position in positions:
                told.append(position)

    waiting = asyncio.create_task(wait(), name="third")
    await asyncio.sleep(0)
    slots.leave(first)
    assert second.slot == 0
    await asyncio.sleep(0)
    slots.leave(second)
    await waiting
    assert told == [2, 1] and third.slot == 0


async def test_who_leaves_the_queue_lets_the_others_move_up() -> None:
    slots = Slots("the server", 1)
    first, second, third = (slots.enter(session) for session in "abc")
    slots.leave(second)
    slots.leave(first)
    assert third.slot == 0


async def test_a_session_gets_the_slot_that_it_had_if_that_is_free() -> None:
    slots = Slots("the server", 3)

    def once(session: str) -> int | None:
        ticket = slots.enter(session)
        slots.leave(ticket)
        return ticket.slot

    assert [once(session) for session in ("a", "b", "a", "b", "c", "a")] == [0, 1, 0, 1, 2, 0]
    assert once("d") == 1, "the slot that has been free for longest goes to somebody new"


async def test_a_full_queue_refuses() -> None:
    slots = Slots("the server", 1, waiting=1)
    tickets: list[Ticket] = [slots.enter("a"), slots.enter("b")]
    with pytest.raises(Busy, match="1 requests"):
        slots.enter("c")
    slots.leave(tickets[1])
    slots.enter("c")


async def test_a_wait_has_a_limit() -> None:
    slots = Slots("the server", 1)
    slots.enter("a")
    ticket = slots.enter("b")
    with pytest.raises(TimeoutError):
        async for position in slots.positions(ticket, asyncio.get_running_loop().time() + 0.01):
            assert position == 1
