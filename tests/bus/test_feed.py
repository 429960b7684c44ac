"""The feed: numbered events of one session, with a bounded replay."""

from __future__ import annotations

import asyncio

from agentd.bus.bus import Reader
from agentd.bus.feed import MAX_QUESTION, REPLAY_EVENTS, REPLAY_SESSIONS, LiveFeed
from agentd.events import Buried, GenerationChunk, InboundEvent, OutboundEvent, TurnQueued, TurnStarted
from agentd.ports.bus import Gap
from agentd.ports.feed import Numbered
from tests.builders import SESSION, chunk, inbound, outbound


def queued(session_id: str = SESSION, position: int = 1) -> TurnQueued:
    return TurnQueued(turn_id="t", session_id=session_id, position=position)


async def read(reader: Reader[Numbered], count: int) -> list[Numbered | Gap]:
    got = []
    async with asyncio.timeout(60):
        async for item in reader:
            got.append(item)
            if len(got) == count:
                return got
    return got


def numbers(items: list[Numbered | Gap]) -> list[int]:
    return [item.n for item in items if isinstance(item, Numbered)]


async def test_a_follower_gets_what_happens_in_its_session_from_now_on() -> None:
    feed = LiveFeed()
    feed.apply(queued())
    reader = feed.follow(SESSION)
    feed.apply(queued("another"))
    feed.apply(queued(position=2))
    [item] = await read(reader, 1)
    assert isinstance(item, Numbered) and isinstance(item.event, TurnQueued) and item.event.position == 2


async def test_a_follower_that_comes_back_gets_what_it_missed() -> None:
    feed = LiveFeed()
    for position in range(1, 5):
        feed.apply(queued(position=position))
    reader = feed.follow(SESSION, after=(feed.epoch, 2))
    feed.apply(queued(position=5))
    assert numbers(await read(reader, 3)) == [3, 4, 5]


async def test_another_life_of_the_daemon_and_a_hole_are_told_as_a_gap() -> None:
    feed = LiveFeed()
    for _ in range(REPLAY_EVENTS + 10):
        feed.apply(queued())
    for after in (("another epoch", 5), (feed.epoch, 3), (feed.epoch, 10_000)):
        [item] = await read(feed.follow(SESSION, after=after), 1)
        assert isinstance(item, Gap)
    assert numbers(await read(feed.follow(SESSION, after=(feed.epoch, 10)), 1)) == [11]


async def test_an_answer_voids_the_chunks_of_its_turn() -> None:
    feed = LiveFeed()
    event = inbound()
    feed.apply(TurnStarted(turn_id=event.id, session_id=SESSION, attempt=1))
    feed.apply(chunk(0, "a", turn_id=event.id))
    feed.apply(outbound(event))
    items = await read(feed.follow(SESSION, after=(feed.epoch, 0)), 2)
    kinds = [type(item.event) for item in items if isinstance(item, Numbered)]
    assert kinds == [TurnStarted, OutboundEvent]


async def test_questions_are_told_as_they_come_and_kept_until_they_are_answered() -> None:
    feed = LiveFeed()
    reader = feed.follow(SESSION)
    first, second = inbound("First?"), inbound("x" * (MAX_QUESTION + 9))
    for event in (inbound("/stop", kind="command"), first, second):
        feed.apply(event)
    told = [item.event for item in await read(reader, 2) if isinstance(item, Numbered)]
    assert told[0] == first and isinstance(told[1], InboundEvent) and len(told[1].text) == MAX_QUESTION + 1
    for n in range(REPLAY_EVENTS):
        feed.apply(chunk(n, "x", turn_id=first.id))
    assert [question.id for question in feed.questions(SESSION)] == [first.id, second.id]
    feed.apply(outbound(first))
    feed.apply(Buried(turn_id=second.id, session_id=SESSION, dead_id=second.id, reason="r"))
    assert feed.questions(SESSION) == () == feed.questions("another")


async def test_a_slow_follower_gets_merged_chunks() -> None:
    feed = LiveFeed()
    reader = feed.follow(SESSION)
    for n, letter in enumerate("hello"):
        feed.apply(chunk(n, letter))
    [item] = await read(reader, 1)
    assert isinstance(item, Numbered) and isinstance(item.event, GenerationChunk)
    assert (item.event.text, item.n) == ("hello", 5)


async def test_sessions_without_followers_are_forgotten_first() -> None:
    feed = LiveFeed()
    feed.apply(queued())
    reader = feed.follow(SESSION)
    feed.apply(queued("forgotten"))
    for n in range(REPLAY_SESSIONS):
        feed.apply(queued(f"session {n}"))
    feed.apply(queued(position=9))
    [item] = await read(reader, 1)
    assert isinstance(item, Numbered) and isinstance(item.event, TurnQueued) and item.event.position == 9
    [gap] = await read(feed.follow("forgotten", after=(feed.epoch, 1)), 1)
    assert isinstance(gap, Gap)


async def test_a_session_that_is_followed_when_all_others_are_followed_too_is_told() -> None:
    feed = LiveFeed()
    others = [feed.follow(f"other{n}") for n in range(REPLAY_SESSIONS)]
    reader = feed.follow(SESSION)
    feed.apply(queued())
    assert len(await read(reader, 1)) == 1
    for other in others:
        other.close()
