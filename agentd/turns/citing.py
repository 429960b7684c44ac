"""The sources of an answer that a model wrote without citing: found, numbered by their use, and quoted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agentd.events import DocumentsRetrieved
from agentd.evidence.attribution import arrange, likely, rests_on, support
from agentd.records import Passage
from agentd.turns.citations import quoted, without_marks
from agentd.turns.ongoing import Ongoing


class Citing:
    """Marks the answer to `question` while it is told, and quotes what it rests on afterwards.

    `whole` are the passages that were found, before they were cut to what the model reads in time.
    """

    def __init__(self, ongoing: Ongoing, question: str, whole: Sequence[Passage]) -> None:
        self._telling = ongoing.telling
        self._sources = ongoing.sources
        self._news = ongoing.news
        self._question = question
        self._whole = whole

    async def begin(self) -> None:
        """From here on agentd marks the sources."""
        self._telling.mark(lambda sentence: rests_on(sentence, self._sources.passages, self._question))
        await self.arrange()

    async def arrange(self) -> None:
        """Read the present passages, in a thread, because that takes too long for the event loop."""
        await asyncio.to_thread(arrange, self._sources.passages, self._question)

    async def finish(self) -> None:
        """Number the passages by their use, and quote what the answer rests on.

        That is the sentence on which it rests, and what the extractive model would say from its best passage: small
        models answer from the wrong sentence, and refuse, too often.
        """
        telling, passages = self._telling, self._sources.passages
        if found := await asyncio.to_thread(support, telling.raw, passages, self._question):
            await self._quote(found.passage, self._unsaid([found.text]))
        searched = self._searched()
        n, sentences = await asyncio.to_thread(likely, searched, self._question)
        if unsaid := self._unsaid(sentences):
            (passage,) = self._sources.add([searched[n - 1]])
            await self._quote(passage.n, unsaid)
        cited = self._sources.renumber(telling.used)
        await self._news.publish(DocumentsRetrieved(**self._news.turn, passages=cited))

    def _searched(self) -> list[Passage]:
        """All that was found, by tools as well, each whole if that is known; counted from 1."""
        known = {passage.chunk_id for passage in self._whole}
        others = [passage for passage in self._sources.passages if passage.chunk_id not in known]
        return [passage.model_copy(update={"n": n}) for n, passage in enumerate((*self._whole, *others), start=1)]

    async def _quote(self, passage: int, sentences: Sequence[str]) -> None:
        if sentences:
            await self._telling.add(quoted(" ".join(sentences), f"[{self._telling.number(passage)}]"))

    def _unsaid(self, sentences: Sequence[str]) -> list[str]:
        """Those that the answer does not say already."""
        said = _plain(self._telling.text)
        return [sentence for sentence in sentences if _plain(sentence) not in said]


def _plain(text: str) -> str:
    return " ".join(without_marks(text).split())
