"""How many ingests run at once: those of the owner wait for nobody else, and the other principals take turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from agentd.records import Principal

AT_ONCE = 2
"""Ingests of the owner that run at the same time; of all others together, one does."""


class Room:
    """`enter` it for as long as an ingest runs."""

    def __init__(self) -> None:
        self._owner = asyncio.Semaphore(AT_ONCE)
        self._others = asyncio.Lock()
        self._each: WeakValueDictionary[Principal, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def enter(self, principal: Principal) -> AsyncIterator[None]:
        """Begins when there is room."""
        if principal.kind == "owner":
            async with self._owner:
                yield
            return
        # Only one ingest of each principal waits with those of others, so that none of them waits for many of one.
        its_own = self._each.setdefault(principal, asyncio.Lock())
        async with its_own, self._others:
            yield
