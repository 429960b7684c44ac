"""The exchange with a model: stream, run the tools that it calls, and stream again, until it calls none any more."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from agentd.errors import ModelError, PromptTooLong
from agentd.events import DocumentsRetrieved, ToolsCalled
from agentd.evidence.call_forms import looks_like_call, whole_calls
from agentd.evidence.call_openings import Offered
from agentd.evidence.replies import FLAWS, Flaw
from agentd.evidence.smalltalk import is_small_talk
from agentd.ports.generation import (
    Finish,
    HandedOver,
    Message,
    ModelRequest,
    Notice,
    Part,
    Reading,
    ReasoningDelta,
    Renumbered,
    Restarted,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    ToolResultPart,
    ToolSpec,
    Usage,
)
from agentd.ports.models import Bounded, ChatModel, Citer, ToolUser, Writer
from agentd.records import CalledTool
from agentd.text.plain import plain
from agentd.tools.calls import FAILED, CallAssembler, foreign
from agentd.tools.registry import Tools, specs
from agentd.turns import prompt
from agentd.turns.citing import Citing
from agentd.turns.execution import Execution
from agentd.turns.ongoing import Ongoing
from agentd.turns.preparation import Prepared
from agentd.turns.settings import TurnSettings
from agentd.turns.state import Round
from agentd.turns.terms import NOTHING_TOLD, Transcript, answered, offered_by, sampled, terms_of, transcript
from agentd.turns.window import NO_MEMORY, Memory, Window

log = logging.getLogger(__name__)

DOCUMENT_TEMPERATURE = 0.0
"""How answers from documents are sampled unless the settings say otherwise: what a document says is not left to chance.

Who asks for another answer to the same question would get the same one.
"""


class NoAnswer(Exception):
    """What the model said is not an answer."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(FLAWS[flaw])


@dataclass(frozen=True, kw_only=True, slots=True)
class Spoken:
    """How an exchange ended; `calls` are those that are handed back to the caller."""

    cut_off: bool
    calls: tuple[CalledTool, ...] = ()


