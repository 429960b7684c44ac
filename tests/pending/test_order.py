"""Order within a turn, none between turns, and every move told what came of it."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from agentd.errors import NotAccepted, StateError
from agentd.pending.order import Move, MoveOrder
from agentd.pending.threads import Threads


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    opened = Threads(4, "moves")
    yield opened
    opened.close()


def move(
    work: Callable[[], object] | None = lambda: None,
    *names: str,
    prepare: Callable[[], Callable[[], object] | None] | None = None,
    apply: Callable[[], None] = lambda: None,
) -> Move:
    return Move(
        what="try",
        names=names or ("turn",),
        failure=NotAccepted,
        told="it was not stored",
        prepare=prepare or (lambda: work),
        apply=apply,
    )


def nothing() -> None:
    pass


async def test_a_move_waits_for_the_earlier_ones_of_all_its_turns(threads: Threads) -> None:
    moving, order, go = MoveOrder(threads, nothing), list[str](), threading.Event()

    def held(name: str) -> Callable[[], None]:
        def work() -> None:
            assert go.wait(10)
            order.append(name)

        return work

    moves = [
        asyncio.create_task(moving.make(found), name="move")
        for found in (
            move(held("a"), "a"),
            move(held("b"), "b"),
            move(lambda: order.append("both"), "a", "b"),
            move(lambda: order.append("after"), "b", "a", "b"),
        )
    ]
    await moving.make(move(lambda: order.append("other"), "c"))
    assert order == ["other"]
    go.set()
    await asyncio.gather(*moves)
    assert sorted(order[1:3]) == ["a", "b"] and order[3:] == ["both", "after"]


async def test_what_is_prepared_sees_what_the_move_before_it_applied(threads: Threads) -> None:
    moving, seen, state = MoveOrder(threads, nothing), list[int](), [0]

    def add() -> None:
        state[0] += 1

    def look() -> Callable[[], object]:
        seen.append(state[0])
        return nothing

    await asyncio.gather(*(moving.make(move(prepare=look, apply=add)) for _ in range(5)))
    assert seen == [0, 1, 2, 3, 4]


async def test_a_long_row_of_moves_that_cannot_be_made_ends(threads: Threads) -> None:
    moving, go = MoveOrder(threads, nothing), threading.Event()

    def refuse() -> None:
        raise StateError("it is gone")

    first = asyncio.create_task(moving.make(move(lambda: go.wait(10))), name="first")
    await asyncio.sleep(0)
    rest = [asyncio.create_task(moving.make(move(prepare=refuse)), name="rest") for _ in range(3000)]
    await asyncio.sleep(0)
    go.set()
    await first
    assert all(isinstance(error, StateError) for error in await asyncio.gather(*rest, return_exceptions=True))


async def test_errors_of_the_disk_are_explained_and_others_stay_as_they_are(threads: Threads) -> None:
    told = list[str]()
    moving = MoveOrder(threads, lambda: told.append("wrote"))

    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def mangled() -> None:
        "\ud800".encode()

    def broken() -> None:
        raise KeyError("a bug")

    with pytest.raises(NotAccepted, match=r"it was not stored: .*space") as caught:
        await moving.make(move(full))
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(NotAccepted, match="not valid Unicode"):
        await moving.make(move(mangled))
    with pytest.raises(KeyError):
        await moving.make(move(broken))
    with pytest.raises(KeyError):
        await moving.make(move(apply=broken))
    assert told == ["wrote"] * 4
    assert await moving.settled(1) == []


async def test_a_move_with_nothing_to_do_takes_no_thread(threads: Threads) -> None:
    moving, told = MoveOrder(threads, nothing), list[BaseException | None]()
    moving.begin(move(None), told.append)
    assert told == [None]


async def test_what_has_not_ended_in_time_is_named(threads: Threads) -> None:
    moving, go = MoveOrder(threads, nothing), threading.Event()
    task = asyncio.create_task(moving.make(move(lambda: go.wait(10), "stuck")), name="stuck")
    await asyncio.sleep(0)
    assert await moving.settled(0.01) == ["try stuck"]
    go.set()
    assert await moving.settled(10) == []
    await task


async def test_after_the_threads_were_closed_a_move_is_refused(threads: Threads) -> None:
    moving = MoveOrder(threads, nothing)
    threads.close()
    with pytest.raises(RuntimeError, match="closed"):
        await moving.make(move())


async def test_a_move_waits_for_one_that_was_begun_while_the_first_ran_and_works_still(threads: Threads) -> None:
    moving, order = MoveOrder(threads, nothing), list[str]()
    gates = {name: threading.Event() for name in "ab"}

    def held(name: str) -> Callable[[], None]:
        def work() -> None:
            assert gates[name].wait(10)
            order.append(name)

        return work

    first = asyncio.create_task(moving.make(move(held("a"))), name="a")
    second = asyncio.create_task(moving.make(move(held("b"))), name="b")
    await asyncio.sleep(0)
    gates["a"].set()
    await first
    third = asyncio.create_task(moving.make(move(lambda: order.append("c"))), name="c")
    await moving.make(move(nothing, "another turn"))
    assert order == ["a"]
    gates["b"].set()
    await asyncio.gather(second, third)
    assert order == ["a", "b", "c"]


async def test_a_move_goes_on_without_its_caller_and_its_failure_hurts_nobody(threads: Threads) -> None:
    moving, go, applied = MoveOrder(threads, nothing), threading.Event(), list[str]()

    def fail() -> None:
        assert go.wait(10)
        raise OSError(errno.EIO, "Input/output error")

    callers = [
        asyncio.create_task(moving.make(move(lambda: go.wait(10), "a", apply=lambda: applied.append("a"))), name="a"),
        asyncio.create_task(moving.make(move(fail, "b")), name="b"),
    ]
    await asyncio.sleep(0)
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    go.set()
    assert await moving.settled(10) == [] and applied == ["a"]


async def test_waiting_has_an_end_also_where_there_is_always_a_move(threads: Threads) -> None:
    moving, stop = MoveOrder(threads, nothing), asyncio.Event()

    async def one_after_another() -> None:
        while not stop.is_set():
            await moving.make(move())

    caller = asyncio.create_task(one_after_another(), name="caller")
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        assert await moving.settled(0.05) in ([], ["try turn"])
    stop.set()
    await caller


async def test_who_does_not_take_what_came_of_a_move_holds_up_nobody(
    threads: Threads, caplog: pytest.LogCaptureFixture
) -> None:
    told = list[str]()
    moving = MoveOrder(threads, lambda: told.append("wrote"))

    def broken(error: BaseException | None) -> None:
        raise KeyError("a bug")

    moving.begin(move(), broken)
    moving.begin(move(None, "another"), broken)
    assert await moving.settled(10) == [] and told == ["wrote"]
    assert [record.levelname for record in caplog.records].count("ERROR") == 2
