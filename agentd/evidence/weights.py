"""What the signs of evidence are worth, by logistic regression; the numbers are written by `bench.evidence_fit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """The logarithm of the odds is `bias` plus each sign times its weight."""

    bias: float
    of: Mapping[str, float]


ANSWERS = Weights(
    bias=-7.465,
    of={
        "own": 0.036,
        "near": 1.720,
        "passage": -0.377,
        "behind": 2.288,
        "ahead": 0.915,
        "mass": 0.869,
        "unlike": -1.361,
        "names_here": -0.179,
        "names_passage": -0.194,
        "numbers_here": -0.417,
        "numbers_passage": 0.059,
        "kinds_here": -0.649,
        "kinds_passage": 0.576,
        "others_here": -0.248,
        "others_passage": 0.186,
        "rarest": 0.432,
        "first": 0.440,
        "rank": 1.024,
        "score": 4.154,
        "opens": 0.151,
        "length": 0.315,
        "asks": 0.000,
        "pairs": 1.109,
        "order": -0.905,
        "fits": 0.339,
        "unfit": -1.962,
    },
)
"""That a sentence answers, where the passages do."""
ANSWERABLE = Weights(
    bias=-4.158,
    of={
        "answers": 0.267,
        "own": 1.003,
        "near": 1.127,
        "passage": 1.143,
        "anywhere": 1.193,
        "behind": 0.489,
        "ahead": 0.408,
        "mass": 0.524,
        "unlike": 0.755,
        "names_here": -0.115,
        "names_passage": -0.297,
        "names_anywhere": -0.349,
        "numbers_here": -0.060,
        "numbers_passage": -0.226,
        "kinds_here": -0.212,
        "kinds_passage": -0.230,
        "others_here": -0.038,
        "others_passage": -0.020,
        "others_anywhere": -0.076,
        "rarest": -0.193,
        "terms": 0.772,
        "first": 0.069,
        "rank": -0.169,
        "score": -1.319,
        "hits": 3.567,
        "fit": 2.212,
        "opens": 0.292,
        "length": -0.713,
        "asks": 0.000,
        "pairs": 1.041,
        "order": 0.491,
        "fits": -0.151,
        "unfit": -0.972,
    },
)
"""That the passages answer: the signs of their best sentence, and `answers`, its odds by the weights above."""
