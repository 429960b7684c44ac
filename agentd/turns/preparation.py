"""What a turn looks up before it asks a model: the passages for the prompt, and whether documents hold an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from agentd.events import InboundEvent
from agentd.evidence.answerable import judge
from agentd.evidence.excerpts import excerpts
from agentd.evidence.follow_ups import refers_back
from agentd.evidence.passages import estimate_tokens
from agentd.evidence.pasted import divided
from agentd.evidence.questions import asks_for_facts, wants_documents
from agentd.evidence.smalltalk import lacks_topic
from agentd.ports.documents import Counted, Documents
from agentd.ports.models import ChatModel, Citer, Pace, Paced, Writer
from agentd.ports.sessions import History, StoredMessage
from agentd.records import Passage
from agentd.turns.prompt import turns_of
from agentd.turns.terms import heard

SHARE = 0.6
"""Documents may take this share of the time to the first text; the rest is for the question, the search and bad
luck."""
FLOOR = 150
"""A prompt gets so many tokens of the best sentences even if the model reads slowly."""
FRAME = 40
"""The tokens of a prompt that are neither passages nor question."""
ASCII, OTHER = 4.0, 1.6
"""Characters for each token, in English and in other scripts."""
LOOKED_BACK = 20
"""Messages of the conversation in which the question is looked for to which a follow-up refers."""
REFERRED = 400
"""So many characters of each of them are searched for."""
PATIENCE = 10
"""The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009), smaller than theirs for short lists."""
READINGS = (0.5, 1.0, 0.7)
"""The weights of the results for a follow-up alone, with the last question, and with the last answer too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """`question` is what was asked, with what it refers to. `whole` are the passages as they were found, and `passages`
    what of them the model reads in time. `refused` says that neither the documents nor anything else holds the answer,
    so that it is better not to ask the model. `searched` says whether documents were searched.
    """

    question: str
    passages: tuple[Passage, ...] = ()
    whole: tuple[Passage, ...] = ()
    refused: bool = False
    searched: bool = True


class Preparation:
    """Looks up what turns need. `first_text` is in seconds, `limit` the passages that are searched for at most."""

    def __init__(
        self, documents: Documents, library: Counted, history: History, *, limit: int, first_text: float
    ) -> None:
        self._documents = documents
        self._library = library
        self._history = history
        self._limit = limit
        self._first_text = first_text

    async def prepare(self, inbound: InboundEvent, model: ChatModel) -> Prepared:
        """A model that writes gets only passages that may answer, and only as much of them as it reads in time.

        A model that only quotes judges for itself, and gets all passages.
        """
        limit = self._limit if inbound.documents is None else min(inbound.documents, self._limit)
        asked, given = await asyncio.to_thread(divided, inbound.text)
        writes = isinstance(model, Writer) and model.writes
        if not writes:
            question, found = await self._found(inbound, inbound.text, limit)
            return Prepared(question=question, passages=tuple(found), searched=limit > 0)
        if given or limit == 0 or not wants_documents(asked):
            return Prepared(question=asked, searched=False)
        question, found = await self._found(inbound, asked, limit)
        if question == asked and lacks_topic(asked):
            return Prepared(question=asked)
        judgement = await asyncio.to_thread(judge, question, found)
        decides = isinstance(model, Citer) and model.cites
        if judgement.answerable or decides or question != asked:
            cut = await self._cut(question, found, model)
            return Prepared(question=question, passages=tuple(cut), whole=tuple(found))
        refused = asks_for_facts(asked) and not await self._said(inbound, asked)
        return Prepared(question=question, refused=refused and await self._has_documents(inbound))

    async def _found(self, inbound: InboundEvent, asked: str, limit: int) -> tuple[str, Sequence[Passage]]:
        """The passages for a question, searched together with what it refers to; and the question as it is meant."""

        async def search(text: str) -> Sequence[Passage]:
            return await self._documents.search(text, inbound.principal, limit=limit)

        if limit == 0:
            return asked, ()
        said = await self._referred(inbound) if refers_back(asked) else ()
        if not said:
            return asked, await search(asked)
        before = [each.text[:REFERRED] for each in said if each.role == "user"]
        answers = [each.text[:REFERRED] for each in said if each.role == "assistant"]
        question = "\n".join((*before, asked))
        readings = [await search(text) for text in (asked, question, "\n".join((question, *answers)))]
        return question, fused(readings, READINGS)[:limit]

    async def _referred(self, inbound: InboundEvent) -> Sequence[StoredMessage]:
        """The last turn whose question has a topic: "thanks" and "why?" have none."""
        turns = turns_of(await heard(self._history, inbound, limit=LOOKED_BACK))
        asked = ((turn, [line.text for line in turn if line.role == "user"]) for turn in reversed(turns))
        return next((turn for turn, texts in asked if not all(map(lacks_topic, texts))), ())

    async def _cut(self, question: str, found: Sequence[Passage], model: ChatModel) -> Sequence[Passage]:
        pace = model.pace if isinstance(model, Paced) else None
        most = room_for(found, question, pace, self._first_text)
        return found if most is None else await asyncio.to_thread(excerpts, question, found, characters=most)

    async def _said(self, inbound: InboundEvent, asked: str) -> bool:
        """Whether the conversation itself may hold the answer."""
        said = await heard(self._history, inbound, limit=LOOKED_BACK)
        passages = [_as_passage(n, message) for n, message in enumerate(said, start=1)]
        return bool(said) and (await asyncio.to_thread(judge, asked, passages)).answerable

    async def _has_documents(self, inbound: InboundEvent) -> bool:
        documents, _ = await self._library.counts(inbound.principal)
        return documents > 0


def room_for(found: Sequence[Passage], question: str, pace: Pace | None, first_text: float) -> int | None:
    """How many characters of passages the model reads within their share of `first_text` seconds; None if there is no
    limit."""
    if pace is None or pace.read <= 0:
        return None
    tokens = pace.read * first_text * SHARE - estimate_tokens(question) - FRAME
    text = "".join(passage.text for passage in found)
    plain = sum(map(str.isascii, text))
    each = len(text) / (plain / ASCII + (len(text) - plain) / OTHER) if text else ASCII
    return int(max(tokens, FLOOR) * each)


def fused(rankings: Sequence[Sequence[Passage]], weights: Sequence[float]) -> list[Passage]:
    """One ranking made of several: a passage gets weight / (PATIENCE + rank) from each, and ranks count from 1."""
    scores: dict[tuple[int, int, int], float] = {}
    known: dict[tuple[int, int, int], Passage] = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        for rank, passage in enumerate(ranking, start=1):
            place = (passage.document_id, passage.start, passage.end)
            scores[place] = scores.get(place, 0.0) + weight / (PATIENCE + rank)
            known.setdefault(place, passage)
    ordered = sorted(scores, key=lambda place: -scores[place])
    return [known[place].model_copy(update={"n": n}) for n, place in enumerate(ordered, start=1)]


def _as_passage(n: int, message: StoredMessage) -> Passage:
    return Passage(
        n=n,
        title="",
        source="",
        start=0,
        end=len(message.text),
        document_id=0,
        chunk_id=n,
        text=message.text,
        score=0.0,
    )
