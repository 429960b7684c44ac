"""How turns are run."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentd.ports.generation import Limits, Sampling
from agentd.turns.execution import ToolLimits


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnSettings:
    """`prompt_tokens` is what a prompt may take if the model's context is not known; `instructions` are the user's."""

    prompt_tokens: int
    sampling: Sampling
    limits: Limits
    tools: ToolLimits = field(default_factory=ToolLimits)
    instructions: str = ""
