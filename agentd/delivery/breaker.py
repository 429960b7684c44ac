"""What holds a whole channel back: a breaker while its platform fails, and a pace while it catches up; both pure.

Times are monotonic seconds that the caller passes in, so that both run in virtual time as well.
"""

from __future__ import annotations

import random

from agentd.delivery.backoff import Backoff
from agentd.records import Address

_WHOLE = 1.0 - 1e-6
"""A wait of exactly one token's time may end a rounding error short of a whole token."""


class Breaker:
    """Stops sending on a channel after failures in a row, then lets one probe find out whether it is well again.

    Nothing but a success in between ends a row, and no address counts for more than half of it (rounded up): one
    chat that always fails says nothing about the others. Each failed probe makes the cooldown longer.
    """

    def __init__(self, *, failures: int, cooldown: Backoff, rng: random.Random) -> None:
        self._failures = failures
        self._cooldown = cooldown
        self._rng = rng
        self._row: dict[Address, int] = {}
        self._openings = 0
        self._opened = 0.0
        self._until = 0.0
        self._probe = ""

    @property
    def open(self) -> bool:
        """Whether only a probe may be sent."""
        return self._openings > 0

    @property
    def probe_at(self) -> float | None:
        """When a probe may be sent; None while one is under way. Only of meaning while open."""
        return None if self._probe else self._until

    def start_probe(self, outbound_id: str) -> None:
        self._probe = outbound_id

    def release(self, outbound_id: str) -> None:
        """This event's send ended without telling anything about the channel."""
        if self._probe == outbound_id:
            self._probe = ""

    def succeed(self) -> bool:
        """The platform answered; whether that ended an outage."""
        was_open = self.open
        self._row.clear()
        self._openings = 0
        self._probe = ""
        return was_open

    def fail(self, outbound_id: str, address: Address, now: float) -> None:
        """The platform could not be reached, or was in trouble."""
        self._row[address] = self._row.get(address, 0) + 1
        if self.open:
            if self._probe == outbound_id:
                self._trip(now)
            return
        most = (self._failures + 1) // 2
        if sum(min(count, most) for count in self._row.values()) >= self._failures:
            self._trip(now)

    def shorten(self, address: Address) -> None:
        """An address that did not fail in this row waits: the next probe comes after the first cooldown, not the nth.

        Without this, a few dead chats that probe and fail would make everybody else wait for the longest cooldown.
        """
        if self.open and address not in self._row:
            self._until = min(self._until, self._opened + self._cooldown.ceiling(0))

    def _trip(self, now: float) -> None:
        self._opened = now
        self._until = now + self._cooldown.drawn(self._openings, self._rng)
        self._openings += 1
        self._probe = ""


class Pace:
    """A token bucket: at most `burst` at once and `rate` per second after that."""

    def __init__(self, *, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at = 0.0

    def next_at(self, now: float) -> float:
        """When there is a token: `now` or later."""
        tokens = self._filled(now)
        return now if tokens >= _WHOLE else now + (1.0 - tokens) / self._rate

    def take(self, now: float) -> bool:
        """One token, if there is one."""
        self._tokens = self._filled(now)
        self._at = now
        if self._tokens < _WHOLE:
            return False
        self._tokens = max(0.0, self._tokens - 1.0)
        return True

    def _filled(self, now: float) -> float:
        return min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
