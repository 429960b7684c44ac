"""The passages that an answer may cite, each with one number for the whole turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentd.records import Passage


class Sources:
    """Numbers are given once, unless `renumber` is called: what is withdrawn can no longer be cited, and nothing else
    gets its number.
    """

    def __init__(self) -> None:
        self._passages: dict[int, Passage] = {}
        self._last = 0

    @property
    def passages(self) -> tuple[Passage, ...]:
        """Everything that can be cited, in the order of the numbers."""
        return tuple(self._passages.values())

    def add(self, passages: Sequence[Passage]) -> tuple[Passage, ...]:
        """The passages with their numbers: the known one's for the same place of a document, else the next ones."""
        return tuple(self._numbered(passage) for passage in passages)

    def restore(self, passages: Sequence[Passage]) -> None:
        """These have their numbers from before."""
        self._passages = {passage.n: passage for passage in passages}
        self._last = max(self._passages, default=0)

    def clear(self) -> None:
        """Nothing can be cited any more, and the numbers begin with 1 again."""
        self.restore(())

    def withdraw(self, numbers: Iterable[int]) -> None:
        """The model was not shown these after all."""
        for n in numbers:
            self._passages.pop(n, None)

    def renumber(self, numbers: Sequence[int]) -> tuple[Passage, ...]:
        """Only these can be cited from now on, as 1, 2, 3 and so on; they with their new numbers."""
        kept = [self._passages[n] for n in numbers if n in self._passages]
        self._passages = {n: passage.model_copy(update={"n": n}) for n, passage in enumerate(kept, start=1)}
        self._last = len(kept)
        return self.passages

    def _numbered(self, passage: Passage) -> Passage:
        known = next((one for one in self._passages.values() if _span(one) == _span(passage)), None)
        if known is not None:
            return known
        self._last += 1
        numbered = passage.model_copy(update={"n": self._last})
        self._passages[self._last] = numbered
        return numbered


def _span(passage: Passage) -> tuple[int, int, int, int]:
    return passage.document_id, passage.chunk_id, passage.start, passage.end
