"""Calls that stream in pieces are put together, however they are cut."""

from __future__ import annotations

import pytest

from agentd.ports.generation import ToolCallDelta, ToolCallPart
from agentd.tools.calls import LONGEST_ARGUMENTS, CallAssembler, foreign


def delta(index: int = 0, call_id: str = "a", name: str = "", arguments: str = "") -> ToolCallDelta:
    return ToolCallDelta(index=index, call_id=call_id, name=name, arguments=arguments)


@pytest.mark.parametrize("size", range(1, 14))
def test_pieces_of_any_size_become_one_call(size: int) -> None:
    text, calls = '{"a": "\u00fc\u20ac"}', CallAssembler(most=4)
    calls.add(delta(name="look"))
    for at in range(0, len(text), size):
        calls.add(delta(arguments=text[at : at + size]))
    [call] = calls.take()
    assert (call.call_id, call.tool, call.arguments) == ("a", "look", text)


def test_calls_at_once_may_be_interleaved() -> None:
    calls = CallAssembler(most=4)
    for piece in (delta(1, "b", "two"), delta(0, "a", "one"), delta(1, "b", "", "{}"), delta(0, "a", "", "[]")):
        calls.add(piece)
    assert [(call.tool, call.arguments) for call in calls.take()] == [("one", "[]"), ("two", "{}")]
    assert calls.take() == ()


def test_every_call_of_a_turn_has_its_own_id() -> None:
    calls, ids = CallAssembler(most=4), []
    for given in ("a", "a", "", "call-2", ""):
        calls.add(delta(call_id=given, name="look"))
        ids += [call.call_id for call in calls.take()]
    assert ids[0] == "a" and all(ids) and len(set(ids)) == 5


def test_a_stream_that_starts_again_forgets_its_calls() -> None:
    calls = CallAssembler(most=4)
    calls.add(delta(name="look", arguments='{"half'))
    calls.clear()
    assert calls.take() == ()


def test_calls_and_arguments_are_bounded() -> None:
    calls = CallAssembler(most=2)
    for index in range(5):
        calls.add(delta(index, "", "look" * 100, "x" * 60_000))
        calls.add(delta(index, "", "", "y" * 60_000))
    taken = calls.take()
    assert len(taken) == 2
    assert all(len(call.arguments) == LONGEST_ARGUMENTS and len(call.tool) == 100 for call in taken)


def test_halves_of_characters_and_line_ends_in_names_are_replaced() -> None:
    calls = CallAssembler(most=1)
    calls.add(delta(call_id="\ud800", name="a\nb\udfff", arguments='{"a": "\ud83d"}'))
    [call] = calls.take()
    assert (call.call_id, call.tool, call.arguments) == ("\ufffd", "a b\ufffd", '{"a": "\ufffd"}')


def test_a_flood_of_calls_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    calls = CallAssembler(most=2)
    for _ in range(2):
        for index in range(1000):
            calls.add(delta(index, str(index), "look"))
        assert len(calls.take()) == 2
    assert len(caplog.records) == 2, "one for each stream"


def test_calls_of_nothing_that_was_offered_are_foreign() -> None:
    add = ToolCallPart(call_id="1", tool="add", arguments='{"a": 1}')
    weather = ToolCallPart(call_id="2", tool="weather", arguments="{}")
    told = ToolCallPart(call_id="3", tool="add", arguments='{"type": "object", "properties": {"a": {}}}')
    assert foreign([weather], {"add"}) and foreign([told], {"add"}) and foreign([add], ())
    assert not foreign([add], {"add"}) and not foreign([add, weather], {"add"}) and not foreign([], {"add"})
