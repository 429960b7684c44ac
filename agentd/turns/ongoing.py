"""One turn while it runs: what was asked, and what was told, said, found and done so far."""

from __future__ import annotations

from dataclasses import dataclass

from agentd.events import InboundEvent
from agentd.tools.sources import Sources
from agentd.turns.journal import Journal
from agentd.turns.news import News
from agentd.turns.telling import Telling


@dataclass(frozen=True, kw_only=True, slots=True)
class Ongoing:
    """The parts of a turn share it, and each of its members changes as the turn goes on."""

    inbound: InboundEvent
    news: News
    telling: Telling
    sources: Sources
    journal: Journal

    async def start_again(self, reason: str, *, everything: bool) -> None:
        """What was said is void: all of it, or only what was said since the last tool was called."""
        await self.news.started_again(reason)
        await self.telling.restart(everything=everything)
