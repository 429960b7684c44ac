"""The tool calls of one turn: checked, run one after the other within limits, each noted in the turn's journal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, JsonValue

from agentd.errors import AgentdError, ToolError
from agentd.events import (
    DocumentsRetrieved,
    InboundEvent,
    ToolCallFailed,
    ToolCallRequested,
    ToolCallStarted,
    ToolCallSucceeded,
    TurnWaiting,
)
from agentd.ports.generation import ToolCallPart, ToolResultPart
from agentd.ports.tools import Hesitant, Tool, ToolContext
from agentd.records import Passage
from agentd.text.plain import plain, shortened
from agentd.tools.arguments import Misunderstood, check, parse
from agentd.tools.registry import Tools
from agentd.tools.sources import Sources
from agentd.turns.journal import Journal
from agentd.turns.news import News
from agentd.turns.state import Call, result_of

log = logging.getLogger(__name__)

UNKNOWN = "unknown"
"""The code of a call that may or may not have taken effect."""
MAY_HAVE_RUN = "Nobody knows whether it took effect. Find that out before you call it again, and tell the user."
CUT_OFF = f"agentd ended while this call ran. {MAY_HAVE_RUN}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolLimits:
    """`seconds` and `characters` limit one call, `calls` one stream; after so many `rounds` the model must answer."""

    seconds: float = 30.0
    characters: int = 8000
    calls: int = 16
    rounds: int = 8


class _TooLong(Exception):
    """The limit of a call has passed."""


class Left(Exception):
    """A call waits for a decision: the turn is left, and goes on from its journal when that has come."""

    def __init__(self, waiting: TurnWaiting) -> None:
        super().__init__(waiting.what)
        self.waiting = waiting


@dataclass(frozen=True, kw_only=True, slots=True)
class _Checked:
    """A call that may run; `found` are the passages that its result may be cited by."""

    call: ToolCallPart
    tool: Tool[Any]
    arguments: BaseModel
    context: ToolContext
    found: list[Passage]


class Execution:
    """Runs the calls of one turn; a call that is over, in this process or in an earlier one, is not run again.

    Each call is one ToolCallRequested and then one ToolCallSucceeded or ToolCallFailed, unless the turn is cancelled or
    left. A call with side effects is noted before it starts and when it ends, so that it never runs twice. A call
    without is noted when it ends, which costs no flush: if that is lost, it runs again and harms nobody.
    """

    def __init__(
        self, *, tools: Tools, limits: ToolLimits, inbound: InboundEvent, sources: Sources, journal: Journal, news: News
    ) -> None:
        self._tools = tools
        self._limits = limits
        self._inbound = inbound
        self._sources = sources
        self._journal = journal
        self._news = news

    async def run(self, calls: Sequence[ToolCallPart]) -> list[ToolResultPart]:
        """One result for each call, an error if it failed; `Left` if one of them waits.

        If a model calls a tool that does not exist, or with arguments that do not fit, the result says so.
        """
        return [ToolResultPart(call_id=call.call_id, tool=call.tool, text=await self._result(call)) for call in calls]

    async def _result(self, call: ToolCallPart) -> str:
        known = self._journal.state.call(call.call_id)
        if known is not None and known.result is not None:
            return known.result
        if known is not None and known.started:
            log.error("turn %s: %s was cut off and is not run again", self._inbound.turn_id, call.tool)
            return await self._failed(call, CUT_OFF, code=UNKNOWN, durable=True)
        try:
            checked = await self._checked(call)
        except AgentdError as error:
            return await self._failed(call, str(error), code=error.code)
        await self._wait(checked, known)
        return await self._run(checked)

    async def _checked(self, call: ToolCallPart) -> _Checked:
        arguments: dict[str, JsonValue] = {}
        try:
            arguments = parse(call.arguments)
        finally:
            await self._news.publish(
                ToolCallRequested(**self._news.turn, call_id=call.call_id, tool=call.tool, arguments=arguments)
            )
        tool = self._tools.get(call.tool)
        if tool is None:
            raise Misunderstood(f"There is no such tool. There are: {', '.join(sorted(self._tools)) or 'none'}.")
        checked, found = check(tool.arguments, arguments), list[Passage]()
        return _Checked(call=call, tool=tool, arguments=checked, context=self._context(call, found), found=found)

    def _context(self, call: ToolCallPart, found: list[Passage]) -> ToolContext:
        def cite(passages: Sequence[Passage]) -> Sequence[Passage]:
            numbered = self._sources.add(passages)
            found.extend(numbered)
            return numbered

        return ToolContext(
            principal=self._inbound.principal,
            session_id=self._inbound.session_id,
            turn_id=self._inbound.turn_id,
            call_id=call.call_id,
            sources=lambda: self._sources.passages,
            cite=cite,
        )

    async def _wait(self, checked: _Checked, known: Call | None) -> None:
        if not isinstance(checked.tool, Hesitant) or (known is not None and known.approved):
            return
        if (waiting := checked.tool.waits(checked.arguments, checked.context)) is None:
            return
        what, until = waiting.what, waiting.until
        left = TurnWaiting(**self._news.turn, call_id=checked.call.call_id, what=what, until=until)
        await self._journal.note(left, durable=True)
        raise Left(self._journal.state.waiting or left)

    async def _run(self, checked: _Checked) -> str:
        call, changes = checked.call, checked.tool.side_effects
        if changes:
            started = ToolCallStarted(**self._news.turn, call_id=call.call_id)
            await self._journal.note(started, durable=True)
        try:
            text = await self._within_time(checked)
        except AgentdError as error:
            return await self._failed(call, str(error), code=error.code, durable=changes)
        except _TooLong:
            return await self._broken(
                call, f"The tool took longer than {self._limits.seconds:g} s and was stopped.", changes
            )
        except Exception:
            log.exception("the tool %s failed in turn %s", call.tool, self._inbound.turn_id)
            return await self._broken(call, "The tool failed inside agentd; do without it.", changes)
        if checked.found:
            await self._journal.tell(DocumentsRetrieved(**self._news.turn, passages=tuple(checked.found)))
        result = shortened(plain(text), self._limits.characters)
        succeeded = ToolCallSucceeded(**self._news.turn, call_id=call.call_id, result=result)
        await self._journal.note(succeeded, durable=changes)
        return result_of(succeeded)

    async def _within_time(self, checked: _Checked) -> str:
        try:
            async with asyncio.timeout(self._limits.seconds) as limit:
                result: str = await checked.tool.run(checked.arguments, checked.context)
                return result
        except TimeoutError:
            if not limit.expired():
                raise
            raise _TooLong from None

    async def _broken(self, call: ToolCallPart, reason: str, changes: bool) -> str:
        """The tool itself cannot say how far it came."""
        if not changes:
            return await self._failed(call, reason, code=ToolError.code)
        return await self._failed(call, f"{reason} {MAY_HAVE_RUN}", code=UNKNOWN, durable=True)

    async def _failed(self, call: ToolCallPart, reason: str, *, code: str, durable: bool = False) -> str:
        error = shortened(plain(reason), self._limits.characters)
        failed = ToolCallFailed(**self._news.turn, call_id=call.call_id, error=error, code=code)
        await self._journal.note(failed, durable=durable)
        return result_of(failed)
