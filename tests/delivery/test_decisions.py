from __future__ import annotations

import random

import pytest

from agentd.delivery.decisions import Policy, duration


@pytest.mark.parametrize(
    ("attempt", "ceiling"), [(0, 1.0), (1, 2.0), (4, 16.0), (8, 256.0), (9, 300.0), (10**6, 300.0)]
)
def test_back_off_is_anything_between_nothing_and_a_ceiling_that_doubles(attempt: int, ceiling: float) -> None:
    rng = random.Random(7)
    waits = [Policy().backoff(attempt, rng) for _ in range(2000)]
    assert 0.0 <= min(waits) < ceiling * 0.01
    assert ceiling * 0.99 < max(waits) <= ceiling
    assert sum(waits) / len(waits) == pytest.approx(ceiling / 2, rel=0.05)


@pytest.mark.parametrize(
    ("seconds", "words"), [(4.4, "4 s"), (60, "1 min"), (3 * 3600, "3 h"), (24 * 3600, "1 d"), (7 * 86400, "7 d")]
)
def test_a_duration_is_told_in_its_largest_unit(seconds: float, words: str) -> None:
    assert duration(seconds) == words
