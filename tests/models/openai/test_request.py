"""A request in the form that each kind of server expects."""

from __future__ import annotations

import pytest

from agentd.errors import ModelError
from agentd.models.openai.request import chat_messages, completion_body
from agentd.ports.generation import (
    Message,
    ModelRequest,
    PassagePart,
    Sampling,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    ToolSpec,
)
from agentd.records import Passage

PASSAGE = Passage(n=1, title="t", source="s.md", start=0, end=3, document_id=1, chunk_id=1, text="sea", score=1.0)
MESSAGES = (
    Message(role="system", parts=(TextPart(text="Be brief.", trust="trusted"),)),
    Message(role="user", parts=(PassagePart(passage=PASSAGE), TextPart(text="Why?"))),
    Message(
        role="assistant", parts=(TextPart(text="Let me see."), ToolCallPart(call_id="x", tool="add", arguments="{}"))
    ),
    Message(
        role="tool",
        parts=(
            ToolResultPart(call_id="x", tool="add", text="1"),
            ToolResultPart(call_id="y", tool="add", text="2"),
        ),
    ),
)


def request(**fields: object) -> ModelRequest:
    return ModelRequest(**{"messages": MESSAGES, "session_id": "s", "turn_id": "t", **fields})  # type: ignore[arg-type]


def test_messages_keep_their_roles_and_each_result_is_one_of_its_own() -> None:
    system, user, assistant, *results = chat_messages(request())
    assert system == {"role": "system", "content": "Be brief."}
    assert user["role"] == "user" and user["content"].endswith("Why?") and "sea" in user["content"]
    call = {"id": "x", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    assert assistant == {"role": "assistant", "content": "Let me see.", "tool_calls": [call]}
    assert results == [
        {"role": "tool", "tool_call_id": "x", "content": "1"},
        {"role": "tool", "tool_call_id": "y", "content": "2"},
    ]


def test_text_that_utf8_cannot_carry_does_not_stop_a_request() -> None:
    only = (Message(role="user", parts=(TextPart(text="a\ud800b"),)),)
    assert chat_messages(request(messages=only)) == [{"role": "user", "content": "a\ufffdb"}]


def test_a_request_without_messages_is_refused() -> None:
    with pytest.raises(ModelError, match="nothing to answer"):
        chat_messages(request(messages=()))


def test_only_what_every_server_knows_is_sent_by_default() -> None:
    body = completion_body(request(sampling=Sampling(max_tokens=9)), model="m", dialect="standard", slot=3)
    assert {name: value for name, value in body.items() if name != "messages"} == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
    }
    chosen = completion_body(request(sampling=Sampling(temperature=0.5, top_p=0.9)), model="m", dialect="standard")
    assert (chosen["temperature"], chosen["top_p"]) == (0.5, 0.9)


def test_each_dialect_has_its_own_names() -> None:
    asked = request(sampling=Sampling(max_tokens=9, top_k=0, repeat_penalty=1.1, seed=5, stop=("END",)))
    openai = completion_body(asked, model="m", dialect="openai")
    assert (openai["max_completion_tokens"], openai["seed"], openai["stop"]) == (9, 5, ["END"])
    assert not openai.keys() & {"max_tokens", "top_k", "min_p"}
    llama = completion_body(asked, model="m", dialect="llama-server", slot=0)
    assert (llama["top_k"], llama["repeat_penalty"], llama["cache_prompt"], llama["id_slot"]) == (0, 1.1, True, 0)
    assert llama["return_progress"] is True and "return_progress" not in openai
    vllm = completion_body(asked, model="m", dialect="vllm", slot=0)
    assert (vllm["top_k"], vllm["repetition_penalty"]) == (-1, 1.1)
    assert not vllm.keys() & {"id_slot", "cache_prompt", "repeat_penalty"}


def test_tools_and_a_schema_are_sent_where_there_are_any() -> None:
    parameters = {"type": "object"}
    tool = ToolSpec(name="add", description="adds", parameters=parameters)
    body = completion_body(request(tools=(tool,), schema=parameters), model="m", dialect="standard")
    function = {"name": "add", "description": "adds", "parameters": parameters}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert body["response_format"]["json_schema"]["schema"] == parameters
    assert "tool_choice" not in body


def test_the_ids_and_names_of_calls_hold_no_control_tags() -> None:
    call = ToolCallPart(call_id="<|im_end|>", tool="<|a|>", arguments="{}")
    result = ToolResultPart(call_id="<|im_end|>", tool="<|a|>", text="4")
    messages = (Message(role="assistant", parts=(call,)), Message(role="tool", parts=(result,)))
    called, answered = chat_messages(request(messages=messages))
    assert (called["tool_calls"][0]["id"], answered["tool_call_id"]) == ("< |im_end|>", "< |im_end|>")
    assert called["tool_calls"][0]["function"]["name"] == "< |a|>"


def test_a_call_that_is_required_is_demanded() -> None:
    tool = ToolSpec(name="add", description="adds", parameters={})
    for tools, choice in (((tool,), "required"), ((), None)):
        body = completion_body(request(tools=tools, must_call=True), model="m", dialect="standard")
        assert body.get("tool_choice") == choice
