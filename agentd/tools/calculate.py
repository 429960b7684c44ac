"""The tool `calculate`: exact arithmetic; a language model would guess."""

from __future__ import annotations

from pydantic import Field

from agentd.ports.tools import ToolContext
from agentd.tools.arguments import Arguments
from agentd.tools.arithmetic import LONGEST, evaluate, written


class CalculateArguments(Arguments):
    expression: str = Field(
        description="Numbers, + - * / ^ % (remainder), brackets, sqrt, round, log10, ln, sin, cos, pi and the like.",
        max_length=LONGEST,
    )


class Calculate:
    """Implements `ports.Tool`."""

    name = "calculate"
    description = "Work out an arithmetic expression exactly. Use it for every calculation."
    arguments = CalculateArguments
    side_effects = False

    async def run(self, arguments: CalculateArguments, context: ToolContext) -> str:
        """The value in digits; `ToolError` if there is none."""
        return written(evaluate(arguments.expression))
