"""One turn: look up, prompt, stream, call tools and stream again, answer; each step is an event on the bus.

A model that writes may give what is not an answer. Then it is asked once more in the plainest words, and after that the
extractive model answers, and says so.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace

from agentd.errors import AgentdError, ModelError
from agentd.events import DocumentsRetrieved, OutboundEvent, Outcome, TurnWaiting
from agentd.evidence.replies import Flaw, flaw
from agentd.ports.generation import HandedOver
from agentd.ports.models import ChatModel, Citer, Writer
from agentd.records import Terms
from agentd.text.characters import whole
from agentd.tools.plain_questions import call_for, plain_answer
from agentd.turns import prompt
from agentd.turns.citations import check_citations
from agentd.turns.citing import Citing
from agentd.turns.exchange import Exchange, NoAnswer, Spoken
from agentd.turns.execution import Left
from agentd.turns.ongoing import Ongoing
from agentd.turns.preparation import Preparation, Prepared
from agentd.turns.settings import TurnSettings
from agentd.turns.telling import below
from agentd.turns.terms import offered_by, terms_of, told_with

log = logging.getLogger(__name__)

NOT_IN_DOCUMENTS = (
    "The documents do not say. Ask in other words, or add documents that do. `agentd ask --no-documents`, or /docs none"
    " in a chat, lets the language model answer from its own knowledge, right or wrong."
)
UNENCODABLE = "The sources of the answer contain characters that cannot be stored; ask in other words."
REPEATED = "(The model began to repeat itself and was stopped.)"
CUT_OFF = "(The answer reached its length limit.)"
WHOLE = Spoken(cut_off=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answerers:
    """Who answers: `model`, whose part another one may take at any moment.

    `fallback` answers if a language model gives what is not an answer, twice.
    """

    model: ChatModel
    fallback: ChatModel | None = None


class Turn:
    """A turn while it runs. Cancelling `run` stops it; what was said until then is in `interrupted`."""

    def __init__(
        self,
        ongoing: Ongoing,
        exchange: Exchange,
        preparation: Preparation,
        answerers: Answerers,
        settings: TurnSettings,
    ) -> None:
        self._ongoing = ongoing
        self._exchange = exchange
        self._preparation = preparation
        self._answerers = answerers
        self._settings = settings
        self._terms = terms_of(ongoing.inbound)
        ongoing.news.model = answerers.model.name

    async def run(self) -> OutboundEvent | TurnWaiting:
        """The one outbound event that ends this turn, not yet published: an answer, or an error in plain words.

        The event can always be stored and sent, whatever a model said. If a call waits for a decision, a `TurnWaiting`
        is returned: the turn is left, and another run goes on from its journal.
        """
        outbound = await self._ended()
        if isinstance(outbound, TurnWaiting):
            return outbound
        try:
            outbound.model_dump_json()
        except ValueError as error:
            log.warning("turn %s: its answer cannot be encoded: %s", outbound.turn_id, whole(str(error)))
            self._ongoing.sources.clear()
            return self._failed("model", UNENCODABLE)
        return outbound

    async def _ended(self) -> OutboundEvent | TurnWaiting:
        turn_id, seconds = self._ongoing.inbound.turn_id, self._settings.limits.turn
        try:
            async with asyncio.timeout(seconds) as limit:
                return await self._answer()
        except Left as left:
            return left.waiting
        except TimeoutError:
            if not limit.expired():
                raise
            return self._failed("timeout", f"The answer took longer than {seconds:g} s and was stopped.")
        except AgentdError as error:
            log.warning("turn %s failed: %s", turn_id, error)
            return self._failed(error.code, str(error))
        except Exception:
            log.exception("turn %s failed", turn_id)
            return self._failed("internal", "Something went wrong inside agentd; its log has the details.")

    def interrupted(self) -> OutboundEvent:
        """What was said before the turn was stopped, marked as partial."""
        telling = self._ongoing.telling
        return self._outbound("interrupted", telling.text or self._ongoing.journal.state.said, telling.notice)

    def _failed(self, code: str, reason: str) -> OutboundEvent:
        return self._outbound("error", self._ongoing.telling.text, reason, error_code=code)

    async def _answer(self) -> OutboundEvent:
        model = self._answerers.model
        writes = isinstance(model, Writer) and model.writes
        terms = self._terms
        if terms.plain or terms.tools or terms.answer_schema is not None or (terms.after and writes):
            return await self._as_told(model, terms)
        if (worked_out := await self._work_out()) is not None:
            return worked_out
        prepared = await self._prepare(model)
        if prepared.refused:
            await self._ongoing.telling.notify(NOT_IN_DOCUMENTS)
            return self._outbound("answer", "", NOT_IN_DOCUMENTS)
        if not writes:
            return await self._quoted(model, prepared)
        try:
            return await self._written(model, prepared, plainer=False)
        except NoAnswer as first:
            reason = f"{model.name} gave no answer: {first}; asking in plainer words"
            await self._ongoing.start_again(reason, everything=True)
        try:
            return await self._written(model, prepared, plainer=True)
        except NoAnswer as second:
            return await self._fall_back(model, str(second))

    async def _work_out(self) -> OutboundEvent | None:
        """Answers a plain sum, or the time, without a model."""
        call = call_for(self._ongoing.inbound.text)
        if call is None or call.tool not in self._exchange.tools:
            return None
        (result,) = await self._exchange.execution.run([call])
        text = plain_answer(call, result.text)
        await self._ongoing.telling.add(text)
        return self._outbound("answer", text)

    async def _prepare(self, model: ChatModel) -> Prepared:
        """Looks up what the turn needs. After a restart nothing is looked up again: the numbers of what tools found
        come after it."""
        sources, state, news = self._ongoing.sources, self._ongoing.journal.state, self._ongoing.news
        if state.rounds:
            sources.restore((*state.passages, *state.found))
            prepared = Prepared(question=state.question, passages=state.passages)
        else:
            prepared = await self._preparation.prepare(self._ongoing.inbound, model)
            prepared = replace(prepared, passages=sources.add(prepared.passages))
        await news.publish(DocumentsRetrieved(**news.turn, passages=prepared.passages))
        return prepared

    # --- one answer ---

    async def _as_told(self, model: ChatModel, terms: Terms) -> OutboundEvent:
        """The answer to what the caller brings, without documents; or calls that the caller is to run."""
        telling, offered = self._ongoing.telling, offered_by(terms)
        telling.verbatim = terms.plain or terms.answer_schema is not None
        telling.callers = {tool.name: tuple(tool.parameters.get("properties") or ()) for tool in offered} or None
        spoken = await self._with_or_without_tools(model, required=terms.calling == "required")
        note = self._repeated() or self._cut_off(spoken)
        await telling.finish()
        return self._outbound("calls" if spoken.calls else "answer", telling.text, note, spoken=spoken)

    async def _with_or_without_tools(self, model: ChatModel, *, required: bool) -> Spoken:
        """Without them after a call that cannot be handed back, unless a call is `required`."""
        prepared = Prepared(question=self._ongoing.inbound.text, searched=False)
        while True:
            try:
                return await self._exchange.run(model, prepared)
            except NoAnswer as none:
                reason = f"{model.name} gave no answer: {none}"
            if required or self._exchange.withheld:
                raise ModelError(f"{reason}. Ask in other words or choose another model.")
            await self._ongoing.start_again(f"{reason}; offering no tools", everything=True)
            self._exchange.withheld = True

    def _repeated(self) -> str:
        """What is said of an answer that was cut because it went round in circles."""
        if not self._ongoing.telling.in_circles:
            return ""
        self._ongoing.telling.cut_circle()
        return REPEATED

    def _cut_off(self, spoken: Spoken) -> str:
        """What is said of an answer that reached its greatest length; who brings terms is told by the event."""
        return CUT_OFF if spoken.cut_off and self._ongoing.inbound.terms is None else ""

    async def _quoted(self, model: ChatModel, prepared: Prepared) -> OutboundEvent:
        """The answer of a model that only quotes, and so knows what it cites."""
        telling = self._ongoing.telling
        spoken = await self._exchange.run(model, prepared)
        await telling.finish()
        if not below(telling.text, telling.notice).strip():
            raise ModelError(f"{model.name} gave an empty answer; ask again or choose another model.")
        return self._outbound("answer", telling.text, below(telling.notice, self._cut_off(spoken)), spoken=spoken)

    async def _written(self, model: ChatModel, prepared: Prepared, *, plainer: bool) -> OutboundEvent:
        """The answer that a model writes, with its sources; `NoAnswer` if it is not an answer."""
        telling = self._ongoing.telling
        cites = isinstance(model, Citer) and model.cites
        citing = None if cites else Citing(self._ongoing, prepared.question, prepared.whole)
        if citing is not None:
            await citing.begin()
        spoken = await self._exchange.run(model, prepared, plainer=plainer, citing=citing)
        note = self._repeated() or self._cut_off(spoken)
        await telling.finish()
        if not telling.notice:
            if found := await asyncio.to_thread(self._flaw, prepared):
                raise NoAnswer("circles" if note == REPEATED else found)
            if citing is not None and telling.marks:
                await citing.finish()
        return self._outbound("answer", telling.text, below(telling.notice, note), spoken=spoken)

    def _flaw(self, prepared: Prepared) -> Flaw | None:
        told = (prompt.SYSTEM, prompt.AFTER_PASSAGES, prompt.CITING, self._settings.instructions)
        asked = (self._ongoing.inbound.text, prepared.question)
        return flaw(self._ongoing.telling.raw, told=(*filter(None, told), *asked))

    async def _fall_back(self, model: ChatModel, reason: str) -> OutboundEvent:
        """Answers with sentences of the documents, after a language model twice gave what is not an answer."""
        fallback = self._answerers.fallback
        if fallback is None:
            raise ModelError(f"{model.name} gave no answer: {reason}. Ask in other words or choose another model.")
        await self._ongoing.start_again(f"{model.name} gave no answer again: {reason}", everything=True)
        handed = HandedOver(model=fallback.name, reason=f"{model.name} gave no answer: {reason}")
        await self._ongoing.news.handed_over(handed)
        self._ongoing.sources.clear()
        self._ongoing.telling.unmark()
        return await self._quoted(fallback, await self._prepare(fallback))

    def _outbound(
        self,
        outcome: Outcome,
        said: str,
        notice: str = "",
        *,
        error_code: str = "",
        spoken: Spoken = WHOLE,
    ) -> OutboundEvent:
        inbound, news = self._ongoing.inbound, self._ongoing.news
        checked, citations = check_citations(said, self._ongoing.sources.passages)
        return OutboundEvent(
            **news.durable(),
            principal=inbound.principal,
            address=inbound.address,
            answers=(inbound.turn_id,),
            in_reply_to=inbound.message_id,
            outcome=outcome,
            text=below(checked, notice),
            notice=notice,
            citations=citations,
            model=news.model,
            error_code=error_code,
            usage=news.account.total(),
            calls=spoken.calls,
            asked=told_with(inbound) if spoken.calls else (),
            cut_off=spoken.cut_off,
        )
