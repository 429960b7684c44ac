"""Calls run within limits, each is told to the bus, and what a tool returns is trusted by nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from agentd.bus.bus import EventBus
from agentd.errors import ModelError, StateError
from agentd.events import DocumentsRetrieved, Event, ToolCallFailed, ToolCallRequested, ToolCallSucceeded
from agentd.ports.generation import ToolCallPart
from agentd.ports.tools import Tool, ToolContext
from agentd.testing.pending import MemoryPending
from agentd.tools.arguments import Arguments
from agentd.tools.execution import Execution, ToolLimits
from agentd.tools.sources import Sources
from tests.builders import SESSION, inbound, passage

EVENT = inbound()


class SayArguments(Arguments):
    text: str


class Say:
    """Returns its argument, or does what a test wants."""

    name = "say"
    description = "Say it."
    arguments = SayArguments
    side_effects = False

    def __init__(self, act: Callable[[str, ToolContext], Any] = lambda text, context: text) -> None:
        self._act = act
        self.contexts: list[ToolContext] = []

    async def run(self, arguments: SayArguments, context: ToolContext) -> str:
        self.contexts.append(context)
        result = self._act(arguments.text, context)
        return str(await result if asyncio.iscoroutine(result) else result)


class House:
    def __init__(self, tool: Tool[Any] | None = None, **limits: Any) -> None:
        self.events: list[Event] = []
        self.sources = Sources()
        tools: Mapping[str, Tool[Any]] = {"say": tool or Say()}
        self.execution = Execution(
            tools=tools,
            limits=ToolLimits(**limits),
            inbound=EVENT,
            sources=self.sources,
            bus=EventBus(MemoryPending(), [self.events.append]),
        )

    async def run(self, *calls: ToolCallPart) -> list[str]:
        results = await self.execution.run(calls)
        assert [(result.call_id, result.tool) for result in results] == [(call.call_id, call.tool) for call in calls]
        assert all(result.trust == "untrusted" for result in results)
        return [result.text for result in results]


def call(arguments: str = '{"text": "hi"}', tool: str = "say", call_id: str = "c1") -> ToolCallPart:
    return ToolCallPart(call_id=call_id, tool=tool, arguments=arguments)


def failing(error: Exception) -> Say:
    def act(text: str, context: ToolContext) -> str:
        raise error

    return Say(act)


async def test_a_call_is_told_when_it_begins_and_when_it_ends() -> None:
    house = House()
    assert await house.run(call()) == ["hi"]
    requested, succeeded = house.events
    assert isinstance(requested, ToolCallRequested) and isinstance(succeeded, ToolCallSucceeded)
    assert (requested.call_id, requested.tool, requested.arguments) == ("c1", "say", {"text": "hi"})
    assert (succeeded.call_id, succeeded.result, succeeded.turn_id) == ("c1", "hi", EVENT.turn_id)


async def test_a_tool_knows_for_whom_it_runs() -> None:
    tool = Say()
    await House(tool).run(call())
    [context] = tool.contexts
    assert (context.principal, context.session_id, context.turn_id, context.call_id) == (
        EVENT.principal,
        SESSION,
        EVENT.turn_id,
        "c1",
    )


async def test_calls_run_one_after_the_other_in_their_order() -> None:
    house = House()
    assert await house.run(call('{"text": "a"}'), call('{"text": "b"}', call_id="c2")) == ["a", "b"]
    assert [event.type for event in house.events] == ["tool_call_requested", "tool_call_succeeded"] * 2


async def test_control_characters_and_halves_of_characters_are_removed_from_results() -> None:
    house = House(Say(lambda text, context: "\x1b[31mred\x1b[0m\x07\u202e\ud800\n"))
    assert await house.run(call()) == ["red\ufffd\n"]
    assert isinstance(house.events[-1], ToolCallSucceeded) and house.events[-1].result == "red\ufffd\n"


async def test_long_results_are_cut_and_say_so() -> None:
    [text] = await House(Say(lambda text, context: "x" * 1000), characters=100).run(call())
    assert text == "x" * 100 + "\n[cut: the first 100 of 1000 characters]"


async def test_a_tool_that_takes_too_long_is_stopped() -> None:
    house = House(Say(lambda text, context: asyncio.Event().wait()), seconds=0.05)
    assert await house.run(call()) == ["Error: The tool took longer than 0.05 s and was stopped."]
    assert isinstance(house.events[-1], ToolCallFailed) and "0.05 s" in house.events[-1].error


async def test_a_tools_own_timeout_is_a_failure_of_the_tool(caplog: pytest.LogCaptureFixture) -> None:
    assert "failed inside agentd" in (await House(failing(TimeoutError("its own"))).run(call()))[0]
    assert "its own" in caplog.text


async def test_an_error_that_a_person_can_read_is_told_to_the_model() -> None:
    assert await House(failing(StateError("documents.db is damaged."))).run(call()) == [
        "Error: documents.db is damaged."
    ]


async def test_a_bug_in_a_tool_stays_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    house = House(failing(ValueError("secret detail")))
    [text] = await house.run(call())
    assert text == "Error: The tool failed inside agentd; do without it." and "secret detail" in caplog.text
    assert [event.type for event in house.events] == ["tool_call_requested", "tool_call_failed"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (call("{"), "must be one JSON object"),
        (call('{"txt": 1}'), "text: Field required"),
        (call(tool="shout"), "There is no such tool. There are: say."),
    ],
)
async def test_a_wrong_call_is_told_to_the_model_once(wrong: ToolCallPart, told: str) -> None:
    house = House()
    [text] = await house.run(wrong)
    assert text.startswith("Error: ") and told in text
    assert [event.type for event in house.events] == ["tool_call_requested", "tool_call_failed"]
    with pytest.raises(ModelError, match="wrongly, was told so, and did it again"):
        await house.run(wrong)
    assert [event.type for event in house.events] == ["tool_call_requested", "tool_call_failed"] * 2


async def test_a_right_call_in_between_makes_good_for_a_wrong_one() -> None:
    house = House()
    await house.run(call("{"))
    await house.run(call())
    assert "Error" in (await house.run(call("{")))[0]


async def test_what_a_tool_cites_is_told_and_can_be_cited() -> None:
    house = House(Say(lambda text, context: str([one.n for one in context.cite([passage(1, chunk_id=9)])])))
    house.sources.add([passage(1)])
    assert await house.run(call()) == ["[2]"]
    assert [event.type for event in house.events] == [
        "tool_call_requested",
        "documents_retrieved",
        "tool_call_succeeded",
    ]
    assert isinstance(house.events[1], DocumentsRetrieved) and [one.n for one in house.events[1].passages] == [2]


async def test_a_cancelled_call_ends_at_once() -> None:
    begun = asyncio.Event()

    async def act() -> None:
        begun.set()
        await asyncio.Event().wait()

    house = House(Say(lambda text, context: act()))
    task = asyncio.create_task(house.run(call()), name="run")
    async with asyncio.timeout(5):
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [event.type for event in house.events] == ["tool_call_requested"]
