"""Waits double up to the longest one, and are drawn below that."""

from __future__ import annotations

import random

import pytest

from agentd.delivery.backoff import Backoff


@pytest.mark.parametrize(
    ("backoff", "ceilings"),
    [
        (Backoff(first=1.0, longest=300.0), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]),
        (Backoff(first=0.5, longest=8.0), [0.5, 1, 2, 4, 8, 8]),
        (Backoff(first=5.0, longest=5.0), [5, 5]),
        (Backoff(first=10.0, longest=4.0), [4, 4]),
        (Backoff(first=0.0, longest=30.0), [0, 0]),
    ],
)
def test_waits_double_up_to_the_longest(backoff: Backoff, ceilings: list[float]) -> None:
    assert [backoff.ceiling(earlier) for earlier in range(len(ceilings))] == ceilings
    assert backoff.ceiling(10**6) == ceilings[-1]


@pytest.mark.parametrize("certain", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("earlier", "ceiling"), [(0, 1.0), (1, 2.0), (4, 16.0), (8, 256.0), (9, 300.0)])
def test_a_wait_is_drawn_evenly_from_what_is_not_certain(earlier: int, ceiling: float, certain: float) -> None:
    backoff, rng = Backoff(first=1.0, longest=300.0, certain=certain), random.Random(7)
    waits = [backoff.drawn(earlier, rng) for _ in range(2000)]
    assert certain * ceiling <= min(waits) <= certain * ceiling + ceiling * 0.01
    assert ceiling * 0.99 < max(waits) <= ceiling
    assert sum(waits) / len(waits) == pytest.approx(ceiling * (1 + certain) / 2, rel=0.05)
