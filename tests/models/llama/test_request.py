from __future__ import annotations

from dataclasses import replace

import pytest

from agentd.errors import ModelError
from agentd.models.llama.request import LONGEST_TOOLS, MAX_SEED, count_message, generate_message, warm_message
from agentd.models.llama.wire import ChatMessage, Piece, Tool, ToolCall
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

PASSAGE = Passage(
    n=2, title="Cats", source="/cats.md", start=0, end=4, document_id=1, chunk_id=1, text="Purr.", score=1
)


def request(
    *parts: TextPart | PassagePart | ToolCallPart | ToolResultPart, sampling: Sampling | None = None
) -> ModelRequest:
    return ModelRequest(
        messages=(Message(role="user", parts=parts),), session_id="s", turn_id="t", sampling=sampling or Sampling()
    )


def test_parts_keep_their_trust_and_passages_their_place() -> None:
    asked = request(TextPart(text="Data:", trust="trusted"), PassagePart(passage=PASSAGE), TextPart(text="Why?"))
    assert count_message(asked, 1).messages == (
        ChatMessage(
            role="user",
            pieces=(
                Piece(text="Data:", trusted=True),
                Piece(text="[2] Cats\nPurr.\n", trusted=False),
                Piece(text="Why?", trusted=False),
            ),
        ),
    )


def test_calls_stay_calls_and_each_result_is_a_message_of_its_own() -> None:
    asked = ModelRequest(
        messages=(
            Message(
                role="assistant",
                parts=(TextPart(text="Let me see."), ToolCallPart(call_id="1", tool="add", arguments='{"a":"\ud800"}')),
            ),
            Message(
                role="tool",
                parts=(
                    ToolResultPart(call_id="1", tool="add", text="2"),
                    ToolResultPart(call_id="2", tool="add", text="3"),
                ),
            ),
        ),
        session_id="s",
        turn_id="t",
    )
    assert count_message(asked, 1).messages == (
        ChatMessage(
            role="assistant",
            pieces=(Piece(text="Let me see.", trusted=False),),
            calls=(ToolCall(call_id="1", tool="add", arguments='{"a":"\ufffd"}'),),
        ),
        ChatMessage(role="tool", pieces=(Piece(text="2", trusted=False),), call_id="1", tool="add"),
        ChatMessage(role="tool", pieces=(Piece(text="3", trusted=False),), call_id="2", tool="add"),
    )


def test_what_a_template_might_choke_on_is_refused_before_it_is_asked() -> None:
    long = ToolSpec(name="t", description="x" * LONGEST_TOOLS, parameters={})
    calls = [ToolCallPart(call_id=f"c{n}", tool="t", arguments="x" * 60_000) for n in range(5)]
    for asked in (replace(request(TextPart(text="x")), tools=(long,)), request(*calls)):
        for message in (generate_message, count_message, warm_message):
            with pytest.raises(ModelError, match=r"more than (524|262),"):
                message(asked, 1)


def test_a_call_that_is_required_is_held_to_a_schema() -> None:
    fancy = {"type": "object", "properties": {"city": {"type": "string", "pattern": "^(?=x)"}, "n": {"minimum": 1}}}
    tools = (
        ToolSpec(name="weather", description="", parameters={**fancy, "required": ["city"]}),
        ToolSpec(name="now", description="", parameters={}),
    )
    asked = replace(request(TextPart(text="x")), tools=tools, must_call=True)
    schema = generate_message(asked, 1).answer_schema
    assert schema is not None
    weather, now = (each["properties"] for each in schema["anyOf"])
    assert (weather["name"], now["name"]) == ({"const": "weather"}, {"const": "now"})
    assert weather["arguments"] == {
        "type": "object",
        "properties": {"city": {"type": "string"}, "n": {}},
        "required": ["city"],
    }
    assert now["arguments"] == {"type": "object"}


def test_tools_go_with_the_question_and_with_its_count() -> None:
    tool = ToolSpec(name="add", description="Adds.", parameters={"type": "object"})
    asked = replace(request(TextPart(text="x")), tools=(tool,))
    expected = (Tool(name="add", description="Adds.", parameters={"type": "object"}),)
    assert generate_message(asked, 1).tools == count_message(asked, 1).tools == expected


def test_what_is_read_ahead_is_written_as_in_a_question() -> None:
    asked = replace(request(TextPart(text="Why?")), tools=(ToolSpec(name="add", description="adds", parameters={}),))
    warm, question = warm_message(asked, 3), generate_message(asked, 4)
    assert warm.id == 3 and (warm.messages, warm.tools) == (question.messages, question.tools)


def test_half_a_character_is_replaced() -> None:
    assert count_message(request(TextPart(text="a\ud800b")), 1).messages[0].pieces[0].text == "a\ufffdb"


@pytest.mark.parametrize(
    ("sampling", "name"),
    [
        (Sampling(temperature=-1), "temperature"),
        (Sampling(temperature=float("nan")), "temperature"),
        (Sampling(top_k=-1), "top_k"),
        (Sampling(top_p=0), "top_p"),
        (Sampling(min_p=2), "min_p"),
        (Sampling(repeat_penalty=0), "repeat_penalty"),
        (Sampling(seed=-1), "seed"),
        (Sampling(seed=2**64), "seed"),
        (Sampling(max_tokens=0), "max_tokens"),
        (Sampling(stop=("",)), "stop"),
        (Sampling(stop=("x",) * 17), "stop"),
    ],
)
def test_a_setting_out_of_range_is_named_with_its_range(sampling: Sampling, name: str) -> None:
    with pytest.raises(ModelError, match=rf"out of range: {name} \("):
        generate_message(request(TextPart(text="x"), sampling=sampling), 1)


def test_a_seed_is_kept_and_without_one_each_request_has_its_own() -> None:
    asked = request(TextPart(text="x"), sampling=Sampling(seed=MAX_SEED))
    assert generate_message(asked, 1).choice.seed == MAX_SEED
    free = request(TextPart(text="x"))
    assert len({generate_message(free, 1).choice.seed for _ in range(5)}) > 1


def test_what_the_model_cannot_do_is_refused() -> None:
    asked = request(TextPart(text="x"))
    with pytest.raises(ModelError, match="'not', "):
        generate_message(replace(asked, schema={"not": {}}), 1)
    with pytest.raises(ModelError, match="no messages"):
        generate_message(replace(asked, messages=()), 1)
