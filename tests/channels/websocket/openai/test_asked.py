"""What the requests of clients mean, however they write them, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from agentd.records import CalledTool, CallersTool, SaidMessage
from channels.websocket.openai.asked import Asked, Invalid
from channels.websocket.openai.chat import ChatRequest, chat_asked
from channels.websocket.openai.respond import ResponseRequest, response_asked
from channels.websocket.openai.side import is_side_request
from channels.websocket.openai.sources import source_list
from tests.builders import passage

HI = {"role": "user", "content": "Hi"}
WEATHER = {"name": "weather", "description": "of a place", "parameters": {"type": "object"}}


def chat(*messages: dict[str, Any], **members: Any) -> Asked:
    return chat_asked(ChatRequest.model_validate({"model": "agentd", "messages": messages or (HI,), **members}))


def response(given: Any = "Hi", **members: Any) -> Asked:
    return response_asked(ResponseRequest.model_validate({"model": "agentd", "input": given, **members}))


def said(role: Any, text: str = "", **members: Any) -> SaidMessage:
    return SaidMessage(role=role, text=text, **members)


def test_the_newest_message_of_the_user_is_asked_and_the_rest_is_the_conversation() -> None:
    asked = chat(
        {"role": "developer", "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief."}]},
        {"role": "user", "content": "One?", "name": "ann"},
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": [{"type": "text", "text": "Two?"}]},
    )
    assert asked.text == "Two?"
    assert asked.terms.before == (said("system", "Be\nbrief."), said("user", "One?"), said("assistant", "1"))
    assert asked.terms.after == ()
    items = [
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "1"}]},
    ]
    again = response([*items, {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Two?"}]}])
    assert (again.text, again.terms.before) == ("Two?", asked.terms.before[1:])
    assert response("Two?", instructions="Be\nbrief.").terms.before == asked.terms.before[:1]


def test_calls_and_their_results_come_after_the_question() -> None:
    call = CalledTool(call_id="c1", tool="weather", arguments="{}")
    other = CalledTool(call_id="c2", tool="weather", arguments='{"at":1}')
    function = [
        {"id": c.call_id, "type": "function", "function": {"name": c.tool, "arguments": c.arguments}}
        for c in (call, other)
    ]
    asked = chat(
        HI,
        {"role": "assistant", "content": None, "tool_calls": function},
        {"role": "tool", "tool_call_id": "c1", "content": "wet"},
        tools=[{"type": "function", "function": WEATHER}],
    )
    after = (said("assistant", calls=(call, other)), said("tool", "wet", call_id="c1"))
    assert (asked.text, asked.terms.after) == ("Hi", after)
    assert asked.terms.tools == (CallersTool(**WEATHER),)
    items = [
        {"role": "user", "content": "Hi"},
        {"type": "reasoning", "summary": []},
        *(
            {"type": "function_call", "call_id": c.call_id, "name": c.tool, "arguments": c.arguments}
            for c in (call, other)
        ),
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "wet"}]},
    ]
    again = response(items, tools=[{"type": "function", **WEATHER, "strict": True}])
    assert (again.terms.after, again.terms.tools) == (after, asked.terms.tools)


def test_how_to_sample_is_taken_over() -> None:
    sampling = chat(temperature=0, top_p=0.5, max_tokens=5, max_completion_tokens=7, stop="END", seed=3).terms.sampling
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (0, 0.5, 7)
    assert (sampling.stop, sampling.seed) == (("END",), 3)
    assert chat(stop=None, max_tokens=None, n=1, response_format={"type": "text"}).terms.sampling.stop == ()
    assert response(max_output_tokens=9, temperature=1.5).terms.sampling.max_tokens == 9


@pytest.mark.parametrize(
    ("choice", "calling", "names"),
    [
        (None, "auto", ["weather", "time"]),
        ("none", "none", ["weather", "time"]),
        ("required", "required", ["weather", "time"]),
        ({"type": "function", "function": {"name": "time"}}, "required", ["time"]),
    ],
)
def test_which_tools_may_be_called_is_the_callers_choice(choice: Any, calling: str, names: list[str]) -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("weather", "time")]
    terms = chat(tools=tools, tool_choice=choice).terms
    assert (terms.calling, [tool.name for tool in terms.tools]) == (calling, names)


def test_the_form_of_the_answer_is_a_schema_to_which_it_is_held() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}
    assert chat(response_format=form).terms.answer_schema == schema
    assert (
        response(text={"format": {"type": "json_schema", "name": "x", "schema": schema}}).terms.answer_schema == schema
    )
    assert response(text={"format": {"type": "json_object"}}).terms.answer_schema == {"type": "object"}
    assert chat(response_format={"type": "text"}).terms.answer_schema is None


def test_the_results_of_calls_may_come_alone_after_the_response_that_made_them() -> None:
    result = {"type": "function_call_output", "call_id": "c1", "output": "wet"}
    asked = response([result], previous_response_id="resp_t1", instructions="Be brief.")
    assert (asked.text, asked.terms.resumes) == ("", "t1")
    assert asked.terms.before == (said("system", "Be brief."),)
    assert asked.terms.after == (said("tool", "wet", call_id="c1"),)
    assert response("Hi", previous_response_id="resp_t1").terms.resumes == ""


def test_a_session_that_goes_on_needs_of_the_conversation_only_what_its_caller_tells_the_model() -> None:
    asked = chat({"role": "system", "content": "Be brief."}, HI, {"role": "assistant", "content": "Hello"}, HI)
    terms = asked.continuing().terms
    assert (terms.before, terms.continues) == ((said("system", "Be brief."),), True)


def test_the_list_of_sources_does_not_come_back_as_if_the_model_had_said_it() -> None:
    told = "An answer [1]." + source_list([passage(1), passage(2)])
    assert chat(HI, {"role": "assistant", "content": told}, HI).terms.before[1].text == "An answer [1]."
    mine = {"role": "user", "content": told}
    assert chat(mine, {"role": "assistant", "content": told + "\nmore"}, HI).terms.before == (
        said("user", told),
        said("assistant", told + "\nmore"),
    )


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"n": 2}, "n"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format"),
        ({"response_format": {"type": "audio"}}, "response_format"),
        ({"functions": [WEATHER]}, "functions"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].type"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"messages": [{"role": "system", "content": "Hi"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, {"type": "image_url"}]}]},
            "messages[0].content[1].type",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_and_named(members: dict[str, Any], param: str) -> None:
    with pytest.raises(Invalid) as refused:
        chat_asked(ChatRequest.model_validate({"model": "agentd", "messages": [HI], **members}))
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, "input"),
        ({"input": [{"role": "user", "content": "x"}, {"type": "function_call_output", "call_id": "c"}]}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"type": "message", "content": "x"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].type"),
        ({"tools": [{"type": "file_search"}]}, "tools[0].type"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format"),
        ({"previous_response_id": "resp_1", "conversation": {"id": "x"}}, "conversation"),
    ],
)
def test_what_cannot_be_done_is_refused_of_responses_too(members: dict[str, Any], param: str) -> None:
    with pytest.raises(Invalid) as refused:
        response_asked(ResponseRequest.model_validate({"model": "agentd", "input": "Hi", **members}))
    assert refused.value.param == param


@pytest.mark.parametrize(
    "members",
    [
        {"messages": []},
        {"messages": [{"role": "function", "content": "x"}]},
        {"temperature": 3},
        {"max_tokens": 0},
        {"tools": [{"type": "function", "function": {"name": "not a name"}}]},
        {"temperature": float("nan")},
    ],
)
def test_a_request_of_another_form_is_not_one(members: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ChatRequest.model_validate({"model": "agentd", "messages": [HI], **members})


TITLE = (
    "### Task:\nGenerate a concise, 3-5 word title.\n### Chat History:\n<chat_history>\nUSER: Owls?\n</chat_history>"
)
RAG = "### Task:\nRespond to the user query using the provided context.\n<context>\n</context>\nOwls?"
LIBRECHAT = "Provide a concise, 5-word-or-less title for the conversation, using title case conventions."


@pytest.mark.parametrize(
    ("messages", "side"),
    [
        ([TITLE], True),
        (["system", TITLE], True),
        ([LIBRECHAT], True),
        ([RAG], False),
        (["Owls?"], False),
        ([f"What does this mean? {TITLE}"], False),
    ],
)
def test_side_requests_of_front_ends_are_recognised_by_their_form(messages: list[str], side: bool) -> None:
    *system, text = messages
    asked = chat(*({"role": "system", "content": each} for each in system), {"role": "user", "content": text})
    assert is_side_request(asked) is side


def test_who_continues_a_conversation_or_brings_tools_asks_for_themselves() -> None:
    task = {"role": "user", "content": TITLE}
    assert not is_side_request(chat(HI, {"role": "assistant", "content": "Hello"}, task))
    assert not is_side_request(chat(task, tools=[{"type": "function", "function": WEATHER}]))
