"""The tool `calculate`: exact arithmetic, where a language model would guess."""

from __future__ import annotations

from pydantic import Field

from agentd.ports import ToolContext
from agentd.tools.arguments import Arguments
from agentd.tools.arithmetic import LONGEST, evaluate, written


class CalculateArguments(Arguments):
    expression: str = Field(
        description="For example (17.5 + 3) * 12 / 7 or sqrt(2) ^ 3. Operators + - * / // % ^ with % as the remainder;"
        " functions abs ceil cos exp floor ln log10 log2 max min round sin sqrt tan; constants pi and e.",
        max_length=LONGEST,
    )


class Calculate:
    """Implements `ports.Tool`."""

    name = "calculate"
    description = "Work out an arithmetic expression exactly. Use it for every calculation instead of guessing."
    arguments = CalculateArguments
    side_effects = False

    async def run(self, arguments: CalculateArguments, context: ToolContext) -> str:
        """The value in digits; `ToolError` where there is none."""
        return written(evaluate(arguments.expression))
