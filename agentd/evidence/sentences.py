"""Which sentences of some passages to answer a question with; pure and deterministic.

They are ranked by `ranking`; what is picked are the best and those that are nearly as good, without repetition, and
with what a reader needs beside them. Code and drawings are no sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from agentd.events import Passage
from agentd.evidence.answerable import ENOUGH
from agentd.evidence.candidates import Sentence
from agentd.evidence.ranking import Ranked, rank
from agentd.text.language import introduces

SENTENCES = 4
"""At most so many are picked; what a sentence that ends in a colon introduces comes with it."""
INTRODUCED = 4
"""List items or rows that come with the sentence that introduces them."""
NEAR, NEAR_ROW, NEAR_DEFINITION = 2.0, 0.3, 0.5
"""How much less the logarithm of the odds of a further sentence may be: in general, for a row, beside a definition."""
ALIKE = 0.6
"""Sentences that share more than this part of their words say the same."""
_POINTS_BACK = re.compile(
    r"(?:It|This|That|These|Those|They|Then|Otherwise|So|Er|Sie|Es|Dies|Diese|Dann|Sonst|Он|Она|Они|Это|Тогда)\b|[它这此]"
)
"""Begins a sentence that needs the one before it."""


def best(question: str, passages: Sequence[Passage], *, answers: float = ENOUGH) -> list[list[Sentence]]:
    """The sentences to answer with, in reading order, grouped by passage, the best group first; empty for no answer.

    `answers` is the probability from which on they count as an answer.
    """
    ranking = rank(question, passages)
    if not ranking.ranked or ranking.answerable < answers:
        return []
    return _groups(_distinct(_near(ranking.ranked)), ranking.sentences)


def _near(ranked: Sequence[Ranked]) -> list[Sentence]:
    """Those that are good enough to be said beside the best one, the first."""
    best = ranked[0]

    def enough(one: Ranked) -> bool:
        less = NEAR_DEFINITION if best.defines else NEAR_ROW if one.sentence.kind == "row" else NEAR
        return one.odds >= best.odds - less

    return [one.sentence for one in ranked if enough(one)]


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
    """The sentence, the one before it where it points back, and what it introduces."""
    yield sentence.n
    before = candidates[sentence.n - 1] if sentence.n else sentence
    if _POINTS_BACK.match(sentence.text) and before.block == sentence.block:
        yield before.n
    if introduces(sentence.text):
        for follower in candidates[sentence.n + 1 : sentence.n + 1 + INTRODUCED]:
            if follower.passage != sentence.passage or follower.kind == "prose":
                break
            yield follower.n
            if follower.kind == "code":
                break
