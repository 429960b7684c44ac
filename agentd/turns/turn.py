"""One turn: look up, prompt, stream, call tools and stream again, answer; each step is an event on the bus.

A model that writes may give what is not an answer. Then it is asked once more in the plainest words, and after that the
extractive model answers, and says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from agentd.errors import AgentdError, ModelError, PromptTooLong
from agentd.events import (
    DocumentsRetrieved,
    GenerationChunk,
    InboundEvent,
    OutboundEvent,
    Outcome,
    PromptReading,
    TurnHandedOver,
    TurnStarted,
)
from agentd.evidence.attribution import arrange, likely, rests_on, support
from agentd.evidence.replies import FLAWS, Flaw, flaw
from agentd.evidence.smalltalk import is_small_talk
from agentd.ids import IdSource
from agentd.ports.bus import Bus
from agentd.ports.clock import Clock
from agentd.ports.generation import (
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
    ToolCallPart,
    ToolResultPart,
    Usage,
)
from agentd.ports.models import Bounded, ChatModel, Citer, ToolUser, Writer
from agentd.ports.sessions import History, Summaries
from agentd.text.characters import whole
from agentd.tools.calls import CallAssembler, foreign
from agentd.tools.execution import Execution, ToolLimits
from agentd.tools.plain_questions import call_for, plain_answer
from agentd.tools.registry import Tools, specs
from agentd.tools.sources import Sources
from agentd.turns import prompt
from agentd.turns.account import Account
from agentd.turns.citations import check_citations, quoted, without_marks
from agentd.turns.preparation import Preparation, Prepared
from agentd.turns.telling import Telling
from agentd.turns.window import NO_MEMORY, Memory, Window

log = logging.getLogger(__name__)

DOCUMENT_TEMPERATURE = 0.0
"""How answers from documents are sampled unless the settings say otherwise: what is written there is not a matter of
chance.
"""
NOT_IN_DOCUMENTS = (
    "The documents do not say. Ask in other words, or add documents that do. `agentd ask --no-documents`, or /docs none"
    " in a chat, asks the language model for what it knows by itself, right or wrong."
)
UNENCODABLE = "What stands behind the answer has characters that cannot be stored; ask in other words."
REPEATED = "(The model began to repeat itself and was stopped.)"
CUT_OFF = "(The answer reached its length limit.)"


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnSettings:
    """`prompt_tokens` is what a prompt may take if the model's context is not known; `instructions` are the user's."""

    prompt_tokens: int
    sampling: Sampling
    limits: Limits
    tools: ToolLimits = field(default_factory=ToolLimits)
    instructions: str = ""


class _NoAnswer(Exception):
    """What the model said is not an answer."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(FLAWS[flaw])


