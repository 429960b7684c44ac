"""Calls run within limits, each is told to the bus, and what a tool returns is trusted by nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from agentd.bus.bus import EventBus
from agentd.errors import StateError
from agentd.events import (
    DocumentsRetrieved,
    Event,
    ToolCallApproved,
    ToolCallDenied,
    ToolCallFailed,
    ToolCallRequested,
    ToolCallSucceeded,
    ToolsCalled,
    TurnWaiting,
)
from agentd.ports.generation import ToolCallPart
from agentd.ports.tools import Tool, ToolContext, Waiting
from agentd.records import CalledTool
from agentd.testing.pending import MemoryPending
from agentd.tools.arguments import Arguments
from agentd.tools.sources import Sources
from agentd.turns.execution import UNKNOWN, Left, ToolLimits
from agentd.turns.state import BEGUN, TurnState, rebuilt
from tests.builders import IDS, SESSION, TIME, inbound, passage
from tests.fakes import execution_of

EVENT = inbound()


class SayArguments(Arguments):
    text: str


class Say:
    """Returns its argument, or does what a test wants; it changes something if it is told so."""

    name = "say"
    description = "Say it."
    arguments = SayArguments

    def __init__(
        self, act: Callable[[str, ToolContext], Any] = lambda text, context: text, *, changes: bool = False
    ) -> None:
        self._act = act
        self.side_effects = changes
        self.contexts: list[ToolContext] = []

    async def run(self, arguments: SayArguments, context: ToolContext) -> str:
        self.contexts.append(context)
        result = self._act(arguments.text, context)
        return str(await result if asyncio.iscoroutine(result) else result)


class Hesitating(Say):
    """Waits for a decision on each call."""

    def waits(self, arguments: Any, context: ToolContext) -> Waiting | None:
        return Waiting(what=f"may it say {arguments.text}?", until=TIME)


class House:
    """One process after another that runs calls of one turn, over one pending directory."""

    def __init__(self, tool: Tool[Any] | None = None, **limits: Any) -> None:
        self.events: list[Event] = []
        self.pending = MemoryPending()
        self._tools: Mapping[str, Tool[Any]] = {"say": tool or Say()}
        self._limits = ToolLimits(**limits)
        self.start(BEGUN)

    def start(self, state: TurnState) -> None:
        self.sources = Sources()
        bus = EventBus(self.pending, [self.events.append])
        self.execution, self.journal = execution_of(EVENT, self._tools, self._limits, self.sources, bus, self.pending)
        self.journal.state = state

    async def restart(self) -> None:
        """Another process goes on from what this one has noted."""
        self.events.clear()
        self.start(rebuilt(await self.pending.steps(EVENT.turn_id)))

    async def run(self, *calls: ToolCallPart) -> list[str]:
        if await self.pending.find(EVENT.turn_id) is None:
            await self.pending.accept(EVENT)
        await self.journal.tell(called(*calls))
        self.events.clear()
        return await self.again(*calls)

    async def again(self, *calls: ToolCallPart) -> list[str]:
        results = await self.execution.run(calls)
        assert [(result.call_id, result.tool) for result in results] == [(call.call_id, call.tool) for call in calls]
        assert all(result.trust == "untrusted" for result in results)
        return [result.text for result in results]

    def told(self) -> list[str]:
        return [event.type for event in self.events]


def called(*calls: ToolCallPart) -> ToolsCalled:
    made = tuple(CalledTool(call_id=c.call_id, tool=c.tool, arguments=c.arguments) for c in calls)
    return ToolsCalled(**stamp(), said="", calls=made)


def stamp() -> dict[str, Any]:
    return {"id": IDS.next(), "time": TIME, "turn_id": EVENT.turn_id, "session_id": SESSION}


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
    [text] = await house.run(call())
    assert text.startswith("Error: ") and " 0.05 s " in text
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
    assert text.startswith("Error: ") and "secret detail" not in text and "secret detail" in caplog.text
    assert [event.type for event in house.events] == ["tool_call_requested", "tool_call_failed"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (call("{"), "one JSON object"),
        (call('{"txt": 1}'), "text: Field required"),
        (call(tool="shout"), "There are: say."),
    ],
)
async def test_a_wrong_call_is_told_to_the_model_once(wrong: ToolCallPart, told: str) -> None:
    house = House()
    [text] = await house.run(wrong)
    assert text.startswith("Error: ") and told in text
    assert [event.type for event in house.events] == ["tool_call_requested", "tool_call_failed"]


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
    async with asyncio.timeout(60):
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [event.type for event in house.events] == ["tool_call_requested"]


# --- what is noted, and what a restart does with it -------------------------------------------------------------------


def hanging(begun: asyncio.Event, *, changes: bool) -> Say:
    """The first call never ends."""

    async def act() -> str:
        if not begun.is_set():
            begun.set()
            await asyncio.Event().wait()
        return "done"

    return Say(lambda text, context: act(), changes=changes)


async def cut_off(house: House, begun: asyncio.Event, *calls: ToolCallPart) -> None:
    """The process dies while a call runs."""
    task = asyncio.create_task(house.run(*calls), name="run")
    async with asyncio.timeout(60):
        await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    await house.restart()


async def test_a_call_that_changes_something_is_noted_before_it_starts_and_when_it_has_ended() -> None:
    house = House(Say(lambda text, context: len(house.pending.moves), changes=True))
    assert await house.run(call()) == ["2"]
    assert [move for move, _ in house.pending.moves] == ["accept", "stepped", "stepped"]
    assert house.told() == ["tool_call_requested", "tool_call_started", "tool_call_succeeded"]


async def test_a_call_that_changes_nothing_is_noted_when_it_has_ended() -> None:
    house = House(Say(lambda text, context: len(house.pending.moves)))
    assert await house.run(call()) == ["1"]
    assert [move for move, _ in house.pending.moves] == ["accept", "stepped"]


@pytest.mark.parametrize("changes", [False, True])
async def test_a_result_is_reused_after_a_restart(changes: bool) -> None:
    tool = Say(changes=changes)
    house = House(tool)
    await house.run(call())
    await house.restart()
    assert await house.again(call()) == ["hi"] and len(tool.contexts) == 1
    assert house.events == []


async def test_an_error_is_reused_after_a_restart() -> None:
    house = House(failing(StateError("documents.db is damaged.")))
    told = await house.run(call())
    await house.restart()
    assert await house.again(call()) == told and house.events == []


async def test_a_call_that_changes_something_and_was_cut_off_is_not_run_again() -> None:
    begun = asyncio.Event()
    tool = hanging(begun, changes=True)
    house = House(tool)
    await cut_off(house, begun, call())
    [text] = await house.again(call())
    assert text.startswith("Error: ") and len(tool.contexts) == 1
    [failed] = house.events
    assert isinstance(failed, ToolCallFailed) and failed.code == UNKNOWN
    await house.restart()
    assert await house.again(call()) == [text] and house.events == []


async def test_a_call_that_changes_nothing_and_was_cut_off_runs_again() -> None:
    begun = asyncio.Event()
    tool = hanging(begun, changes=False)
    house = House(tool)
    await cut_off(house, begun, call())
    assert house.journal.state.rounds == (), "what was not ended was not noted"
    assert await house.run(call()) == ["done"] and len(tool.contexts) == 2


async def test_of_several_calls_those_that_are_over_are_not_run_again() -> None:
    begun = asyncio.Event()

    def act(text: str, context: ToolContext) -> Any:
        if text == "b" and not begun.is_set():
            begun.set()
            return asyncio.Event().wait()
        return text

    tool = Say(act, changes=True)
    house = House(tool)
    calls = [call(f'{{"text": "{name}"}}', call_id=name) for name in "abc"]
    await cut_off(house, begun, *calls)
    results = await house.again(*calls)
    assert (results[0], results[2]) == ("a", "c") and house.journal.state.rounds[0].calls[1].code == UNKNOWN
    assert [context.call_id for context in tool.contexts] == ["a", "b", "c"]


@pytest.mark.parametrize("broken", [lambda text, context: asyncio.Event().wait(), lambda text, context: 1 / 0])
async def test_nobody_knows_whether_a_call_that_broke_has_changed_anything(broken: Callable[..., Any]) -> None:
    house = House(Say(broken, changes=True), seconds=0.05)
    await house.run(call())
    assert house.journal.state.rounds[0].calls[0].code == UNKNOWN


async def test_a_call_that_cannot_be_noted_is_not_run() -> None:
    tool = Say(changes=True)
    house = House(tool)
    house.pending.fail("stepped", StateError("the disk is full"))
    with pytest.raises(StateError):
        await house.run(call())
    assert tool.contexts == []


# --- calls that wait ------------------------------------------------------------------------------------------------


async def wait_for(house: House, *calls: ToolCallPart) -> TurnWaiting:
    with pytest.raises(Left) as left:
        await house.run(*calls)
    return left.value.waiting


async def test_a_call_that_waits_leaves_the_turn_and_was_not_run() -> None:
    tool = Hesitating(changes=True)
    house = House(tool)
    waiting = await wait_for(house, call())
    assert (waiting.call_id, waiting.until, waiting.what) == ("c1", TIME, "may it say hi?")
    assert tool.contexts == [] and house.told() == ["tool_call_requested", "turn_waiting"]
    assert rebuilt(await house.pending.steps(EVENT.turn_id)).waiting == waiting


async def test_a_call_that_is_approved_runs_once_and_the_next_one_waits_for_itself() -> None:
    tool = Hesitating(changes=True)
    house = House(tool)
    calls = [call(call_id="a"), call(call_id="b")]
    await wait_for(house, *calls)
    await house.journal.note(ToolCallApproved(**stamp(), call_id="a", by="me"), durable=True)
    await house.restart()
    with pytest.raises(Left) as left:
        await house.again(*calls)
    assert left.value.waiting.call_id == "b" and [context.call_id for context in tool.contexts] == ["a"]
    assert house.told() == [
        "tool_call_requested",
        "tool_call_started",
        "tool_call_succeeded",
        "tool_call_requested",
        "turn_waiting",
    ]


async def test_a_call_that_is_denied_never_runs_and_the_model_reads_why() -> None:
    tool = Hesitating(changes=True)
    house = House(tool)
    await wait_for(house, call())
    await house.journal.note(ToolCallDenied(**stamp(), call_id="c1", by="me", reason="not today"), durable=True)
    await house.restart()
    assert await house.again(call()) == ["Error: not today"] and tool.contexts == []


async def test_wrong_arguments_are_told_before_anybody_is_asked() -> None:
    assert "text: Field required" in (await House(Hesitating()).run(call("{}")))[0]
