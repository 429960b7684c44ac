"""Writes what became of a delivery into the pending directory, however long the disk refuses, and tells the bus."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from agentd.delivery import Bury, Defer, LastSeen, Owed, Policy
from agentd.events import Buried, Delivered, DeliveryAttempted, DeliveryDeferred
from agentd.ports.bus import Bus
from agentd.ports.clock import Clock
from agentd.ports.work import Work
from workers.delivery.sending import STORAGE_ERRORS

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a delivery's events belong; a notice has a name of its own in the pending directory, but not here."""

    turn_id: str
    session_id: str


class Ledger:
    """The outcomes of deliveries; `unrecorded` have ended, but not yet on the disk: never send those again."""

    def __init__(self, pending: Work, bus: Bus, *, clock: Clock, policy: Policy, rng: random.Random) -> None:
        self._pending = pending
        self._bus = bus
        self._clock = clock
        self._policy = policy
        self._rng = rng
        self.unrecorded: set[str] = set()
        self.last: dict[str, LastSeen] = {}

    async def attempted(self, owed: Owed, origin: Origin, attempt: int) -> None:
        await self._bus.publish(
            DeliveryAttempted(
                turn_id=origin.turn_id,
                session_id=origin.session_id,
                outbound_id=owed.id,
                address=owed.address,
                attempt=attempt,
            )
        )

    async def delivered(
        self, owed: Owed, origin: Origin, how: Literal["taken", "history"], freed: Callable[[], None]
    ) -> None:
        """It is owed no more. `freed` is called once, when the disk has taken that or refused for the first time."""
        if how == "taken":
            self._saw(owed, delivered=True)
        await self._persist(owed, lambda: self._pending.ack(owed.turn_id), freed)
        await self._bus.publish(
            Delivered(
                turn_id=origin.turn_id,
                session_id=origin.session_id,
                outbound_id=owed.id,
                address=owed.address,
                how=how,
            )
        )

    async def buried(self, decision: Bury, origin: Origin) -> None:
        """It lies in the dead letters, with the reason."""
        await self._given_up(decision, origin, lambda: self._pending.bury(decision.owed.turn_id, decision.reason))

    async def set_aside(self, decision: Bury, origin: Origin) -> None:
        """What is left of its file lies in corrupt/."""
        await self._given_up(decision, origin, lambda: self._pending.set_aside(decision.owed.turn_id, decision.reason))

    async def _given_up(self, decision: Bury, origin: Origin, move: Callable[[], Awaitable[None]]) -> None:
        owed = decision.owed
        self._saw(owed, error=decision.reason)
        log.warning("%s for %s is given up: %s", owed.id, owed.address, decision.reason)
        await self._persist(owed, move, lambda: None)
        await self._bus.publish(
            Buried(
                turn_id=origin.turn_id,
                session_id=origin.session_id,
                dead_id=owed.id,
                reason=decision.reason,
            )
        )

    async def deferred(self, decision: Defer, origin: Origin) -> None:
        """It stays owed. A disk that refuses this costs nothing but the count of attempts, after a restart."""
        owed, now = decision.owed, self._clock.now()
        self._saw(owed, error=decision.error)
        until = None if decision.delay is None else now + timedelta(seconds=decision.delay)
        try:
            # Whether the platform has it may be unknown, and must still be known to be so after a crash.
            await self._pending.defer(
                owed.turn_id, until=until, attempt=owed.attempts, error=decision.error, uncertain=owed.repeat
            )
        except STORAGE_ERRORS as error:
            log.warning("that %s is deferred could not be noted: %s", owed.id, error)
        await self._bus.publish(
            DeliveryDeferred(
                turn_id=origin.turn_id,
                session_id=origin.session_id,
                outbound_id=owed.id,
                address=owed.address,
                attempt=owed.attempts,
                until=until,
                error=decision.error,
            )
        )

    async def _persist(self, owed: Owed, move: Callable[[], Awaitable[None]], freed: Callable[[], None]) -> None:
        """Try a move until it is durable. If somebody has removed the turn, there is nothing to do."""
        self.unrecorded.add(owed.id)
        attempt = 0
        while await self._pending.find(owed.id) is not None:
            try:
                await move()
                break
            except STORAGE_ERRORS as error:
                log.error("the outcome of %s could not be written (it is not sent again): %s", owed.id, error)
            if attempt == 0:
                freed()
            await asyncio.sleep(self._policy.backoff.drawn(attempt, self._rng))
            attempt += 1
        self.unrecorded.discard(owed.id)
        if attempt == 0:
            freed()

    def _saw(self, owed: Owed, *, delivered: bool = False, error: str = "") -> None:
        name, now = owed.address.channel, self._clock.now()
        before = self.last.get(name, LastSeen())
        if delivered:
            self.last[name] = LastSeen(delivered=now, failed=before.failed, error=before.error)
        else:
            self.last[name] = LastSeen(delivered=before.delivered, failed=now, error=error)
