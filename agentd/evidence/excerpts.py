"""Passages cut to the sentences that matter for a question, with their neighbours; pure.

A sentence matters as far as it holds the question's informative words, each weighed by its rarity among the sentences
(inverse document frequency, Spärck Jones 1972); the sentences beside it and the rank of its passage count a little.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentd.events import Passage
from agentd.evidence.asked import informative
from agentd.language import focus, language_of, sentences, stems

LONGEST = 400
"""Characters of one piece; a longer sentence is cut at a line end or a blank."""
BESIDE = 0.3
"""What the words of the sentences beside a sentence count."""
RANK = 0.5
"""What is added for the first passage; half of it for the second, a third for the third."""
GAP = 100
"""Characters between two kept pieces of a passage that are kept as well: a hole so small saves nothing."""
_BREAK = re.compile(r"\n+|(?<=[ \t])(?=\S)")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Piece:
    passage: int
    n: int
    start: int
    end: int
    stems: frozenset[str]

    @property
    def size(self) -> int:
        return self.end - self.start


def excerpts(question: str, passages: Sequence[Passage], *, characters: int) -> list[Passage]:
    """What of the passages fits into so many characters: all of it, or the best sentences in reading order.

    Each run of neighbouring sentences is a passage of its own, with the span that it has in its document. The best
    sentence is kept even if it alone is longer.
    """
    if sum(len(passage.text) for passage in passages) <= characters:
        return list(passages)
    language = language_of(focus(question))
    pieces = [list(_pieces(n, passage, language)) for n, passage in enumerate(passages)]
    terms = informative(focus(question), language)
    kept = _chosen(pieces, _scores(pieces, terms), characters)
    return [run for n, passage in enumerate(passages) for run in _runs(passage, pieces[n], kept)]


def _pieces(number: int, passage: Passage, language: str) -> Iterator[_Piece]:
    n = 0
    for start, end in sentences(passage.text):
        for low, high in _cut(passage.text, start, end):
            said = frozenset(stems(passage.text[low:high], language))
            yield _Piece(passage=number, n=n, start=low, end=high, stems=said)
            n += 1


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A sentence in pieces that are short enough."""
    while end - start > LONGEST:
        breaks = [found.end() for found in _BREAK.finditer(text, start + LONGEST // 2, start + LONGEST)]
        lines = [at for at in breaks if text[at - 1] == "\n"]
        at = (lines or breaks or [start + LONGEST])[-1]
        yield start, at
        start = at
    if start < end:
        yield start, end


def _scores(pieces: Sequence[Sequence[_Piece]], terms: Sequence[str]) -> dict[tuple[int, int], float]:
    every = [piece for of_passage in pieces for piece in of_passage]
    holders = Counter(term for piece in every for term in terms if term in piece.stems)
    weights = {term: math.log(1 + (len(every) + 1) / (holders[term] + 0.5)) for term in terms}
    total = sum(weights.values()) or 1.0

    def own(piece: _Piece) -> float:
        return sum(weight for term, weight in weights.items() if term in piece.stems) / total

    found: dict[tuple[int, int], float] = {}
    for number, of_passage in enumerate(pieces):
        alone = [own(piece) for piece in of_passage]
        for n, value in enumerate(alone):
            around = max((alone[m] for m in (n - 1, n + 1) if 0 <= m < len(alone)), default=0.0)
            found[number, n] = value + BESIDE * around + RANK / (1 + number)
    return found


def _chosen(
    pieces: Sequence[Sequence[_Piece]], scores: dict[tuple[int, int], float], characters: int
) -> set[tuple[int, int]]:
    kept: set[tuple[int, int]] = set()
    left = characters

    for number, n in sorted(scores, key=lambda place: (-scores[place], place)):
        size = pieces[number][n].size
        if size <= left or not kept:
            kept.add((number, n))
            left -= size
    return kept


def _runs(passage: Passage, pieces: Sequence[_Piece], kept: set[tuple[int, int]]) -> Iterator[Passage]:
    start = end = -1
    for piece in pieces:
        if (piece.passage, piece.n) not in kept:
            continue
        if start >= 0 and piece.start - end > GAP:
            yield _run(passage, start, end)
            start = -1
        start, end = (piece.start if start < 0 else start), piece.end
    if start >= 0:
        yield _run(passage, start, end)


def _run(passage: Passage, start: int, end: int) -> Passage:
    return passage.model_copy(
        update={"text": passage.text[start:end], "start": passage.start + start, "end": passage.start + end}
    )
