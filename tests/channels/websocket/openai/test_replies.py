"""How an answer is written down: whole, and as the events of a stream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentd.records import CalledTool, Citation, TurnUsage
from agentd.serving.protocol import Answer
from channels.websocket.openai.completion import ChatReply
from channels.websocket.openai.respond import ResponseRequest
from channels.websocket.openai.response_stream import ResponseReply
from channels.websocket.openai.turned import Turned

TURNED = Turned(turn="t1", session="s1", model="agentd", created=7)
REQUEST = ResponseRequest(model="agentd", input="Owls?", metadata={"a": "b"}, temperature=0.5)
CALL = CalledTool(call_id="c1", tool="weather", arguments='{"at": 1}')
OWLS = Citation(n=1, title="Owls", source="/notes/owls.md", heading="Night", start=0, end=4)
LIST = "\n\n---\nSources:\n[1] Owls (/notes/owls.md, Night)"


def answer(text: str = "Owls fly [1].", **members: Any) -> Answer:
    values = {"outcome": "answer", "usage": TurnUsage(prompt_tokens=5, cached_tokens=2, completion_tokens=3), **members}
    return Answer(id="a", session="s1", turn="t1", answers=("t1",), text=text, model="small", **values)


def cited() -> Answer:
    return answer(citations=(OWLS,))


def events(written: bytes) -> list[dict[str, Any]]:
    """The data of each event; the name of one that has one is its type."""
    found = []
    for block in written.decode().strip().split("\n\n"):
        *name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")) if data != "data: [DONE]" else {"done": True})
        assert name == ([f"event: {found[-1]['type']}"] if name else [])
    return found


def chat_stream(given: Answer, *pieces: str, usage: bool = False) -> list[dict[str, Any]]:
    reply = ChatReply(TURNED, usage=usage)
    return events(b"".join([reply.begin(), *map(reply.more, pieces), reply.end(given)]))


def response_stream(given: Answer, *pieces: str) -> list[dict[str, Any]]:
    reply = ResponseReply(TURNED, REQUEST)
    return events(b"".join([reply.begin(), *map(reply.more, pieces), reply.end(given)]))


def test_a_chat_completion_has_the_text_with_its_sources_and_the_figures() -> None:
    whole = ChatReply(TURNED, usage=False).whole(cited())
    assert whole.choices[0].message.content == f"Owls fly [1].{LIST}"
    assert whole.choices[0].finish_reason == "stop"
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens) == (5, 3, 8)
    assert whole.usage.prompt_tokens_details.cached_tokens == 2
    assert (whole.id, whole.created, whole.agentd.session, whole.agentd.model) == ("chatcmpl-t1", 7, "s1", "small")
    assert list(whole.agentd.citations) == [OWLS]


def test_the_list_of_sources_is_left_out_on_request_and_the_citations_stay() -> None:
    turned = Turned(turn="t1", session="s1", model="agentd", created=7, sources=False)
    whole = ChatReply(turned, usage=False).whole(cited())
    assert whole.choices[0].message.content == "Owls fly [1]."
    assert list(whole.agentd.citations) == [OWLS]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, "stop"),
        ({"cut_off": True}, "length"),
        ({"outcome": "interrupted"}, "stop"),
        ({"outcome": "calls"}, "tool_calls"),
    ],
)
def test_why_a_chat_completion_ends(members: dict[str, Any], reason: str) -> None:
    assert ChatReply(TURNED, usage=False).whole(answer(**members)).choices[0].finish_reason == reason


def test_a_stream_of_a_chat_completion_has_its_role_its_text_its_end_and_its_figures() -> None:
    *chunks, usage, done = chat_stream(cited(), "Owls ", "fly [1].", usage=True)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == f"Owls fly [1].{LIST}"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 4 + ["stop"]
    assert chunks[-1]["agentd"]["citations"][0]["source"] == "/notes/owls.md"
    assert (usage["choices"], usage["usage"]["total_tokens"], done) == ([], 8, {"done": True})
    assert all(chunk["usage"] is None for chunk in chunks)
    assert "usage" not in chat_stream(answer())[0]


def test_calls_are_handed_back_in_both_forms_of_a_chat_completion() -> None:
    given = answer("", outcome="calls", calls=(CALL,))
    message = ChatReply(TURNED, usage=False).whole(given).choices[0].message
    made = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"at": 1}'}}
    assert message.content is None
    assert [call.model_dump() for call in message.tool_calls or ()] == [made]
    _, calling, last, _ = chat_stream(given)
    assert calling["choices"][0]["delta"] == {"tool_calls": [{"index": 0, **made}]}
    assert last["choices"][0]["finish_reason"] == "tool_calls"


def test_a_response_has_its_message_with_annotations_and_what_was_asked() -> None:
    shown = ResponseReply(TURNED, REQUEST).whole(cited()).model_dump(mode="json")
    (message,) = shown["output"]
    (content,) = message["content"]
    assert content["text"] == f"Owls fly [1].{LIST}"
    annotation = {"type": "file_citation", "index": 9, "file_id": "/notes/owls.md", "filename": "Owls"}
    assert content["annotations"] == [annotation]
    assert (shown["id"], shown["status"], shown["conversation"]) == ("resp_t1", "completed", {"id": "s1"})
    assert (shown["metadata"], shown["temperature"], shown["usage"]["input_tokens"]) == ({"a": "b"}, 0.5, 5)


def test_the_events_of_a_response_come_in_their_order_each_with_its_number() -> None:
    stream = response_stream(cited(), "Owls ", "fly [1].")
    assert [event["type"].removeprefix("response.") for event in stream] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.delta",
        "output_text.annotation.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event["sequence_number"] for event in stream] == [*range(12)]
    deltas = "".join(event["delta"] for event in stream if event["type"].endswith(".delta"))
    assert deltas == f"Owls fly [1].{LIST}" == stream[8]["text"]
    assert stream[-1]["response"]["output"][0] == stream[-2]["item"]


def test_calls_are_items_of_a_response_after_its_message_if_it_has_one() -> None:
    given = answer("", outcome="calls", calls=(CALL,))
    stream = response_stream(given)
    kinds = [event["type"].removeprefix("response.") for event in stream[2:-1]]
    called = ["output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"]
    assert kinds == called
    assert stream[-1]["response"]["output"] == [stream[-2]["item"]]
    assert (stream[-2]["item"]["call_id"], stream[-2]["output_index"]) == ("c1", 0)
    spoken = response_stream(answer("Let me see.", outcome="calls", calls=(CALL,)), "Let me see.")
    assert [event["output_index"] for event in spoken if event["type"] == "response.output_item.done"] == [0, 1]
    assert [item["type"] for item in spoken[-1]["response"]["output"]] == ["message", "function_call"]


@pytest.mark.parametrize(
    ("members", "status", "reason"),
    [
        ({"cut_off": True}, "incomplete", {"reason": "max_output_tokens"}),
        ({"outcome": "interrupted"}, "incomplete", {"reason": None}),
        ({"outcome": "notice"}, "completed", None),
        ({"outcome": "error", "error_code": "model"}, "failed", None),
    ],
)
def test_how_a_response_ends_is_its_status(members: dict[str, Any], status: str, reason: object) -> None:
    shown = ResponseReply(TURNED, REQUEST).whole(answer("text", **members)).model_dump(mode="json")
    assert (shown["status"], shown["incomplete_details"]) == (status, reason)
    assert (shown["error"] is not None) == (status == "failed")
    if status != "failed":  # that ends a stream in another way
        assert response_stream(answer("text", **members))[-1]["type"] == f"response.{status}"


def test_an_answer_without_text_is_still_a_message() -> None:
    stream = response_stream(answer(""))
    assert [event["type"].removeprefix("response.") for event in stream[2:-1]] == [
        "output_item.added",
        "content_part.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
    ]
    assert stream[-1]["response"]["output"][0]["content"][0]["text"] == ""
