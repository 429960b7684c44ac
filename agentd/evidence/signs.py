"""Signs that distinguish a sentence that answers a question from one that only shares some of its words.

Each sign is a number; `weights` has its worth, which was fitted to data. A word of the question counts by its rarity
among the sentences (inverse document frequency, Spärck Jones 1972) and by its similarity to the words of the sentence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise

from agentd.evidence.asked import Asked
from agentd.evidence.candidates import Sentence
from agentd.evidence.kinds import kinds_of_answer
from agentd.evidence.likeness import Vocabulary
from agentd.records import Passage
from agentd.text.language import is_question, stems

KIND, CONTEXT = 0.5, 0.5
"""What a word counts that names the kind of thing that is asked for, and one that only the question before has."""
HEADING, TITLE, BEFORE, AFTER = 0.75, 0.5, 0.6, 0.5
"""The weights of a word of the question in the heading, the title, the sentence before and the one after."""
NAMED = 0.9
"""The weight of a word that a passage has only in its title or heading."""
HITS, FIT = 0.5, 0.4
"""The assumed score of the best passage, as a part of the words and of the possible score, if it is unknown."""
NEARBY = 3
"""Maximum distance of the two words of a pair."""

Matches = Mapping[str, float]
"""Word of the question -> its similarity to a word that is said, without words that are similar to nothing."""


class Signs:
    """The relation of the sentences of some passages to a question; takes time that is linear in their words."""

    NAMES = tuple(
        """
        own near passage anywhere behind ahead mass unlike names_here names_passage names_anywhere
        numbers_here numbers_passage kinds_here kinds_passage others_here others_passage
        others_anywhere rarest terms first rank score hits fit opens length asks pairs order fits unfit
        """.split()
    )

    OF_QUESTION = frozenset("anywhere names_anywhere others_anywhere terms hits fit".split())
    """Signs that are the same for all sentences."""

    def __init__(self, asked: Asked, passages: Sequence[Passage], sentences: Sequence[Sentence]) -> None:
        self._asked = asked
        self._sentences = sentences
        self._language = asked.language
        self._order = {passage.n: position for position, passage in enumerate(passages)}
        self._best = max((passage.score for passage in passages), default=0.0)
        self._score = {passage.n: passage.score for passage in passages}
        self._possible = max((passage.possible for passage in passages), default=0.0)
        self._named = {p.n: frozenset(stems(f"{p.title} {p.heading}", self._language)) for p in passages}
        self._match(Vocabulary(self._all_stems(), self._language))
        self._weigh()
        self.own = [self._coverage(matches) for matches in self._here]
        """The part of the question, by weight, that each sentence contains."""
        self._in_passage = self._of_passages()
        self._covered = {n: self._coverage(matches) for n, matches in self._in_passage.items()}
        self._anywhere = {
            term: max((matches.get(term, 0.0) for matches in self._in_passage.values()), default=0.0)
            for term in self._asked.terms
        }

    def _all_stems(self) -> set[str]:
        headings = {sentence.heading for sentence in self._sentences}
        return set().union(*(sentence.stems for sentence in self._sentences), *headings, *self._named.values())

    def _match(self, vocabulary: Vocabulary) -> None:
        positions: dict[str, list[int]] = {}
        for n, sentence in enumerate(self._sentences):
            for stem in sentence.stems:
                positions.setdefault(stem, []).append(n)
        self._like = {term: vocabulary.like(term) for term in self._asked.terms}
        self._here: list[dict[str, float]] = [{} for _ in self._sentences]
        for term, like in self._like.items():
            for stem, alike in like.items():
                for n in positions.get(stem, ()):
                    self._here[n][term] = max(alike, self._here[n].get(term, 0.0))

    def _weigh(self) -> None:
        total = len(self._sentences) + 1
        self._rarity: dict[str, float] = {}
        for term in self._asked.terms:
            found = sum(matches.get(term) == 1.0 for matches in self._here)
            self._rarity[term] = math.log(1 + total / (found + 0.5)) / math.log(1 + total / 0.5)
        self._weights = {term: rarity * self._share(term) for term, rarity in self._rarity.items()}
        self._total = sum(self._weights.values()) or 1.0

    def _share(self, term: str) -> float:
        return self._share_of_context(term) * (KIND if term in self._asked.kinds else 1.0)

    def _share_of_context(self, term: str) -> float:
        return CONTEXT if term in self._asked.context else 1.0

    def _of_passages(self) -> dict[int, dict[str, float]]:
        found: dict[int, dict[str, float]] = {}
        for sentence, matches in zip(self._sentences, self._here, strict=True):
            passage = found.get(sentence.passage)
            if passage is None:
                passage = found[sentence.passage] = self._among(self._named.get(sentence.passage, frozenset()), NAMED)
            for term, alike in matches.items():
                passage[term] = max(alike, passage.get(term, 0.0))
        return found

    def _among(self, said: frozenset[str], worth: float) -> dict[str, float]:
        found = {}
        for term, like in self._like.items():
            if alike := max((like[stem] for stem in like.keys() & said), default=0.0):
                found[term] = worth * alike
        return found

    def _coverage(self, matches: Matches) -> float:
        return sum(self._weights[term] * alike for term, alike in matches.items()) / self._total

    def _missing(self, terms: Iterable[str], matches: Matches) -> float:
        return sum(1.0 - matches.get(term, 0.0) for term in terms)

    # --- Signs of one sentence ---

    def is_silent(self, n: int) -> bool:
        """Whether neither the sentence nor its surroundings contain anything of the question."""
        return not self.around(n)

    def of(self, n: int) -> dict[str, float]:
        """The signs of the `n`-th sentence, by name."""
        sentence, here = self._sentences[n], self._here[n]
        passage = self._in_passage[sentence.passage]
        return {
            **self._covering(n),
            **self._missing_words(here, passage),
            **self._standing(n),
            **self._phrasing(sentence, here),
            **self._fitting(sentence),
        }

    def _covering(self, n: int) -> dict[str, float]:
        sentence, here = self._sentences[n], self._here[n]
        covered = self._covered[sentence.passage]
        first, second = self._most_covered
        others = second if covered == first else first
        return {
            "own": self.own[n],
            "near": self._coverage(self.around(n)),
            "passage": covered,
            "anywhere": self._coverage(self._anywhere),
            "behind": self.own[n] - self._best_own,
            "ahead": covered - others,
            "mass": sum(self._rarity[term] * self._share_of_context(term) * alike for term, alike in here.items()),
            "unlike": sum(self._weights[term] * alike for term, alike in here.items() if alike < 1) / self._total,
        }

    @cached_property
    def _most_covered(self) -> tuple[float, float]:
        """The parts of the question that the best and the second-best passage contain."""
        first, second = sorted([*self._covered.values(), 0.0], reverse=True)[:2]
        return first, second

    @cached_property
    def _best_own(self) -> float:
        return max(self.own)

    def held(self, n: int) -> float:
        """The part of the question, by rarity alone, that the sentence and its surroundings contain."""
        around = self.around(n)
        total = sum(self._rarity.values()) or 1.0
        return sum(self._rarity[term] * alike for term, alike in around.items()) / total

    def around(self, n: int) -> Matches:
        """The words of the question that the sentence and its surroundings contain."""
        sentence = self._sentences[n]
        found = dict(self._here[n])
        for matches in (
            self._among(sentence.heading, HEADING),
            self._among(sentence.title, TITLE),
            self._beside(n, -1, BEFORE),
            self._beside(n, 1, AFTER),
        ):
            for term, alike in matches.items():
                found[term] = max(alike, found.get(term, 0.0))
        return found

    def _beside(self, n: int, step: int, worth: float) -> dict[str, float]:
        other = n + step
        if not 0 <= other < len(self._sentences) or self._sentences[other].passage != self._sentences[n].passage:
            return {}
        return {term: worth * alike for term, alike in self._here[other].items()}

    def _missing_words(self, here: Matches, passage: Matches) -> dict[str, float]:
        asked = self._asked
        return {
            "names_here": self._missing(asked.names, here),
            "names_passage": self._missing(asked.names, passage),
            "names_anywhere": self._missing(asked.names, self._anywhere),
            "numbers_here": self._missing(asked.numbers, here),
            "numbers_passage": self._missing(asked.numbers, passage),
            "kinds_here": self._missing(asked.kinds, here),
            "kinds_passage": self._missing(asked.kinds, passage),
            "others_here": self._missing(self._others, here),
            "others_passage": self._missing(self._others, passage),
            "others_anywhere": self._missing(self._others, self._anywhere),
            "rarest": max(self._rarity[t] * (1.0 - passage.get(t, 0.0)) for t in asked.terms),
            "terms": math.log(len(asked.terms)),
        }

    @cached_property
    def _others(self) -> list[str]:
        asked = self._asked
        return [t for t in asked.terms if t not in asked.names | asked.numbers | asked.kinds]

    def _standing(self, n: int) -> dict[str, float]:
        sentence = self._sentences[n]
        position = self._order[sentence.passage]
        opens = n == 0 or self._sentences[n - 1].passage != sentence.passage
        return {
            "first": float(position == 0),
            "rank": 1 / (1 + position),
            "score": self._score[sentence.passage] / self._best if self._best else 1.0,
            "hits": self._best / (1 + len(self._asked.terms)) if self._possible else HITS,
            "fit": self._best / self._possible if self._possible else FIT,
            "opens": float(opens),
            "length": min(len(sentence.text), 400) / 400,
            "asks": float(is_question(sentence.text)),
        }

    def _phrasing(self, sentence: Sentence, here: Matches) -> dict[str, float]:
        """Words of the question that are together, or in the same order, in the sentence, too."""
        terms = self._asked.terms
        positions = {term: [n for n, stem in enumerate(sentence.sequence) if stem in self._like[term]] for term in here}
        pairs = [
            _follows(positions[one], positions[other])
            for one, other in pairwise(terms)
            if one in positions and other in positions
        ]
        last, in_order = -1, 0
        for term in terms:
            position = next((n for n in positions.get(term, ()) if n > last), None)
            if position is not None:
                last, in_order = position, in_order + 1
        return {"pairs": sum(pairs) / max(1, len(terms) - 1), "order": in_order / len(terms)}

    def _fitting(self, sentence: Sentence) -> dict[str, float]:
        """Whether the sentence has something of the wanted kind that is not in the question itself."""
        wanted = self._asked.wanted
        if wanted in ("", "thing"):
            return {"fits": 0.0, "unfit": 0.0}
        fits = wanted in kinds_of_answer(sentence.text, frozenset(self._asked.terms), self._language)
        return {"fits": float(fits), "unfit": float(not fits)}


def _follows(positions: Sequence[int], others: Sequence[int]) -> bool:
    """Whether one of the others comes within a few words after one of the first."""
    behind = set(others)
    return any(position + step in behind for position in positions for step in range(1, NEARBY + 1))
