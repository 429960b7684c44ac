"""The weights of the signs of evidence, by logistic regression; `bench.evidence_fit` writes them.

They were found on 632 questions to 120 paragraphs of 24 articles (XQuAD in English: Artetxe, Ruder and Yogatama 2020;
CC BY-SA 4.0), each asked when its paragraph had been read and, in three ways, when it had not. Weights that were fitted
to one half of the articles were tried on the other half, both ways. They refuse 8.7 % of the questions that can be
answered, and 94.7 % of those that cannot (98.7 % if nothing of the article was read, 90.7 % if half of it was). The
best sentence contains the answer to 81.5 %, one of the best two to 92.4 %. Fitted to all and tried on the same: 7.6 %
and 95.5 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """The logarithm of the odds is `bias` plus each sign times its weight."""

    bias: float
    of: Mapping[str, float]


ANSWERS = Weights(
    bias=-7.453,
    of={
        "own": 0.044,
        "near": 1.703,
        "passage": -0.386,
        "behind": 2.291,
        "ahead": 0.917,
        "mass": 0.871,
        "unlike": -1.363,
        "names_here": -0.178,
        "names_passage": -0.196,
        "numbers_here": -0.416,
        "numbers_passage": 0.055,
        "kinds_here": -0.647,
        "kinds_passage": 0.576,
        "others_here": -0.247,
        "others_passage": 0.185,
        "rarest": 0.420,
        "first": 0.440,
        "rank": 1.029,
        "score": 4.151,
        "opens": 0.151,
        "length": 0.315,
        "asks": 0.000,
        "pairs": 1.112,
        "order": -0.906,
        "fits": 0.339,
        "unfit": -1.962,
    },
)
"""For a sentence: that it answers, if the passages do."""
ANSWERABLE = Weights(
    bias=-4.271,
    of={
        "answers": 0.269,
        "own": 1.010,
        "near": 1.131,
        "passage": 1.148,
        "anywhere": 1.207,
        "behind": 0.469,
        "ahead": 0.407,
        "mass": 0.530,
        "unlike": 0.723,
        "names_here": -0.116,
        "names_passage": -0.296,
        "names_anywhere": -0.348,
        "numbers_here": -0.046,
        "numbers_passage": -0.232,
        "kinds_here": -0.213,
        "kinds_passage": -0.228,
        "others_here": -0.039,
        "others_passage": -0.020,
        "others_anywhere": -0.075,
        "rarest": -0.184,
        "terms": 0.764,
        "first": 0.067,
        "rank": -0.214,
        "score": -1.291,
        "hits": 3.539,
        "fit": 2.206,
        "opens": 0.295,
        "length": -0.714,
        "asks": 0.000,
        "pairs": 1.042,
        "order": 0.490,
        "fits": -0.152,
        "unfit": -0.974,
    },
)
"""For the passages: that they answer; by the signs of the best sentence and `answers`, its odds as above."""
