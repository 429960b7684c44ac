"""There is a weight for each sign, and none for anything else."""

from __future__ import annotations

from agentd.evidence.signs import Signs
from agentd.evidence.weights import ANSWERABLE, ANSWERS


def test_each_sign_has_its_weight() -> None:
    assert set(ANSWERABLE.of) == {"answers", *Signs.NAMES}
    assert set(ANSWERS.of) == set(Signs.NAMES) - Signs.OF_QUESTION


def test_what_speaks_for_an_answer_counts_for_it() -> None:
    for name in ("near", "behind", "pairs", "score"):
        assert ANSWERS.of[name] > 0
    for name in ("passage", "anywhere", "hits", "fit"):
        assert ANSWERABLE.of[name] > 0
    for name in ("names_passage", "unfit"):
        assert ANSWERABLE.of[name] < 0
