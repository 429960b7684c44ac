"""One turn: retrieve, prompt, stream, answer; each step is an event on the bus."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from agentd import prompt
from agentd.errors import AgentdError, ModelError
from agentd.events import (
    DocumentsRetrieved,
    GenerationChunk,
    InboundEvent,
    OutboundEvent,
    Outcome,
    Passage,
    TurnStarted,
)
from agentd.generation import Finish, Limits, ModelRequest, ReasoningDelta, Restarted, Sampling, TextDelta
from agentd.ids import IdSource
from agentd.ports import Bus, ChatModel, Clock, Documents, StoredMessage

log = logging.getLogger(__name__)

HISTORY_LINES = 400
"""How many stored messages are looked at; the prompt's budget decides how many are used."""


class _Context(Protocol):
    async def context(self, session_id: str, *, limit: int) -> Sequence[StoredMessage]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class TurnSettings:
    """`passages` at most are retrieved; `prompt_tokens` is what the prompt may take of the model's context."""

    passages: int
    prompt_tokens: int
    sampling: Sampling
    limits: Limits


class Turn:
    """A turn while it runs. Cancelling `run` stops it; what was said until then is in `interrupted`."""

    def __init__(self, runner: Turns, inbound: InboundEvent, attempt: int) -> None:
        self._runner = runner
        self._inbound = inbound
        self._attempt = attempt
        self._said: list[str] = []
        self._length = {False: 0, True: 0}
        """Characters said so far, of the answer and of the reasoning."""
        self._passages: Sequence[Passage] = ()
        self._model = ""

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
        return self._outbound("interrupted", "".join(self._said))

    def _failed(self, code: str, reason: str) -> OutboundEvent:
        said = "".join(self._said)
        return self._outbound("error", f"{said}\n\n{reason}" if said.strip() else reason, error_code=code)

    async def _answer(self) -> OutboundEvent:
        inbound, runner = self._inbound, self._runner
        model = runner.model()
        self._model = model.name
        self._passages = await runner.documents.search(inbound.text, inbound.principal, limit=runner.settings.passages)
        await runner.bus.publish(DocumentsRetrieved(**self._event(), passages=tuple(self._passages)))
        finish = await self._stream(model, await self._request())
        text = "".join(self._said)
        if not text.strip():
            raise ModelError(f"{model.name} gave an empty answer; ask again or choose another model.")
        if finish.reason == "length":
            text += "\n\n(The answer reached its length limit.)"
        return self._outbound("answer", text)

    async def _request(self) -> ModelRequest:
        inbound, runner = self._inbound, self._runner
        history = await runner.sessions.context(inbound.session_id, limit=HISTORY_LINES)
        return ModelRequest(
            messages=prompt.build(
                question=inbound.text,
                passages=self._passages,
                history=history,
                budget=runner.settings.prompt_tokens,
            ),
            session_id=inbound.session_id,
            turn_id=inbound.turn_id,
            sampling=runner.settings.sampling,
            limits=runner.settings.limits,
        )

    async def _stream(self, model: ChatModel, request: ModelRequest) -> Finish:
        async with aclosing(model.stream(request)) as deltas:
            async for delta in deltas:
                match delta:
                    case TextDelta():
                        await self._chunk(delta.text, reasoning=False)
                    case ReasoningDelta():
                        await self._chunk(delta.text, reasoning=True)
                    case Restarted():
                        await self._restart(delta.reason)
                    case Finish():
                        return delta
        raise ModelError(f"{model.name} stopped in the middle of its answer; ask again.")

    async def _chunk(self, text: str, *, reasoning: bool) -> None:
        n = self._length[reasoning]
        self._length[reasoning] += len(text)
        if not reasoning:
            self._said.append(text)
        chunk = GenerationChunk(**self._event(), attempt=self._attempt, n=n, text=text, reasoning=reasoning)
        await self._runner.bus.publish(chunk)

    async def _restart(self, reason: str) -> None:
        log.warning("turn %s starts again: %s", self._inbound.turn_id, reason)
        self._attempt += 1
        self._said.clear()
        self._length = {False: 0, True: 0}
        await self._runner.bus.publish(TurnStarted(**self._event(), attempt=self._attempt))

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
        checked, citations = prompt.check_citations(text, self._passages)
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
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Turns:
    """What every turn uses; `model` gives the model that is chosen at the moment."""

    documents: Documents
    model: Callable[[], ChatModel]
    sessions: _Context
    bus: Bus
    ids: IdSource
    clock: Clock
    settings: TurnSettings

    def begin(self, inbound: InboundEvent, attempt: int) -> Turn:
        return Turn(self, inbound, attempt)
