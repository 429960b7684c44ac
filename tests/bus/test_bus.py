"""The bus: durable first, in order, and no reader holds up another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from agentd.bus.bus import MERGED, EventBus, Reader, merge_chunks
from agentd.errors import NotAccepted
from agentd.events import Event, GenerationChunk, InboundEvent, OutboundEvent, TurnStarted
from agentd.ids import IdSource
from agentd.ports.bus import Gap
from agentd.ports.work import Ended
from agentd.testing.clock import FakeClock
from agentd.testing.pending import MemoryPending
from tests.builders import chunk, inbound, outbound


class Disk(MemoryPending):
    """Ends writes when it is told to, so that tests decide in which order."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: list[str] = []
        self.slow: set[str] = set()
        self.broken: set[str] = set()
        self._writes: dict[str, Ended] = {}

    def begin(self, event: InboundEvent | OutboundEvent, ended: Ended) -> None:
        self._writes[event.id] = ended
        if event.id not in self.slow:
            self.end(event.id)

    def end(self, event_id: str) -> None:
        if event_id in self.broken:
            self._writes.pop(event_id)(NotAccepted("the disk is full"))
        else:
            self.stored.append(event_id)
            self._writes.pop(event_id)(None)


async def collect(reader: Reader[Event], count: int) -> list[Event | Gap]:
    got = []
    async with asyncio.timeout(60):
        async for item in reader:
            got.append(item)
            if len(got) == count:
                break
    return got


async def test_a_durable_event_is_stored_before_anybody_is_told() -> None:
    disk = Disk()
    told: list[Event] = []
    bus = EventBus(disk, reducers=[told.append])
    event = inbound()
    disk.slow.add(event.id)
    publish = asyncio.create_task(bus.publish(event), name="publish")
    await asyncio.sleep(0)
    assert not told and not disk.stored
    disk.end(event.id)
    await publish
    assert disk.stored == [event.id] and told == [event]


async def test_a_refused_event_is_told_to_its_publisher_and_to_nobody_else() -> None:
    disk = Disk()
    told: list[Event] = []
    bus = EventBus(disk, reducers=[told.append])
    first, second = inbound(), inbound()
    disk.broken.add(first.id)
    results = await asyncio.gather(bus.publish(first), bus.publish(second), return_exceptions=True)
    assert isinstance(results[0], NotAccepted) and results[1] is None
    assert told == [second]


async def test_events_of_one_session_are_handed_on_in_order_whichever_write_ends_first() -> None:
    disk = Disk()
    told: list[Event] = []
    bus = EventBus(disk, reducers=[told.append])
    slow, quick, other = inbound(), inbound(), inbound(session_id="00000000000000bb-00000000")
    disk.slow.add(slow.id)
    tasks = [asyncio.create_task(bus.publish(e), name="publish") for e in (slow, quick, other)]
    await tasks[2]
    assert told == [other]
    disk.end(slow.id)
    await asyncio.gather(*tasks)
    assert told == [other, slow, quick]


async def test_a_refusal_is_told_at_once_and_holds_up_nothing_behind_it(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk()
    told: list[Event] = []
    bus = EventBus(disk, reducers=[told.append])
    slow, refused, later = inbound(), inbound(), inbound()
    disk.slow |= {slow.id, later.id}
    disk.broken |= {refused.id, later.id}
    first = asyncio.create_task(bus.publish(slow), name="publish")
    with pytest.raises(NotAccepted, match="disk is full"):
        await bus.publish(refused)
    left = asyncio.create_task(bus.publish(later), name="publish")
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait([left])
    disk.end(later.id)
    assert not told
    disk.end(slow.id)
    await first
    assert told == [slow] and not bus._publications


async def test_a_publish_that_has_begun_completes_when_its_caller_is_cancelled() -> None:
    disk = Disk()
    told: list[Event] = []
    bus = EventBus(disk, reducers=[told.append])
    event = inbound()
    disk.slow.add(event.id)
    publish = asyncio.create_task(bus.publish(event), name="publish")
    await asyncio.sleep(0)
    publish.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publish
    disk.end(event.id)
    assert told == [event]


async def test_a_subscriber_gets_its_types_until_it_unsubscribes() -> None:
    bus = EventBus(Disk())
    outbounds = bus.subscribe(OutboundEvent, name="outbounds")
    everything = bus.subscribe(name="everything")
    events: list[Event] = [inbound(), outbound(), chunk(0, "x")]
    for event in events:
        await bus.publish(event)
    assert await collect(outbounds, 1) == [events[1]]
    assert await collect(everything, 3) == events
    outbounds.close()
    await bus.publish(outbound())
    assert [item async for item in outbounds] == []


async def test_a_slow_subscriber_gets_a_gap_and_holds_nobody_up() -> None:
    bus = EventBus(Disk())
    slow = bus.subscribe(name="slow", size=2)
    quick = bus.subscribe(name="quick", size=10)
    events = [outbound() for _ in range(5)]
    for event in events:
        await bus.publish(event)
    assert await collect(quick, 5) == events
    got = await collect(slow, 3)
    assert got == [Gap(missed=3), events[3], events[4]]


async def test_an_event_without_an_id_is_stamped_with_one_and_with_the_time_and_a_durable_one_keeps_its_own() -> None:
    ids, clock = IdSource(), FakeClock()
    bus = EventBus(Disk(), ids=ids, clock=clock)
    reader = bus.subscribe(name="reader")
    first, durable = ids.next(), outbound()
    await bus.publish(TurnStarted(turn_id="t", session_id="s", attempt=1))
    await bus.publish(durable)
    clock.advance(60)
    bus.announce(TurnStarted(turn_id="t", session_id="s", attempt=2))
    started, same, later = await collect(reader, 3)
    assert isinstance(started, TurnStarted) and isinstance(later, TurnStarted) and same == durable
    assert first < started.id < later.id < ids.next()
    assert (started.time, later.time) == (clock.now() - timedelta(seconds=60), clock.now())


async def test_a_reducer_that_fails_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Event] = []

    def broken(event: Event) -> None:
        raise ValueError("a bug")

    bus = EventBus(Disk(), reducers=[broken, told.append])
    reader = bus.subscribe(name="reader")
    event = outbound()
    await bus.publish(event)
    assert told == [event] and await collect(reader, 1) == [event]
    assert "failed on outbound" in caplog.text


async def test_chunks_that_wait_for_a_slow_reader_become_one() -> None:
    bus = EventBus(Disk())
    reader = bus.subscribe(GenerationChunk, name="reader", size=2)
    for n, text in enumerate("streaming"):
        await bus.publish(chunk(n, text))
    [merged] = await collect(reader, 1)
    assert isinstance(merged, GenerationChunk)
    assert (merged.n, merged.text) == (0, "streaming")


def test_a_merged_chunk_does_not_grow_for_ever() -> None:
    assert merge_chunks(chunk(0, "x" * MERGED), chunk(MERGED, "y")) is None
    assert merge_chunks(chunk(0, "x" * (MERGED - 1)), chunk(MERGED - 1, "y")) is not None


@pytest.mark.parametrize(
    "later",
    [
        lambda: chunk(4, "x"),
        lambda: chunk(3, "x", attempt=2),
        lambda: chunk(3, "x", turn_id="other"),
        lambda: chunk(3, "x", reasoning=True),
        lambda: outbound(),
    ],
)
def test_only_chunks_that_follow_each_other_are_merged(later: Callable[[], Event]) -> None:
    assert merge_chunks(chunk(0, "abc"), later()) is None
