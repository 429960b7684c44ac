"""A clock that stands still until it is advanced by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Implements `ports.Clock`. `advance` moves both times, `set_back` only the time of day, as a wrong clock does."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass; never backwards."""
        if seconds < 0:
            raise ValueError("time does not go back; set_back moves the time of day")
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds

    def set_back(self, seconds: float) -> None:
        """Put the time of day back, or forward with a negative number, while monotonic time stands still."""
        self._now -= timedelta(seconds=seconds)
