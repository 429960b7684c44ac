"""One turn: retrieve, prompt, stream, call tools and stream again, answer; each step is an event on the bus."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from agentd import prompt
from agentd.errors import AgentdError, ModelError, PromptTooLong
from agentd.events import (
    DocumentsRetrieved,
    GenerationChunk,
    InboundEvent,
    OutboundEvent,
    Outcome,
    Passage,
    PromptReading,
    TurnHandedOver,
    TurnStarted,
    TurnUsage,
)
from agentd.generation import (
    Finish,
    HandedOver,
    Limits,
    Message,
    ModelRequest,
    Part,
    Reading,
    ReasoningDelta,
    Renumbered,
    Restarted,
    Sampling,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolResultPart,
    Usage,
)
from agentd.ids import IdSource
from agentd.ports import Bounded, Bus, ChatModel, Clock, Documents, ToolUser
from agentd.tools.calls import CallAssembler
from agentd.tools.execution import Execution, ToolLimits
from agentd.tools.registry import Tools, specs
from agentd.tools.sources import Sources
from agentd.window import History, Memory, Summaries, Window

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnSettings:
    """`passages` at most are retrieved; `prompt_tokens` is what the prompt may take where the model's context is not
    known.
    """

    passages: int
    prompt_tokens: int
    sampling: Sampling
    limits: Limits
    tools: ToolLimits = field(default_factory=ToolLimits)


class Turn:
    """A turn while it runs. Cancelling `run` stops it; what was said until then is in `interrupted`."""

    def __init__(self, runner: Turns, inbound: InboundEvent, attempt: int) -> None:
        self._runner = runner
        self._inbound = inbound
        self._attempt = attempt
        self._earlier = ""
        """What was said before the last tool was called."""
        self._round: list[str] = []
        """What has been said since."""
        self._length = {False: 0, True: 0}
        """Characters said so far, of the answer and of the reasoning."""
        self._sources = Sources()
        self._model = ""
        self._began = runner.clock.monotonic()
        self._first_text: float | None = None
        self._usage: TurnUsage | None = None

    async def run(self) -> OutboundEvent:
        """The one outbound event that ends this turn, not yet published: an answer, or an error in plain words."""
        try:
            async with asyncio.timeout(self._runner.settings.limits.turn) as limit:
                return await self._answer()
        except TimeoutError:
            if not limit.expired():
                raise
            seconds = f"{self._runner.settings.limits.turn:g}"
            return self._failed("timeout", f"The answer took longer than {seconds} s and was stopped.")
        except AgentdError as error:
            log.warning("turn %s failed: %s", self._inbound.turn_id, error)
            return self._failed(error.code, str(error))
        except Exception:
            log.exception("turn %s failed", self._inbound.turn_id)
            return self._failed("internal", "Something went wrong inside agentd; its log has the details.")

    def interrupted(self) -> OutboundEvent:
        """What was said before the turn was stopped, marked as partial."""
        return self._outbound("interrupted", self._said)

    def _failed(self, code: str, reason: str) -> OutboundEvent:
        said = self._said
        return self._outbound("error", f"{said}\n\n{reason}" if said.strip() else reason, error_code=code)

    @property
    def _said(self) -> str:
        return self._earlier + "".join(self._round)

    async def _answer(self) -> OutboundEvent:
        inbound, runner = self._inbound, self._runner
        model = runner.model()
        self._model = model.name
        found = await runner.documents.search(inbound.text, inbound.principal, limit=runner.settings.passages)
        passages = self._sources.add(found)
        await runner.bus.publish(DocumentsRetrieved(**self._event(), passages=passages))
        window, request = await self._open(model, passages)
        self._sources.withdraw(window.left_out)
        finish = await self._converse(model, window, request)
        text = self._said
        if not text.strip():
            raise ModelError(f"{model.name} gave an empty answer; ask again or choose another model.")
        if finish.reason == "length":
            text += "\n\n(The answer reached its length limit.)"
        return self._outbound("answer", text)

    async def _open(self, model: ChatModel, passages: Sequence[Passage]) -> tuple[Window, ModelRequest]:
        """The first request; without tools where there is no room for them beside the question."""
        runner = self._runner
        context = await model.context(runner.settings.limits) if isinstance(model, Bounded) else None
        offered = runner.tools if isinstance(model, ToolUser) and model.tools else {}
        try:
            return await self._open_with(model, context, passages, offered)
        except PromptTooLong as error:
            if not offered:
                raise
            log.warning("turn %s: %s Offering no tools.", self._inbound.turn_id, error)
            return await self._open_with(model, context, passages, {})

    async def _open_with(
        self, model: ChatModel, context: int | None, passages: Sequence[Passage], offered: Tools
    ) -> tuple[Window, ModelRequest]:
        inbound, runner = self._inbound, self._runner
        request = ModelRequest(
            messages=(),
            session_id=inbound.session_id,
            turn_id=inbound.turn_id,
            tools=specs(offered),
            sampling=runner.settings.sampling,
            limits=runner.settings.limits,
        )
        window = Window(model, runner.memory, request, budget=runner.settings.prompt_tokens, context=context)
        draft = prompt.Draft(question=inbound.text, passages=passages, tools=bool(offered))
        return window, await window.open(draft)

    async def _converse(self, model: ChatModel, window: Window, request: ModelRequest) -> Finish:
        """Stream, run the tools that were called, and stream again until the model calls none any more."""
        runner = self._runner
        limits = runner.settings.tools
        calls = CallAssembler(most=limits.calls)
        execution = Execution(
            tools=runner.tools,
            limits=limits,
            inbound=self._inbound,
            sources=self._sources,
            bus=runner.bus,
            stamp=self._event,
        )
        rounds = 0
        while True:
            try:
                finish = await self._stream(model, request, calls)
            except PromptTooLong as error:
                log.warning("turn %s: %s Making the prompt shorter.", request.turn_id, error)
                request = replace(await window.narrow(error), tools=request.tools, priority=request.priority)
                self._sources.withdraw(window.left_out)
                finish = await self._stream(model, request, calls)
            if not (called := calls.take()):
                return finish
            if not request.tools:
                raise ModelError(f"{model.name} called a tool where there was none to call; ask again in other words.")
            asked = Message(role="assistant", parts=(*self._spoken(), *called))
            known = {passage.n for passage in self._sources.passages}
            request = await window.extend(asked, await execution.run(called))
            self._withdraw_unseen(request, known)
            self._earlier, self._round = self._said, []
            rounds += 1
            if rounds >= limits.rounds:
                log.warning("turn %s called tools %d times; now it must answer", request.turn_id, rounds)
                request = replace(request, tools=())

    def _spoken(self) -> tuple[Part, ...]:
        text = "".join(self._round)
        return (TextPart(text=text),) if text.strip() else ()

    def _withdraw_unseen(self, request: ModelRequest, known: set[int]) -> None:
        """A passage whose result was cut before it cannot be cited."""
        shown = "".join(
            part.text for message in request.messages for part in message.parts if isinstance(part, ToolResultPart)
        )
        found = {passage.n for passage in self._sources.passages} - known
        self._sources.withdraw(n for n in found if f"[{n}] " not in shown)

    async def _stream(self, model: ChatModel, request: ModelRequest, calls: CallAssembler) -> Finish:
        async with aclosing(model.stream(request)) as deltas:
            async for delta in deltas:
                match delta:
                    case TextDelta():
                        await self._say(delta.text)
                    case Reading():
                        await self._read(delta)
                    case Usage():
                        self._count(delta)
                    case ReasoningDelta():
                        await self._chunk(delta.text, reasoning=True)
                    case ToolCallDelta():
                        calls.add(delta)
                    case Restarted():
                        calls.clear()
                        await self._restart(delta.reason)
                    case HandedOver():
                        await self._hand_over(delta)
                    case Renumbered():
                        cited = self._sources.renumber(delta.passages)
                        await self._runner.bus.publish(DocumentsRetrieved(**self._event(), passages=cited))
                    case Finish():
                        return delta
        raise ModelError(f"{model.name} stopped in the middle of its answer; ask again.")

    async def _read(self, reading: Reading) -> None:
        event = PromptReading(
            **self._event(), attempt=self._attempt, done=reading.done, total=reading.total, seconds=reading.seconds
        )
        await self._runner.bus.publish(event)

    def _count(self, usage: Usage) -> None:
        counted = self._usage or TurnUsage()
        self._usage = TurnUsage(
            prompt_tokens=counted.prompt_tokens + usage.prompt_tokens,
            cached_tokens=counted.cached_tokens + usage.cached_tokens,
            completion_tokens=counted.completion_tokens + usage.completion_tokens,
            read_seconds=counted.read_seconds + usage.read_seconds,
            write_seconds=counted.write_seconds + usage.write_seconds,
            first_text_seconds=self._first_text or 0.0,
            seconds=self._runner.clock.monotonic() - self._began,
        )

    async def _say(self, text: str) -> None:
        if self._first_text is None:
            self._first_text = self._runner.clock.monotonic() - self._began
        apart = "\n\n" if self._earlier and not self._round and not self._earlier.endswith("\n") else ""
        self._earlier += apart
        self._round.append(text)
        await self._chunk(apart + text, reasoning=False)

    async def _chunk(self, text: str, *, reasoning: bool) -> None:
        n = self._length[reasoning]
        self._length[reasoning] += len(text)
        chunk = GenerationChunk(**self._event(), attempt=self._attempt, n=n, text=text, reasoning=reasoning)
        await self._runner.bus.publish(chunk)

    async def _restart(self, reason: str) -> None:
        """Only what was said since the last tool was called is void; clients get the rest again."""
        log.warning("turn %s starts again: %s", self._inbound.turn_id, reason)
        self._attempt += 1
        self._round.clear()
        self._length = {False: 0, True: 0}
        await self._runner.bus.publish(TurnStarted(**self._event(), attempt=self._attempt, reason=reason))
        if self._earlier:
            await self._chunk(self._earlier, reasoning=False)

    async def _hand_over(self, delta: HandedOver) -> None:
        """Told once: each round of a turn begins with the model that is preferred."""
        if delta.model == self._model:
            return
        log.warning("turn %s: %s answers instead: %s", self._inbound.turn_id, delta.model, delta.reason)
        self._model = delta.model
        handed = TurnHandedOver(**self._event(), attempt=self._attempt, model=delta.model, reason=delta.reason)
        await self._runner.bus.publish(handed)

    def _event(self) -> dict[str, Any]:
        runner, inbound = self._runner, self._inbound
        return {
            "id": runner.ids.next(),
            "time": runner.clock.now(),
            "turn_id": inbound.turn_id,
            "session_id": inbound.session_id,
        }

    def _outbound(self, outcome: Outcome, text: str, error_code: str = "") -> OutboundEvent:
        inbound = self._inbound
        checked, citations = prompt.check_citations(text, self._sources.passages)
        return OutboundEvent(
            id=self._runner.ids.next(),
            time=self._runner.clock.now(),
            turn_id=inbound.turn_id,
            session_id=inbound.session_id,
            principal=inbound.principal,
            address=inbound.address,
            answers=(inbound.turn_id,),
            in_reply_to=inbound.message_id,
            outcome=outcome,
            text=checked,
            citations=citations,
            model=self._model,
            error_code=error_code,
            usage=self._usage,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Turns:
    """What every turn uses; `model` gives the model that is chosen at the moment.

    `tools` are offered to models that can call them. Without `summaries`, what has no room in a prompt is left out.
    """

    documents: Documents
    model: Callable[[], ChatModel]
    sessions: History
    bus: Bus
    ids: IdSource
    clock: Clock
    settings: TurnSettings
    tools: Tools = field(default_factory=dict)
    summaries: Summaries | None = None
    cuts: prompt.Cuts = field(default_factory=prompt.Cuts)

    @property
    def memory(self) -> Memory:
        return Memory(history=self.sessions, summaries=self.summaries, cuts=self.cuts)

    def begin(self, inbound: InboundEvent, attempt: int) -> Turn:
        return Turn(self, inbound, attempt)
