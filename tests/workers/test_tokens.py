"""The watch over tokens: it sweeps again and again, whatever went wrong."""

from __future__ import annotations

import asyncio

import pytest

from agentd.errors import StateError
from workers.tokens import TokenWatch

DEADLINE = 60.0


class Failing:
    def __init__(self) -> None:
        self.sweeps = 0
        self.enough = asyncio.Event()

    async def sweep(self) -> int:
        self.sweeps += 1
        if self.sweeps == 1:
            raise StateError("the disk is full")
        self.enough.set()
        return 2


async def test_a_sweep_that_fails_is_tried_again_and_what_ended_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    tokens = Failing()
    watch = asyncio.create_task(TokenWatch(tokens, every=0).run(), name="watch")
    async with asyncio.timeout(DEADLINE):
        await tokens.enough.wait()
    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch
    assert "the disk is full" in caplog.text and "2 connections" in caplog.text
