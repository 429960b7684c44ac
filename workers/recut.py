"""Cuts documents anew that an earlier agentd cut into passages in another way, without anybody asking for it."""

from __future__ import annotations

import asyncio
import logging

from agentd.errors import AgentdError
from agentd.ports.documents import Recutting

log = logging.getLogger(__name__)

FIRST_SECONDS = 10.0
"""How long after the start it is done: a start has more urgent work."""
EVERY_SECONDS = 24 * 3600.0


class Recut:
    """`run` works shortly after the start, and once a day for what could not be cut before."""

    def __init__(self, documents: Recutting, *, first: float | None = None, every: float | None = None) -> None:
        self._documents = documents
        self._first = FIRST_SECONDS if first is None else first
        self._every = EVERY_SECONDS if every is None else every

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.sleep(self._first)
        while True:
            try:
                if count := await self._documents.cut_anew():
                    log.info("%d documents of an earlier agentd were cut into passages anew", count)
            except (AgentdError, OSError) as error:
                log.warning("documents of an earlier agentd could not be cut anew (again in a day): %s", error)
            await asyncio.sleep(self._every)
