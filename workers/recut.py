"""Cuts documents anew that an earlier agentd cut into passages in another way, without anybody asking for it."""

from __future__ import annotations

import logging

from agentd.host.tasks import DAY_SECONDS, daily
from agentd.ports.documents import Recutting

log = logging.getLogger(__name__)

FIRST_SECONDS = 10.0
"""How long after the start it is done: a start has more urgent work."""


class Recut:
    """`run` works shortly after the start, and once a day for what could not be cut before."""

    def __init__(self, documents: Recutting, *, first: float | None = None, every: float = DAY_SECONDS) -> None:
        self._documents = documents
        self._first = FIRST_SECONDS if first is None else first
        self._every = every

    async def run(self) -> None:
        """Until cancelled."""
        trouble = "documents of an earlier agentd could not be cut anew"
        await daily(self._cut, trouble, first=self._first, every=self._every)

    async def _cut(self) -> None:
        if count := await self._documents.cut_anew():
            log.info("%d documents of an earlier agentd were cut into passages anew", count)
