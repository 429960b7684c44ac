"""Whether passages hold the answer to a question, judged from their words alone; pure.

How well that works, and on what, stands in `weights`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentd.events import Passage
from agentd.evidence.ranking import rank

ENOUGH = 0.5
"""The probability from which on passages count as an answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """`score` is the probability, 0 to 1, that the answer is there; `best` has the passages, the likeliest first."""

    answerable: bool
    score: float
    best: tuple[int, ...]


def judge(question: str, passages: Sequence[Passage]) -> Judgement:
    """Harmless for any question and passages; takes milliseconds for the eight of a search."""
    ranking = rank(question, passages)
    best = dict.fromkeys(one.sentence.passage for one in ranking.ranked)
    return Judgement(answerable=ranking.answerable >= ENOUGH, score=ranking.answerable, best=tuple(best))
