"""A crashed channel is started again, and everybody can see how it is."""

from __future__ import annotations

import asyncio
from typing import Literal

import pytest

from agentd.bus.bus import EventBus
from agentd.clock import SystemClock
from agentd.delivery.backoff import Backoff
from agentd.errors import Permanent
from agentd.events import ChannelStateChanged, Event, OutboundEvent
from agentd.ports.channels import Inbox, Offer, PartDone, Receipt, Report
from agentd.testing.pending import MemoryPending
from workers import channels as module
from workers.channels import ChannelSupervisor


class NoInbox:
    async def accept(self, offer: Offer) -> Receipt:
        raise AssertionError

    async def stop(self, session_id: str, principal: object) -> bool:
        raise AssertionError


class Fragile:
    """Crashes so often before it is connected; then it works, though not as it should."""

    name = "fragile"

    def __init__(self, crashes: int) -> None:
        self.crashes = crashes
        self.runs = 0
        self.steady = asyncio.Event()

    async def run(self, inbox: Inbox, report: Report) -> None:
        self.runs += 1
        if self.runs <= self.crashes:
            raise ConnectionError("the platform hung up on https://me:pass@platform.test")
        report.connected()
        report.degraded("it is slow")
        self.steady.set()
        await asyncio.get_running_loop().create_future()

    async def send(self, event: OutboundEvent, progress: PartDone) -> Literal["taken", "history"]:
        raise Permanent("not a real channel")


async def test_a_channel_that_crashes_is_started_again_and_its_states_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WAITS", Backoff(first=0.0, longest=0.0))
    told: list[Event] = []
    bus = EventBus(MemoryPending(), [told.append])
    supervisor = ChannelSupervisor(bus, SystemClock())
    channel = Fragile(crashes=2)
    task = asyncio.create_task(supervisor.run(channel, NoInbox()), name="channel")
    async with asyncio.timeout(60):
        await channel.steady.wait()
    states = [event.state for event in told if isinstance(event, ChannelStateChanged)]
    assert states == ["starting", "down", "starting", "down", "starting", "connected", "degraded"]
    reasons = [event.reason for event in told if isinstance(event, ChannelStateChanged)]
    assert "the platform hung up on https://********@platform.test" in reasons[1]
    task.cancel()
    await asyncio.wait([task])


async def test_waits_between_starts_double_up_to_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITS", Backoff(first=0.001, longest=0.004))
    told: list[Event] = []
    channel = Fragile(crashes=5)
    supervisor = ChannelSupervisor(EventBus(MemoryPending(), [told.append]), SystemClock())
    task = asyncio.create_task(supervisor.run(channel, NoInbox()), name="channel")
    async with asyncio.timeout(60):
        await channel.steady.wait()
    task.cancel()
    await asyncio.wait([task])
    waits = [
        e.reason.rpartition("again in ")[2] for e in told if isinstance(e, ChannelStateChanged) and e.state == "down"
    ]
    assert waits == ["0.001 s", "0.002 s", "0.004 s", "0.004 s", "0.004 s"]
