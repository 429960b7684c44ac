"""How similar a word of a question is to words of sentences: equal, a synonym, another form, a typing error.

A stemmer often separates what is one word: "oxidise" and "oxidation", "ctenohore" and "ctenophore". Such pairs count
less than equal words, and typing errors count only if nothing else is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from itertools import takewhile

from agentd.evidence.synonyms import alternatives

FORM = 0.9
"""The weight of another form of a word, times the part of the longer one with which both begin."""
FORM_CHARACTERS, FORM_PART = 4, 0.6
"""How much two forms must share at their beginning: characters, and part of the longer one."""
SLIP = 0.8
"""The weight of a misspelt word, times the part of the trigrams that both share."""
SLIP_CHARACTERS, SLIP_PART = 5, 0.5
COMPOUND, COMPOUND_CHARACTERS = 0.6, 5
"""The weight of a word inside a longer one, in languages that write compounds as one word."""
_COMPOUNDING = ("german", "dutch")
_HEAD = 3
"""How many first characters forms of a word share; a typing error does not change the first one."""


class Vocabulary:
    """The stems of some sentences, arranged for finding similar ones."""

    def __init__(self, stems: Iterable[str], language: str) -> None:
        self._stems = frozenset(stems)
        self._language = language
        self._heads: dict[str, list[str]] = {}
        for stem in self._stems:
            for head in {stem[:1], stem[:_HEAD]}:
                self._heads.setdefault(head, []).append(stem)

    def like(self, term: str) -> Mapping[str, float]:
        """Similar stem -> how similar it is, up to 1 for an equal one."""
        found = dict.fromkeys(alternatives(term, self._language) & self._stems, 1.0)
        if len(term) >= FORM_CHARACTERS and term.isalpha():
            for stem in self._heads.get(term[:_HEAD], ()):
                if stem not in found and (part := _form(term, stem)):
                    found[stem] = FORM * part
        if self._language in _COMPOUNDING and len(term) >= COMPOUND_CHARACTERS:
            found |= {stem: COMPOUND for stem in self._stems if term in stem and stem not in found}
        if not found and len(term) >= SLIP_CHARACTERS and term.isalpha():
            found = {stem: SLIP * part for stem in self._heads.get(term[0], ()) if (part := _slip(term, stem))}
        return found


def _form(one: str, other: str) -> float:
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    longer = max(len(one), len(other))
    return shared / longer if shared >= FORM_CHARACTERS and shared >= FORM_PART * longer else 0.0


def _slip(one: str, other: str) -> float:
    if abs(len(one) - len(other)) > 2 or not other.isalpha():
        return 0.0
    part = _shared(_trigrams(one), _trigrams(other))
    return part if part >= SLIP_PART else 0.0


def _shared(one: Set[str], other: Set[str]) -> float:
    """Dice's coefficient of two sets."""
    return 2 * len(one & other) / (len(one) + len(other))


def _trigrams(word: str) -> set[str]:
    padded = f"  {word} "
    return {padded[n : n + 3] for n in range(len(padded) - 2)}
