"""The sentences of some passages by how likely they answer a question, and how likely any of them does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentd.events import Passage
from agentd.evidence.asked import Asked, asked
from agentd.evidence.candidates import Sentence, candidates
from agentd.evidence.definitions import defines
from agentd.evidence.signs import Signs
from agentd.evidence.weights import ANSWERABLE, ANSWERS, Weights
from agentd.language import is_question

ROW = -1.0
"""What is taken off a row beside a sentence: a row without its table says little."""
DEFINITION = 5.0
"""What is added where a sentence is about exactly what was asked for ("A turn is ...")."""
DEFINED = 3.0
"""What is added that any answers if the best one is such a sentence."""
FEW, MOST = 2, 0.5
"""Of a question with so few informative words the best sentence must hold this part, and a name if it asks who."""
QUESTION = -2.0
"""What is taken off a question: it is rarely the answer to another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranked:
    """A sentence and the logarithm of the odds that it answers; `defines` says whether it is about what was asked."""

    sentence: Sentence
    odds: float
    defines: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranking:
    """`sentences` are all of the passages in reading order, `ranked` those that are no code, the best first.

    `answerable` is the probability, 0 to 1, that one of them answers.
    """

    asked: Asked
    sentences: Sequence[Sentence]
    ranked: Sequence[Ranked]
    answerable: float


def rank(question: str, passages: Sequence[Passage]) -> Ranking:
    """The sentences of the passages, weighed; harmless for any text, and its time grows no faster than the texts."""
    wanted = asked(question)
    sentences = list(candidates(passages, wanted.language))
    said = [sentence for sentence in sentences if sentence.kind != "code"]
    if not said or not wanted.terms:
        return Ranking(asked=wanted, sentences=sentences, ranked=(), answerable=0.0)
    signs = Signs(wanted, passages, said)
    ranked = []
    for n, sentence in enumerate(said):
        found = signs.of(n)
        own = defines(sentence.text, sentence.kind, wanted.terms, wanted.language)
        odds = weighed(ANSWERS, found) + _form(sentence, own)
        ranked.append((Ranked(sentence=sentence, odds=odds, defines=own), n, found))
    # Of equals the earlier: in the better passage, and there nearer to its beginning.
    ranked.sort(key=lambda one: (-one[0].odds, one[1]))
    best, place, found = ranked[0]
    answerable = weighed(ANSWERABLE, {**found, "answers": best.odds}) + (DEFINED if best.defines else 0.0)
    nobody = wanted.wanted == "name" and found["unfit"] > 0
    too_little = len(wanted.terms) <= FEW and (nobody or signs.held(place) < MOST)
    return Ranking(
        asked=wanted,
        sentences=sentences,
        ranked=[one for one, _, _ in ranked],
        answerable=0.0 if too_little else _probability(answerable),
    )


def weighed(weights: Weights, signs: Mapping[str, float]) -> float:
    """The logarithm of the odds, by logistic regression."""
    return weights.bias + sum(weight * signs[name] for name, weight in weights.of.items())


def _form(sentence: Sentence, is_definition: bool) -> float:
    """What no data was at hand for."""
    return (
        (ROW if sentence.kind == "row" else 0.0)
        + (DEFINITION if is_definition else 0.0)
        + (QUESTION if is_question(sentence.text) else 0.0)
    )


def _probability(odds: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, odds))))
