"""Where turns leave their traces: what they do is told on the bus, and noted in the log beside their files."""

from __future__ import annotations

from agentd.events import InboundEvent
from agentd.ids import IdSource
from agentd.ports.bus import Bus
from agentd.ports.clock import Clock
from agentd.ports.work import Progress
from agentd.tools.sources import Sources
from agentd.turns.journal import Journal
from agentd.turns.news import News
from agentd.turns.ongoing import Ongoing
from agentd.turns.state import TurnState
from agentd.turns.telling import Telling


class Chronicle:
    """The same for all turns; `progress` keeps what they have done."""

    def __init__(self, bus: Bus, progress: Progress, ids: IdSource, clock: Clock) -> None:
        self._bus = bus
        self._progress = progress
        self._ids = ids
        self._clock = clock

    def begin(self, inbound: InboundEvent, attempt: int, state: TurnState) -> Ongoing:
        """The parts of a turn that goes on from this state; nothing about it is told yet."""
        news = News(self._bus, self._ids, self._clock, inbound, attempt)
        return Ongoing(
            inbound=inbound,
            news=news,
            telling=Telling(news.said),
            sources=Sources(),
            journal=Journal(self._progress, self._bus, state),
        )
