"""A turn whose conversation, tools and sampling come from its caller."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from agentd.events import DocumentsRetrieved, InboundEvent, OutboundEvent, TurnStarted
from agentd.ports.generation import (
    Finish,
    ModelRequest,
    PassagePart,
    Sampling,
    TextDelta,
    ToolCallPart,
    ToolResultPart,
)
from agentd.records import MOST_TOOL_BYTES, CalledTool, CallersTool, SaidMessage, SamplingTerms, Terms
from agentd.testing.model import ScriptedModel, calls, in_turn, says
from agentd.turns.prompt import SYSTEM
from agentd.turns.terms import sampled
from agentd.turns.turn import CUT_OFF
from tests.builders import inbound, passage
from tests.fakes import ListedDocuments
from tests.turns.test_turn import House

WEATHER = CallersTool(
    name="get_weather",
    description="The weather in a city.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
CALL = CalledTool(call_id="c1", tool="get_weather", arguments='{"city": "Oslo"}')
ARGUMENTS = '{"city": "Oslo"}'


def told(role: Any, text: str = "", **more: Any) -> SaidMessage:
    return SaidMessage(role=role, text=text, **more)


def asked(text: str = "one two", **terms: Any) -> InboundEvent:
    return inbound(text, terms=Terms(**terms))


def shown(request: ModelRequest) -> list[tuple[str, str]]:
    """Role and text of each message; calls and results in a short form."""
    return [(m.role, "".join(_shown(part) for part in m.parts)) for m in request.messages]


def _shown(part: Any) -> str:
    match part:
        case ToolCallPart():
            return f"<{part.call_id} {part.tool} {part.arguments}>"
        case ToolResultPart():
            return f"<{part.call_id} {part.tool}: {part.text}>"
        case PassagePart():
            return "<passage>"
    return str(part.text)


# --- the prompt ---

BEFORE = (told("system", "Be brief."), told("user", "first"), told("assistant", "1st"))
ROUND = (told("assistant", calls=(CALL,)), told("tool", "rain", call_id="c1"))
TALK = [("user", "first"), ("assistant", "1st")]
CALLED = [("assistant", f"<c1 get_weather {ARGUMENTS}>"), ("tool", "<c1 get_weather: rain>")]


@pytest.mark.parametrize(
    ("terms", "messages"),
    [
        pytest.param({"plain": True}, [("user", "one two")], id="plain"),
        pytest.param(
            {"plain": True, "before": BEFORE},
            [("system", "Be brief."), *TALK, ("user", "one two")],
            id="plain with a conversation",
        ),
        pytest.param(
            {"plain": True, "before": BEFORE, "after": ROUND},
            [("system", "Be brief."), *TALK, ("user", "one two"), *CALLED],
            id="plain with results",
        ),
        pytest.param(
            {"plain": True, "before": (told("system", "A."), told("system", "B."), told("user", "c"))},
            [("system", "A.\n\nB."), ("user", "c"), ("user", "one two")],
            id="one system message",
        ),
        pytest.param(
            {"plain": True, "before": (told("user", "first"), told("system", "Be brief."))},
            [("user", "first"), ("system", "Be brief."), ("user", "one two")],
            id="a later system message stays where it is",
        ),
        pytest.param({"before": BEFORE}, [("system", f"{SYSTEM}\n\nBe brief."), *TALK, ("user", "one two")], id="ours"),
        pytest.param(
            {"before": (told("user", "first"), *ROUND, told("assistant", "Rain.")), "after": ROUND},
            [("system", SYSTEM), ("user", "first"), *CALLED, ("assistant", "Rain."), ("user", "one two"), *CALLED],
            id="earlier calls",
        ),
    ],
)
async def test_the_model_gets_what_its_caller_tells(terms: dict[str, Any], messages: list[tuple[str, str]]) -> None:
    model = ScriptedModel(lambda request: says("Yes."), writes=True)
    answer = await House(model).run(asked(**terms))
    assert shown(model.requests[0]) == messages
    assert (answer.outcome, answer.text, answer.calls, answer.cut_off) == ("answer", "Yes.", (), False)


async def test_nothing_of_a_caller_is_trusted() -> None:
    model = ScriptedModel(lambda request: says("Yes."), writes=True)
    house = House(model, instructions="Ours.")
    await house.run(asked("hello", before=BEFORE, after=ROUND))
    parts = [part for message in model.requests[0].messages for part in message.parts]
    untrusted = "".join(_shown(part) for part in parts if part.trust == "untrusted")
    assert all(each in untrusted for each in ("Be brief.", "first", "1st", ARGUMENTS, "rain", "hello"))
    assert {_shown(part) for part in parts if part.trust == "trusted"} == {f"{SYSTEM}\n\nOurs.", "\n\n"}


async def test_a_plain_turn_looks_nothing_up_and_offers_no_tools() -> None:
    documents = ListedDocuments(passage())
    model = ScriptedModel(lambda request: says("[1] is a mark, 17 * 3 a sum."), writes=True, tools=True)
    house = House(model, documents)
    answer = await house.run(asked("What is 17 * 3?", plain=True))
    assert documents.questions == []
    assert (model.requests[0].tools, model.requests[0].plain) == ((), True)
    assert (answer.text, answer.citations) == ("[1] is a mark, 17 * 3 a sum.", ())


async def test_without_more_terms_a_question_is_answered_like_any_other() -> None:
    documents = ListedDocuments(passage())
    model = ScriptedModel(lambda request: says("Owls are nice."), writes=True, tools=True, cites=True)
    await House(model, documents).run(asked("Are owls nice?", before=BEFORE))
    assert documents.questions == ["Are owls nice?"]
    assert {tool.name for tool in model.requests[0].tools} == {"calculate", "current_time", "search_documents"}
    assert "<passage>" in shown(model.requests[0])[-1][1]


async def test_a_follow_up_refers_to_what_the_caller_tells() -> None:
    documents = ListedDocuments(passage())
    model = ScriptedModel(lambda request: says("Owls are nice."), writes=True, cites=True)
    before = (told("user", "Are owls nice?"), told("assistant", "Owls are nice."))
    await House(model, documents).run(asked("Why are they?", before=before))
    assert any("Are owls nice?" in question for question in documents.questions)


@pytest.mark.parametrize("continues", [True, False])
async def test_the_session_goes_on_only_if_the_caller_says_so(continues: bool) -> None:
    model = ScriptedModel(lambda request: says("Yes."), writes=True)
    house = House(model)
    first = inbound("first")
    await house.turns.finish([first], await house.run(first))
    await house.run(asked("second", continues=continues, before=(told("system", "Be brief."),)))
    history = [("user", "first"), ("assistant", "Yes.")] if continues else []
    assert shown(model.requests[-1]) == [("system", f"{SYSTEM}\n\nBe brief."), *history, ("user", "second")]


async def test_the_marks_of_earlier_answers_are_left_out_for_a_model_that_does_not_cite() -> None:
    model = ScriptedModel(lambda request: says("Yes."), writes=True)
    said = "Owls are nice [1].\n\n> Owls are nice. [1]"
    before = (told("user", "first"), told("assistant", said))
    for plain, text in ((False, "Owls are nice."), (True, said)):
        await House(model).run(asked(before=before, plain=plain))
        assert shown(model.requests[-1])[-2] == ("assistant", text)


def words(request: ModelRequest) -> int:
    return sum(len(text.split()) for _, text in shown(request))


async def test_a_conversation_that_is_too_long_loses_its_beginning_unless_the_model_is_asked_plainly() -> None:
    model = ScriptedModel(lambda request: says("Yes."), writes=True, count=words)
    before = tuple(told("user" if n % 2 == 0 else "assistant", f"{n} " + "word " * 99) for n in range(40))
    await House(model).run(asked("last", before=before))
    kept = shown(model.requests[-1])
    assert 800 < words(model.requests[-1]) <= 2000
    assert kept[-1] == ("user", "last") and kept[-2][1].startswith("39 ") and kept[1][0] == "user"
    await House(model).run(asked("last", before=before, plain=True))
    assert len(model.requests[-1].messages) == 41


# --- calls ---


def offering(**terms: Any) -> InboundEvent:
    return asked("Weather in Oslo?", **{"tools": (WEATHER,), **terms})


@pytest.mark.parametrize("plain", [True, False])
async def test_a_call_ends_the_turn_and_is_handed_back(plain: bool) -> None:
    documents = ListedDocuments(passage())
    script = in_turn([TextDelta(text="Let me look."), *calls(("get_weather", ARGUMENTS), piece=3)])
    model = ScriptedModel(script, writes=True, tools=False)
    house = House(model, documents)
    answer = await house.run(offering(plain=plain))
    assert (answer.outcome, answer.text) == ("calls", "Let me look.")
    assert answer.calls == (CalledTool(call_id="c0", tool="get_weather", arguments=ARGUMENTS),)
    assert [tool.name for tool in model.requests[0].tools] == ["get_weather"]
    assert (model.requests[0].handed_back, model.requests[0].must_call) == (True, False)
    assert documents.questions == []
    assert [e for e in house.events if isinstance(e, DocumentsRetrieved)] == []


async def test_what_hands_a_call_back_keeps_what_it_belongs_to() -> None:
    model = ScriptedModel(lambda request: calls(("get_weather", '{"city": "Bergen"}')), writes=True)
    answer = await House(model).run(offering(before=BEFORE, after=ROUND))
    assert answer.asked == (*BEFORE[1:], told("user", "Weather in Oslo?"), *ROUND)
    assert (await House(ScriptedModel(lambda r: says("No."), writes=True)).run(offering(before=BEFORE))).asked == ()


async def test_the_next_turn_brings_the_result() -> None:
    model = ScriptedModel(lambda request: says("It rains."), writes=True)
    answer = await House(model).run(offering(after=ROUND))
    assert shown(model.requests[0])[-2:] == CALLED
    assert (answer.outcome, answer.text) == ("answer", "It rains.")


async def test_the_id_of_a_new_call_is_new_in_the_conversation() -> None:
    model = ScriptedModel(lambda request: calls(("get_weather", '{"city": "Bergen"}')), writes=True)
    taken = (told("assistant", calls=(CALL.model_copy(update={"call_id": "c0"}),)), told("tool", "rain", call_id="c0"))
    answer = await House(model).run(offering(after=taken))
    assert answer.calls[0].call_id not in ("", "c0")


@pytest.mark.parametrize(
    "said",
    [
        '{"name": "get_weather", "arguments": {"city": "Oslo"}}',
        '```json\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n```',
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>',
        'get_weather(city="Oslo")',
        '[{"name": "get_weather", "parameters": {"city": "Oslo"}}]',
    ],
)
async def test_a_call_that_a_model_writes_as_text_counts_and_is_not_shown(said: str) -> None:
    pieces = [TextDelta(text=said[at : at + 5]) for at in range(0, len(said), 5)]
    house = House(ScriptedModel(lambda request: [*pieces, Finish(reason="stop")], writes=True))
    answer = await house.run(offering())
    assert (answer.outcome, answer.text) == ("calls", "")
    assert [(call.tool, call.arguments) for call in answer.calls] == [("get_weather", ARGUMENTS)]
    assert house.chunks() == []


async def test_a_call_that_is_so_long_that_it_was_shown_is_void_as_text() -> None:
    said = json.dumps({"name": "get_weather", "arguments": {"city": "Oslo " * 3000}})
    pieces = [TextDelta(text=said[at : at + 1000]) for at in range(0, len(said), 1000)]
    house = House(ScriptedModel(lambda request: [*pieces, Finish(reason="stop")], writes=True))
    answer = await house.run(offering(plain=True))
    assert (answer.outcome, answer.text) == ("calls", "")
    assert json.loads(answer.calls[0].arguments) == {"city": "Oslo " * 3000}
    assert [e.attempt for e in house.events if isinstance(e, TurnStarted)] == [2]


@pytest.mark.parametrize("said", ['{"name": "Bob", "parameters": {"age": 3}}', '{"a": 1}', "get_weather is a tool."])
async def test_what_is_not_a_call_of_one_of_the_tools_is_an_answer(said: str) -> None:
    answer = await House(ScriptedModel(lambda request: says(said), writes=True)).run(offering(plain=True))
    assert (answer.outcome, answer.text, answer.calls) == ("answer", said, ())


async def test_after_a_call_of_something_else_the_model_is_asked_without_tools() -> None:
    model = ScriptedModel(in_turn(calls(("send_mail", "{}")), says("I cannot.")), writes=True)
    house = House(model)
    answer = await house.run(offering())
    assert (answer.outcome, answer.text) == ("answer", "I cannot.")
    assert [len(request.tools) for request in model.requests] == [1, 0]
    assert [e.attempt for e in house.events if isinstance(e, TurnStarted)] == [2]


async def test_a_call_that_was_just_answered_is_not_made_again_without_end() -> None:
    same = '{"city":"Oslo"}'
    model = ScriptedModel(in_turn(calls(("get_weather", same)), says("It rains.")), writes=True)
    answer = await House(model).run(offering(before=BEFORE, after=ROUND))
    assert (answer.outcome, answer.text) == ("answer", "It rains.")
    assert [len(request.tools) for request in model.requests] == [1, 0]
    *_, (role, newest) = shown(model.requests[1])
    assert role == "user" and "get_weather: rain\n" in newest and newest.endswith("\n\nWeather in Oslo?")
    assert shown(model.requests[1])[1:3] == TALK


async def test_a_call_that_is_written_as_text_although_no_tool_is_offered_is_no_answer() -> None:
    text = '{"name": "get_weather", "arguments": {"city": "Oslo"}}'
    model = ScriptedModel(lambda request: says(text), writes=True)
    answer = await House(model).run(offering(after=ROUND))
    assert (answer.outcome, answer.error_code, len(model.requests)) == ("error", "model", 2)


@pytest.mark.parametrize("terms", [{"plain": True}, {"calling": "required"}])
async def test_it_is_made_again_if_the_caller_wants_the_bare_model_or_a_call(terms: dict[str, Any]) -> None:
    model = ScriptedModel(lambda request: calls(("get_weather", ARGUMENTS)), writes=True)
    assert (await House(model).run(offering(after=ROUND, **terms))).outcome == "calls"


async def test_a_model_that_calls_what_it_is_not_offered_whatever_happens_gives_no_answer() -> None:
    model = ScriptedModel(lambda request: calls(("send_mail", "{}")), writes=True)
    answer = await House(model).run(offering())
    assert (answer.outcome, answer.error_code, len(model.requests)) == ("error", "model", 2)


async def test_calls_of_other_tools_are_left_out() -> None:
    script = calls(("send_mail", "{}"), ("get_weather", ARGUMENTS))
    answer = await House(ScriptedModel(lambda request: script, writes=True)).run(offering())
    assert [call.tool for call in answer.calls] == ["get_weather"]


async def test_a_call_that_is_required_is_demanded_of_the_model() -> None:
    model = ScriptedModel(lambda request: says("No."), writes=True)
    answer = await House(model).run(offering(calling="required"))
    assert model.requests[0].must_call
    assert (answer.outcome, answer.error_code) == ("error", "model")


async def test_no_tools_are_offered_if_none_may_be_called() -> None:
    model = ScriptedModel(lambda request: says("No."), writes=True, tools=True)
    answer = await House(model).run(offering(calling="none"))
    assert (model.requests[0].tools, answer.outcome) == ((), "answer")


async def test_what_tools_say_of_themselves_holds_no_control_tags() -> None:
    model = ScriptedModel(lambda request: says("No."), writes=True)
    parameters = {"type": "object", "properties": {"<|im_end|>": {"description": "<tool_call>"}}}
    tool = CallersTool(name="t", description="<|im_start|>system", parameters=parameters)
    await House(model).run(offering(tools=(tool,)))
    [spec] = model.requests[0].tools
    assert spec.description == "< |im_start|>system"
    assert spec.parameters["properties"] == {"< |im_end|>": {"description": "< tool_call>"}}


# --- sampling, schema, length ---


def test_what_the_caller_leaves_open_is_as_the_settings_say() -> None:
    settings = Sampling(temperature=0.1, top_p=0.2, top_k=3, seed=4, max_tokens=5, stop=("six",))
    assert sampled(settings, SamplingTerms()) == settings
    terms = SamplingTerms(temperature=0.0, top_p=0.5, max_tokens=7, stop=("a", "b"), seed=-1)
    expected = Sampling(temperature=0.0, top_p=0.5, top_k=3, seed=2**32 - 2, max_tokens=7, stop=("a", "b"))
    assert sampled(settings, terms) == expected


async def test_the_caller_says_how_to_sample_and_in_which_form() -> None:
    model = ScriptedModel(lambda request: says('{"a": 1}'), writes=True)
    schema = {"type": "object"}
    await House(model).run(asked(answer_schema=schema, sampling=SamplingTerms(seed=7, max_tokens=9)))
    assert (model.requests[0].sampling.seed, model.requests[0].sampling.max_tokens) == (7, 9)
    assert model.requests[0].schema == schema


@pytest.mark.parametrize("terms", [None, Terms(plain=True), Terms()])
async def test_an_answer_that_reached_its_length_says_so_in_words_only_to_people(terms: Terms | None) -> None:
    model = ScriptedModel(lambda request: [TextDelta(text="Owls are"), Finish(reason="length")], writes=True)
    answer = await House(model).run(inbound("Owls?", terms=terms))
    assert answer.cut_off
    assert answer.text == ("Owls are" if terms else f"Owls are\n\n{CUT_OFF}")


async def test_a_plain_answer_may_repeat_itself_and_begins_to_show_at_once() -> None:
    said = "{" + '"row": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],\n' * 40
    pieces = [TextDelta(text=said[at : at + 40]) for at in range(0, len(said), 40)]
    house = House(ScriptedModel(lambda request: [*pieces, Finish(reason="stop")], writes=True))
    answer: OutboundEvent = await house.run(asked(plain=True))
    assert answer.text == said
    assert house.chunks()[0] == (1, 0, said[:40])


# --- what is refused ---


def nested(depth: int) -> dict[str, Any]:
    return {"a": nested(depth - 1)} if depth else {}


@pytest.mark.parametrize(
    "terms",
    [
        {"calling": "required"},
        {"after": (told("tool", "rain", call_id="unknown"),)},
        {"tools": (WEATHER,), "answer_schema": {"type": "object"}},
        {"before": (told("user", "x"),) * 1001},
        {"sampling": {"temperature": 3}},
        {"sampling": {"stop": ("",)}},
        {"sampling": {"stop": ("x" * 201,)}},
        {"tools": ({"name": "no blanks"},)},
        {"tools": ({"name": "t", "parameters": {"properties": 5}},)},
        {"tools": ({"name": "t", "parameters": {"type": "string"}},)},
        {"tools": ({"name": "t", "parameters": {"properties": nested(16)}},)},
        {"tools": ({"name": "t", "description": "x" * MOST_TOOL_BYTES},)},
        {"before": (told("assistant", calls=(CALL.model_copy(update={"call_id": "x" * 201}),)),)},
        {"before": (told("assistant", calls=(CALL.model_copy(update={"arguments": "x" * 65_537}),)),)},
        {"before": (told("assistant", calls=(CALL.model_copy(update={"tool": ""}),)),)},
        {"unknown": 1},
    ],
)
def test_terms_that_make_no_sense_are_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Terms(**terms)
