"""Ranks the sentences of some passages by how likely they answer a question, and judges whether any of them does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentd.evidence.asked import Asked, asked
from agentd.evidence.candidates import Sentence, candidates
from agentd.evidence.definitions import defines
from agentd.evidence.kinds import opens_with_name
from agentd.evidence.signs import Signs
from agentd.evidence.weights import ANSWERABLE, ANSWERS, Weights
from agentd.records import Passage
from agentd.text.language import is_question

ROW = -1.0
"""The deduction for a row beside a sentence: a row without its table says little."""
CODE = 1.5
"""What is added to a sentence that shows something to type, if the question asks how something is done."""
UNFIT = -4.0
"""What is taken off a sentence without anything of the wanted kind, if the question says nothing else: "And
how much is it?" after another one.
"""
DEFINITION = 5.0
"""The bonus for a sentence that is about exactly what was asked for ("A turn is ...")."""
DEFINED = 3.0
"""The bonus for the passages if the best sentence is such a one."""
FEW, MOST = 2, 0.5
"""If a question has so few informative words, the best sentence must contain this part, and a name if it asks who."""
QUESTION = -2.0
"""The deduction for a question: it is rarely the answer to another one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranked:
    """A sentence and the logarithm of the odds that it answers; `defines` if it is about exactly what was asked."""

    sentence: Sentence
    odds: float
    defines: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranking:
    """`sentences` are all of the passages in reading order, `ranked` those that are told, the best first.

    `answerable` is the probability, 0 to 1, that one of them answers.
    """

    asked: Asked
    sentences: Sequence[Sentence]
    ranked: Sequence[Ranked]
    answerable: float


def rank(question: str, passages: Sequence[Passage], about: str = "") -> Ranking:
    """The sentences of the passages, weighed; `about` is the question that this one goes back to, if it does.

    Harmless for any text, and its time grows no faster than the texts.
    """
    wanted = asked(question, about)
    sentences = list(candidates(passages, wanted.language))
    said = [sentence for sentence in sentences if sentence.is_told]
    signs = Signs(wanted, passages, said)
    telling = [n for n in range(len(said)) if not signs.is_silent(n)]
    if not telling:
        return Ranking(asked=wanted, sentences=sentences, ranked=(), answerable=0.0)
    weighed_signs = {n: signs.of(n) for n in telling}
    ranked = [_ranked(said[n], wanted, weighed_signs[n]) for n in telling]
    # Of equal ones, the earlier comes first: in the better passage, and there nearer to the beginning.
    order = sorted(range(len(telling)), key=lambda position: -ranked[position].odds)
    best = order[0]
    held = signs.held(telling[best])
    return Ranking(
        asked=wanted,
        sentences=sentences,
        ranked=[ranked[position] for position in order],
        answerable=_answerable(wanted, ranked[best], weighed_signs[telling[best]], held),
    )


def _ranked(sentence: Sentence, wanted: Asked, signs: Mapping[str, float]) -> Ranked:
    about = defines(sentence, wanted.terms, wanted.language)
    odds = weighed(ANSWERS, signs)
    # There were no data to fit these two.
    odds += (ROW if sentence.kind == "row" else 0.0) + (DEFINITION if about else 0.0)
    odds += QUESTION if is_question(sentence.text) else 0.0
    odds += UNFIT if signs["unfit"] and wanted.context.issuperset(wanted.terms) else 0.0
    odds += CODE if wanted.does and (sentence.kind == "code" or "`" in sentence.text) else 0.0
    return Ranked(sentence=sentence, odds=odds, defines=about)


def _answerable(wanted: Asked, best: Ranked, signs: Mapping[str, float], held: float) -> float:
    nobody = wanted.wanted == "name" and signs["unfit"] > 0 and not opens_with_name(best.sentence.text, wanted)
    if len(wanted.terms) <= FEW and (nobody or held < MOST):
        return 0.0
    return _probability(weighed(ANSWERABLE, {**signs, "answers": best.odds}) + (DEFINED if best.defines else 0.0))


def weighed(weights: Weights, signs: Mapping[str, float]) -> float:
    """The logarithm of the odds, by logistic regression."""
    return weights.bias + sum(weight * signs[name] for name, weight in weights.of.items())


def _probability(odds: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, odds))))
