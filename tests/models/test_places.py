"""Places at an endpoint are limited; first come, first served, and a session gets its own place again."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from agentd.errors import Busy
from agentd.models.places import Places, Ticket


def soon() -> float:
    return asyncio.get_running_loop().time() + 60


async def test_a_free_place_is_taken_at_once_and_nobody_is_told_a_position() -> None:
    places = Places("the server", 2)
    ticket = places.line_up("a")
    assert [position async for position in places.positions(ticket, soon())] == []
    assert ticket.place == 0


async def test_who_waits_is_told_each_new_position_and_seated_in_order() -> None:
    places = Places("the server", 1)
    first, second, third = (places.line_up(session) for session in "abc")
    told: list[int] = []

    async def wait() -> None:
        async with aclosing(places.positions(third, soon())) as positions:
            async for position in positions:
                told.append(position)

    waiting = asyncio.create_task(wait(), name="third")
    await asyncio.sleep(0)
    places.leave(first)
    assert second.place == 0
    await asyncio.sleep(0)
    places.leave(second)
    await waiting
    assert told == [2, 1] and third.place == 0


async def test_who_leaves_the_line_lets_the_others_move_up() -> None:
    places = Places("the server", 1)
    first, second, third = (places.line_up(session) for session in "abc")
    places.leave(second)
    places.leave(first)
    assert third.place == 0


async def test_a_session_gets_the_place_that_it_had_if_that_is_free() -> None:
    places = Places("the server", 3)

    def once(session: str) -> int | None:
        ticket = places.line_up(session)
        places.leave(ticket)
        return ticket.place

    assert [once(session) for session in ("a", "b", "a", "b", "c", "a")] == [0, 1, 0, 1, 2, 0]
    assert once("d") == 1, "the place that has been free for longest goes to somebody new"


async def test_a_full_line_refuses() -> None:
    places = Places("the server", 1, waiting=1)
    tickets: list[Ticket] = [places.line_up("a"), places.line_up("b")]
    with pytest.raises(Busy, match="1 requests"):
        places.line_up("c")
    places.leave(tickets[1])
    places.line_up("c")


async def test_a_wait_has_a_limit() -> None:
    places = Places("the server", 1)
    places.line_up("a")
    ticket = places.line_up("b")
    with pytest.raises(TimeoutError):
        async for position in places.positions(ticket, asyncio.get_running_loop().time() + 0.01):
            assert position == 1
