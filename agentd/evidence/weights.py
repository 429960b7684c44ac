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
    bias=0.0,
    of={"own": 1.0},
)
"""That a sentence answers, where the passages do."""
ANSWERABLE = Weights(
    bias=0.0,
    of={"own": 1.0},
)
"""That the passages answer: the signs of their best sentence, and `answers`, its odds by the weights above."""
