from __future__ import annotations

import asyncio

import pytest

from agentd.models.llama.answer import Answer, ChildDied, Item, Placed, Working
from agentd.ports.generation import Finish, QueuePosition, Reading, ReasoningDelta, TextDelta


async def taken(answer: Answer, count: int) -> list[Item]:
    return [await answer.next(1) for _ in range(count)]


async def test_text_that_nobody_has_read_yet_is_merged() -> None:
    answer = Answer(1)
    for item in (TextDelta(text="a"), TextDelta(text="b"), ReasoningDelta(text="c"), ReasoningDelta(text="d")):
        answer.put(item)
    assert await taken(answer, 2) == [TextDelta(text="ab"), ReasoningDelta(text="cd")]


async def test_only_the_newest_position_is_told() -> None:
    answer = Answer(1)
    for item in (QueuePosition(position=2), QueuePosition(position=1), Placed(reading=True), Finish(reason="stop")):
        answer.put(item)
    assert await taken(answer, 3) == [QueuePosition(position=1), Placed(reading=True), Finish(reason="stop")]


async def test_only_the_newest_progress_is_told() -> None:
    answer = Answer(1)
    for done in (1, 2, 3):
        answer.put(Reading(done=done, total=9))
    answer.put(TextDelta(text="a"))
    assert await taken(answer, 2) == [Reading(done=3, total=9), TextDelta(text="a")]


async def test_a_reader_waits_for_what_comes() -> None:
    answer = Answer(1)
    reading = asyncio.create_task(answer.next(10), name="reader")
    await asyncio.sleep(0)
    answer.put(TextDelta(text="a"))
    assert await reading == TextDelta(text="a")


async def test_nothing_in_time_is_a_timeout() -> None:
    with pytest.raises(TimeoutError):
        await Answer(1).next(0)


async def test_what_was_said_before_an_error_is_read_first() -> None:
    answer = Answer(1)
    answer.put(TextDelta(text="a"))
    answer.fail(ChildDied("gone"))
    assert await answer.next(1) == TextDelta(text="a")
    for _ in range(2):
        with pytest.raises(ChildDied, match="gone"):
            await answer.next(1)


async def test_that_the_model_works_is_told_once_and_only_while_there_is_nothing_else() -> None:
    answer = Answer(1)
    for item in (Working(), Working(), TextDelta(text="a"), Working()):
        answer.put(item)
    assert await taken(answer, 2) == [TextDelta(text="a"), Working()]
