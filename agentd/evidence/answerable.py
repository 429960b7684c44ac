"""Judges from the words alone whether passages contain the answer to a question; pure (`weights` has the figures)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentd.evidence.ranking import rank
from agentd.records import Passage

ENOUGH = 0.5
"""Passages with at least this probability count as an answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """`score` is the probability, 0 to 1, that the answer is there; `best` has the passages, the most likely first."""

    answerable: bool
    score: float
    best: tuple[int, ...]


def judge(question: str, passages: Sequence[Passage]) -> Judgement:
    """Judge passages; safe for any text, and takes milliseconds for the eight passages of a search."""
    ranking = rank(question, passages)
    best = dict.fromkeys(one.sentence.passage for one in ranking.ranked)
    return Judgement(answerable=ranking.answerable >= ENOUGH, score=ranking.answerable, best=tuple(best))
