"""Delivery in virtual time: hundreds of addresses, failing platforms and crashes, on the real `Lanes`.

`SEEDS=10000 pytest tests/delivery/test_simulation.py` runs that many worlds; `FIRST_SEED` is where they start.
"""

from __future__ import annotations

import heapq
import os
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from agentd.delivery import Bury, Defer, Lanes, Owed, Policy, Send, ToHistory
from agentd.records import Address

SEEDS = int(os.environ.get("SEEDS", "50"))
FIRST_SEED = int(os.environ.get("FIRST_SEED", "0"))

HOUR = 3600.0
POLICY = Policy(min_age=HOUR, max_age=6 * HOUR, absent_age=2 * HOUR, absent_count=3, parallel=16)
CHANNELS = ("flaky", "failing", "readers", "calm")
SESSIONS = 200
MESSAGES = HOUR
"""Seconds in which all messages are made."""
TROUBLE = 2 * HOUR
"""Seconds after which nothing crashes or disconnects any more."""


@dataclass
class Message:
    """The truth about one message, kept apart from what Lanes believes; `attempts` and `sending` are on the disk."""

    id: str
    address: Address
    born: float
    attempts: int = 0
    not_before: float = 0.0
    sending: bool = False
    ended: str = ""
    received: int = 0
    ready: float = 0.0
    """The earliest moment at which its lane could have sent it, as far as its own address is concerned."""
    piled_up: bool = False
    """A crash came while it waited, so that it may be paced."""


