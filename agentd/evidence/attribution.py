"""Finds the passage that a statement rests on, and the sentences that support an answer best; pure.

The words of a reply that are not in its question decide: names, numbers and other informative words, each weighed by
its rarity among the sentences. If several sentences contain them, the question decides between those, by `ranking`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from agentd.evidence.answerable import ENOUGH
from agentd.evidence.asked import TERMS, Asked, asked, informative
from agentd.evidence.candidates import Sentence, as_code
from agentd.evidence.likeness import Vocabulary
from agentd.evidence.ranking import rank
from agentd.evidence.replies import is_refusal
from agentd.evidence.sentences import best
from agentd.evidence.spans import located
from agentd.records import Passage
from agentd.text.language import focus, sentences, spelled, stem, stems

RESTS = 0.4
"""A statement rests on a passage that says at least this part of it, by weight."""
BESIDE = 0.6
"""The weight of a word that is in the sentence before or after."""
UNHEARD = 0.4
"""The weight of a word that no passage contains; a statement may use its own words, but no new names and numbers."""
SAID, WHOLE, ODDS = 5.0, 2.0, 1.0
"""Weights for a sentence: the part of the statement that it contains; that it contains it in one piece; each unit of
the logarithm of the odds that it answers the question."""
SILENT = -8.0
"""The logarithm of the odds for a sentence that has nothing to do with the question."""
PIECE = 8
"""Maximum words of a statement that are looked for in one piece."""
ADDS = 0.3
"""A neighbouring sentence is quoted, too, if it adds this part of the statement."""
_FRAME = frozenset(
    "accord answer base believ context document inform know mention passag provid sourc specif state sure text "
    "think".split()
)
"""Stems with which models speak of the passages."""
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_MARKS = re.compile(r"\[\d{1,3}\]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Support:
    """One or two sentences of a passage without markup, and their span in the passage's text."""

    passage: int
    start: int
    end: int
    text: str


def rests_on(sentence: str, passages: Sequence[Passage], question: str) -> tuple[int, ...]:
    """The numbers of the passages that a sentence of an answer to `question` rests on, if any."""
    sentence = focus(sentence)
    if is_refusal(sentence):
        return ()
    heard = _heard(question, tuple(passages))
    position = _Statement(sentence, heard).best()
    return () if position is None else (heard.sentences[position].passage,)


def arrange(passages: Sequence[Passage], question: str) -> None:
    """Prepare what `rests_on` compares sentences with, which takes as long as judging the passages."""
    _heard(question, tuple(passages))


def support(reply: str, passages: Sequence[Passage], question: str) -> Support | None:
    """The sentences that support `reply` best as an answer to `question`; None if nothing does.

    If a reply says nothing that the passages say, these are the sentences that answer the question.
    """
    if is_refusal(reply):
        return None
    heard = _heard(question, tuple(passages))
    texts = {passage.n: passage.text for passage in passages}
    statements = [_Statement(text, heard) for text in _statements(reply)]
    backed = [(statement, position) for statement in statements if (position := statement.best()) is not None]
    if backed:
        statement, position = max(backed, key=lambda pair: pair[0].score(pair[1]))
        return _support(statement.quoted(position), texts)
    return _support([heard.likeliest], texts) if heard.likeliest else None


def likely(passages: Sequence[Passage], question: str) -> tuple[int, list[str]]:
    """The number of the best passage for the question, and its sentences that answer best, in reading order.

    Zero and no sentences if nothing answers it.
    """
    groups = best(question, passages)
    return (groups[0][0].passage, [_quotable(sentence) for sentence in groups[0]]) if groups else (0, [])


def _statements(reply: str) -> Iterator[str]:
    """The sentences of a reply, without code and citations."""
    for line in _CODE.sub("\n", focus(reply)).splitlines():
        plain = _MARKS.sub("", line)
        for start, end in sentences(plain):
            yield plain[start:end]


def _support(quoted: Sequence[Sentence], texts: Mapping[int, str]) -> Support:
    passage = quoted[0].passage
    start, end = located(texts[passage], [sentence.held for sentence in quoted])
    return Support(passage=passage, start=start, end=end, text=" ".join(map(_quotable, quoted)))


def _quotable(sentence: Sentence) -> str:
    return as_code(sentence.text) if sentence.kind == "code" else sentence.text


