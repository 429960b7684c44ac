"""The tools of a fresh install by name, and how a model is told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentd.clock import SystemClock
from agentd.ports.clock import Clock
from agentd.ports.documents import Documents
from agentd.ports.generation import ToolSpec
from agentd.ports.tools import Tool
from agentd.records import Passage, Principal
from agentd.tools.arguments import schema
from agentd.tools.calculate import Calculate
from agentd.tools.current_time import CurrentTime
from agentd.tools.search_documents import SearchDocuments

Tools = Mapping[str, Tool[Any]]


def built_in(*, documents: Documents, clock: Clock) -> Tools:
    """What agentd itself offers: tools without side effects."""
    return {
        "calculate": Calculate(),
        "current_time": CurrentTime(clock),
        "search_documents": SearchDocuments(documents),
    }


class _NoDocuments:
    async def search(self, question: str, principal: Principal, *, limit: int = 8) -> Sequence[Passage]:
        return ()


def built_in_specs() -> tuple[ToolSpec, ...]:
    """What a model is told of the tools of `built_in`, for whoever has no documents to search."""
    return specs(built_in(documents=_NoDocuments(), clock=SystemClock()))


def specs(tools: Tools) -> tuple[ToolSpec, ...]:
    """In the order of their names, so that prompts begin alike whatever order the tools came in."""
    return tuple(
        ToolSpec(name=name, description=tools[name].description, parameters=schema(tools[name].arguments))
        for name in sorted(tools)
    )
