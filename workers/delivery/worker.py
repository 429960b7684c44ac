"""The DeliveryWorker: takes every durable answer to its channel until nothing is owed, in order per address.

Its work list is the index of the pending directory; the bus only wakes it. When something is sent, and when that is
tried again or given up, `agentd.delivery` decides; here are the waiting, the writing and the telling.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial

from agentd.delivery import Bury, Defer, DeliveryStats, Lanes, Owed, Policy, Send, ToHistory
from agentd.errors import Permanent, Retry, Unreadable, Wait
from agentd.events import Buried, ChannelStateChanged, OutboundEvent, Reopened, SessionDeleted
from agentd.host.secrets import masked
from agentd.ids import time_of
from agentd.ports.bus import Bus, Gap
from agentd.ports.channels import Channel
from agentd.ports.clock import Clock
from agentd.ports.work import PendingTurn, Work
from agentd.records import Address
from workers.delivery.ledger import Ledger, Origin
from workers.delivery.sending import (
    STORAGE_ERRORS,
    Failed,
    NotLogged,
    PartLog,
    Taken,
    Unacknowledged,
    Written,
    confirm,
    finish,
    send,
)

log = logging.getLogger(__name__)

_Known = Taken | Failed | NotLogged | Unacknowledged

SCAN_BATCH = 500
"""Answers that are looked at before other tasks get their turn."""
ENDINGS = 64
"""Burials and hand-overs to the history that run at once."""
LOCAL_FAULT = 3
"""The step of the back-off (8 s at most, by default) after which our own disk is tried again."""
OUTCOME_SECONDS = 10.0
"""How long after a stop the outcome of a send may still take to be written."""


class DeliveryWorker:
    """Delivers what the pending directory owes; also `ports.Deliveries`.

    A channel is sent to from its first `ChannelStateChanged` to "connected" (or "degraded") on. If the policy says
    `leave_others`, the answers of channels that do not run here are not touched.
    """

    def __init__(
        self,
        pending: Work,
        bus: Bus,
        *,
        clock: Clock,
        policy: Policy | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._pending = pending
        self._bus = bus
        self._channels: Mapping[str, Channel] = {}
        self._clock = clock
        self._policy = policy or Policy()
        self._rng = rng or random.Random()
        self._lanes = Lanes(self._policy, self._rng)
        self._ledger = Ledger(pending, bus, clock=clock, policy=self._policy, rng=self._rng)
        self._parts_done: dict[str, int] = {}
        self._recording: dict[str, asyncio.Event] = {}
        self._wake = asyncio.Event()
        self._under_way = 0
        self._endings = 0
        self._draining = False
        self._running = False
        self._ended = asyncio.Event()
        # From here on, so that nothing is missed that happens before `run` gets its first turn.
        self._outbound = bus.subscribe(OutboundEvent, Buried, Reopened, SessionDeleted, name="delivery")
        self._states = bus.subscribe(ChannelStateChanged, name="delivery: channels")

    async def run(self, channels: Mapping[str, Channel]) -> None:
        """Deliver over these channels until cancelled, or until `drain` has nothing left to finish."""
        self._channels = channels
        self._running = True
        for name in self._channels:
            self._lanes.disconnected(name)
        try:
            async with asyncio.TaskGroup() as group:
                followers = [
                    group.create_task(self._follow_states(), name="delivery follows channels"),
                    group.create_task(self._follow_outbound(), name="delivery follows answers"),
                    group.create_task(self.rescan(), name="delivery scans"),
                ]
                await self._decide(group)
                for follower in followers:
                    follower.cancel()
        finally:
            self._running = False
            self._outbound.close()
            self._states.close()
            self._ended.set()

    async def drain(self, limit: float) -> bool:
        """Send what can be sent at once and finish what is under way; False when that took more than `limit` seconds.

        What waits for a later time stays pending. After True `run` has returned; after False, cancel it.
        """
        if not self._running:
            return True
        await self.rescan()
        self._draining = True
        self._changed()
        try:
            await asyncio.wait_for(self._ended.wait(), limit)
        except TimeoutError:
            return False
        return True

    def reachable(self, address: Address) -> None:
        self._lanes.reachable(address, self._now())
        self._changed()

    async def rescan(self) -> None:
        """Take up whatever the pending directory has that is not known here."""
        channels = self._channels if self._policy.leave_others else None
        for n, turn in enumerate(await self._pending.undelivered(channels), 1):
            await self._take_up(turn.outbound_id)
            if n % SCAN_BATCH == 0:
                await asyncio.sleep(0)
        self._changed()

    def stats(self) -> DeliveryStats:
        channels = self._lanes.channels(self._now())
        ages = [lanes.oldest_age for lanes in channels.values() if lanes.oldest_age is not None]
        return DeliveryStats(
            pending=len(self._lanes),
            in_flight=sum(lanes.in_flight for lanes in channels.values()),
            unconfirmed=sum(lanes.unconfirmed for lanes in channels.values()),
            deferred=sum(lanes.deferred for lanes in channels.values()),
            unrecorded=len(self._ledger.unrecorded),
            oldest_age=max(ages, default=None),
            channels=channels,
            last=dict(self._ledger.last),
        )

    # What comes in

    async def _follow_outbound(self) -> None:
        async for event in self._outbound:
            if isinstance(event, OutboundEvent):
                await self._take_up(event.id)
                self._changed()
            elif isinstance(event, Reopened):
                await self._take_up(event.outbound_id)
                self._changed()
            elif isinstance(event, SessionDeleted):
                for outbound_id in event.undelivered:
                    self._lanes.withdraw(outbound_id, self._now())
                self._changed()
            elif isinstance(event, Gap) or (isinstance(event, Buried) and event.dead_id == event.turn_id):
                # A question that is buried may leave a notice behind, which nobody publishes.
                await self.rescan()

    async def _follow_states(self) -> None:
        async for event in self._states:
            if isinstance(event, ChannelStateChanged):
                if event.channel in self._channels and event.state in ("connected", "degraded"):
                    self._lanes.connected(event.channel, self._now())
                else:
                    self._lanes.disconnected(event.channel)
            elif isinstance(event, Gap):
                log.warning("%d changes of channels were missed; all of them are taken as connected", event.missed)
                for name in self._channels:
                    self._lanes.connected(name, self._now())
            self._changed()

    async def _take_up(self, outbound_id: str) -> None:
        if outbound_id in self._ledger.unrecorded or outbound_id in self._lanes:
            return
        turn = await self._pending.find(outbound_id)
        if turn is None or turn.outbound_id != outbound_id:
            return
        if self._policy.leave_others and turn.address.channel not in self._channels:
            return
        self._lanes.add(self._owed(turn), self._now())

    def _owed(self, turn: PendingTurn) -> Owed:
        # Times of day become monotonic ones here, so that a clock that is set while we run moves nothing.
        today, now = self._clock.now(), self._now()
        wait = 0.0 if turn.not_before is None else (turn.not_before - today).total_seconds()
        # A dead letter that a person took up again is as young as that decision.
        made = time_of(turn.outbound_id) if turn.retried is None else turn.retried.timestamp()
        return Owed(
            id=turn.outbound_id,
            turn_id=turn.id,
            address=turn.address,
            born=now - max(0.0, today.timestamp() - made),
            attempts=turn.attempts,
            not_before=now + min(max(0.0, wait), self._policy.longest_wait),
            repeat=turn.sending,
        )

    # What goes out

    async def _decide(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._wake.clear()
            for decision in self._lanes.due(self._now(), endings=ENDINGS - self._endings):
                match decision:
                    case Send():
                        self._start(group, partial(self._deliver, decision), f"delivery of {decision.owed.id}")
                    case Bury() | ToHistory():
                        self._endings += 1
                        self._ledger.unrecorded.add(decision.owed.id)
                        self._start(group, partial(self._give_up, decision), f"end of {decision.owed.id}")
            if self._draining and not self._under_way:
                return
            await self._sleep()

    async def _sleep(self) -> None:
        """Until something changes, or the time of the next decision."""
        now = self._now()
        wake_at = self._lanes.wake_at(now)
        if wake_at is None:
            await self._wake.wait()
            return
        timer = asyncio.get_running_loop().call_later(max(0.0, wake_at - now), self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    def _start(self, group: asyncio.TaskGroup, work: Callable[[], Awaitable[None]], name: str) -> None:
        async def counted() -> None:
            try:
                await work()
            finally:
                self._under_way -= 1
                self._changed()

        self._under_way += 1
        group.create_task(counted(), name=name)

    async def _deliver(self, decision: Send) -> None:
        owed = decision.owed
        if (recorded := self._recording.get(owed.id)) is not None:
            await recorded.wait()
        turn = await self._pending.find(owed.id)
        if turn is None:
            self._forget(owed)
            return
        event = await self._prepare(owed)
        if isinstance(event, Unreadable):
            await self._set_aside(owed, turn.session_id, event)
            return
        if isinstance(event, NotLogged):
            self._decision(owed.id, event)
            return
        origin = Origin(turn_id=event.turn_id, session_id=event.session_id)
        await self._ledger.attempted(owed, origin, decision.attempt)
        outcome = await self._send(owed, event, turn)
        if outcome is None:
            return
        # The lane may bring the event again before its outcome is written; that attempt then waits for this one.
        recorded = self._recording[owed.id] = asyncio.Event()
        try:
            await finish(
                self._record(owed, origin, outcome), f"writing the outcome of {owed.id}", limit=OUTCOME_SECONDS
            )
        finally:
            recorded.set()
            if self._recording.get(owed.id) is recorded:
                del self._recording[owed.id]

    async def _set_aside(self, owed: Owed, session_id: str, error: Unreadable) -> None:
        """Its file went bad: a notice goes in its place."""
        self._forget(owed)
        decision = Bury(owed=owed, reason=str(error))
        await self._ledger.set_aside(decision, Origin(turn_id=owed.turn_id, session_id=session_id))
        await self.rescan()

    async def _prepare(self, owed: Owed) -> OutboundEvent | NotLogged | Unreadable:
        """The event, once it is on disk that its send begins."""
        try:
            event = await self._pending.load(owed.turn_id)
            if not isinstance(event, OutboundEvent):
                return NotLogged(error=f"{owed.turn_id} is not answered yet")
            await self._pending.sending(owed.turn_id)
        except Unreadable as error:
            return error
        except STORAGE_ERRORS as error:
            log.error("%s cannot be sent now: %s", owed.id, error)
            return NotLogged(error=str(error))
        return event

    async def _send(self, owed: Owed, event: OutboundEvent, turn: PendingTurn) -> _Known | None:
        """What became of it; None when we are stopped while its acknowledgement is awaited, so that it stays owed."""
        channel = self._channels[owed.address.channel]
        progress = PartLog(self._pending, turn, repeat=owed.repeat, done=self._parts_done.get(owed.id, 0))
        outcome = await send(channel, event, progress, limit=self._policy.send_limit)
        if progress.done:
            self._parts_done[owed.id] = progress.done
        if not isinstance(outcome, Written):
            return outcome
        self._lanes.written(owed.id, self._now())
        self._changed()
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            return None
        return await confirm(outcome.confirmation, owed.id, limit=self._policy.confirm_limit)

    async def _record(self, owed: Owed, origin: Origin, outcome: _Known) -> None:
        """Tell the lanes, the disk and the bus."""
        if isinstance(outcome, Taken):
            await self._ledger.delivered(owed, origin, outcome.how, lambda: self._taken(owed))
            return
        if await self._pending.find(owed.id) is None:
            self._forget(owed)  # It went with its conversation while it was under way.
            return
        decision = self._decision(owed.id, outcome)
        self._changed()
        if isinstance(decision, Bury):
            self._parts_done.pop(owed.id, None)
            await self._ledger.buried(decision, origin)
        else:
            await self._ledger.deferred(decision, origin)

    def _forget(self, owed: Owed) -> None:
        self._parts_done.pop(owed.id, None)
        self._lanes.forget(owed.id, self._now())
        self._changed()

    def _taken(self, owed: Owed) -> None:
        self._parts_done.pop(owed.id, None)
        self._lanes.taken(owed.id, self._now())
        self._changed()

    def _decision(self, outbound_id: str, outcome: Failed | NotLogged | Unacknowledged) -> Defer | Bury:
        now = self._now()
        if isinstance(outcome, Unacknowledged):
            return self._lanes.unacknowledged(outbound_id, outcome.error, now)
        if isinstance(outcome, NotLogged):
            return self._lanes.postpone(
                outbound_id, self._policy.backoff.drawn(LOCAL_FAULT, self._rng), outcome.error, now
            )
        match outcome.error:
            case Retry() as error:
                return self._lanes.retry(outbound_id, _words(error), now, uncertain=outcome.uncertain)
            case Permanent() as error:
                return self._lanes.permanent(outbound_id, _words(error), now)
            case Wait() as error:
                until = None if error.until is None else now + self._seconds_until(error.until)
                return self._lanes.wait(outbound_id, until, _words(error), now, uncertain=outcome.uncertain)

    async def _give_up(self, decision: Bury | ToHistory) -> None:
        owed = decision.owed
        turn = await self._pending.find(owed.id)
        origin = Origin(turn_id=owed.turn_id, session_id="" if turn is None else turn.session_id)
        self._parts_done.pop(owed.id, None)
        try:
            if isinstance(decision, Bury):
                await self._ledger.buried(decision, origin)
            else:
                await self._ledger.delivered(owed, origin, "history", lambda: None)
        finally:
            self._endings -= 1

    def _seconds_until(self, time: datetime) -> float:
        aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
        return (aware - self._clock.now()).total_seconds()

    def _now(self) -> float:
        return self._clock.monotonic()

    def _changed(self) -> None:
        self._wake.set()


def _words(error: Exception) -> str:
    """What a channel says; a library's words in it may quote an address with a key."""
    return masked(str(error)) or type(error).__name__
