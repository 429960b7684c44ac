"""What a tool is given in tests."""

from __future__ import annotations

from agentd.ports.tools import ToolContext
from agentd.records import OWNER, Principal
from agentd.tools.sources import Sources
from tests.builders import SESSION


def context(principal: Principal = OWNER, sources: Sources | None = None) -> ToolContext:
    known = sources or Sources()
    return ToolContext(
        principal=principal,
        session_id=SESSION,
        turn_id="t",
        call_id="c",
        sources=lambda: known.passages,
        cite=known.add,
    )
