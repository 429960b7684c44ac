"""One at a time for each key."""

from __future__ import annotations

import asyncio

import pytest

from agentd.host.holding import Holding


async def test_work_on_one_message_waits_for_the_work_before_and_that_on_others_does_not() -> None:
    holding, done, gate = Holding(), [], asyncio.Event()

    async def slow() -> str:
        await gate.wait()
        done.append("slow")
        return "first"

    async def quick() -> str:
        done.append("quick")
        return "next"

    first = asyncio.create_task(holding.run("a", slow), name="first")
    await asyncio.sleep(0)
    then = asyncio.create_task(holding.run("a", quick), name="next")
    assert await holding.run("b", quick) == "next"
    gate.set()
    assert (await first, await then, done) == ("first", "next", ["quick", "slow", "quick"])


async def test_work_completes_though_its_caller_left_and_a_failure_frees_the_message() -> None:
    holding, done, gate = Holding(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await gate.wait()
        done.set()

    async def fail() -> None:
        raise OSError("the disk is gone")

    left = asyncio.create_task(holding.run("a", work), name="left")
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait([left])
    gate.set()
    with pytest.raises(OSError, match="the disk is gone"):
        await holding.run("a", fail)
    assert left.cancelled() and done.is_set()
    await holding.run("a", work)