class Exchange:
    """The exchange of one turn with the model that answers. `tools` are offered to a model that can call them.

    What the model has called is in the turn's state, so that a turn that was left goes on where it was. Tools that the
    caller brings take the place of `tools` until they are `withheld`: a call of one ends the exchange.
    """

    def __init__(self, ongoing: Ongoing, *, memory: Memory, settings: TurnSettings, tools: Tools) -> None:
        self._ongoing = ongoing
        self._memory = memory
        self._settings = settings
        self._terms = terms_of(ongoing.inbound)
        self.tools = tools
        self.withheld = False
        self.execution = Execution(
            tools=tools,
            limits=settings.tools,
            inbound=ongoing.inbound,
            sources=ongoing.sources,
            journal=ongoing.journal,
            news=ongoing.news,
        )

    async def run(
        self, model: ChatModel, prepared: Prepared, *, plainer: bool = False, citing: Citing | None = None
    ) -> Spoken:
        """Returns how the last stream ended; `telling` has what was said. Raises `NoAnswer`, `ModelError`, and what
        tools raise.

        A `plainer` request has neither tools nor history, but it tells about the calls that changed something.
        """
        ongoing, state = self._ongoing, self._ongoing.journal.state
        window, request = await self._open(model, prepared, plainer=plainer)
        ongoing.sources.withdraw(window.left_out)
        earlier = [each for each in state.rounds if each.changed or not plainer]
        calls = CallAssembler(most=self._settings.tools.calls, taken=self._taken())
        for each in earlier:
            await ongoing.telling.say(each.said)
            await ongoing.telling.finish()
            request = await self._follow(window, each, prepared, citing)
        while True:
            finish, request = await self._ask(model, window, request, calls)
            called = calls.take()
            if request.handed_back:
                return await self._handed_back(model, request, finish, called)
            if not called:
                return Spoken(cut_off=finish.reason == "length")
            self._check_offered(model, request, called)
            await ongoing.telling.finish()
            request = await self._follow(window, await self._called(called, prepared), prepared, citing)

    # --- the first request ---

    async def _open(self, model: ChatModel, prepared: Prepared, *, plainer: bool) -> tuple[Window, ModelRequest]:
        """Without tools of agentd if there is no room for them beside the question."""
        context = await model.context(self._settings.limits) if isinstance(model, Bounded) else None
        offered = self._offered(model, plainer=plainer)
        try:
            return await self._open_with(model, context, prepared, offered, plainer=plainer)
        except PromptTooLong as error:
            if not offered or self._terms.tools:
                raise
            log.warning("turn %s: %s Offering no tools.", self._ongoing.inbound.turn_id, error)
            return await self._open_with(model, context, prepared, (), plainer=plainer)

    def _offered(self, model: ChatModel, *, plainer: bool) -> tuple[ToolSpec, ...]:
        terms = self._terms
        if terms.tools:
            return () if self.withheld else offered_by(terms)
        # Who is greeted needs no tool, and small models call one all the same.
        useful = not (plainer or terms.plain or terms.answer_schema) and not is_small_talk(self._ongoing.inbound.text)
        return specs(self.tools) if useful and isinstance(model, ToolUser) and model.tools else ()

    async def _open_with(
        self,
        model: ChatModel,
        context: int | None,
        prepared: Prepared,
        offered: tuple[ToolSpec, ...],
        *,
        plainer: bool,
    ) -> tuple[Window, ModelRequest]:
        inbound, settings, terms = self._ongoing.inbound, self._settings, self._terms
        sampling = sampled(settings.sampling, terms.sampling)
        if prepared.passages and sampling.temperature is None and not inbound.regenerates:
            sampling = replace(sampling, temperature=DOCUMENT_TEMPERATURE)
        request = ModelRequest(
            messages=(),
            session_id=inbound.session_id,
            turn_id=inbound.turn_id,
            tools=offered,
            schema=terms.answer_schema,
            plain=terms.plain,
            handed_back=bool(terms.tools),
            must_call=bool(offered) and terms.calling == "required",
            sampling=sampling,
            limits=settings.limits,
            principal=inbound.principal,
            searched=prepared.searched,
        )
        memory = self._memory if terms.continues and not plainer else NO_MEMORY
        window = Window(model, memory, request, budget=settings.prompt_tokens, context=context)
        draft = prompt.Draft(
            question=prepared.question if plainer else inbound.text,
            passages=prepared.passages,
            given=NOTHING_TOLD if plainer else self._given(),
            plain=terms.plain,
            instructions="" if plainer else settings.instructions,
            tools=bool(offered),
            cites=not plainer and isinstance(model, Citer) and model.cites,
        )
        return window, await window.open(draft)

    def _given(self) -> Transcript:
        given = transcript(self._terms)
        return given.without_calls() if self.withheld and not self._terms.plain else given

    # --- calls for the caller ---

    async def _handed_back(
        self, model: ChatModel, request: ModelRequest, finish: Finish, called: Sequence[ToolCallPart]
    ) -> Spoken:
        """Calls of tools that are not among those that were offered are left out; `NoAnswer` if there are no others."""
        offered = {tool.name: tuple(tool.parameters.get("properties") or ()) for tool in request.tools}
        made = called or await self._written(offered)
        if foreign(made, offered) or (not request.must_call and answered(made, self._terms)):
            raise NoAnswer("call")
        if self.withheld and not request.plain and looks_like_call(self._ongoing.telling.raw):
            raise NoAnswer("call")
        calls = tuple(
            CalledTool(call_id=call.call_id, tool=call.tool, arguments=call.arguments)
            for call in made
            if call.tool in offered
        )
        if request.must_call and not calls:
            raise ModelError(f"{model.name} called no tool, although a call was required; ask again in other words.")
        return Spoken(cut_off=finish.reason == "length", calls=calls)

    async def _written(self, offered: Offered) -> list[ToolCallPart]:
        """Calls that a model wrote as its text, which is void then."""
        telling = self._ongoing.telling
        found = whole_calls(telling.raw, offered) if offered else None
        if not found:
            return []
        if telling.text:
            await self._ongoing.start_again("this was a call of a tool", everything=False)
        else:
            await telling.restart()
        assembler = CallAssembler(most=self._settings.tools.calls, taken=self._taken())
        for n, call in enumerate(found):
            assembler.add(ToolCallDelta(index=n, call_id="", name=call.name, arguments=call.arguments))
        return list(assembler.take())

    def _taken(self) -> list[str]:
        """The ids of the calls of this conversation."""
        told = [call.call_id for said in (*self._terms.before, *self._terms.after) for call in said.calls]
        made = [call.call_id for each in self._ongoing.journal.state.rounds for call in each.calls]
        return [*told, *made]

    # --- a round of calls ---

    async def _called(self, called: Sequence[ToolCallPart], prepared: Prepared) -> Round:
        """The round as the state has it from now on."""
        ongoing, state = self._ongoing, self._ongoing.journal.state
        turn = ongoing.news.turn
        if not state.rounds and prepared.question:
            ongoing.journal.keep(
                DocumentsRetrieved(**turn, question=prepared.question, passages=ongoing.sources.passages)
            )
        calls = tuple(CalledTool(call_id=call.call_id, tool=call.tool, arguments=call.arguments) for call in called)
        await ongoing.journal.tell(ToolsCalled(**turn, said=ongoing.telling.raw, calls=calls))
        return ongoing.journal.state.rounds[-1]

    async def _follow(self, window: Window, each: Round, prepared: Prepared, citing: Citing | None) -> ModelRequest:
        """The next request: with what came of the calls of this round."""
        ongoing, limits = self._ongoing, self._settings.tools
        calls = [ToolCallPart(call_id=c.call_id, tool=c.tool, arguments=c.arguments) for c in each.calls]
        spoken: tuple[Part, ...] = (TextPart(text=each.said),) if each.said.strip() else ()
        results = await self.execution.run(calls)
        self._check_understood()
        request = await window.extend(Message(role="assistant", parts=(*spoken, *calls)), results)
        self._withdraw_unseen(request, prepared)
        if citing is not None and ongoing.telling.marks:
            await citing.arrange()
        ongoing.telling.next_round()
        if (rounds := len(ongoing.journal.state.rounds)) >= limits.rounds:
            log.warning("turn %s called tools %d times; now it must answer", request.turn_id, rounds)
            request = replace(request, tools=())
        return request

    def _check_offered(self, model: ChatModel, request: ModelRequest, called: Sequence[ToolCallPart]) -> None:
        """A call of a tool that was not offered is not an answer."""
        offered = {tool.name for tool in request.tools}
        if not foreign(called, offered):
            return
        if isinstance(model, Writer) and model.writes:
            raise NoAnswer("call")
        if not offered:
            raise ModelError(f"{model.name} called a tool that it was not offered; ask again in other words.")

    def _check_understood(self) -> None:
        """A model may make a wrong call once: it reads what was wrong. If the next call is wrong too, a person is
        told."""
        *_, before, last = (None, None, *self._ongoing.journal.state.rounds)
        if before and last and before.misunderstood and (wrong := last.misunderstood):
            reason = plain(f"{wrong.tool}: {(wrong.result or '').removeprefix(FAILED)}")
            raise ModelError(f"The model called a tool wrongly, was told so, and did it again. {reason}")

    def _withdraw_unseen(self, request: ModelRequest, prepared: Prepared) -> None:
        """A passage whose result was cut before it cannot be cited."""
        shown = "".join(
            part.text for message in request.messages for part in message.parts if isinstance(part, ToolResultPart)
        )
        sources = self._ongoing.sources
        found = {passage.n for passage in sources.passages} - {passage.n for passage in prepared.passages}
        sources.withdraw(n for n in found if f"[{n}] " not in shown)

    # --- a stream ---

    async def _ask(
        self, model: ChatModel, window: Window, request: ModelRequest, calls: CallAssembler
    ) -> tuple[Finish, ModelRequest]:
        """How the stream ended, and the request, which is shortened if the model says that it is too long."""
        try:
            return await self._stream(model, request, calls), request
        except PromptTooLong as error:
            log.warning("turn %s: %s Making the prompt shorter.", request.turn_id, error)
            request = replace(await window.narrow(error), tools=request.tools, priority=request.priority)
            self._ongoing.sources.withdraw(window.left_out)
            return await self._stream(model, request, calls), request

    async def _stream(self, model: ChatModel, request: ModelRequest, calls: CallAssembler) -> Finish:
        telling, news = self._ongoing.telling, self._ongoing.news
        async with aclosing(model.stream(request)) as deltas:
            async for delta in deltas:
                match delta:
                    case TextDelta():
                        if not await telling.say(delta.text):
                            return Finish(reason="length" if telling.too_long else "stop")
                    case Notice():
                        await telling.notify(delta.text)
                    case ReasoningDelta():
                        await telling.reason(delta.text)
                    case ToolCallDelta():
                        calls.add(delta)
                    case Reading():
                        await news.reading(delta)
                    case Restarted():
                        calls.clear()
                        await self._ongoing.start_again(delta.reason, everything=False)
                    case HandedOver():
                        await news.handed_over(delta)
                    case Renumbered():
                        await self._renumber(delta)
                    case Usage():
                        news.account.add(delta)
                    case Finish():
                        return delta
        raise ModelError(f"{model.name} stopped in the middle of its answer; ask again.")

    async def _renumber(self, delta: Renumbered) -> None:
        """The model marks its sources itself."""
        news = self._ongoing.news
        self._ongoing.telling.unmark()
        cited = self._ongoing.sources.renumber(delta.passages)
        await news.publish(DocumentsRetrieved(**news.turn, passages=cited))
