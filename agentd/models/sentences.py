"""Which sentences of some passages answer a question; pure and deterministic.

A sentence is as good as the part of the question's informative words that it covers, each weighed by its rarity among
the sentences (inverse document frequency, Spärck Jones 1972). What stands in the headings above it counts less than its
own words, and a question, a very long or a very short sentence is worth less than another.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

from agentd.events import Passage
from agentd.language import content_words, focus, introduces, is_question, language_of, sentences, stem, stems
from agentd.markup import Block, blocks
from agentd.stopwords import FRAME_WORDS

SENTENCES = 4
"""At most so many are picked; what a sentence that ends in a colon introduces comes with it."""
INTRODUCED = 4
"""List items or rows that come with the sentence that introduces them."""
ANSWERS = 0.5
"""What the best sentence must cover of a question, unless the caller says otherwise."""
NEAR = 0.6
"""A further sentence must be at least this good, in parts of the best."""
HEADING, TITLE, BEFORE, COMPOUND = 0.75, 0.5, 0.5, 0.6
"""What a word of the question counts in the heading, the title, the sentence before, or only within a longer word."""
ALIKE = 0.6
"""Sentences that share more than this part of their words say the same."""
SHORT, LONG = 15, 300
"""Characters; outside them a sentence is worth less."""
_POINTS_BACK = re.compile(
    r"(?:It|This|That|These|Those|They|Then|Otherwise|So|Er|Sie|Es|Dies|Diese|Dann|Sonst|Он|Она|Они|Это|Тогда)\b|[它这此]"
)
"""Begins a sentence that needs the one before it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """A sentence of passage `passage`, the `n`-th of all; `block` tells which sentences stand in one paragraph."""

    passage: int
    n: int
    block: int
    kind: Literal["prose", "item", "row", "code"]
    text: str
    stems: frozenset[str]
    before: frozenset[str]
    """The stems of the sentence before it in its paragraph."""
    heading: frozenset[str]
    title: frozenset[str]


def best(question: str, passages: Sequence[Passage], *, answers: float = ANSWERS) -> list[list[Sentence]]:
    """The sentences to answer with, in reading order, grouped by passage, the best group first; empty for no answer.

    `answers` is the part of the question's informative words, by weight, that the best sentence must cover.
    """
    question = focus(question)
    language = language_of(question)
    candidates = list(_sentences(passages, language))
    judge = _Judge(informative(question, language), candidates, language)
    ranked = sorted((s for s in candidates if s.kind != "code"), key=lambda s: (-judge.score(s), s.n))
    if not ranked or judge.coverage(ranked[0]) < answers:
        return []
    limit = NEAR * judge.score(ranked[0])
    picked = _distinct([sentence for sentence in ranked if judge.score(sentence) >= limit])
    return _groups(picked, candidates)


def informative(question: str, language: str) -> list[str]:
    """The stems of a question's content words without those that only frame it, each once."""
    asked = content_words(question, language)
    frame = FRAME_WORDS.get(language, frozenset())
    return list(dict.fromkeys(stem(word, language) for word in asked if word not in frame))


# --- Candidates ------------------------------------------------------------------------------------------------------


def _sentences(passages: Sequence[Passage], language: str) -> Iterator[Sentence]:
    number = count()
    paragraph = count()
    for passage in passages:
        title = frozenset(stems(passage.title, language))
        heading = frozenset(stems(passage.heading, language))
        for block in blocks(passage.text):
            if block.kind == "heading":
                heading = frozenset(stems(f"{passage.heading} {block.text}", language))
                continue
            place = next(paragraph)
            said: frozenset[str] = frozenset()
            for text in _split(block):
                before, said = said, frozenset(stems(text, language))
                yield Sentence(
                    passage=passage.n,
                    n=next(number),
                    block=place,
                    kind=block.kind,
                    text=text,
                    stems=said,
                    before=before,
                    heading=heading,
                    title=title,
                )


def _split(block: Block) -> list[str]:
    if block.kind in ("code", "row"):
        return [block.text]
    return [block.text[start:end] for start, end in sentences(block.text)]


# --- Judgement -------------------------------------------------------------------------------------------------------


class _Judge:
    def __init__(self, terms: Sequence[str], candidates: Sequence[Sentence], language: str) -> None:
        frequency = Counter(term for sentence in candidates for term in sentence.stems)
        self._weights = {term: math.log(1 + (len(candidates) + 1) / (frequency[term] + 0.5)) for term in terms}
        self._total = sum(self._weights.values()) or 1.0
        self._compounds = language in ("german", "dutch")
        self._first = {sentence.passage: sentence.n for sentence in reversed(candidates)}

    def coverage(self, sentence: Sentence) -> float:
        """The part of the question, 0 to 1, that the sentence answers to together with its headings."""
        return self._sum(lambda term: max(self._own(term, sentence), _around(term, sentence)))

    def score(self, sentence: Sentence) -> float:
        own = self._sum(lambda term: self._own(term, sentence))
        # A section whose heading is what was asked for answers as a whole.
        headed = self._sum(lambda term: float(term in sentence.heading))
        value = self.coverage(sentence) + (own + headed) / 2
        value *= _length_factor(sentence.text)
        if is_question(sentence.text):
            value /= 2
        # Of equals the earlier: in the better passage, and there nearer to its beginning.
        return value - 0.01 * sentence.passage - 0.002 * (sentence.n - self._first[sentence.passage])

    def _sum(self, part: Callable[[str], float]) -> float:
        return sum(weight * part(term) for term, weight in self._weights.items()) / self._total

    def _own(self, term: str, sentence: Sentence) -> float:
        if term in sentence.stems:
            return 1.0
        within = self._compounds and len(term) >= 5 and any(term in word for word in sentence.stems)
        return COMPOUND if within else 0.0


def _around(term: str, sentence: Sentence) -> float:
    if term in sentence.heading:
        return HEADING
    return TITLE if term in sentence.title else BEFORE if term in sentence.before else 0.0


def _length_factor(text: str) -> float:
    characters = len(text)
    if characters > LONG:
        return max(0.6, LONG / characters)
    return 1.0 if characters >= SHORT else 0.8


# --- Choice ----------------------------------------------------------------------------------------------------------


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