class Turn:
    """A turn while it runs. Cancelling `run` stops it; what was said until then is in `interrupted`."""

    def __init__(self, runner: TurnRunner, inbound: InboundEvent, attempt: int) -> None:
        self._runner = runner
        self._inbound = inbound
        self._attempt = attempt
        self._telling = Telling(self._show)
        self._sources = Sources()
        self._account = Account(runner.clock)
        self._model = ""

    async def run(self) -> OutboundEvent:
        """The one outbound event that ends this turn, not yet published: an answer, or an error in plain words.

        Whatever a model said, it can be stored and sent.
        """
        outbound = await self._ended()
        try:
            outbound.model_dump_json()
        except ValueError as error:
            log.warning("turn %s: its answer cannot be encoded: %s", self._inbound.turn_id, whole(str(error)))
            self._sources = Sources()
            return self._failed("model", UNENCODABLE)
        return outbound

    async def _ended(self) -> OutboundEvent:
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
        return self._outbound("interrupted", self._telling.text)

    def _failed(self, code: str, reason: str) -> OutboundEvent:
        said = self._telling.text
        return self._outbound("error", f"{said}\n\n{reason}" if said.strip() else reason, error_code=code)

    async def _answer(self) -> OutboundEvent:
        model = self._runner.model()
        self._model = model.name
        if (worked_out := await self._work_out()) is not None:
            return worked_out
        prepared = await self._prepare(model)
        if prepared.refused:
            await self._telling.add(NOT_IN_DOCUMENTS)
            return self._outbound("answer", NOT_IN_DOCUMENTS)
        if not (isinstance(model, Writer) and model.writes):
            return await self._quoted(model, prepared)
        try:
            return await self._written(model, prepared, plain=False)
        except _NoAnswer as first:
            await self._start_again(f"{model.name} gave no answer: {first}; asking in plainer words")
        try:
            return await self._written(model, prepared, plain=True)
        except _NoAnswer as second:
            return await self._fall_back(model, str(second))

    async def _work_out(self) -> OutboundEvent | None:
        """A plain sum, or the time, needs no model."""
        call = call_for(self._inbound.text)
        if call is None or call.tool not in self._runner.tools:
            return None
        (result,) = await self._execution().run([call])
        text = plain_answer(call, result.text)
        await self._telling.add(text)
        return self._outbound("answer", text)

    async def _prepare(self, model: ChatModel) -> Prepared:
        prepared = await self._runner.preparation.prepare(self._inbound, model)
        passages = self._sources.add(prepared.passages)
        await self._runner.bus.publish(DocumentsRetrieved(**self._event(), passages=passages))
        return replace(prepared, passages=passages)

    # --- one answer ---

    async def _quoted(self, model: ChatModel, prepared: Prepared) -> OutboundEvent:
        """What a model says that only quotes and knows what it cites."""
        finish = await self._converse(model, prepared, plain=False)
        await self._telling.finish()
        text = self._telling.text
        if not text.strip():
            raise ModelError(f"{model.name} gave an empty answer; ask again or choose another model.")
        return self._outbound("answer", f"{text}\n\n{CUT_OFF}" if finish.reason == "length" else text)

    async def _written(self, model: ChatModel, prepared: Prepared, *, plain: bool) -> OutboundEvent:
        """What a model writes, with its sources; `_NoAnswer` if it is not an answer."""
        telling = self._telling
        if not (isinstance(model, Citer) and model.cites):
            telling.mark(lambda sentence: rests_on(sentence, self._sources.passages, prepared.question))
            await self._arrange(prepared)
        finish = await self._converse(model, prepared, plain=plain)
        note = CUT_OFF if finish.reason == "length" else ""
        if telling.in_circles:
            telling.cut_circle()
            note = REPEATED
        await telling.finish()
        if found := await asyncio.to_thread(self._flaw, prepared):
            raise _NoAnswer("circles" if note == REPEATED else found)
        if telling.marks:
            await self._cite(prepared)
        return self._outbound("answer", f"{telling.text}\n\n{note}" if note else telling.text)

    async def _arrange(self, prepared: Prepared) -> None:
        """Reading the passages for the marks of an answer takes too long for the loop."""
        await asyncio.to_thread(arrange, self._sources.passages, prepared.question)

    def _flaw(self, prepared: Prepared) -> Flaw | None:
        told = (prompt.SYSTEM, prompt.AFTER_PASSAGES, prompt.CITING, self._runner.settings.instructions)
        return flaw(self._telling.raw, told=(*filter(None, told), self._inbound.text, prepared.question))

    async def _cite(self, prepared: Prepared) -> None:
        """Number the passages by their use, and quote what stands behind the answer.

        That is the sentence on which it rests, and what the extractive model would say if the likeliest of its
        sentences is another: small models answer from the wrong sentence, and refuse, too often.
        """
        telling, passages, question = self._telling, self._sources.passages, prepared.question
        if found := await asyncio.to_thread(support, telling.raw, passages, question):
            await self._quote(found.passage, [found.text])
        passage, sentences = await asyncio.to_thread(likely, passages, question)
        if sentences and not self._says(sentences[0]):
            await self._quote(passage, sentences)
        cited = self._sources.renumber(telling.used)
        await self._runner.bus.publish(DocumentsRetrieved(**self._event(), passages=cited))

    async def _quote(self, passage: int, sentences: Sequence[str]) -> None:
        """Those of the sentences that the answer does not say already."""
        if new := [sentence for sentence in sentences if not self._says(sentence)]:
            await self._telling.add(quoted(" ".join(new), f"[{self._telling.number(passage)}]"))

    def _says(self, sentence: str) -> bool:
        said = without_marks(self._telling.text)
        return " ".join(without_marks(sentence).split()) in " ".join(said.split())

    async def _fall_back(self, model: ChatModel, reason: str) -> OutboundEvent:
        """The sentences of the documents, where a language model gave no answer twice."""
        fallback = self._runner.fallback
        if fallback is None:
            raise ModelError(f"{model.name} gave no answer: {reason}. Ask in other words or choose another model.")
        await self._start_again(f"{model.name} gave no answer again: {reason}")
        await self._hand_over(HandedOver(model=fallback.name, reason=f"{model.name} gave no answer: {reason}"))
        self._sources = Sources()
        self._telling.unmark()
        return await self._quoted(fallback, await self._prepare(fallback))

    # --- the conversation with a model ---

    async def _open(self, model: ChatModel, prepared: Prepared, *, plain: bool) -> tuple[Window, ModelRequest]:
        """The first request; without tools if there is no room for them beside the question."""
        runner = self._runner
        context = await model.context(runner.settings.limits) if isinstance(model, Bounded) else None
        # Who is greeted needs no tool, and small models call one all the same.
        useful = not plain and not is_small_talk(self._inbound.text)
        offered = runner.tools if useful and isinstance(model, ToolUser) and model.tools else {}
        try:
            return await self._open_with(model, context, prepared, offered, plain=plain)
        except PromptTooLong as error:
            if not offered:
                raise
            log.warning("turn %s: %s Offering no tools.", self._inbound.turn_id, error)
            return await self._open_with(model, context, prepared, {}, plain=plain)

    async def _open_with(
        self, model: ChatModel, context: int | None, prepared: Prepared, offered: Tools, *, plain: bool
    ) -> tuple[Window, ModelRequest]:
        inbound, settings = self._inbound, self._runner.settings
        sampling = settings.sampling
        if prepared.passages and sampling.temperature is None:
            sampling = replace(sampling, temperature=DOCUMENT_TEMPERATURE)
        request = ModelRequest(
            messages=(),
            session_id=inbound.session_id,
            turn_id=inbound.turn_id,
            tools=specs(offered),
            sampling=sampling,
            limits=settings.limits,
            principal=inbound.principal,
        )
        memory = NO_MEMORY if plain else self._runner.memory
        window = Window(model, memory, request, budget=settings.prompt_tokens, context=context)
        draft = prompt.Draft(
            question=prepared.question if plain else inbound.text,
            passages=prepared.passages,
            instructions="" if plain else settings.instructions,
            tools=bool(offered),
            cites=not plain and isinstance(model, Citer) and model.cites,
        )
        return window, await window.open(draft)

    def _execution(self) -> Execution:
        runner = self._runner
        return Execution(
            tools=runner.tools,
            limits=runner.settings.tools,
            inbound=self._inbound,
            sources=self._sources,
            bus=runner.bus,
        )

    async def _converse(self, model: ChatModel, prepared: Prepared, *, plain: bool) -> Finish:
        """Stream, run the tools that were called, and stream again until the model calls none any more."""
        limits = self._runner.settings.tools
        window, request = await self._open(model, prepared, plain=plain)
        self._sources.withdraw(window.left_out)
        calls, execution = CallAssembler(most=limits.calls), self._execution()
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
            self._check_offered(model, request, called)
            await self._telling.finish()
            asked = Message(role="assistant", parts=(*self._spoken(), *called))
            known = {passage.n for passage in self._sources.passages}
            request = await window.extend(asked, await execution.run(called))
            self._withdraw_unseen(request, known)
            if self._telling.marks:
                await self._arrange(prepared)
            self._telling.next_round()
            rounds += 1
            if rounds >= limits.rounds:
                log.warning("turn %s called tools %d times; now it must answer", request.turn_id, rounds)
                request = replace(request, tools=())

    def _check_offered(self, model: ChatModel, request: ModelRequest, called: Sequence[ToolCallPart]) -> None:
        """A call of a tool that was not offered is not an answer."""
        offered = {tool.name for tool in request.tools}
        if not foreign(called, offered):
            return
        if isinstance(model, Writer) and model.writes:
            raise _NoAnswer("call")
        if not offered:
            raise ModelError(f"{model.name} called a tool where there was none to call; ask again in other words.")

    def _spoken(self) -> tuple[Part, ...]:
        text = self._telling.raw
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
                        if not await self._telling.say(delta.text):
                            return Finish(reason="length" if self._telling.too_long else "stop")
                    case ReasoningDelta():
                        await self._telling.reason(delta.text)
                    case ToolCallDelta():
                        calls.add(delta)
                    case Reading():
                        await self._read(delta)
                    case Restarted():
                        calls.clear()
                        await self._start_again(delta.reason, everything=False)
                    case HandedOver():
                        await self._hand_over(delta)
                    case Renumbered():
                        self._telling.unmark()
                        cited = self._sources.renumber(delta.passages)
                        await self._runner.bus.publish(DocumentsRetrieved(**self._event(), passages=cited))
                    case Usage():
                        self._account.add(delta)
                    case Finish():
                        return delta
        raise ModelError(f"{model.name} stopped in the middle of its answer; ask again.")

    # --- what is told meanwhile ---

    async def _show(self, n: int, text: str, reasoning: bool) -> None:
        if not reasoning:
            self._account.spoke()
        chunk = GenerationChunk(**self._event(), attempt=self._attempt, n=n, text=text, reasoning=reasoning)
        await self._runner.bus.publish(chunk)

    async def _read(self, delta: Reading) -> None:
        await self._runner.bus.publish(
            PromptReading(
                **self._event(), attempt=self._attempt, done=delta.done, total=delta.total, seconds=delta.seconds
            )
        )

    async def _start_again(self, reason: str, *, everything: bool = True) -> None:
        """What was said is void: all of it, or only what was said since the last tool was called."""
        reason = whole(reason)
        log.warning("turn %s starts again: %s", self._inbound.turn_id, reason)
        self._attempt += 1
        await self._runner.bus.publish(TurnStarted(**self._event(), attempt=self._attempt, reason=reason))
        await self._telling.restart(everything=everything)

    async def _hand_over(self, delta: HandedOver) -> None:
        """Told once: each round of a turn begins with the model that is preferred."""
        if delta.model == self._model:
            return
        model, reason = whole(delta.model), whole(delta.reason)
        log.warning("turn %s: %s answers instead: %s", self._inbound.turn_id, model, reason)
        self._model = delta.model
        handed = TurnHandedOver(**self._event(), attempt=self._attempt, model=model, reason=reason)
        await self._runner.bus.publish(handed)

    def _event(self) -> dict[str, Any]:
        return {"turn_id": self._inbound.turn_id, "session_id": self._inbound.session_id}

    def _outbound(self, outcome: Outcome, text: str, error_code: str = "") -> OutboundEvent:
        inbound = self._inbound
        checked, citations = check_citations(text, self._sources.passages)
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
            usage=self._account.total(),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnRunner:
    """What every turn uses; `model` gives the model that is chosen at the moment.

    `tools` are offered to models that can call them. Without `summaries`, what has no room in a prompt is left out.
    `fallback` answers if a language model gives what is not an answer, twice.
    """

    preparation: Preparation
    model: Callable[[], ChatModel]
    sessions: History
    bus: Bus
    ids: IdSource
    clock: Clock
    settings: TurnSettings
    tools: Tools = field(default_factory=dict)
    summaries: Summaries | None = None
    cuts: prompt.Cuts = field(default_factory=prompt.Cuts)
    fallback: ChatModel | None = None

    @property
    def memory(self) -> Memory:
        return Memory(history=self.sessions, summaries=self.summaries, cuts=self.cuts)

    def constant(self, *, tools: bool) -> ModelRequest:
        """What every prompt begins with, so that a model can read it before anybody asks."""
        system = prompt.system_message(instructions=self.settings.instructions, tools=tools)
        offered = specs(self.tools) if tools else ()
        return ModelRequest(messages=(system,), session_id="", turn_id="", tools=offered, limits=self.settings.limits)

    def begin(self, inbound: InboundEvent, attempt: int) -> Turn:
        return Turn(self, inbound, attempt)
