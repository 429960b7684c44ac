"""When each outbound event is sent, tried again or given up: pure decisions, deterministic for a seeded generator.

`Lanes` is told what is owed, what became of each send and what the channels do, and answers with values: `Send`,
`Defer`, `Bury`, `ToHistory`, and the time of its next decision. All times are monotonic seconds that the caller
passes in, so that a clock that is set back or forward moves nothing.
"""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import replace

from agentd.delivery.decisions import Bury, ChannelLanes, Defer, Owed, Policy, Send, ToHistory, duration
from agentd.delivery.outlet import Lane, Outlet
from agentd.records import Address


class Lanes:
    """Per address first in, first out; addresses in parallel and in turn; each failure holds up its own address only.

    Each event passed to `add` comes back in exactly one `Send` at a time. The caller then reports that send's end by
    one of `taken`, `written`, `retry`, `wait`, `permanent`, `postpone` or `forget`; an event that was `written` frees
    its lane at once and is reported a second time when its acknowledgement came, failed or stayed out
    (`unacknowledged`). Those calls raise KeyError for an event that is not under way.
    """

    def __init__(self, policy: Policy, rng: random.Random) -> None:
        self._policy = policy
        self._rng = rng
        self._outlets: dict[str, Outlet] = {}
        self._lane_of: dict[str, Lane] = {}
        self._endings: list[Bury | ToHistory] = []
        self._timers: list[tuple[float, int, Lane]] = []
        self._timer_n = 0

    def __contains__(self, outbound_id: str) -> bool:
        return outbound_id in self._lane_of

    def __len__(self) -> int:
        return len(self._lane_of)

    # What happens in the house

    def add(self, owed: Owed, now: float) -> None:
        """This is owed; one that is known already is left as it is."""
        if owed.id in self._lane_of:
            return
        outlet = self._outlet(owed.address.channel)
        lane = outlet.lanes.get(owed.address)
        if lane is None:
            lane = outlet.lanes[owed.address] = Lane(owed.address)
        outlet.newest = max(outlet.newest, owed.id)
        self._lane_of[owed.id] = lane
        lane.put(owed)
        self._refresh(lane, now)

    def connected(self, channel: str, now: float) -> None:
        """The channel can send: what piled up goes, paced, without waiting for the end of its back-off."""
        outlet = self._outlet(channel)
        if outlet.connected:
            return
        outlet.connected = True
        outlet.breaker.succeed()
        outlet.catch_up()
        for lane in list(outlet.lanes.values()):
            if lane.waiting and lane.waiting[0].backing_off:
                lane.waiting[0] = replace(lane.waiting[0], not_before=now, backing_off=False)
                self._refresh(lane, now)

    def disconnected(self, channel: str) -> None:
        """The channel cannot send: nothing is tried, and nothing that fails now counts."""
        self._outlet(channel).connected = False

    def reachable(self, address: Address, now: float) -> None:
        """Somebody arrived at this address."""
        lane = self._outlet(address.channel).lanes.get(address)
        if lane is not None:
            lane.arrivals += 1
            lane.absent_until = 0.0
            self._refresh(lane, now)

    # What is to be done

    def due(self, now: float, *, endings: int = 64) -> list[Send | Bury | ToHistory]:
        """What is to be done now; what is returned as `Send` is under way from here on.

        At most so many `endings` (`Bury`, `ToHistory`) at a time: call again when those are carried out.
        """
        while self._timers and self._timers[0][0] <= now:
            when, _, timed = heapq.heappop(self._timers)
            if timed.timer == when:
                timed.timer = math.inf
                self._refresh(timed, now)
        decisions: list[Send | Bury | ToHistory] = [*self._endings[:endings]]
        del self._endings[:endings]
        for outlet in self._outlets.values():
            while (lane := outlet.next_lane(now)) is not None:
                decisions.append(self._send(outlet, lane))
        return decisions

    def wake_at(self, now: float) -> float | None:
        """When to call `due` again if nothing happens before; None when time alone changes nothing."""
        while self._timers and self._timers[0][2].timer != self._timers[0][0]:
            heapq.heappop(self._timers)
        first = self._timers[0][0] if self._timers else math.inf
        first = min([first, *(outlet.next_at(now) for outlet in self._outlets.values())])
        return None if first == math.inf else first

    # What became of a send

    def taken(self, outbound_id: str, now: float) -> None:
        """Nothing is owed any more."""
        lane, _ = self._end(outbound_id)
        self._answered(lane)
        lane.absent_until = 0.0
        self._drop(lane, outbound_id, now)

    def written(self, outbound_id: str, now: float) -> None:
        """It went out and its acknowledgement is awaited, which holds nothing back."""
        lane, owed = self._end(outbound_id)
        self._answered(lane)
        lane.absent_until = 0.0
        lane.unconfirmed[outbound_id] = owed
        self._refresh(lane, now)

    def retry(self, outbound_id: str, error: str, now: float, *, uncertain: bool = False) -> Defer | Bury:
        """It failed and may work later. `uncertain`: the platform may have it all the same."""
        lane, owed = self._end(outbound_id)
        outlet = self._outlet(lane.address.channel)
        counts = outlet.connected
        if counts:
            outlet.breaker.fail(outbound_id, lane.address, now)
        else:
            outlet.breaker.release(outbound_id)
        owed = replace(owed, attempts=owed.attempts + counts, repeat=owed.repeat or uncertain)
        age = now - owed.born
        if age >= self._policy.max_age or (owed.attempts >= self._policy.max_attempts and age >= self._policy.min_age):
            self._drop(lane, outbound_id, now)
            return Bury(owed=owed, reason=f"given up after {owed.attempts} attempts in {duration(age)}: {error}")
        delay = self._policy.backoff.drawn(owed.attempts - counts, self._rng)
        return self._put_back(lane, replace(owed, not_before=now + delay, backing_off=True), delay, error, now)

    def wait(self, outbound_id: str, until: float | None, error: str, now: float, *, uncertain: bool = False) -> Defer:
        """Not now, through no fault of its own. `until` None: nobody is there."""
        lane, owed = self._end(outbound_id)
        self._answered(lane)
        owed = replace(owed, repeat=owed.repeat or uncertain, backing_off=False)
        if until is None and lane.arrivals == owed.arrivals:
            lane.absent_until = math.inf
            return self._put_back(lane, owed, None, error, now)
        if until is None or until <= now:
            # Somebody arrived while it was sent, or the time has passed: soon, but never in a tight loop.
            until = now + self._policy.backoff.drawn(0, self._rng)
        lane.absent_until = 0.0
        return self._put_back(lane, replace(owed, not_before=until), until - now, error, now)

    def unacknowledged(self, outbound_id: str, error: str, now: float) -> Defer:
        """Written, but nobody acknowledged it in time: as if nobody were there, except that it goes again by itself."""
        lane, owed = self._end(outbound_id)
        lane.absent_until = now + self._policy.backoff_cap
        return self._put_back(lane, replace(owed, repeat=True), self._policy.backoff_cap, error, now)

    def permanent(self, outbound_id: str, reason: str, now: float) -> Bury:
        """The platform will never take it."""
        lane, owed = self._end(outbound_id)
        self._answered(lane)
        self._drop(lane, outbound_id, now)
        return Bury(owed=owed, reason=reason)

    def postpone(self, outbound_id: str, delay: float, error: str, now: float) -> Defer:
        """It was not tried, through a fault of our own: nothing is counted and nothing learnt about the channel."""
        lane, owed = self._end(outbound_id)
        self._outlet(lane.address.channel).breaker.release(outbound_id)
        return self._put_back(lane, replace(owed, not_before=now + delay), delay, error, now)

    def forget(self, outbound_id: str, now: float) -> None:
        """Somebody removed it: it is owed no more, whether it was under way or waiting."""
        if self.withdraw(outbound_id, now):
            return
        lane, _ = self._end(outbound_id)
        self._outlet(lane.address.channel).breaker.release(outbound_id)
        self._drop(lane, outbound_id, now)

    def withdraw(self, outbound_id: str, now: float) -> bool:
        """Somebody removed it: it waits no more. False if it does not wait: what is under way ends by itself."""
        lane = self._lane_of.get(outbound_id)
        kept = [] if lane is None else [owed for owed in lane.waiting if owed.id != outbound_id]
        if lane is None or len(kept) == len(lane.waiting):
            return False
        lane.waiting = kept
        self._drop(lane, outbound_id, now)
        return True

    # What can be told

    def breaker_open(self, channel: str) -> bool:
        """Whether this channel's breaker lets nothing but a probe through."""
        return self._outlet(channel).breaker.open

    def channels(self, now: float) -> dict[str, ChannelLanes]:
        """Figures of each channel that has, or had, something to send."""
        return {name: outlet.figures(now) for name, outlet in self._outlets.items()}

    # How it is kept

    def _outlet(self, channel: str) -> Outlet:
        outlet = self._outlets.get(channel)
        if outlet is None:
            outlet = self._outlets[channel] = Outlet(self._policy, self._rng)
        return outlet

    def _send(self, outlet: Outlet, lane: Lane) -> Send:
        owed = replace(lane.waiting.pop(0), arrivals=lane.arrivals)
        lane.in_flight = owed
        lane.timer = math.inf
        outlet.in_flight += 1
        return Send(owed=owed, attempt=owed.attempts + 1)

    def _end(self, outbound_id: str) -> tuple[Lane, Owed]:
        """Take an event that is under way out of its place."""
        lane = self._lane_of[outbound_id]
        if lane.in_flight is not None and lane.in_flight.id == outbound_id:
            owed = lane.in_flight
            lane.in_flight = None
            self._outlet(lane.address.channel).in_flight -= 1
            return lane, owed
        return lane, lane.unconfirmed.pop(outbound_id)

    def _answered(self, lane: Lane) -> None:
        """The platform is there, whatever it said; the end of an outage is also the start of catching up."""
        outlet = self._outlet(lane.address.channel)
        if outlet.breaker.succeed():
            outlet.catch_up()

    def _put_back(self, lane: Lane, owed: Owed, delay: float | None, error: str, now: float) -> Defer:
        lane.put(owed)
        self._refresh(lane, now)
        return Defer(owed=owed, delay=delay, error=error)

    def _drop(self, lane: Lane, outbound_id: str, now: float) -> None:
        del self._lane_of[outbound_id]
        self._refresh(lane, now)

    def _refresh(self, lane: Lane, now: float) -> None:
        """Bring a lane's place in the queue and its timer up to date after any change to it."""
        if lane.in_flight is not None:
            return
        self._expire(lane, now)
        outlet = self._outlet(lane.address.channel)
        if not lane.waiting:
            lane.timer = math.inf
            outlet.dequeue(lane)
            if not lane.unconfirmed:
                del outlet.lanes[lane.address]
            return
        ready_at = lane.ready_at()
        when = self._expiry(lane)
        if ready_at <= now and len(lane.unconfirmed) < self._policy.unconfirmed:
            outlet.enqueue(lane)
        else:
            outlet.dequeue(lane)
        self._set_timer(lane, min(when, ready_at) if ready_at > now else when)

    def _expire(self, lane: Lane, now: float) -> None:
        """Give up what is too old; the head is always the oldest, so the first that is young enough ends it."""
        while lane.waiting:
            crowded = lane.absent and len(lane.waiting) > self._policy.absent_count
            if now < self._expiry(lane) and not crowded:
                return
            owed = lane.waiting.pop(0)
            del self._lane_of[owed.id]
            if lane.absent:
                self._endings.append(ToHistory(owed=owed))
            else:
                reason = f"not delivered within {duration(self._policy.max_age)} ({owed.attempts} attempts)"
                self._endings.append(Bury(owed=owed, reason=reason))

    def _expiry(self, lane: Lane) -> float:
        policy = self._policy
        return lane.waiting[0].born + (min(policy.absent_age, policy.max_age) if lane.absent else policy.max_age)

    def _set_timer(self, lane: Lane, when: float) -> None:
        if lane.timer == when:
            return
        lane.timer = when
        self._timer_n += 1
        heapq.heappush(self._timers, (when, self._timer_n, lane))
        if len(self._timers) > 64 + 2 * len(self._lane_of):
            self._timers = [entry for entry in self._timers if entry[2].timer == entry[0]]
            heapq.heapify(self._timers)
