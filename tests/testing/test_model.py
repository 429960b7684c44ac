"""The scripted model says exactly its script."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from agentd.errors import ModelError
from agentd.ports.generation import (
    Finish,
    Message,
    ModelRequest,
    PassagePart,
    TextDelta,
    TextPart,
    ToolCallDelta,
    ToolResultPart,
)
from agentd.ports.models import ToolUser, Writer
from agentd.testing.model import ScriptedModel, calls, failing, in_turn, question_of, results_of, says
from tests.builders import passage


def request(text: str = "one two") -> ModelRequest:
    parts = (TextPart(text="(data)", trust="trusted"), PassagePart(passage=passage()), TextPart(text=text))
    return ModelRequest(messages=(Message(role="user", parts=parts),), session_id="s", turn_id="t")


async def test_by_default_it_repeats_the_question() -> None:
    model = ScriptedModel()
    deltas = [delta async for delta in model.stream(request())]
    assert deltas == [TextDelta(text="one "), TextDelta(text="two "), Finish(reason="stop")]
    assert model.requests == [request()]
    assert await model.count_tokens(request()) == 2
    assert question_of(request()) == "one two"


async def test_errors_of_the_script_are_raised_at_their_place() -> None:
    with pytest.raises(ModelError, match="no memory"):
        async for _ in ScriptedModel(failing("no memory")).stream(request()):
            pass


async def test_a_closed_gate_holds_it_and_a_cancelled_stream_is_counted() -> None:
    model = ScriptedModel()
    model.gate.clear()

    async def first() -> None:
        async with aclosing(model.stream(request())) as deltas:
            async for _ in deltas:
                return

    task = asyncio.create_task(first(), name="reader")
    await asyncio.sleep(0)
    assert model.running == 1 and not task.done()
    task.cancel()
    await asyncio.wait([task])
    assert (model.running, model.cancelled) == (0, 1)


async def test_scripts_follow_each_other_and_calls_come_in_pieces() -> None:
    model = ScriptedModel(in_turn(calls(("look", '{"a": 1}'), ("rest", ""), piece=5), says("Done.")))
    assert [delta async for delta in model.stream(request())] == [
        ToolCallDelta(index=0, call_id="c0", name="look", arguments='{"a":'),
        ToolCallDelta(index=0, call_id="c0", name="", arguments=" 1}"),
        ToolCallDelta(index=1, call_id="c1", name="rest", arguments=""),
        Finish(reason="tool_calls"),
    ]
    assert [delta async for delta in model.stream(request())] == [TextDelta(text="Done."), Finish(reason="stop")]


async def test_it_can_do_and_counts_what_it_is_told() -> None:
    simple, able = ScriptedModel(), ScriptedModel(tools=True, writes=True, count=lambda request: 7)
    assert isinstance(able, ToolUser) and isinstance(able, Writer)
    assert (simple.tools, simple.writes, able.tools, able.writes) == (False, False, True, True)
    assert await able.count_tokens(request()) == 7


def test_the_results_of_tools_are_found_in_a_request() -> None:
    told = Message(role="tool", parts=(ToolResultPart(call_id="c0", tool="look", text="seen"),))
    assert results_of(ModelRequest(messages=(told,), session_id="s", turn_id="t")) == ["seen"]