class _Heard:
    """The passages and the question, arranged for comparing statements; kept for all statements of one answer."""

    def __init__(self, question: str, passages: Sequence[Passage]) -> None:
        self.asked: Asked = asked(question)
        ranking = rank(question, passages)
        self.likeliest = ranking.ranked[0].sentence if ranking.answerable >= ENOUGH else None
        self.sentences = [sentence for sentence in ranking.sentences if sentence.kind != "code"]
        odds = {one.sentence.n: one.odds for one in ranking.ranked}
        self.odds = [odds.get(sentence.n, SILENT) for sentence in self.sentences]
        """For each sentence, the odds that it answers the question."""
        self.vocabulary = Vocabulary(
            (stem for sentence in self.sentences for stem in sentence.stems), self.asked.language
        )

    def holders(self, stems: Mapping[str, float]) -> dict[int, float]:
        """Index of each sentence that contains one of these stems -> how similar the stem is."""
        found: dict[int, float] = {}
        for position, sentence in enumerate(self.sentences):
            if shared := stems.keys() & sentence.stems:
                found[position] = max(stems[stem] for stem in shared)
        return found


@lru_cache(maxsize=16)
def _heard(question: str, passages: tuple[Passage, ...]) -> _Heard:
    return _Heard(question, passages)


class _Statement:
    """A sentence of a reply, and how much of it each sentence of the passages contains."""

    def __init__(self, text: str, heard: _Heard) -> None:
        self._heard = heard
        language = heard.asked.language
        said = [term for term in informative(text, language)[:TERMS] if term not in _FRAME]
        # Words of the question distinguish nothing, unless the statement has no others.
        new = [term for term in said if term not in heard.asked.terms] or said
        firm = _names_and_numbers(text, language)
        self._sequence = tuple(stems(text, language))
        total = len(heard.sentences) + 1
        self._weights: dict[str, float] = {}
        self._here: list[dict[str, float]] = [{} for _ in heard.sentences]
        for term in new:
            holders = heard.holders(heard.vocabulary.like(term))
            self._weights[term] = math.log(1 + total / (len(holders) + 0.5))
            if not holders and term not in firm:
                self._weights[term] *= UNHEARD
            for position, alike in holders.items():
                self._here[position][term] = alike
        self._total = sum(self._weights.values()) or 1.0
        self._repeats = all(term in heard.asked.terms for term in said)

    def best(self) -> int | None:
        """The index of the sentence that the statement most likely rests on; None if it rests on none."""
        scores = {
            position: self.score(position)
            for position in range(len(self._heard.sentences))
            if self._here[position] and self._share(self._around(position)) >= RESTS
        }
        return max(scores, key=lambda position: scores[position], default=None)

    def score(self, position: int) -> float:
        """How likely it is that the statement rests on this sentence and answers the question; for comparing."""
        sentence = self._heard.sentences[position]
        whole = WHOLE if _holds(sentence.sequence, self._sequence[:PIECE]) else 0.0
        repeated = -SAID if self._repeats else 0.0
        return SAID * self._share(self._around(position)) + whole + repeated + ODDS * self._heard.odds[position]

    def quoted(self, position: int) -> list[Sentence]:
        """The sentence, and a neighbour that contains what it lacks."""
        sentences, here = self._heard.sentences, self._here
        own = self._share(here[position])
        for other in (position + 1, position - 1):
            if self._together(position, other):
                both = {term: max(here[position].get(term, 0.0), here[other].get(term, 0.0)) for term in self._weights}
                if self._share(both) - own >= ADDS:
                    return [sentences[n] for n in sorted((position, other))]
        return [sentences[position]]

    def _share(self, matches: Mapping[str, float]) -> float:
        return sum(self._weights[term] * alike for term, alike in matches.items()) / self._total

    def _around(self, position: int) -> dict[str, float]:
        found = dict(self._here[position])
        for other in (position - 1, position + 1):
            if self._together(position, other):
                for term, alike in self._here[other].items():
                    found[term] = max(found.get(term, 0.0), BESIDE * alike)
        return found

    def _together(self, position: int, other: int) -> bool:
        of = self._heard.sentences
        return 0 <= other < len(of) and of[other].passage == of[position].passage


def _names_and_numbers(text: str, language: str) -> set[str]:
    said = list(spelled(text))
    return {
        stem(word.lower(), language)
        for n, word in enumerate(said)
        if any(map(str.isdigit, word)) or (n and word[0].isupper() and language != "german")
    }


def _holds(whole: Sequence[str], part: Sequence[str]) -> bool:
    """Whether a sequence contains another in one piece."""
    size = len(part)
    return size > 0 and any(tuple(whole[n : n + size]) == tuple(part) for n in range(len(whole) - size + 1))
