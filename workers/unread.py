"""Marks as unread in the history what nobody was there to take."""

from __future__ import annotations

from agentd.events import Delivered
from agentd.ports.bus import Bus
from agentd.storage.sessions import Sessions

WAITING = 1024
"""Deliveries that may wait to be marked."""


class UnreadMarks:
    """Marks from the moment at which it is built, while `run` runs."""

    def __init__(self, bus: Bus, sessions: Sessions) -> None:
        self._sessions = sessions
        self._events = bus.subscribe(Delivered, name="unread marks", size=WAITING)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async for event in self._events:
                if isinstance(event, Delivered) and event.how == "history":
                    await self._sessions.mark_unread(event.turn_id)
        finally:
            self._events.close()
