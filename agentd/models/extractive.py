"""A model without weights: it answers with the sentences of the retrieved passages that answer best, and cites them.

What it says is in the documents word for word, markup aside; where they do not answer, it says so. The same request has
the same answer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Protocol

from agentd.events import OWNER, Passage, Principal
from agentd.generation import Delta, Finish, ModelRequest, PassagePart, TextDelta, TextPart, ToolCallPart, Usage
from agentd.language import is_ended, joined
from agentd.models.sentences import Sentence, best
from agentd.prompt import estimate_tokens, render_passage

NO_DOCUMENTS = (
    "The documents do not say: there are none yet. Add some with `agentd ingest PATH`, then ask again. "
    "(No language model is configured; without one, answers are sentences from your documents.)"
)
NO_ANSWER = (
    "The documents do not say. Ask in other words, or add documents that do with `agentd ingest PATH`. "
    "(No language model is configured; without one, answers are sentences from your documents.)"
)
_PIECES = re.compile(r"\s*\S+|\s+\Z")
_REFERENCES = re.compile(r"(`[^`]*`)|[ \t]?\[\d{1,3}\]")
"""Code, which is kept, or something in a document's own words that would read as a citation of ours."""


class _Counted(Protocol):
    async def counts(self, principal: Principal) -> tuple[int, int]:
        """How many documents and chunks there are."""
        ...


class ExtractiveModel:
    """Implements `ports.ChatModel`; `documents` tells whether there are any at all."""

    name = "extractive"

    def __init__(self, documents: _Counted) -> None:
        self._documents = documents

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Delta, None]:
        """The answer word by word, then `Usage` and `Finish`."""
        passages = passages_of(request)
        # Stemming a few pages takes tens of milliseconds.
        text = await asyncio.to_thread(answer, question_of(request), passages)
        if not text:
            documents, _ = (1, 1) if passages else await self._documents.counts(OWNER)
            text = NO_ANSWER if documents else NO_DOCUMENTS
        for piece in _PIECES.findall(text):
            yield TextDelta(text=piece)
            await asyncio.sleep(0)
        yield Usage(
            prompt_tokens=await self.count_tokens(request), cached_tokens=0, completion_tokens=estimate_tokens(text)
        )
        yield Finish(reason="stop")

    async def count_tokens(self, request: ModelRequest) -> int:
        """By rule of thumb: nothing here has tokens."""
        return sum(estimate_tokens(text) for text in _texts(request))


def _texts(request: ModelRequest) -> Iterator[str]:
    for message in request.messages:
        for part in message.parts:
            match part:
                case PassagePart():
                    yield render_passage(part.passage)
                case ToolCallPart():
                    yield part.arguments
                case _:
                    yield part.text


def question_of(request: ModelRequest) -> str:
    """What the newest user message says, without what agentd put around it."""
    newest = next((message for message in reversed(request.messages) if message.role == "user"), None)
    parts = newest.parts if newest else ()
    return "\n".join(part.text for part in parts if isinstance(part, TextPart) and part.trust == "untrusted")


def passages_of(request: ModelRequest) -> list[Passage]:
    """All passages of a request in the order of their numbers, each number once."""
    found = {
        part.passage.n: part.passage
        for message in request.messages
        for part in message.parts
        if isinstance(part, PassagePart)
    }
    return [found[n] for n in sorted(found)]


def answer(question: str, passages: Sequence[Passage]) -> str:
    """The best sentences, those of a passage together and cited as `[n]`; "" where none answers."""
    return "\n\n".join(_cited(group) for group in best(question, passages))


def _cited(group: Sequence[Sentence]) -> str:
    said = joined(_said(sentence.text) for sentence in group if sentence.kind != "code")
    code = [sentence.text for sentence in group if sentence.kind == "code"]
    return "\n\n".join((f"{said} [{group[0].passage}]", *code))


def _said(text: str) -> str:
    """Without numbers in brackets, and with a full stop where a list item or a row of a table has none."""
    text = _REFERENCES.sub(lambda match: match[1] or "", text)
    return text if is_ended(text) else f"{text.rstrip(',')}."
