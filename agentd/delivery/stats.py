"""What is owed over all channels and how it went last, as whoever shows it gets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from agentd.delivery.decisions import ChannelLanes


@dataclass(frozen=True, kw_only=True, slots=True)
class LastSeen:
    """The latest that happened on a channel; None and "" if nothing has happened yet."""

    delivered: datetime | None = None
    failed: datetime | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryStats:
    """What is owed; ages in seconds. `unrecorded` were delivered or given up and wait for the disk to take that."""

    pending: int
    in_flight: int
    unconfirmed: int
    deferred: int
    unrecorded: int
    oldest_age: float | None
    channels: Mapping[str, ChannelLanes]
    last: Mapping[str, LastSeen]


class Delivering(Protocol):
    """Who delivers, or what stands for it while nobody does."""

    def stats(self) -> DeliveryStats: ...
