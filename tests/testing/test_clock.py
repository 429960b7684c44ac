from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agentd.ports.clock import Clock
from agentd.testing.clock import FakeClock


def test_it_stands_still_until_it_is_advanced() -> None:
    clock: Clock = FakeClock()
    assert (clock.now(), clock.monotonic()) == (clock.now(), clock.monotonic())


def test_advancing_moves_the_time_of_day_and_the_monotonic_time() -> None:
    clock = FakeClock(datetime(2026, 3, 1, tzinfo=UTC))
    clock.advance(1.5)
    assert clock.now() == datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=1.5)
    assert clock.monotonic() == 1.5


def test_only_the_time_of_day_can_go_back() -> None:
    clock = FakeClock(datetime(2026, 3, 2, tzinfo=UTC))
    clock.set_back(86_400)
    assert (clock.now(), clock.monotonic()) == (datetime(2026, 3, 1, tzinfo=UTC), 0.0)
    with pytest.raises(ValueError):
        clock.advance(-1)


def test_the_present_is_aware_and_in_utc() -> None:
    assert FakeClock().now().tzinfo is UTC
