"""Tickets: each lets one browser in, once and for a minute. They are kept in memory, as digests."""

from __future__ import annotations

import hashlib
import secrets

from agentd.ports.clock import Clock
from agentd.records import Principal

TICKET_SECONDS = 60.0
TICKET_BYTES = 24
MOST = 100
"""Tickets that wait; the oldest one makes room for a new one."""


class Tickets:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[bytes, tuple[Principal, float]] = {}

    def issue(self, principal: Principal) -> str:
        """A ticket for this principal."""
        if len(self._waiting) >= MOST:
            del self._waiting[next(iter(self._waiting))]
        ticket = secrets.token_urlsafe(TICKET_BYTES)
        self._waiting[_digest(ticket)] = principal, self._clock.monotonic() + TICKET_SECONDS
        return ticket

    def redeem(self, ticket: str) -> Principal | None:
        """Whose ticket it is; None if it was used before, is too old, or was never issued."""
        principal, until = self._waiting.pop(_digest(ticket), (None, 0.0))
        return principal if self._clock.monotonic() < until else None


def _digest(ticket: str) -> bytes:
    """It is looked up by this, so that how long that takes tells nothing about a ticket."""
    return hashlib.sha256(ticket.encode("utf-8", "replace")).digest()
