"""Gives memory back to the system that was needed for something large and is free again."""

from __future__ import annotations

import asyncio

from agentd.host import heap

EVERY_SECONDS = 5.0
WORTH = 8 * 1024 * 1024
"""Bytes that the process must have grown by."""


class Trimming:
    """`run` looks every few seconds whether the process has grown."""

    def __init__(self, *, every: float = EVERY_SECONDS, worth: int = WORTH) -> None:
        self._every = every
        self._worth = worth

    async def run(self) -> None:
        """Until cancelled."""
        held = heap.resident()
        while True:
            await asyncio.sleep(self._every)
            now = heap.resident()
            held = min(held, now)
            if now > held + self._worth:
                await asyncio.to_thread(heap.trim)
                held = heap.resident()
