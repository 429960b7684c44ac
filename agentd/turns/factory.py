"""What turns are made with: everything that all of them use."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentd.events import InboundEvent
from agentd.ids import IdSource
from agentd.ports.bus import Bus
from agentd.ports.clock import Clock
from agentd.ports.generation import ModelRequest
from agentd.ports.models import ChatModel
from agentd.ports.work import Progress
from agentd.tools.registry import Tools, specs
from agentd.tools.sources import Sources
from agentd.turns import prompt
from agentd.turns.exchange import Exchange
from agentd.turns.journal import Journal
from agentd.turns.news import News
from agentd.turns.ongoing import Ongoing
from agentd.turns.preparation import Preparation
from agentd.turns.settings import TurnSettings
from agentd.turns.state import BEGUN, TurnState
from agentd.turns.telling import Telling
from agentd.turns.turn import Turn
from agentd.turns.window import Memory


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnFactory:
    """`model` may give its place to another one at any moment; `progress` keeps what turns have done.

    `tools` are offered to models that can call them. `fallback` answers if a language model gives what is not an
    answer, twice.
    """

    preparation: Preparation
    model: ChatModel
    memory: Memory
    progress: Progress
    bus: Bus
    ids: IdSource
    clock: Clock
    settings: TurnSettings
    tools: Tools = field(default_factory=dict)
    fallback: ChatModel | None = None

    def constant(self, tools: bool) -> ModelRequest:
        """What every prompt begins with, so that a model can read it before anybody asks."""
        system = prompt.system_message(instructions=self.settings.instructions, tools=tools)
        offered = specs(self.tools) if tools else ()
        return ModelRequest(messages=(system,), session_id="", turn_id="", tools=offered, limits=self.settings.limits)

    def begin(self, inbound: InboundEvent, attempt: int, state: TurnState = BEGUN) -> Turn:
        """The turn, which goes on from what an earlier run of it has done."""
        news = News(self.bus, self.ids, self.clock, inbound, attempt)
        ongoing = Ongoing(
            inbound=inbound,
            news=news,
            telling=Telling(news.said),
            sources=Sources(),
            journal=Journal(self.progress, self.bus, state),
        )
        exchange = Exchange(ongoing, memory=self.memory, settings=self.settings, tools=self.tools)
        return Turn(ongoing, exchange, self.preparation, self.model, self.fallback, self.settings)
