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
    bias=-7.453,
    of={
        "own": 0.136,
        "near": 1.724,
        "passage": -0.555,
        "behind": 2.292,
        "ahead": 0.923,
        "mass": 0.879,
        "unlike": -1.336,
        "names_here": -0.183,
        "names_passage": -0.192,
        "numbers_here": -0.412,
        "numbers_passage": 0.079,
        "kinds_here": -0.559,
        "kinds_passage": 0.510,
        "others_here": -0.245,
        "others_passage": 0.200,
        "rarest": 0.308,
        "first": 0.430,
        "rank": 1.042,
        "score": 4.253,
        "opens": 0.158,
        "length": 0.389,
        "asks": 0.000,
        "pairs": 1.093,
        "order": -1.041,
        "fits": 0.342,
        "unfit": -1.770,
    },
)
"""That a sentence answers, where the passages do."""
ANSWERABLE = Weights(
    bias=-6.188,
    of={
        "answers": 0.267,
        "own": 1.013,
        "near": 1.134,
        "passage": 1.082,
        "anywhere": 1.265,
        "behind": -0.561,
        "ahead": 0.312,
        "mass": 0.516,
        "unlike": 1.019,
        "names_here": -0.109,
        "names_passage": -0.297,
        "names_anywhere": -0.349,
        "numbers_here": -0.075,
        "numbers_passage": -0.215,
        "kinds_here": -0.169,
        "kinds_passage": -0.194,
        "others_here": -0.041,
        "others_passage": -0.014,
        "others_anywhere": -0.092,
        "rarest": -0.167,
        "terms": 0.795,
        "first": 0.053,
        "rank": -0.230,
        "score": 0.631,
        "hits": 3.581,
        "fit": 2.343,
        "opens": 0.305,
        "length": -0.684,
        "asks": 0.000,
        "pairs": 1.056,
        "order": 0.408,
        "fits": -0.086,
        "unfit": -0.755,
    },
)
"""That the passages answer: the signs of their best sentence, and `answers`, its odds by the weights above."""
