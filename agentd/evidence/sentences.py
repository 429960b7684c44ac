"""Picks the sentences of some passages that answer a question; pure and deterministic.

`ranking` ranks them. Picked are the best one and those that are nearly as good, without repetition, and with the
neighbours that a reader needs. Code and drawings are not sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from agentd.evidence.answerable import ENOUGH
from agentd.evidence.candidates import Sentence
from agentd.evidence.ranking import Ranked, rank
from agentd.records import Passage
from agentd.text.language import introduces

SENTENCES = 4
"""Maximum number of picked sentences; what a sentence that ends in a colon introduces comes with it."""
INTRODUCED, LINES = 4, 12
"""List items or rows, and lines of code, that come with the sentence that introduces them."""
NEAR, NEAR_ROW, NEAR_DEFINITION, ELSEWHERE = 2.5, 0.3, 0.5, 1.0
"""How much less the logarithm of the odds of a further sentence may be: in the passage of the best one, for a row,
beside a definition, and in another passage. Of 632 questions, another passage within 2.0 gave the answer to 6 that had
none otherwise, and something else to 24; within 1.0, to one and 11.
"""
FOLLOWS = 0.3
"""The probability from which on sentences count as an answer to a question that goes back to another one."""
ALIKE = 0.6
"""Two sentences that share more than this part of their words say the same."""
_POINTS_BACK = re.compile(
    r"(?:It|This|That|These|Those|They|Then|Otherwise|So|Er|Sie|Es|Dies|Diese|Dann|Sonst|Он|Она|Они|Это|Тогда)\b|[它这此]"
)
"""The beginning of a sentence that needs the one before it."""


def best(
    question: str, passages: Sequence[Passage], *, about: str = "", answers: float = ENOUGH
) -> list[list[Sentence]]:
    """The sentences of the answer in reading order, grouped by passage, the best group first; empty if there is none.

    `about` is the question that this one goes back to, if it does. `answers` is the least probability at which they
    count as an answer.
    """
    ranking = rank(question, passages, about)
    if not ranking.ranked or ranking.answerable < (min(answers, FOLLOWS) if about else answers):
        return []
    return _groups(_distinct(_near(ranking.ranked)), ranking.sentences)


def _near(ranked: Sequence[Ranked]) -> list[Sentence]:
    """The sentences that are good enough to join the best one, which comes first."""
    return [one.sentence for one in ranked if one.odds >= ranked[0].odds - _less(one, ranked[0])]


def _less(one: Ranked, best: Ranked) -> float:
    beside = NEAR if one.sentence.passage == best.sentence.passage else ELSEWHERE
    return min(beside, NEAR_DEFINITION if best.defines else NEAR_ROW if one.sentence.kind == "row" else NEAR)


def _distinct(ranked: Sequence[Sentence]) -> list[Sentence]:
    chosen: list[Sentence] = []
    for sentence in ranked:
        if len(chosen) == SENTENCES:
            break
        if not any(_alike(sentence.stems, other.stems) for other in chosen):
            chosen.append(sentence)
    return chosen


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return len(one & other) > ALIKE * len(one | other)


def _groups(picked: Sequence[Sentence], candidates: Sequence[Sentence]) -> list[list[Sentence]]:
    groups: dict[int, set[int]] = {}
    for sentence in picked:
        groups.setdefault(sentence.passage, set()).update(_with_company(sentence, candidates))
    return [[candidates[n] for n in sorted(group)] for group in groups.values()]


def _with_company(sentence: Sentence, candidates: Sequence[Sentence]) -> Iterator[int]:
    """The sentence, the one before it if it refers back to it or is introduced by it, and what it introduces."""
    yield sentence.n
    before = _before(sentence, candidates)
    if before and before.block == sentence.block and _POINTS_BACK.match(sentence.text):
        yield before.n
    if before and sentence.kind == "code" and before.passage == sentence.passage and introduces(before.text):
        yield before.n
    if introduces(sentence.text):
        yield from _introduced(candidates[sentence.n + 1 : sentence.n + 1 + LINES], sentence.passage)


def _before(sentence: Sentence, candidates: Sequence[Sentence]) -> Sentence | None:
    """The sentence before it, or before the code in which it stands."""
    n = sentence.n - 1
    while sentence.kind == "code" and n >= 0 and candidates[n].block == sentence.block:
        n -= 1
    return candidates[n] if n >= 0 else None


def _introduced(followers: Sequence[Sentence], passage: int) -> Iterator[int]:
    """The items, rows or code behind a sentence that ends in a colon."""
    for count, follower in enumerate(followers):
        code = follower.kind == "code"
        same = not code or follower.block == followers[0].block
        if follower.passage != passage or follower.kind == "prose" or not same or (count >= INTRODUCED and not code):
            return
        yield follower.n
