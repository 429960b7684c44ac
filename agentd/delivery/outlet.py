"""The lanes of one channel: which address is next, and what holds all of them back; pure, in monotonic seconds."""

from __future__ import annotations

import math
import random
from bisect import insort
from collections import OrderedDict
from dataclasses import dataclass, field

from agentd.delivery.breaker import Breaker, Pace
from agentd.delivery.decisions import ChannelLanes, Owed, Policy
from agentd.records import Address


@dataclass(eq=False, slots=True)
class Lane:
    """One address: `waiting` in id order, of which only the first may be sent, and one in flight at most."""

    address: Address
    waiting: list[Owed] = field(default_factory=list)
    in_flight: Owed | None = None
    unconfirmed: dict[str, Owed] = field(default_factory=dict)
    absent_until: float = 0.0
    """More than 0: nobody was there, and nothing is sent before this (infinity: before somebody arrives)."""
    arrivals: int = 0
    timer: float = math.inf

    @property
    def absent(self) -> bool:
        """Whether nobody was there to read."""
        return self.absent_until > 0

    def put(self, owed: Owed) -> None:
        insort(self.waiting, owed, key=lambda owed: owed.id)

    def ready_at(self) -> float:
        """When the head may be sent as far as this lane is concerned."""
        return max(self.waiting[0].not_before, self.absent_until)


class Outlet:
    """One channel: its lanes, those of them whose head may be sent now, and what holds them all back."""

    def __init__(self, policy: Policy, rng: random.Random) -> None:
        self.lanes: dict[Address, Lane] = {}
        self.connected = False
        self.in_flight = 0
        self.newest = ""
        """The greatest outbound id seen."""
        self.live: OrderedDict[Lane, None] = OrderedDict()
        self.backlog: OrderedDict[Lane, None] = OrderedDict()
        self.breaker = Breaker(failures=policy.breaker_failures, cooldown=policy.cooldown, rng=rng)
        self._parallel = policy.parallel
        self._pace = Pace(rate=policy.recovery_rate, burst=policy.recovery_burst)
        self._backlog_up_to = ""

    def catch_up(self) -> None:
        """From now on, all that has piled up until now is paced; what comes later is not."""
        self._backlog_up_to = self.newest
        self.backlog.update(self.live)
        self.live.clear()

    def enqueue(self, lane: Lane) -> None:
        """Let a lane whose head is ready wait for its turn; one that waits already keeps its place."""
        if lane in self.live or lane in self.backlog:
            return
        queue = self.backlog if lane.waiting[0].id <= self._backlog_up_to else self.live
        queue[lane] = None
        self.breaker.shorten(lane.address)

    def dequeue(self, lane: Lane) -> None:
        self.live.pop(lane, None)
        self.backlog.pop(lane, None)

    def next_lane(self, now: float) -> Lane | None:
        """The lane whose turn it is, taken out of its queue; None when nothing may be sent now."""
        if not self._may_send():
            return None
        if self.breaker.open:
            return self._probe_lane(now)
        if self.backlog and self._pace.take(now):
            return self.backlog.popitem(last=False)[0]
        return self.live.popitem(last=False)[0] if self.live else None

    def next_at(self, now: float) -> float:
        """When `next_lane` can have something else to say; infinity when only an outcome or an event changes that."""
        if not self._may_send():
            return math.inf
        if self.breaker.open:
            probe_at = self.breaker.probe_at
            return math.inf if probe_at is None else probe_at
        return now if self.live else self._pace.next_at(now)

    def _may_send(self) -> bool:
        return self.connected and self.in_flight < self._parallel and bool(self.live or self.backlog)

    def _probe_lane(self, now: float) -> Lane | None:
        probe_at = self.breaker.probe_at
        if probe_at is None or now < probe_at:
            return None
        # The head with the fewest failures tells most about the channel and least about its own address.
        lane = min((*self.backlog, *self.live), key=lambda lane: lane.waiting[0].attempts)
        self.dequeue(lane)
        self.breaker.start_probe(lane.waiting[0].id)
        return lane

    def figures(self, now: float) -> ChannelLanes:
        waiting = [owed for lane in self.lanes.values() for owed in lane.waiting]
        in_flight = [lane.in_flight for lane in self.lanes.values() if lane.in_flight is not None]
        unconfirmed = [owed for lane in self.lanes.values() for owed in lane.unconfirmed.values()]
        born = [owed.born for owed in (*waiting, *in_flight, *unconfirmed)]
        return ChannelLanes(
            connected=self.connected,
            breaker_open=self.breaker.open,
            waiting=len(waiting),
            in_flight=len(in_flight),
            unconfirmed=len(unconfirmed),
            deferred=sum(1 for lane in self.lanes.values() if lane.waiting and lane.ready_at() > now),
            oldest_age=now - min(born) if born else None,
        )
