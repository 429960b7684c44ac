"""A delivery worker in a house of its own: a real bus, a pending directory in memory, channels without a platform."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from agentd.bus.bus import EventBus
from agentd.clock import SystemClock
from agentd.delivery import Policy
from agentd.events import (
    ChannelStateChanged,
    Event,
    OutboundEvent,
)
from agentd.ports.bus import Gap
from agentd.testing.channel import FakeChannel
from agentd.testing.pending import MemoryPending
from tests.builders import address, inbound, outbound
from workers.delivery import DeliveryWorker

E = TypeVar("E", bound=Event)
FAST = Policy(backoff_base=0.01, breaker_cooldown=0.01, recovery_burst=1000, confirm_limit=5, send_limit=5)


class House:
    """A delivery worker between a bus, a pending directory in memory and channels without a platform."""

    def __init__(self, *channels: FakeChannel, pending: MemoryPending | None = None, policy: Policy = FAST) -> None:
        self.pending = pending or MemoryPending()
        self.bus = EventBus(self.pending)
        self.channels = {channel.name: channel for channel in channels or [FakeChannel("test")]}
        self.channel = next(iter(self.channels.values()))
        self.told: list[Event] = []
        self.news = asyncio.Condition()
        self.worker = self.make_worker(policy)

    def make_worker(self, policy: Policy) -> DeliveryWorker:
        return DeliveryWorker(
            self.pending,
            self.bus,
            clock=SystemClock(),
            policy=policy,
            rng=random.Random(1),
        )

    async def follow(self) -> None:
        async for event in self.bus.subscribe(name="test", size=10_000):
            assert not isinstance(event, Gap)
            async with self.news:
                self.told.append(event)
                self.news.notify_all()

    def all(self, kind: type[E]) -> list[E]:
        return [event for event in self.told if isinstance(event, kind)]

    async def wait_for(self, kind: type[E], count: int = 1) -> list[E]:
        async with asyncio.timeout(60), self.news:
            await self.news.wait_for(lambda: len(self.all(kind)) >= count)
        return self.all(kind)

    async def state(self, state: str, channel: str = "test") -> None:
        await self.bus.publish(ChannelStateChanged.model_validate({"channel": channel, "state": state}))

    async def answer(self, text: str = "hi", *, chat: str = "1", channel: str = "test") -> OutboundEvent:
        asked = inbound(address=address(chat=chat, channel=channel))
        await self.pending.accept(asked)
        event = outbound(asked, text)
        await self.bus.publish(event)
        return event


@asynccontextmanager
async def running(house: House, *, connected: bool = True) -> AsyncIterator[asyncio.Task[None]]:
    """Its worker runs; at the end it is cancelled, and no task may be left."""
    before = asyncio.all_tasks()
    follower = asyncio.create_task(house.follow())
    await turn_over(lambda: follower.get_coro() is not None)
    task = asyncio.create_task(house.worker.run(house.channels))
    if connected:
        for name in house.channels:
            await house.state("connected", name)
    try:
        yield task
    finally:
        for own in (task, follower):
            own.cancel()
        await asyncio.wait({task, follower})
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
    assert asyncio.all_tasks() <= before


async def turn_over(condition: Callable[[], bool]) -> None:
    """Let everything run until a condition holds, at most ten seconds."""
    async with asyncio.timeout(60):
        await asyncio.sleep(0)
        while not condition():  # noqa: ASYNC110 (the condition is a look at state that tells nobody of its changes)
            await asyncio.sleep(0.001)


def connected(house: House) -> bool:
    figures = house.worker.stats().channels.get("test")
    return figures is not None and figures.connected


def texts(channel: FakeChannel) -> list[str]:
    return [part.text for part in channel.received]


async def unannounced(house: House) -> OutboundEvent:
    """An answer that is durable, and that the bus told nobody of."""
    asked = inbound(address=address(chat="unannounced"))
    await house.pending.accept(asked)
    event = outbound(asked, "unannounced")
    await house.pending.answer(event)
    return event
