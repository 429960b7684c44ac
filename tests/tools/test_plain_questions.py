"""Questions that need no language model, through the tools that answer them."""

from __future__ import annotations

import pytest

from agentd.bus.bus import EventBus
from agentd.testing.clock import FakeClock
from agentd.testing.pending import MemoryPending
from agentd.tools.plain_questions import call_for, plain_answer
from agentd.tools.registry import built_in
from agentd.tools.sources import Sources
from agentd.turns.execution import Execution, ToolLimits
from tests.builders import inbound
from tests.fakes import ListedDocuments, execution_of
from tests.tools.test_sums import NO_SUMS, SUMS

QUESTIONS = {
    "What is 17.5 * 23 - 4?": "17.5 * 23 - 4 = 398.5",
    "17.5*23-4": "17.5*23-4 = 398.5",
    "What is 15% of 80?": "15% of 80 = 12",
    "what is 10 / 3": "10 / 3 ≈ 3.33333333333333",
    "10 / 0": "10 / 0: This divides by zero, which has no value.",
    "10/0": "10/0: This divides by zero, which has no value.",
    "Berechne 1.000,5 + 2": "1.000,5 + 2 = 1002,5",
    "What is the square root of 144?": "square root of 144 = 12",
}
MOMENTS = {
    "What time is it?": "It is 14:05 (CET).",
    "what time is it right now": "It is 14:05 (CET).",
    "Can you tell me the time, please?": "It is 14:05 (CET).",
    "What day is it today?": "Today is Thursday, 1 January 2026.",
    "What\u2019s today's date?": "Today is Thursday, 1 January 2026.",
    "what year is it": "It is the year 2026.",
    "Wie spät ist es?": "Es ist 14:05 Uhr (CET).",
    "Wieviel Uhr ist es gerade?": "Es ist 14:05 Uhr (CET).",
    "Welcher Tag ist heute?": "Heute ist Donnerstag, der 1. Januar 2026.",
    "Welches Jahr haben wir?": "Wir haben das Jahr 2026.",
}
NO_MOMENTS = [
    "What is the time of the meeting?",
    "What time is it in the story when Anna leaves?",
    "What time is it in Tokyo?",
    "What day is the meeting?",
    "What is the date?",
    "time",
    "Today is a good day.",
    "",
    " ",
    "What is today's date and what is in the contract?",
]


def execution() -> Execution:
    event = inbound()
    tools, pending = built_in(documents=ListedDocuments(), clock=FakeClock()), MemoryPending()
    made, _ = execution_of(event, tools, ToolLimits(), Sources(), EventBus(pending), pending)
    return made


@pytest.mark.parametrize(("message", "told"), MOMENTS.items())
def test_time_and_day_are_told_in_one_sentence(message: str, told: str) -> None:
    call = call_for(message)
    assert call is not None and call.tool == "current_time"
    assert plain_answer(call, "Thursday, 2026-01-01 14:05:00+01:00 (CET)") == told


@pytest.mark.parametrize("message", [*NO_MOMENTS, *NO_SUMS, "1 + " * 60 + "1", "What is 3 * " + "x" * 300])
def test_everything_else_is_left_to_the_model(message: str) -> None:
    assert call_for(message) is None


@pytest.mark.parametrize("message", SUMS)
def test_a_sum_is_a_call_of_the_calculator(message: str) -> None:
    call = call_for(message)
    assert call is not None and call.tool == "calculate"


@pytest.mark.parametrize(("message", "told"), QUESTIONS.items())
async def test_the_tools_of_every_turn_answer_them(message: str, told: str) -> None:
    call = call_for(message)
    assert call is not None
    (result,) = await execution().run([call])
    assert plain_answer(call, result.text) == told


async def test_the_time_of_the_clock_is_told() -> None:
    call = call_for("What year is it?")
    assert call is not None
    (result,) = await execution().run([call])
    assert plain_answer(call, result.text) in ("It is the year 2025.", "It is the year 2026."), "as the zone has it"


def test_what_the_tool_says_otherwise_is_told_as_it_is() -> None:
    call = call_for("What time is it?")
    assert call is not None
    assert plain_answer(call, "Error: The tool took too long.") == "The tool took too long."
    assert plain_answer(call, "noon") == "noon"
