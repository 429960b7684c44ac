"""A bounded number of places at an endpoint, and the line in front of them: first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from agentd.errors import Busy


class Ticket:
    """A request in the line; `place` counts from 0 and is None until it is its turn."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.place: int | None = None
        self.news = asyncio.Event()


class Places:
    """At most `count` requests hold a place at once, and at most `waiting` more wait; the rest are `Busy`.

    A session gets the place that it had last, if that is free: a server that keeps a cache for each place finds the
    conversation there. Otherwise it gets the one that has been free for longest.
    """

    def __init__(self, name: str, count: int, *, waiting: int = 64) -> None:
        self._name = name
        self._waiting = waiting
        self._free: dict[int, str] = dict.fromkeys(range(count), "")
        """Free places, the one that has been free for longest first, and the session that each served last."""
        self._line: deque[Ticket] = deque()

    def line_up(self, session_id: str) -> Ticket:
        """A ticket, which must be given to `leave` whatever happens; `Busy` when the line is full."""
        if len(self._line) >= self._waiting:
            raise Busy(f"{self._name} is busy, and {len(self._line)} requests are waiting; try again later.")
        ticket = Ticket(session_id)
        self._line.append(ticket)
        self._seat()
        return ticket

    async def positions(self, ticket: Ticket, until: float) -> AsyncGenerator[int, None]:
        """The ticket's position in the line, from 1, whenever it changes; ends when it has a place.

        `TimeoutError` where it has none when the event loop's clock says `until`.
        """
        told = 0
        while ticket.place is None:
            ticket.news.clear()
            if (position := self._line.index(ticket) + 1) != told:
                told = position
                yield position
            if ticket.place is None:
                async with asyncio.timeout_at(until):
                    await ticket.news.wait()

    def leave(self, ticket: Ticket) -> None:
        """Give up the place, or the wait for one."""
        if ticket.place is None:
            self._line.remove(ticket)
        else:
            self._free[ticket.place] = ticket.session_id
        self._seat()

    def _seat(self) -> None:
        while self._line and self._free:
            ticket = self._line.popleft()
            own = (place for place, session in self._free.items() if session == ticket.session_id)
            ticket.place = next(own, next(iter(self._free)))
            del self._free[ticket.place]
            ticket.news.set()
        for ticket in self._line:
            ticket.news.set()
