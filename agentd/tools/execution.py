"""The tool calls of one turn: checked, run one after the other within limits, each told to the bus."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, JsonValue

from agentd.errors import AgentdError, ModelError, ToolError
from agentd.events import (
    DocumentsRetrieved,
    InboundEvent,
    Passage,
    ToolCallFailed,
    ToolCallRequested,
    ToolCallSucceeded,
)
from agentd.ports.bus import Bus
from agentd.ports.generation import ToolCallPart, ToolResultPart
from agentd.ports.tools import Tool, ToolContext
from agentd.text.plain import plain, shortened
from agentd.tools.arguments import Misunderstood, check, parse
from agentd.tools.registry import Tools
from agentd.tools.sources import Sources

log = logging.getLogger(__name__)

FAILED = "Error: "
"""A result that begins so says why there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolLimits:
    """`seconds` and `characters` are of one call, `calls` of one stream; after `rounds` the model must answer."""

    seconds: float = 30.0
    characters: int = 8000
    calls: int = 16
    rounds: int = 8


class Execution:
    """Runs the calls of one turn.

    Each call is one ToolCallRequested and then one ToolCallSucceeded or ToolCallFailed, unless the turn is cancelled.
    """

    def __init__(
        self,
        *,
        tools: Tools,
        limits: ToolLimits,
        inbound: InboundEvent,
        sources: Sources,
        bus: Bus,
    ) -> None:
        self._tools = tools
        self._limits = limits
        self._inbound = inbound
        self._sources = sources
        self._bus = bus
        self._turn = {"turn_id": inbound.turn_id, "session_id": inbound.session_id}
        self._told = False
        """Whether the model was just told that it had called wrongly."""

    async def run(self, calls: Sequence[ToolCallPart]) -> list[ToolResultPart]:
        """One result for each call, an error where it failed.

        A model that calls a tool that there is not, or with arguments that do not fit, reads so in the result; when it
        does so again at its next attempt, this raises `ModelError`.
        """
        results, wrong = [], ""
        for call in calls:
            try:
                text = await self._run(call)
            except Misunderstood as error:
                wrong = wrong or f"{call.tool}: {error}"
                text = await self._failed(call, str(error))
            except AgentdError as error:
                text = await self._failed(call, str(error))
            except Exception:
                log.exception("the tool %s failed in turn %s", call.tool, self._inbound.turn_id)
                text = await self._failed(call, "The tool failed inside agentd; do without it.")
            results.append(ToolResultPart(call_id=call.call_id, tool=call.tool, text=text))
        if wrong and self._told:
            raise ModelError(f"The model called a tool wrongly, was told so, and did it again. {plain(wrong)}")
        self._told = bool(wrong)
        return results

    async def _run(self, call: ToolCallPart) -> str:
        arguments: dict[str, JsonValue] = {}
        try:
            arguments = parse(call.arguments)
        finally:
            await self._bus.publish(
                ToolCallRequested(**self._turn, call_id=call.call_id, tool=call.tool, arguments=arguments)
            )
        tool = self._tools.get(call.tool)
        if tool is None:
            raise Misunderstood(f"There is no such tool. There are: {', '.join(sorted(self._tools)) or 'none'}.")
        result = shortened(
            plain(await self._within_time(tool, call, check(tool.arguments, arguments))), self._limits.characters
        )
        await self._bus.publish(ToolCallSucceeded(**self._turn, call_id=call.call_id, result=result))
        return result

    async def _within_time(self, tool: Tool[Any], call: ToolCallPart, arguments: BaseModel) -> str:
        found: list[Passage] = []

        def cite(passages: Sequence[Passage]) -> Sequence[Passage]:
            numbered = self._sources.add(passages)
            found.extend(numbered)
            return numbered

        context = ToolContext(
            principal=self._inbound.principal,
            session_id=self._inbound.session_id,
            turn_id=self._inbound.turn_id,
            call_id=call.call_id,
            sources=lambda: self._sources.passages,
            cite=cite,
        )
        try:
            async with asyncio.timeout(self._limits.seconds) as limit:
                result: str = await tool.run(arguments, context)
        except TimeoutError:
            if not limit.expired():
                raise
            raise ToolError(f"The tool took longer than {self._limits.seconds:g} s and was stopped.") from None
        if found:
            await self._bus.publish(DocumentsRetrieved(**self._turn, passages=tuple(found)))
        return result

    async def _failed(self, call: ToolCallPart, reason: str) -> str:
        error = shortened(plain(reason), self._limits.characters)
        await self._bus.publish(ToolCallFailed(**self._turn, call_id=call.call_id, error=error))
        return f"{FAILED}{error}"
