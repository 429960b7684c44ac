"""Keeps channels running: a channel that crashes is started again in place, with back-off, and its state is told."""

from __future__ import annotations

import asyncio
import logging
from typing import Literal

from agentd.delivery.backoff import Backoff
from agentd.events import ChannelStateChanged
from agentd.host.secrets import masked
from agentd.ports.bus import Bus
from agentd.ports.channels import Addressed, Channel, Inbox
from agentd.ports.clock import Clock

log = logging.getLogger(__name__)

WAITS = Backoff(first=1.0, longest=300.0)
"""Before a crashed channel is started again."""
STEADY = 300.0
"""A channel that ran for so many seconds starts again with the first wait."""


class ChannelSupervisor:
    """Runs channels. Each says itself when it is connected; that it starts, or is down, is said for it."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock

    async def run(self, channel: Channel, inbox: Inbox) -> None:
        """Run one channel until cancelled."""
        crashes = 0
        while True:
            started = self._clock.monotonic()
            report = _Report(self._bus, channel)
            report.tell("starting")
            try:
                await channel.run(inbox, report)
                reason = "it ended by itself"
            except Exception as error:
                log.exception("channel %s crashed", channel.name)
                reason = masked(str(error)) or type(error).__name__
            if self._clock.monotonic() - started > STEADY:
                crashes = 0
            wait = WAITS.ceiling(crashes)
            report.tell("down", f"{reason}; again in {wait:g} s")
            await asyncio.sleep(wait)
            crashes += 1


class _Report:
    """Implements `ports.Report`."""

    def __init__(self, bus: Bus, channel: Channel) -> None:
        self._bus = bus
        self._channel = channel

    def connected(self) -> None:
        self.tell("connected")

    def degraded(self, reason: str) -> None:
        self.tell("degraded", reason)

    def tell(self, state: Literal["starting", "connected", "degraded", "down"], reason: str = "") -> None:
        name, address = self._channel.name, ""
        if state in ("connected", "degraded") and isinstance(self._channel, Addressed):
            address = self._channel.address
        self._bus.announce(ChannelStateChanged(channel=name, state=state, reason=reason, address=address))
