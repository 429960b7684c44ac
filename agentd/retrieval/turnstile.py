"""How much is done at once: what the owner wants waits for nobody else, and the other principals take turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from agentd.records import Principal


class Turnstile:
    """`enter` it for as long as something is done: `owner` things of the owner at a time, `others` of all others
    together, and of these one of each principal.
    """

    def __init__(self, owner: int, others: int) -> None:
        self._owner = asyncio.Semaphore(owner)
        self._others = asyncio.Semaphore(others)
        self._each: WeakValueDictionary[Principal, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def enter(self, principal: Principal) -> AsyncIterator[None]:
        """Begins when there is a place."""
        if principal.kind == "owner":
            async with self._owner:
                yield
            return
        # One principal never has all places of the others, and none of them waits for many things of one.
        its_own = self._each.setdefault(principal, asyncio.Lock())
        async with its_own, self._others:
            yield
