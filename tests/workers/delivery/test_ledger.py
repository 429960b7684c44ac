from __future__ import annotations

import random
from datetime import timedelta

from agentd.bus.bus import EventBus
from agentd.delivery import Bury, Defer, Owed, Policy
from agentd.errors import StateError
from agentd.events import Buried, Delivered, DeliveryDeferred, OutboundEvent
from agentd.testing.clock import FakeClock
from agentd.testing.pending import MemoryPending
from tests.builders import inbound, outbound
from tests.unfinished import unfinished
from workers.delivery.ledger import Ledger, Origin


class Desk:
    """A ledger over one durable answer."""

    def __init__(self) -> None:
        self.pending = MemoryPending()
        self.clock = FakeClock()
        self.bus = EventBus(self.pending, clock=self.clock)
        self.reader = self.bus.subscribe(Delivered, Buried, DeliveryDeferred, name="test")
        policy = Policy(backoff_base=0.001)
        self.ledger = Ledger(self.pending, self.bus, clock=self.clock, policy=policy, rng=random.Random(1))

    async def answered(self, *, repeat: bool = False) -> tuple[Owed, Origin]:
        asked = inbound()
        event: OutboundEvent = outbound(asked)
        await self.pending.accept(asked)
        await self.pending.answer(event)
        owed = Owed(id=event.id, turn_id=asked.id, address=event.address, born=0.0, attempts=2, repeat=repeat)
        return owed, Origin(turn_id=asked.id, session_id=asked.session_id)

    async def next(self) -> object:
        async for event in self.reader:
            return event
        raise AssertionError("the bus is closed")


async def test_a_lane_is_freed_when_the_disk_refuses_for_the_first_time_and_the_world_told_when_it_takes_it() -> None:
    desk, freed = Desk(), []
    owed, turn = await desk.answered()
    desk.pending.fail("ack", StateError("full"), StateError("full"))

    def free() -> None:
        freed.append([move for move, _ in desk.pending.moves].count("ack"))
        assert owed.id in desk.ledger.unrecorded

    await desk.ledger.delivered(owed, turn, "taken", free)
    assert freed == [1] and not desk.ledger.unrecorded and not await unfinished(desk.pending)
    told = await desk.next()
    assert isinstance(told, Delivered) and told.outbound_id == owed.id and told.turn_id == turn.turn_id


async def test_what_somebody_removed_meanwhile_needs_no_ack() -> None:
    desk, freed = Desk(), []
    owed, turn = await desk.answered()
    await desk.pending.ack(owed.turn_id)
    await desk.ledger.delivered(owed, turn, "history", lambda: freed.append(1))
    assert freed == [1] and desk.ledger.last == {}


async def test_a_burial_keeps_its_reason_for_the_status() -> None:
    desk = Desk()
    owed, turn = await desk.answered()
    await desk.ledger.buried(Bury(owed=owed, reason="403"), turn)
    told = await desk.next()
    assert isinstance(told, Buried) and (told.dead_id, told.reason) == (owed.id, "403")
    assert desk.pending.dead[owed.id].reason == "403"
    assert desk.ledger.last[owed.address.channel].error == "403"


async def test_a_deferral_is_told_with_its_time_and_keeps_a_possible_repeat() -> None:
    desk = Desk()
    owed, turn = await desk.answered(repeat=True)
    await desk.ledger.deferred(Defer(owed=owed, delay=60.0, error="no reply"), turn)
    told = await desk.next()
    assert isinstance(told, DeliveryDeferred)
    assert told.until == desk.clock.now() + timedelta(seconds=60)
    pending = (await unfinished(desk.pending))[owed.turn_id]
    assert pending.sending and pending.attempts == 2 and pending.not_before == told.until


async def test_a_deferral_that_waits_for_somebody_has_no_time() -> None:
    desk = Desk()
    owed, turn = await desk.answered()
    await desk.ledger.deferred(Defer(owed=owed, delay=None, error="nobody there"), turn)
    told = await desk.next()
    assert isinstance(told, DeliveryDeferred) and told.until is None
    assert not (await unfinished(desk.pending))[owed.turn_id].sending
