"""What the bus is told about one turn while it runs: each event with its id, its time and its attempt."""

from __future__ import annotations

import logging
from typing import Any

from agentd.events import Event, GenerationChunk, InboundEvent, PromptReading, TurnHandedOver, TurnStarted
from agentd.ids import IdSource
from agentd.ports.bus import Bus
from agentd.ports.clock import Clock
from agentd.ports.generation import HandedOver, Reading
from agentd.text.characters import whole
from agentd.turns.account import Account

log = logging.getLogger(__name__)


class News:
    """`model` is who answers at the moment, `account` what that took so far."""

    def __init__(self, bus: Bus, ids: IdSource, clock: Clock, inbound: InboundEvent, attempt: int) -> None:
        self._bus = bus
        self._ids = ids
        self._clock = clock
        self._inbound = inbound
        self._attempt = attempt
        self.account = Account(clock)
        self.model = ""

    @property
    def turn(self) -> dict[str, str]:
        """The fields that every event of the turn has."""
        return {"turn_id": self._inbound.turn_id, "session_id": self._inbound.session_id}

    def durable(self) -> dict[str, Any]:
        """The same for a durable event, which has its id and time before it is published."""
        return {"id": self._ids.next(), "time": self._clock.now(), **self.turn}

    async def publish(self, event: Event) -> None:
        await self._bus.publish(event)

    async def said(self, n: int, text: str, reasoning: bool) -> None:
        """Tell a piece of the answer; this is a `telling.Show`."""
        if not reasoning:
            self.account.spoke()
        chunk = GenerationChunk(**self.turn, attempt=self._attempt, n=n, text=text, reasoning=reasoning)
        await self.publish(chunk)

    async def reading(self, delta: Reading) -> None:
        done, total, seconds = delta.done, delta.total, delta.seconds
        await self.publish(PromptReading(**self.turn, attempt=self._attempt, done=done, total=total, seconds=seconds))

    async def started_again(self, reason: str) -> None:
        """The next attempt: clients drop what was said in this one."""
        reason = whole(reason)
        log.warning("turn %s starts again: %s", self._inbound.turn_id, reason)
        self._attempt += 1
        await self.publish(TurnStarted(**self.turn, attempt=self._attempt, reason=reason))

    async def handed_over(self, delta: HandedOver) -> None:
        """Told once: each round of a turn begins with the model that is preferred."""
        if delta.model == self.model:
            return
        model, reason = whole(delta.model), whole(delta.reason)
        log.warning("turn %s: %s answers instead: %s", self._inbound.turn_id, model, reason)
        self.model = delta.model
        await self.publish(TurnHandedOver(**self.turn, attempt=self._attempt, model=model, reason=reason))