@dataclass
class World:
    """Platforms, people and a disk around one `Lanes`."""

    seed: int
    now: float = 0.0
    happenings: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    messages: dict[str, Message] = field(default_factory=dict)
    made: defaultdict[Address, list[Message]] = field(default_factory=lambda: defaultdict(list))
    arrived: defaultdict[Address, list[str]] = field(default_factory=lambda: defaultdict(list))
    connected: dict[str, bool] = field(default_factory=dict)
    outage: set[str] = field(default_factory=set)
    present: set[Address] = field(default_factory=set)
    absent_told: set[Address] = field(default_factory=set)
    in_flight: dict[Address, str] = field(default_factory=dict)
    probes: dict[str, str] = field(default_factory=dict)
    epoch: int = 0
    n: int = 0
    owing: int = 0
    idle_rounds: int = 0
    sends: int = 0
    repeats: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.lanes = Lanes(POLICY, self.rng)
        self.dead = {Address(channel=c, chat="0") for c in ("failing", "calm")}
        addresses = [Address(channel=CHANNELS[i % 4], chat=str(i // 4)) for i in range(SESSIONS)]
        self.present = {a for a in addresses if a.channel == "readers" and self.rng.random() < 0.5}
        for address in addresses:
            for _ in range(self.rng.randrange(1, 5)):
                self.at(self.rng.uniform(0, MESSAGES), lambda a=address: self.make(a))  # type: ignore[misc]
            if address.channel == "readers":
                self.at(self.rng.expovariate(1 / HOUR), lambda a=address: self.come_or_go(a))  # type: ignore[misc]
        self.connect_all()
        self.at(self.rng.uniform(60, 1200), self.crash)
        for channel in ("flaky", "readers"):
            self.at(self.rng.uniform(10, 600), lambda c=channel: self.flip_connection(c))  # type: ignore[misc]
        self.at(self.rng.uniform(10, 900), self.flip_outage)

    def at(self, when: float, what: Callable[[], None]) -> None:
        self.n += 1
        heapq.heappush(self.happenings, (when, self.n, what))

    # What happens by itself

    def make(self, address: Address) -> None:
        self.n += 1
        message = Message(id=f"{self.n:016x}-0", address=address, born=self.now, ready=self.now)
        self.messages[message.id] = message
        self.made[address].append(message)
        self.owing += 1
        self.lanes.add(self.owed(message), self.now)

    def owed(self, message: Message) -> Owed:
        return Owed(
            id=message.id,
            turn_id=message.id,
            address=message.address,
            born=message.born,
            attempts=message.attempts,
            not_before=message.not_before,
            repeat=message.sending,
        )

    def come_or_go(self, address: Address) -> None:
        if address in self.present:
            self.present.discard(address)
        else:
            self.present.add(address)
            self.absent_told.discard(address)
            self.lanes.reachable(address, self.now)
        if self.now < TROUBLE:
            self.at(self.now + self.rng.expovariate(1 / HOUR), lambda: self.come_or_go(address))

    def connect_all(self) -> None:
        for channel in CHANNELS:
            self.connected.setdefault(channel, True)
            if self.connected[channel]:
                self.lanes.connected(channel, self.now)

    def flip_connection(self, channel: str) -> None:
        self.connected[channel] = not self.connected[channel] or self.now >= TROUBLE
        if self.connected[channel]:
            self.lanes.connected(channel, self.now)
        else:
            self.lanes.disconnected(channel)
        if self.now < TROUBLE:
            self.at(self.now + self.rng.uniform(10, 900), lambda: self.flip_connection(channel))

    def flip_outage(self) -> None:
        """The platform behind `failing` stays connected and refuses everything."""
        if self.outage or self.now >= TROUBLE:
            self.outage.clear()
        else:
            self.outage.add("failing")
        if self.now < TROUBLE:
            self.at(self.now + self.rng.uniform(10, 900), self.flip_outage)

    def crash(self) -> None:
        """The process dies: what is on the disk survives, and what was under way may have arrived."""
        for message_id in self.in_flight.values():
            if self.rng.random() < 0.5 and self.messages[message_id].address not in self.dead:
                self.receive(self.messages[message_id])
        self.epoch += 1
        self.in_flight.clear()
        self.probes.clear()
        self.lanes = Lanes(POLICY, self.rng)
        for message in self.messages.values():
            if not message.ended:
                message.piled_up = True
                self.lanes.add(self.owed(message), self.now)
        self.connect_all()
        if self.now < TROUBLE:
            self.at(self.now + self.rng.uniform(60, 1800), self.crash)

    # What delivery does

    def send(self, decision: Send) -> None:
        owed = decision.owed
        message, channel = self.messages[owed.id], owed.address.channel
        self.sends += 1
        assert not message.ended, f"{owed.id} is sent after it {message.ended}"
        assert self.connected[channel], f"{channel} is not connected"
        assert owed.address not in self.in_flight, f"two at once for {owed.address}"
        assert decision.attempt == message.attempts + 1, "an attempt was counted that was none"
        assert self.now >= message.not_before, f"{message.not_before - self.now} s too early"
        assert owed.repeat >= message.sending, "a possible repeat that is not called one"
        if channel == "calm" and owed.address not in self.dead and not message.piled_up:
            assert self.now - message.ready < 1.0, f"others' failures held it up for {self.now - message.ready} s"
        if self.lanes.breaker_open(channel):
            assert channel not in self.probes, "a second probe"
            self.probes[channel] = owed.id
        self.in_flight[owed.address] = owed.id
        message.sending = True
        epoch = self.epoch
        self.at(self.now + self.rng.uniform(0.01, 0.1 if channel == "calm" else 2), lambda: self.end(owed, epoch))

    def end(self, owed: Owed, epoch: int) -> None:
        if epoch != self.epoch:
            return
        message, channel = self.messages[owed.id], owed.address.channel
        del self.in_flight[owed.address]
        if self.probes.get(channel) == owed.id:
            del self.probes[channel]
        chance = self.rng.random()
        if owed.address in self.dead or channel in self.outage:
            self.retry(message, arrived=False)
        elif channel == "readers" and owed.address not in self.present:
            self.absent_told.add(owed.address)
            self.kept(message, self.lanes.wait(owed.id, None, "nobody there", self.now))
        elif channel == "calm" or chance < 0.7:
            self.receive(message)
            if channel == "readers":
                self.lanes.written(owed.id, self.now)
                self.at(self.now + self.rng.uniform(0, 60), lambda: self.acknowledge(message, epoch))
            else:
                self.take(message)
        elif chance < 0.9:
            self.retry(message, arrived=chance < 0.75)
        elif chance < 0.99:
            until = self.now + self.rng.uniform(-1, 60)
            self.kept(message, self.lanes.wait(owed.id, until, "slow down", self.now))
            message.not_before = max(self.now, until)
        else:
            self.bury(self.lanes.permanent(owed.id, "blocked", self.now), permanent=True)

    def acknowledge(self, message: Message, epoch: int) -> None:
        if epoch != self.epoch:
            return
        chance = self.rng.random()
        if chance < 0.7:
            self.take(message)
        elif chance < 0.85:
            self.absent_told.add(message.address)
            self.kept(message, self.lanes.wait(message.id, None, "gone", self.now, uncertain=True), uncertain=True)
        else:
            self.absent_told.add(message.address)
            self.kept(message, self.lanes.unacknowledged(message.id, "silence", self.now), uncertain=True)

    def receive(self, message: Message) -> None:
        message.received += 1
        self.repeats += message.received > 1
        if message.received == 1:
            before = self.arrived[message.address]
            assert not before or before[-1] < message.id, f"{message.id} arrived after {before[-1]}"
            before.append(message.id)

    def take(self, message: Message) -> None:
        self.lanes.taken(message.id, self.now)
        self.leave(message, "was taken")

    def retry(self, message: Message, *, arrived: bool) -> None:
        if arrived:
            self.receive(message)
        message.attempts += self.connected[message.address.channel]
        decision = self.lanes.retry(message.id, "503", self.now, uncertain=arrived)
        if isinstance(decision, Bury):
            self.bury(decision)
        else:
            self.kept(message, decision, uncertain=arrived)

    def kept(self, message: Message, decision: Defer, *, uncertain: bool = False) -> None:
        message.sending = decision.owed.repeat or uncertain
        assert decision.delay is None or decision.delay <= POLICY.backoff_cap

    def bury(self, decision: Bury, *, permanent: bool = False) -> None:
        message = self.messages[decision.owed.id]
        age = self.now - message.born
        spent = message.attempts >= POLICY.max_attempts and age >= POLICY.min_age
        assert permanent or spent or age >= POLICY.max_age - 1e-6, f"buried too early: {decision.reason}"
        self.leave(message, "was buried")

    def to_history(self, decision: ToHistory) -> None:
        message = self.messages[decision.owed.id]
        waiting = [m for m in self.made[message.address] if not m.ended]
        assert message.address in self.absent_told, "somebody was there to read it"
        assert self.now - message.born >= POLICY.absent_age - 1e-6 or len(waiting) > POLICY.absent_count
        self.leave(message, "went to the history")

    def leave(self, message: Message, how: str) -> None:
        message.ended = how
        self.owing -= 1
        if message.address.channel == "calm":
            following = [m for m in self.made[message.address] if not m.ended]
            if following:
                following[0].ready = max(following[0].ready, self.now)

    # Time

    def run(self) -> None:
        """Until nothing is owed; a world in which something waits for ever ends with an error."""
        while self.owing or self.now < MESSAGES:
            for decision in self.lanes.due(self.now):
                match decision:
                    case Send():
                        self.send(decision)
                    case Bury():
                        self.bury(decision)
                    case ToHistory():
                        self.to_history(decision)
            wake_at = self.lanes.wake_at(self.now)
            first = self.happenings[0][0] if self.happenings else None
            times = [time for time in (wake_at, first) if time is not None]
            assert times, f"{self.owing} messages wait for nothing"
            self.idle_rounds = self.idle_rounds + 1 if min(times) <= self.now else 0
            assert self.idle_rounds < 1000, "delivery turns in circles"
            self.now = max(self.now, min(times))
            assert self.now < MESSAGES + POLICY.max_age + HOUR, "a lane starves"
            while self.happenings and self.happenings[0][0] <= self.now:
                heapq.heappop(self.happenings)[2]()
        assert not len(self.lanes), "something is owed that has ended"
        for message in self.messages.values():
            assert message.received or message.ended != "was taken", f"{message.id} was never sent"


def test_every_message_of_every_world_arrives_in_order_or_ends_by_the_rules() -> None:
    sends = repeats = messages = 0
    for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
        world = World(seed)
        try:
            world.run()
        except Exception as error:
            raise AssertionError(f"seed {seed} at {world.now:.3f} s: {error}") from error
        sends, repeats, messages = sends + world.sends, repeats + world.repeats, messages + len(world.messages)
    print(f"{SEEDS} seeds from {FIRST_SEED}: {messages} messages, {sends} sends, {repeats} repeats")
    assert repeats > 0, "the crashes and lost replies repeated nothing, so they were not there"


def test_a_seed_always_gives_the_same_world() -> None:
    first, second = World(FIRST_SEED), World(FIRST_SEED)
    first.run()
    second.run()
    assert (first.now, first.sends, first.repeats) == (second.now, second.sends, second.repeats)
