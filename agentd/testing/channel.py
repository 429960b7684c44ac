"""A channel without a platform: the test decides the outcome of each send, and the channel remembers what was sent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agentd.events import OutboundEvent
from agentd.ports.channels import Confirmation, Inbox, Offer, PartDone, Receipt, Report

How = Literal["taken", "history"]


class Gate:
    """A send or an acknowledgement that hangs until the test decides its outcome; implements `ports.Confirmation`."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        """Set as soon as somebody is waiting."""
        self._outcome: asyncio.Future[How] = asyncio.get_running_loop().create_future()

    def open(self, how: How = "taken") -> None:
        self._outcome.set_result(how)

    def fail(self, error: Exception) -> None:
        self._outcome.set_exception(error)

    async def wait(self) -> How:
        self.entered.set()
        return await asyncio.shield(self._outcome)


@dataclass(frozen=True, slots=True)
class Hang:
    """The send itself waits for the gate."""

    gate: Gate


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """The send returns at once; its acknowledgement is the gate."""

    gate: Gate


@dataclass(frozen=True, slots=True)
class AfterParts:
    """This many more parts are confirmed, then the send has this outcome."""

    parts: int
    then: How | Exception | Hang


Outcome = How | Exception | Hang | Unconfirmed | AfterParts


@dataclass(frozen=True, kw_only=True, slots=True)
class SentPart:
    """A message or part that reached the platform; a whole message is part 0 of one."""

    event: OutboundEvent
    n: int
    text: str
    repeat: bool


class FakeChannel:
    """Implements `ports.Channel`.

    Each send uses the next scripted outcome of its chat, otherwise the next one for all chats; without a script it is
    taken. `attempts` lists every send that was begun; `received` what reached the platform, in order. Messages longer
    than `part_size` characters go in parts; 0 sends everything whole.
    """

    def __init__(self, name: str = "fake", *, part_size: int = 0) -> None:
        self.name = name
        self.part_size = part_size
        self.attempts: list[OutboundEvent] = []
        self.received: list[SentPart] = []
        self.receiving = asyncio.Event()
        """Set while `run` runs."""
        self._scripts: dict[str, deque[Outcome]] = {}
        self._changed = asyncio.Condition()
        self._inbox: Inbox | None = None
        self._crash: asyncio.Future[None] | None = None

    def script(self, *outcomes: Outcome, chat: str = "") -> None:
        """Set the outcomes of the next sends to this chat or, without one, to all chats that have no script."""
        self._scripts.setdefault(chat, deque()).extend(outcomes)

    async def receive(self, offer: Offer) -> Receipt:
        """A person writes: make an offer to the inbox that `run` got."""
        await self.receiving.wait()
        if self._inbox is None:
            raise RuntimeError("the channel does not run: start run() before anybody writes")
        return await self._inbox.accept(offer)

    def crash(self, error: Exception) -> None:
        """Make `run` raise."""
        if self._crash is None:
            raise RuntimeError("the channel does not run: there is nothing to crash")
        self._crash.set_exception(error)

    async def wait_for_attempts(self, count: int, *, limit: float = 60.0) -> Sequence[OutboundEvent]:
        """Wait until this many sends have begun; TimeoutError after `limit` seconds."""
        async with asyncio.timeout(limit), self._changed:
            await self._changed.wait_for(lambda: len(self.attempts) >= count)
        return self.attempts

    async def wait_for_received(self, count: int, *, limit: float = 60.0) -> Sequence[SentPart]:
        """Wait until this many parts have reached the platform; TimeoutError after `limit` seconds."""
        async with asyncio.timeout(limit), self._changed:
            await self._changed.wait_for(lambda: len(self.received) >= count)
        return self.received

    async def run(self, inbox: Inbox, report: Report) -> None:
        self._inbox = inbox
        self._crash = asyncio.get_running_loop().create_future()
        self.receiving.set()
        report.connected()
        try:
            await self._crash
        finally:
            self.receiving.clear()
            self._inbox = self._crash = None

    async def send(self, event: OutboundEvent, progress: PartDone) -> Confirmation | How:
        await self._note(event)
        outcome = self._next_outcome(event.address.chat)
        confirmed = outcome.parts if isinstance(outcome, AfterParts) else None
        if isinstance(outcome, AfterParts):
            outcome = outcome.then
        if confirmed is None and isinstance(outcome, Exception):
            raise outcome
        if confirmed is None and isinstance(outcome, Hang):
            how = await outcome.gate.wait()
            await self._put_parts(event, progress, None)
            return how
        await self._put_parts(event, progress, confirmed)
        match outcome:
            case Exception():
                raise outcome
            case Hang():
                return await outcome.gate.wait()
            case Unconfirmed():
                return outcome.gate
            case _:
                return outcome

    def _next_outcome(self, chat: str) -> Outcome:
        for script in (self._scripts.get(chat), self._scripts.get("")):
            if script:
                return script.popleft()
        return "taken"

    async def _put_parts(self, event: OutboundEvent, progress: PartDone, count: int | None) -> None:
        """Deliver up to `count` of the missing parts."""
        if not self.part_size:
            await self._note(event, SentPart(event=event, n=0, text=event.text, repeat=progress.repeat))
            return
        size = self.part_size
        split = [event.text[start : start + size] for start in range(0, len(event.text), size)] or [""]
        parts, first = await progress.begin(split)
        last = len(parts) if count is None else min(len(parts), first + count)
        for n in range(first, last):
            await self._note(event, SentPart(event=event, n=n, text=parts[n], repeat=progress.repeat))
            await progress.part(n)

    async def _note(self, event: OutboundEvent, part: SentPart | None = None) -> None:
        async with self._changed:
            if part is None:
                self.attempts.append(event)
            else:
                self.received.append(part)
            self._changed.notify_all()
