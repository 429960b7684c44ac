"""Which sentences of some passages answer a question; pure and deterministic.

A sentence is as good as the part of the question's informative words that it covers, each weighed by its rarity among
the sentences (inverse document frequency, Spärck Jones 1972). What stands in the headings above it counts less than its
own words; a question, a row of a table, a very long or a very short sentence is worth less than another, and one that
is about exactly what was asked for ("A turn is ...") more. Code and drawings are no sentences.
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
from agentd.evidence.definitions import defines
from agentd.evidence.synonyms import alternatives
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
ROW, NEAR_ROW = 0.85, 0.9
"""What a row is worth beside a sentence, and how good a further row must be: a row without its table says little."""
DEFINITION, NEAR_DEFINITION = 1.0, 0.85
"""What is added where a sentence is about exactly what was asked for, and how good a further one must be beside it."""
HEADING, TITLE, BEFORE, COMPOUND = 0.75, 0.5, 0.5, 0.6
"""What a word of the question counts in the heading, the title, the sentence before, or only within a longer word."""
ALIKE = 0.6
"""Sentences that share more than this part of their words say the same."""
SHORT, LONG = 15, 300
"""Characters; outside them a sentence is worth less."""
LETTERS = 0.6
"""The part of the visible characters, marks of code aside, that are letters or digits where something is said."""
_MARK = re.compile(r"[^\w\s`]|_")
_DRAWN = re.compile("[\u2500-\u25ff]")
"""Lines, blocks and arrow heads of which diagrams and folder trees are drawn."""
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_EMPTY = Block(kind="code", text="```\n\n```")
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
    picked = _distinct(judge.near(ranked))
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
        for block in _whole(passage.text):
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


def _whole(text: str) -> Sequence[Block]:
    """The blocks of a passage; none where it is the end of a block of code whose beginning is in another passage."""
    found = blocks(text)
    closes = bool(found) and found[-1] == _EMPTY and len(_FENCE.findall(text)) % 2 == 1
    return () if closes else found


def _split(block: Block) -> list[str]:
    if block.kind == "code":
        return [block.text]
    if not _is_said(block.text):
        return []
    if block.kind == "row":
        return [block.text]
    return [block.text[start:end] for start, end in sentences(block.text)]


def _is_said(text: str) -> bool:
    """Whether a text consists of words rather than of lines and marks."""
    visible = len("".join(text.split())) - text.count("`")
    drawn = not text.isascii() and _DRAWN.search(text)
    return not drawn and visible - len(_MARK.findall(text)) >= LETTERS * visible


# --- Judgement -------------------------------------------------------------------------------------------------------


class _Judge:
    def __init__(self, terms: Sequence[str], candidates: Sequence[Sentence], language: str) -> None:
        self._same = {term: alternatives(term, language) for term in terms}
        frequency = Counter(
            term for sentence in candidates for term, same in self._same.items() if not same.isdisjoint(sentence.stems)
        )
        self._weights = {term: math.log(1 + (len(candidates) + 1) / (frequency[term] + 0.5)) for term in terms}
        self._language = language
        self._scores: dict[int, float] = {}
        self._total = sum(self._weights.values()) or 1.0
        self._compounds = language in ("german", "dutch")
        self._first = {sentence.passage: sentence.n for sentence in reversed(candidates)}

    def coverage(self, sentence: Sentence) -> float:
        """The part of the question, 0 to 1, that the sentence answers to together with its headings."""
        return self._sum(lambda term: max(self._own(term, sentence), _around(term, sentence)))

    def score(self, sentence: Sentence) -> float:
        """How well the sentence answers, reckoned once."""
        if sentence.n not in self._scores:
            self._scores[sentence.n] = self._score(sentence)
        return self._scores[sentence.n]

    def _score(self, sentence: Sentence) -> float:
        own = self._sum(lambda term: self._own(term, sentence))
        # A section whose heading is what was asked for answers as a whole.
        headed = self._sum(lambda term: float(term in sentence.heading))
        value = self.coverage(sentence) + (own + headed) / 2
        value *= _length_factor(sentence.text)
        if sentence.kind == "row":
            value *= ROW
        if own == 1.0 and self._defines(sentence):
            value += DEFINITION
        if is_question(sentence.text):
            value /= 2
        # Of equals the earlier: in the better passage, and there nearer to its beginning.
        return value - 0.01 * sentence.passage - 0.002 * (sentence.n - self._first[sentence.passage])

    def near(self, ranked: Sequence[Sentence]) -> list[Sentence]:
        """Those that are good enough to be said beside the best one, the first."""
        best = self.score(ranked[0])
        prose, row = (NEAR_DEFINITION, NEAR_DEFINITION) if self._defines(ranked[0]) else (NEAR, NEAR_ROW)
        return [s for s in ranked if self.score(s) >= (row if s.kind == "row" else prose) * best]

    def _defines(self, sentence: Sentence) -> bool:
        return defines(sentence.text, sentence.kind, self._weights, self._language)

    def _sum(self, part: Callable[[str], float]) -> float:
        return sum(weight * part(term) for term, weight in self._weights.items()) / self._total

    def _own(self, term: str, sentence: Sentence) -> float:
        if not self._same[term].isdisjoint(sentence.stems):
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
