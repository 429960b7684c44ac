"""What is thrown away in time: how turns ended that nobody will offer again, and what has a retention of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta

from agentd.host.tasks import DAY_SECONDS, daily
from agentd.ports.turns import EndedTurns
from agentd.ports.work import Purging

log = logging.getLogger(__name__)

FIRST_SECONDS = 60.0
"""How long after the start it is done for the first time: a start has more urgent work."""


class Housekeeping:
    """`run` sweeps shortly after the start and once a day.

    `retained` is what goes after a time: what it is called -> what drops it, and after how many days; 0 keeps it all.
    """

    def __init__(
        self,
        turns: EndedTurns,
        retained: Mapping[str, tuple[Purging, float]],
        *,
        first: float | None = None,
        every: float = DAY_SECONDS,
    ) -> None:
        self._turns = turns
        self._retained = {name: (what, timedelta(days=days)) for name, (what, days) in retained.items() if days}
        self._first = FIRST_SECONDS if first is None else first
        self._every = every

    async def run(self) -> None:
        """Until cancelled; what a disk refuses today is tried again tomorrow."""
        await daily(self.sweep, "what is no longer needed could not be removed", first=self._first, every=self._every)

    async def sweep(self) -> Mapping[str, int]:
        """How many of what were dropped."""
        gone = {"ended turns": await self._turns.purge()}
        for name, (what, retention) in self._retained.items():
            gone[name] = await what.purge(retention)
        if any(gone.values()):
            log.info(
                "dropped because nobody needs them any more: %s", ", ".join(f"{n} {name}" for name, n in gone.items())
            )
        return gone
