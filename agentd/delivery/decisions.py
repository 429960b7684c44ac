"""What delivery decides, as values, and the figures by which it does: records shared by `lanes` and `outlet`."""

from __future__ import annotations

from dataclasses import dataclass

from agentd.delivery.backoff import Backoff
from agentd.records import Address


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How hard to try; every time is in seconds.

    An event is given up after `max_attempts` and `min_age`, or at `max_age` whatever the count. What nobody is there
    to read goes to the history when it is older than `absent_age`, or when more than `absent_count` wait for one
    address. After a channel connected or recovered, what had piled up is sent at `recovery_rate` per second with a
    `recovery_burst`. A `not_before` from before a restart that is further ahead than `longest_wait` came from a wrong
    clock. `send_limit` is without any progress; `confirm_limit` is how long a reader has to acknowledge.
    """

    max_attempts: int = 12
    min_age: float = 24 * 3600.0
    max_age: float = 7 * 24 * 3600.0
    backoff_base: float = 1.0
    backoff_cap: float = 300.0
    parallel: int = 64
    breaker_failures: int = 5
    breaker_cooldown: float = 5.0
    breaker_cooldown_cap: float = 300.0
    recovery_rate: float = 50.0
    recovery_burst: int = 20
    absent_age: float = 72 * 3600.0
    absent_count: int = 100
    unconfirmed: int = 16
    longest_wait: float = 24 * 3600.0
    send_limit: float = 60.0
    confirm_limit: float = 60.0
    leave_others: bool = False
    """What is owed over channels that do not run here is not touched, not even when it gets too old."""

    @property
    def backoff(self) -> Backoff:
        """Of one event."""
        return Backoff(first=self.backoff_base, longest=self.backoff_cap)

    @property
    def cooldown(self) -> Backoff:
        """Of a channel's breaker."""
        return Backoff(first=self.breaker_cooldown, longest=self.breaker_cooldown_cap, certain=0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Owed:
    """An outbound event that its address has not got yet.

    `id` is its outbound id and `turn_id` its name in the pending directory; `attempts` are those that count; `born`
    is when it was made; `repeat` says that the platform may have it already.
    """

    id: str
    turn_id: str
    address: Address
    born: float
    attempts: int = 0
    not_before: float = 0.0
    backing_off: bool = False
    repeat: bool = False
    arrivals: int = 0
    """How often somebody had arrived at the address when it was last sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Send:
    """Send it now; `attempt` counts from 1."""

    owed: Owed
    attempt: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Defer:
    """It stays owed. `delay` is in seconds; None waits for somebody to arrive at the address."""

    owed: Owed
    delay: float | None
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Bury:
    """It is given up and no longer owed."""

    owed: Owed
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ToHistory:
    """Nobody came to read it in time; it is no longer owed and stays unread in the history."""

    owed: Owed


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelLanes:
    """What `agentd status` tells of one channel's deliveries; `oldest_age` is in seconds, None when nothing waits."""

    connected: bool
    breaker_open: bool
    waiting: int
    in_flight: int
    unconfirmed: int
    deferred: int
    oldest_age: float | None


def duration(seconds: float) -> str:
    """Seconds as a person reads them: "7 d", "3 h", "20 min", "4 s"."""
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
