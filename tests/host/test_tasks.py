"""Tasks that run as long as the process does."""

from __future__ import annotations

import asyncio

import pytest

from agentd.host.tasks import end, until_stopped


async def test_a_core_worker_that_crashes_is_told_to_who_waits_for_the_stop() -> None:
    async def crash() -> None:
        raise OSError("the disk is gone")

    async def steady() -> None:
        await asyncio.get_running_loop().create_future()

    tasks = [asyncio.create_task(crash(), name="crash"), asyncio.create_task(steady(), name="steady")]
    with pytest.raises(OSError, match="the disk is gone"):
        await until_stopped(asyncio.Event(), tasks)
    await end(tasks, 1)
    assert all(task.done() for task in tasks)


async def test_what_does_not_end_in_time_is_named_and_left(caplog: pytest.LogCaptureFixture) -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(stubborn(), name="stubborn worker")
    await asyncio.sleep(0)
    await end([task], 0.05)
    assert "stubborn worker " in caplog.text and " 0.05 s" in caplog.text
    release.set()
    await task
