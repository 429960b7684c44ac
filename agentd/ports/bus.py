"""Publish and subscribe."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from agentd.events import Event, Happened

Item = TypeVar("Item", covariant=True)
Stamped = TypeVar("Stamped", bound=Happened)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """A subscriber was too slow: `missed` events were dropped; look at the state again."""

    missed: int


class Subscription(Protocol[Item]):
    """A bounded queue of events for one subscriber; iterate over it until `close`."""

    def __aiter__(self) -> AsyncIterator[Item | Gap]: ...

    def close(self) -> None: ...


class Bus(Protocol):
    async def publish(self, event: Event) -> None:
        """Make a durable event durable first, then hand it to every subscriber. An event without an id gets one."""
        ...

    def stamped(self, event: Stamped) -> Stamped:
        """The event with an id and a time, for a caller that must write it before it is published."""
        ...

    def announce(self, event: Event) -> None:
        """Hand on at once what need not be durable, or already is."""
        ...

    def subscribe(self, *types: type[Event], name: str, size: int = 256) -> Subscription[Event]: ...
