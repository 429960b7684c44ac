"""Blocking work in threads: as many as allowed, to its end, and told to the loop that asked."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

import pytest

from agentd.pending.threads import Threads


async def test_work_returns_or_raises_what_it_would_have_here() -> None:
    threads = Threads(2, "test")
    assert await threads.run(lambda: 1 + 1) == 2
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    assert await threads.run(threading.get_ident) != threading.get_ident()
    threads.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this way to schedule")
async def test_they_push_no_other_thread_off_its_processor() -> None:
    threads, here = Threads(1, "t"), os.sched_getscheduler(0)
    try:
        assert await threads.run(lambda: os.sched_getscheduler(0)) == os.SCHED_BATCH
        assert os.sched_getscheduler(0) == here
    finally:
        threads.close()


async def test_no_more_than_so_many_run_at_once_and_all_of_them_do() -> None:
    threads, together = Threads(3, "test"), threading.Barrier(3, timeout=60)
    await asyncio.gather(*(threads.run(together.wait) for _ in range(9)))
    running, most, lock = 0, 0, threading.Lock()

    def count() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1

    await asyncio.gather(*(threads.run(count) for _ in range(200)))
    assert 1 <= most <= 3
    threads.close()


async def test_work_of_a_caller_that_left_is_finished() -> None:
    threads, begun, go, done = Threads(1, "test"), threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go.wait(10)
        done.set()

    task = asyncio.create_task(threads.run(work), name="work")
    assert await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    go.set()
    await threads.run(lambda: None)
    assert done.is_set()
    threads.close()


async def test_an_iterator_that_is_at_its_end_does_not_hang_its_caller() -> None:
    threads = Threads(1, "test")
    # Python turns a StopIteration that leaves a coroutine into a RuntimeError (PEP 479).
    with pytest.raises(RuntimeError):
        await asyncio.wait_for(threads.run(lambda: next(iter(()))), 60)
    threads.close()


async def test_threads_end_after_the_work_that_they_have() -> None:
    threads, go = Threads(1, "ending"), threading.Event()
    first = asyncio.create_task(threads.run(lambda: go.wait(10)), name="first")
    second = asyncio.create_task(threads.run(lambda: "done"), name="second")
    await asyncio.sleep(0)
    threads.close()
    with pytest.raises(RuntimeError, match="closed"):
        await threads.run(lambda: None)
    go.set()
    assert await first and await second == "done"
    for thread in threading.enumerate():
        if thread.name.startswith("ending"):
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive()


def test_a_loop_that_is_closed_leaves_no_thread_behind() -> None:
    async def abandon() -> None:
        threads = Threads(1, "abandoned")
        task = asyncio.create_task(threads.run(lambda: go.wait(10)), name="abandoned")
        await asyncio.sleep(0)
        threads.close()
        task.cancel()

    go = threading.Event()
    asyncio.run(abandon())
    go.set()
    for thread in threading.enumerate():
        if thread.name.startswith("abandoned"):
            thread.join(10)
            assert not thread.is_alive()


async def test_a_thread_that_cannot_be_started_is_done_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start, started = threading.Thread.start, list[str]()

    def refuse(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread.name)
        start(thread)

    threads = Threads(3, "few")
    with monkeypatch.context() as patch:
        started.append("none yet")
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start"):
            await threads.run(lambda: None)
        started.clear()
        assert await asyncio.gather(*(threads.run(lambda n=n: n) for n in range(9))) == list(range(9))  # type: ignore[misc]
    assert len(started) == 1 and {record.levelname for record in caplog.records} == {"WARNING"}
    together = threading.Barrier(3, timeout=60)
    await asyncio.gather(*(threads.run(together.wait) for _ in range(3)))
    threads.close()


async def test_who_does_not_take_what_came_of_the_work_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    threads = Threads(1, "test")

    def broken(value: int | None, error: BaseException | None) -> None:
        raise KeyError("a bug")

    threads.start(lambda: 1, broken)
    assert await threads.run(lambda: 2) == 2
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    threads.close()
