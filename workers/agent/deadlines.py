"""A decision that does not come in time is a denial."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from agentd.events import ToolCallDenied, TurnWaiting
from agentd.ports.bus import Bus
from agentd.ports.clock import Clock
from agentd.turns.left import LeftTurns

LOOK_SECONDS = 30.0
"""How often the time of day is looked at while turns wait: it may be set, and the machine may sleep."""


class Deadlines:
    """Of the turns that are `left`."""

    def __init__(self, left: LeftTurns, bus: Bus, clock: Clock) -> None:
        self._left = left
        self._bus = bus
        self._clock = clock
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """A turn was left: it may be the first whose time is over."""
        self._changed.set()

    async def passed(self) -> Sequence[ToolCallDenied]:
        """Waits until the time of a turn is over; the denials of those whose it is. They are not published yet."""
        while True:
            self._changed.clear()
            if over := self._left.over(self._clock.now()):
                return [self._denied(waiting) for waiting in over]
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_again()):
                    await self._changed.wait()

    def _look_again(self) -> float | None:
        until = self._left.until()
        if until is None:
            return None
        return min(LOOK_SECONDS, max(0.0, (until - self._clock.now()).total_seconds()))

    def _denied(self, waiting: TurnWaiting) -> ToolCallDenied:
        return self._bus.stamped(
            ToolCallDenied(
                turn_id=waiting.turn_id,
                session_id=waiting.session_id,
                call_id=waiting.call_id,
                by="agentd",
                reason=f"Nobody decided on this call until {waiting.until.isoformat(timespec='seconds')}.",
            )
        )
