"""What became of a turn is written down, however long the disk refuses it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from agentd.delivery.backoff import Backoff
from agentd.errors import AgentdError, Unreadable
from agentd.events import Buried, InboundEvent, OutboundEvent
from agentd.ids import following
from agentd.ports.bus import Bus
from agentd.ports.clock import Clock
from agentd.ports.turns import EndedTurns
from agentd.ports.work import Work

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_ALONE = 3
"""How often a turn may take the daemon down while it runs alone before it is put aside."""
STORE_WAITS = Backoff(first=1.0, longest=30.0)
"""Between attempts to store an answer on a disk that refuses it."""


class Outcomes:
    """Used by the AgentWorker for all that it writes into the pending directory and the record of ended turns."""

    def __init__(self, pending: Work, ended: EndedTurns, bus: Bus, clock: Clock) -> None:
        self._pending = pending
        self._ended = ended
        self._bus = bus
        self._clock = clock

    async def insist(self, turn_id: str, work: Callable[[], Awaitable[T]]) -> T:
        """Repeat until the disk takes it, or says that it never will (`Unreadable`)."""
        failures = 0
        while True:
            try:
                return await work()
            except Unreadable:
                raise
            except (AgentdError, OSError) as error:
                wait = STORE_WAITS.ceiling(failures)
                log.error("turn %s waits for the disk (%s); again in %g s", turn_id, error, wait)
                await asyncio.sleep(wait)
                failures += 1

    async def park(self, turn_id: str) -> None:
        try:
            await self._pending.parked(turn_id)
        except AgentdError as error:
            log.error("turn %s: that it was parked could not be noted: %s", turn_id, error)

    async def set_aside(self, turn_id: str, session_id: str, reason: str) -> None:
        """A question whose file went bad: one bad file harms one turn, and its sender is told."""
        log.error("turn %s cannot be answered: %s", turn_id, reason)
        await self.insist(turn_id, lambda: self._pending.set_aside(turn_id, reason))
        await self._bus.publish(Buried(turn_id=turn_id, session_id=session_id, dead_id=turn_id, reason=reason))

    async def bury(self, inbound: InboundEvent, reason: str, code: str) -> None:
        """It is buried, and its sender is told."""
        notice = OutboundEvent(
            id=following(inbound.turn_id),
            time=self._clock.now(),
            turn_id=inbound.turn_id,
            session_id=inbound.session_id,
            principal=inbound.principal,
            address=inbound.address,
            answers=(),
            in_reply_to=inbound.message_id,
            outcome="error",
            text=f"This {inbound.kind} was put aside: {reason}. `agentd delivery show {inbound.id}` shows it.",
            error_code=code,
        )
        await self.insist(inbound.turn_id, lambda: self._ended.finish([inbound], notice))
        await self.insist(inbound.turn_id, lambda: self._pending.bury(inbound.turn_id, reason, notice))
        await self._bus.publish(
            Buried(turn_id=inbound.turn_id, session_id=inbound.session_id, dead_id=inbound.id, reason=reason)
        )
