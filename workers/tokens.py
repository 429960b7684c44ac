"""Ends the connections of tokens that have expired, and keeps the pages that are open."""

from __future__ import annotations

import asyncio
import logging

from agentd.errors import AgentdError
from agentd.ports.tokens import Sweeping

log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
"""How long a connection may outlive its token."""


class TokenWatch:
    """`run` sweeps once a minute."""

    def __init__(self, tokens: Sweeping, *, every: float | None = None) -> None:
        self._tokens = tokens
        self._every = EVERY_SECONDS if every is None else every

    async def run(self) -> None:
        """Until cancelled; what a disk refuses now is tried again later."""
        while True:
            await asyncio.sleep(self._every)
            try:
                if ended := await self._tokens.sweep():
                    log.info("%d connections ended with their tokens", ended)
            except AgentdError as error:
                log.warning("the tokens could not be looked through: %s", error)
