"""What turns are made with: everything that all of them use."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentd.events import InboundEvent
from agentd.ports.generation import ModelRequest
from agentd.tools.registry import Tools, specs
from agentd.turns import prompt
from agentd.turns.chronicle import Chronicle
from agentd.turns.exchange import Exchange
from agentd.turns.preparation import Preparation
from agentd.turns.settings import TurnSettings
from agentd.turns.state import BEGUN, TurnState
from agentd.turns.turn import Answerers, Turn
from agentd.turns.window import Memory


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnFactory:
    """`tools` are offered to models that can call them."""

    chronicle: Chronicle
    preparation: Preparation
    memory: Memory
    answerers: Answerers
    settings: TurnSettings
    tools: Tools = field(default_factory=dict)

    def constant(self, tools: bool) -> ModelRequest:
        """What every prompt begins with, so that a model can read it before anybody asks."""
        system = prompt.system_message(instructions=self.settings.instructions, tools=tools)
        offered = specs(self.tools) if tools else ()
        return ModelRequest(messages=(system,), session_id="", turn_id="", tools=offered, limits=self.settings.limits)

    def begin(self, inbound: InboundEvent, attempt: int, state: TurnState = BEGUN) -> Turn:
        """The turn, which goes on from what an earlier run of it has done."""
        ongoing = self.chronicle.begin(inbound, attempt, state)
        exchange = Exchange(ongoing, memory=self.memory, settings=self.settings, tools=self.tools)
        return Turn(ongoing, exchange, self.preparation, self.answerers, self.settings)
