"""What is thrown away in time: how turns ended that nobody will offer again, and dead letters past their retention."""

from __future__ import annotations

import logging
from datetime import timedelta

from agentd.host.tasks import DAY_SECONDS, daily
from agentd.ports.turns import EndedTurns
from agentd.ports.work import Purging

log = logging.getLogger(__name__)

FIRST_SECONDS = 60.0
"""How long after the start it is done for the first time: a start has more urgent work."""


class Housekeeping:
    """`run` sweeps shortly after the start and once a day; `dead_retention_days` 0 keeps every dead letter."""

    def __init__(
        self,
        turns: EndedTurns,
        dead: Purging,
        *,
        dead_retention_days: float,
        first: float | None = None,
        every: float = DAY_SECONDS,
    ) -> None:
        self._turns = turns
        self._dead = dead
        self._retention = timedelta(days=dead_retention_days)
        self._first = FIRST_SECONDS if first is None else first
        self._every = every

    async def run(self) -> None:
        """Until cancelled; what a disk refuses today is tried again tomorrow."""
        await daily(self.sweep, "what is no longer needed could not be removed", first=self._first, every=self._every)

    async def sweep(self) -> tuple[int, int]:
        """How many ended turns were forgotten, and how many dead letters were dropped."""
        turns = await self._turns.purge()
        letters = await self._dead.purge(self._retention) if self._retention else 0
        if turns or letters:
            log.info("%d ended turns were forgotten and %d dead letters dropped", turns, letters)
        return turns, letters
