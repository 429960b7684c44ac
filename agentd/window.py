"""What one turn's requests hold: the conversation as far as the model has room for it, by the model's own count."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from agentd.errors import ModelError
from agentd.generation import Message, ModelRequest, PassagePart, TextPart, ToolCallPart, ToolResultPart
from agentd.ports import ChatModel, StoredMessage
from agentd.prompt import Cuts, Draft, estimate_tokens, fit_history, fit_passages, render_passage, shortened

log = logging.getLogger(__name__)

HISTORY_LINES = 400
"""How many stored messages are looked at; the budget decides how many are used."""
PLENTY = 16
"""Characters that a token has on average at the very most: a prompt with more of them need not be counted."""
SHORTEST = 256
"""Characters to which the results of tools are shortened at most where there is no room for more."""


class History(Protocol):
    async def context(self, session_id: str, *, limit: int) -> Sequence[StoredMessage]: ...


class Summaries(Protocol):
    """What was said before the history that a prompt has room for."""

    async def of(self, session_id: str) -> str:
        """The newest summary; "" where there is none."""
        ...

    def wanted(self, session_id: str, before: str) -> None:
        """What was said before the turn `before` no longer fits: make a summary of it when there is time."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Where the conversations of all sessions come from; `summaries` None leaves out what does not fit."""

    history: History
    summaries: Summaries | None = None
    cuts: Cuts = field(default_factory=Cuts)


class Window:
    """The requests of one turn. `request` is everything but the messages; its prompt takes `budget` tokens at most."""

    def __init__(self, model: ChatModel, memory: Memory, request: ModelRequest, *, budget: int) -> None:
        self._model = model
        self._memory = memory
        self._request = request
        self._budget = budget
        self._whole = self._draft = Draft(question="")
        self._rounds: tuple[Message, ...] = ()

    @property
    def passages(self) -> frozenset[int]:
        """The numbers of the retrieved passages that there is room for."""
        return frozenset(passage.n for passage in self._draft.passages)

    async def open(self, draft: Draft) -> ModelRequest:
        """The first request: the question and its passages after the history, which is cut before the passages are."""
        session_id = self._request.session_id
        history = await self._memory.history.context(session_id, limit=HISTORY_LINES)
        summary = await self._memory.summaries.of(session_id) if self._memory.summaries else ""
        self._whole = self._draft = replace(draft, history=history, summary=summary)
        await self._cut()
        self._draft = await fit_passages(self._draft, self._count, budget=self._budget)
        return self._built(self._draft)

    async def extend(self, asked: Message, results: Sequence[ToolResultPart]) -> ModelRequest:
        """The next request: with the calls that the model made and what came of them.

        Where there is no room, the history gives way first; then the results are shortened.
        """
        earlier, characters = self._rounds, max((len(result.text) for result in results), default=0)
        self._rounds = (*earlier, asked, *_told(results, characters))
        await self._cut()
        while characters > SHORTEST and await self._count(self._draft) > self._budget:
            characters = max(SHORTEST, characters // 2)
            self._rounds = (*earlier, asked, *_told(results, characters))
        return replace(self._built(self._draft), priority="tool")

    async def _cut(self) -> None:
        session_id, turn_id, model = self._request.session_id, self._request.turn_id, self._model.name
        first = self._memory.cuts.of(session_id, model)
        whole = replace(self._whole, passages=self._draft.passages)
        self._draft = await fit_history(whole, self._count, budget=self._budget, lines=HISTORY_LINES, first=first)
        kept = self._draft.history
        if len(kept) == len(whole.history):
            return
        first = kept[0].turn_id if kept else turn_id
        self._memory.cuts.keep(session_id, model, first)
        if self._memory.summaries:
            self._memory.summaries.wanted(session_id, first)

    def _built(self, draft: Draft) -> ModelRequest:
        return replace(self._request, messages=(*draft.messages(), *self._rounds))

    async def _count(self, draft: Draft) -> int:
        request = self._built(draft)
        if (least := sum(map(len, _texts(request))) // PLENTY) > self._budget:
            return least
        try:
            return await self._model.count_tokens(request)
        except ModelError as error:
            # Whether it can answer nevertheless is for it to say; a prompt of about the right length is enough to ask.
            log.warning("turn %s: %s; estimating the length of the prompt", request.turn_id, error)
            return sum(map(estimate_tokens, _texts(request)))


def _told(results: Sequence[ToolResultPart], characters: int) -> tuple[Message, ...]:
    return tuple(
        Message(role="tool", parts=(replace(result, text=shortened(result.text, characters)),)) for result in results
    )


def _texts(request: ModelRequest) -> Iterator[str]:
    for message in request.messages:
        for part in message.parts:
            match part:
                case PassagePart():
                    yield render_passage(part.passage)
                case ToolCallPart():
                    yield part.arguments
                case TextPart() | ToolResultPart():
                    yield part.text
