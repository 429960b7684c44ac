"""The system's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from agentd.clock import SystemClock


def test_the_time_of_day_is_aware_and_in_utc() -> None:
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)


def test_monotonic_time_only_grows() -> None:
    clock = SystemClock()
    times = [clock.monotonic() for _ in range(1000)]
    assert times == sorted(times)
