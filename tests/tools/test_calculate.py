"""The tool `calculate`."""

from __future__ import annotations

import pytest

from agentd.errors import ToolError
from agentd.tools.calculate import Calculate, CalculateArguments
from tests.contexts import context


async def test_it_gives_the_value() -> None:
    assert await Calculate().run(CalculateArguments(expression="(2 + 3) * 4"), context()) == "20"


async def test_it_tells_what_is_wrong() -> None:
    with pytest.raises(ToolError, match="divides by zero"):
        await Calculate().run(CalculateArguments(expression="1 / 0"), context())
