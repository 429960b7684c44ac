from __future__ import annotations

import random

import pytest

from agentd.delivery.breaker import Breaker, Pace
from agentd.delivery.decisions import Policy
from agentd.records import Address


def chat(n: int) -> Address:
    return Address(channel="c", chat=str(n))


def breaker(seed: int = 1) -> Breaker:
    return Breaker(failures=5, cooldown=Policy().cooldown, rng=random.Random(seed))


def opened(seed: int = 1, *, at: float = 0.0) -> Breaker:
    tripped = breaker(seed)
    for n in range(5):
        tripped.fail(f"e{n}", chat(n), at)
    return tripped


def test_it_opens_after_five_failures_in_a_row() -> None:
    wall = breaker()
    for n in range(4):
        wall.fail(f"e{n}", chat(n), 0.0)
        assert not wall.open
    wall.fail("e4", chat(4), 0.0)
    assert wall.open


def test_a_success_in_between_starts_the_count_again() -> None:
    wall = breaker()
    for n in range(20):
        if n % 4 == 3:
            wall.succeed()
        wall.fail(f"e{n}", chat(n), 0.0)
    assert not wall.open


def test_one_address_alone_never_opens_it() -> None:
    wall = breaker()
    for n in range(100):
        wall.fail(f"e{n}", chat(0), 0.0)
    assert not wall.open
    wall.fail("f1", chat(1), 0.0)
    assert not wall.open
    wall.fail("f2", chat(1), 0.0)
    assert wall.open


@pytest.mark.parametrize("seed", range(20))
def test_the_first_cooldown_is_between_half_of_five_seconds_and_all(seed: int) -> None:
    probe_at = opened(seed, at=100.0).probe_at
    assert probe_at is not None and 102.5 <= probe_at <= 105.0


def test_there_is_one_probe_at_a_time() -> None:
    wall = opened()
    wall.start_probe("p")
    assert wall.probe_at is None
    wall.release("another")
    assert wall.probe_at is None
    wall.release("p")
    assert wall.probe_at is not None


def test_each_failed_probe_doubles_the_cooldown_up_to_the_cap() -> None:
    wall = opened()
    longest = []
    for n in range(10):
        wall.start_probe(f"p{n}")
        wall.fail(f"p{n}", chat(n), 1000.0)
        assert wall.probe_at is not None
        longest.append(wall.probe_at - 1000.0)
    for n, wait in enumerate(longest):
        ceiling = min(300.0, 5.0 * 2 ** (n + 1))
        assert ceiling / 2 <= wait <= ceiling


def test_the_failure_of_a_send_that_began_earlier_prolongs_nothing() -> None:
    wall = opened()
    before = wall.probe_at
    wall.fail("late", chat(9), 4.0)
    assert wall.probe_at == before


def test_any_success_closes_it_and_says_that_it_was_open() -> None:
    wall = opened()
    assert wall.succeed()
    assert not wall.open
    assert not wall.succeed()


def test_somebody_who_did_not_fail_waits_for_the_first_cooldown_only() -> None:
    wall = opened()
    for n in range(8):
        wall.start_probe(f"p{n}")
        wall.fail(f"p{n}", chat(0), 1000.0)
    wall.shorten(chat(0))
    assert wall.probe_at is not None and wall.probe_at > 1100.0
    wall.shorten(chat(77))
    assert wall.probe_at is not None and wall.probe_at <= 1005.0


def test_a_pace_allows_its_burst_at_once_and_its_rate_from_then_on() -> None:
    pace = Pace(rate=10.0, burst=3)
    assert [pace.take(50.0) for _ in range(4)] == [True, True, True, False]
    assert pace.next_at(50.0) == pytest.approx(50.1)
    assert pace.take(pace.next_at(50.0))
    assert not pace.take(50.15)


def test_a_pace_never_saves_up_more_than_its_burst() -> None:
    pace = Pace(rate=10.0, burst=2)
    assert [pace.take(1e6) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("start", [0.0, 1e3, 1e6, 1e9])
def test_waiting_for_the_next_token_always_gets_one(start: float) -> None:
    pace, now = Pace(rate=7.0, burst=1), start
    for _ in range(200):
        now = pace.next_at(now)
        assert pace.take(now)
