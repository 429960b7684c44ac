"""Passages cut to the sentences that matter for a question, with their neighbours; pure.

A sentence matters as much as it is likely to answer the question (`ranking`); its neighbours matter a little less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from agentd.evidence.ranking import rank
from agentd.evidence.spans import located
from agentd.records import Passage
from agentd.text.language import sentences, stems
from agentd.text.markup import delimits, table_head

LONGEST = 400
"""Maximum characters of a piece; a longer sentence is cut at a line end or a blank."""
BESIDE = 2.0
"""How much less a neighbouring piece matters, in units of the logarithm of the odds to answer."""
HELD = 0.1
"""The weight of each word of the question in a piece, which tells the pieces of one long sentence apart."""
NOTHING = -30.0
"""The odds of a piece in which no sentence was found."""
GAP = 100
"""A gap of up to this many characters between two kept pieces is kept as well, because dropping it saves nothing."""
_ROW = re.compile(r"^[ \t]*\|[^\n]*(?:\n|\Z)", re.MULTILINE)
_BREAK = re.compile(r"\n+|(?<=[ \t])(?=\S)")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Piece:
    passage: int
    n: int
    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


def excerpts(question: str, passages: Sequence[Passage], *, characters: int) -> list[Passage]:
    """The parts of the passages that fit into so many characters: all, or the best sentences in reading order.

    Each run of neighbouring sentences is a passage of its own, with its span in the document. The best sentence is kept
    even if it alone is longer.
    """
    if sum(len(passage.text) for passage in passages) <= characters:
        return list(passages)
    pieces = [list(_pieces(n, passage.text)) for n, passage in enumerate(passages)]
    kept = _chosen(pieces, _scores(question, passages, pieces), characters)
    return [run for n, passage in enumerate(passages) for run in _runs(passage, pieces[n], kept)]


def _pieces(number: int, text: str) -> Iterator[_Piece]:
    n = 0
    for start, end in sentences(text):
        for low, high in _cut(text, start, end):
            yield _Piece(passage=number, n=n, start=low, end=high)
            n += 1


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A sentence in pieces that are short enough; of a table each row is one, and its head none."""
    rows = list(_ROW.finditer(text, start, end))
    for row, behind in zip_longest(rows, rows[1:]):
        if text[start : row.start()].strip():
            yield from _short(text, start, row.start())
        head = behind is not None and delimits(behind[0].strip("\n"))
        if not head and not delimits(row[0].strip("\n")):
            yield row.start(), row.end()
        start = row.end()
    if text[start:end].strip():
        yield from _short(text, start, end)


def _short(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > LONGEST:
        breaks = [found.end() for found in _BREAK.finditer(text, start + LONGEST // 2, start + LONGEST)]
        lines = [at for at in breaks if text[at - 1] == "\n"]
        at = (lines or breaks or [start + LONGEST])[-1]
        yield start, at
        start = at
    if start < end:
        yield start, end


def _scores(
    question: str, passages: Sequence[Passage], pieces: Sequence[Sequence[_Piece]]
) -> dict[tuple[int, int], float]:
    own = {(piece.passage, piece.n): NOTHING for of_passage in pieces for piece in of_passage}
    numbers = {passage.n: number for number, passage in enumerate(passages)}
    ranking = rank(question, passages)
    for one in ranking.ranked:
        number = numbers[one.sentence.passage]
        text = passages[number].text
        start, end = located(text, [one.sentence.held])
        for piece in pieces[number]:
            if piece.start < end and start < piece.end:
                held = set(ranking.asked.terms) & set(stems(text[piece.start : piece.end], ranking.asked.language))
                own[number, piece.n] = max(own[number, piece.n], one.odds + HELD * len(held))
    return {
        (number, n): max(value, *(own.get((number, beside), NOTHING) - BESIDE for beside in (n - 1, n + 1)))
        for (number, n), value in own.items()
    }


def _chosen(
    pieces: Sequence[Sequence[_Piece]], scores: dict[tuple[int, int], float], characters: int
) -> set[tuple[int, int]]:
    kept: set[tuple[int, int]] = set()
    left = characters

    for number, n in sorted(scores, key=lambda position: (-scores[position], position)):
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
    """What is indented keeps its indentation, and rows keep the head of their table."""
    line = passage.text.rfind("\n", 0, start) + 1
    start = start if passage.text[line:start].strip(" \t") else line
    end = start + len(passage.text[start:end].rstrip())
    return passage.model_copy(
        update={
            "text": passage.text[start:end],
            "start": passage.start + start,
            "end": passage.start + end,
            "head": table_head(passage.text, start) or (passage.head if _within(passage.text, start) else ""),
        }
    )


def _within(text: str, at: int) -> bool:
    """Whether a text is nothing but rows up to there, and goes on with one."""
    return text.startswith("|", at) and all(line.startswith("|") for line in text[:at].splitlines())
