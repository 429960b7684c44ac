"""A limited number of slots at an endpoint, and the queue for them: first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from agentd.errors import Busy


class Ticket:
    """A request that wants a slot; `slot` counts from 0 and is None as long as the request waits."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.slot: int | None = None
        self.news = asyncio.Event()


class Slots:
    """At most `count` requests have a slot at once, and at most `waiting` more wait; further ones are `Busy`.

    A session gets the slot that it had last, if that is free, because a server with a cache for each slot finds the
    conversation there. Otherwise it gets the slot that has been free for longest.
    """

    def __init__(self, name: str, count: int, *, waiting: int = 64) -> None:
        self._name = name
        self._waiting = waiting
        self._free: dict[int, str] = dict.fromkeys(range(count), "")
        """Free slots, the one that has been free for longest first, and the session that each served last."""
        self._queue: deque[Ticket] = deque()

    def enter(self, session_id: str) -> Ticket:
        """A ticket, which must be given to `leave` in any case; `Busy` if the queue is full."""
        if len(self._queue) >= self._waiting:
            raise Busy(f"{self._name} is busy, and {len(self._queue)} requests are waiting; try again later.")
        ticket = Ticket(session_id)
        self._queue.append(ticket)
        self._assign()
        return ticket

    async def positions(self, ticket: Ticket, until: float) -> AsyncGenerator[int, None]:
        """The ticket's position in the queue, from 1, whenever it changes; ends when the ticket has a slot.

        `TimeoutError` if it has none when the event loop's clock says `until`.
        """
        last = 0
        while ticket.slot is None:
            ticket.news.clear()
            if (position := self._queue.index(ticket) + 1) != last:
                last = position
                yield position
            if ticket.slot is None:
                async with asyncio.timeout_at(until):
                    await ticket.news.wait()

    def leave(self, ticket: Ticket) -> None:
        """Give up the slot, or the wait for one."""
        if ticket.slot is None:
            self._queue.remove(ticket)
        else:
            self._free[ticket.slot] = ticket.session_id
        self._assign()

    def _assign(self) -> None:
        while self._queue and self._free:
            ticket = self._queue.popleft()
            own = (slot for slot, session in self._free.items() if session == ticket.session_id)
            ticket.slot = next(own, next(iter(self._free)))
            del self._free[ticket.slot]
            ticket.news.set()
        for ticket in self._queue:
            ticket.news.set()
