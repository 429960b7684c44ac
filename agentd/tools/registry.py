"""The tools of a fresh install by name, and how a model is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from agentd.ports.clock import Clock
from agentd.ports.documents import Documents
from agentd.ports.generation import ToolSpec
from agentd.ports.tools import Tool
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


def built_in_specs() -> tuple[ToolSpec, ...]:
    """What a model is told of the tools of `built_in`, for whoever has no documents to search."""
    return specs({tool.name: tool for tool in (Calculate, CurrentTime, SearchDocuments)})


class _Told(Protocol):
    """What is told of a tool."""

    @property
    def description(self) -> str: ...

    @property
    def arguments(self) -> Any: ...


def specs(tools: Mapping[str, _Told]) -> tuple[ToolSpec, ...]:
    """In the order of their names, so that prompts begin alike whatever order the tools came in."""
    return tuple(
        ToolSpec(name=name, description=tools[name].description, parameters=schema(tools[name].arguments))
        for name in sorted(tools)
    )
