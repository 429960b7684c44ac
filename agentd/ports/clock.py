"""The time; tests that depend on it have a clock of their own."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The time of day for people and records, the monotonic one for every wait."""

    def now(self) -> datetime:
        """The present, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow."""
        ...
