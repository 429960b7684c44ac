"""Chunks as servers really send them become deltas."""

from __future__ import annotations

import pytest

from agentd.generation import Delta, Finish, Reading, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from agentd.models.openai.answer import Answer, NoChunk, Withheld, error_text
from agentd.testing.openai_server import delta, end, text, tool_call, usage


def deltas(*chunks: object) -> list[Delta]:
    answer = Answer()
    said = [delta for chunk in chunks for delta in answer.feed(chunk)]
    return said + (answer.finish() if answer.ended else [])


def texts(*pieces: str) -> tuple[str, str]:
    """Answer and reasoning of these pieces of content."""
    said = deltas(*map(text, pieces), end())
    answer = "".join(delta.text for delta in said if isinstance(delta, TextDelta))
    return answer, "".join(delta.text for delta in said if isinstance(delta, ReasoningDelta))


def test_an_answer_ends_with_its_figures() -> None:
    assert deltas(delta(role="assistant", content=""), text("Hel"), text("lo"), end(), usage(7, 2, 5)) == [
        TextDelta(text="Hel"),
        TextDelta(text="lo"),
        Usage(prompt_tokens=7, cached_tokens=5, completion_tokens=2),
        Finish(reason="stop"),
    ]


def test_what_llama_server_measures_is_told_with_the_figures() -> None:
    timings = {"timings": {"prompt_ms": 1500.0, "predicted_ms": 250.0, "prompt_n": 3}}
    found = deltas(text("a"), end(), usage(7, 2, 5) | timings)[-2]
    assert found == Usage(prompt_tokens=7, cached_tokens=5, completion_tokens=2, read_seconds=1.5, write_seconds=0.25)


def test_how_far_llama_server_has_read_is_told_of_what_it_did_not_know() -> None:
    def progress(processed: int, milliseconds: float, *, total: int = 1100) -> dict[str, object]:
        figures = {"total": total, "cache": 100, "processed": processed, "time_ms": milliseconds}
        return delta(role="assistant") | {"prompt_progress": figures}

    assert deltas(progress(100, 0.0), progress(600, 5000.0), progress(1100, 9000.0)) == [
        Reading(done=0, total=1000),
        Reading(done=500, total=1000, seconds=5.0),
        Reading(done=1000, total=1000, seconds=0.0),
    ]
    assert deltas(progress(100, 0.0, total=100), progress(50, 0.0), progress(2000, 0.0)) == []


@pytest.mark.parametrize(("reason", "finish"), [("stop", "stop"), ("length", "length"), ("eos", "stop")])
def test_why_it_ended_is_told(reason: str, finish: str) -> None:
    last = deltas(text("a"), end(reason))[-1]
    assert isinstance(last, Finish) and last.reason == finish


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_apart_whatever_the_server_calls_it(field: str) -> None:
    assert deltas(delta(**{field: "hm"}), text("so"), end())[:2] == [ReasoningDelta(text="hm"), TextDelta(text="so")]


@pytest.mark.parametrize(
    ("pieces", "answer", "reasoning"),
    [
        (["<think>hm</think>so"], "so", "hm"),
        (["\n<th", "ink>h", "m</th", "ink>\n\n", "so"], "so", "hm"),
        (["<", "b>bold"], "<b>bold", ""),
        (["so <think>x</think>"], "so <think>x</think>", ""),
        (["<think>never ended"], "", "never ended"),
        (["<thi"], "<thi", ""),
        (["<think></think>", "so"], "so", ""),
        (["<think>a<b</", "think>so"], "so", "a<b"),
    ],
)
def test_reasoning_that_was_left_in_the_text_is_taken_out(pieces: list[str], answer: str, reasoning: str) -> None:
    assert texts(*pieces) == (answer, reasoning)


def test_a_tool_call_comes_in_pieces() -> None:
    said = deltas(
        tool_call(0, "", name="add", call_id="x1"), tool_call(0, '{"a":'), tool_call(0, "1}"), end("tool_calls")
    )
    assert said == [
        ToolCallDelta(index=0, call_id="x1", name="add", arguments=""),
        ToolCallDelta(index=0, call_id="x1", name="", arguments='{"a":'),
        ToolCallDelta(index=0, call_id="x1", name="", arguments="1}"),
        Finish(reason="tool_calls"),
    ]


def test_calls_that_share_an_index_are_told_apart_by_their_ids() -> None:
    said = deltas(tool_call(0, "{}", name="a", call_id="x"), tool_call(0, "{}", name="b", call_id="y"), end("stop"))
    assert [(d.index, d.name) for d in said if isinstance(d, ToolCallDelta)] == [(0, "a"), (1, "b")]
    assert said[-1] == Finish(reason="tool_calls"), "whatever the server calls it"


def test_a_call_without_an_id_gets_one() -> None:
    said = deltas(tool_call(3, "{}", name="a"), tool_call(4, "{", name="b"), tool_call(4, "}"))
    calls = [(d.index, d.call_id) for d in said if isinstance(d, ToolCallDelta)]
    assert calls == [(0, "call_0"), (1, "call_1"), (1, "call_1")]


@pytest.mark.parametrize(
    "chunk", [42, "x", [], None, {"choices": 5}, {"choices": ["x"]}, {"choices": [{"delta": {"content": {}}}]}]
)
def test_what_is_no_chunk_is_refused(chunk: object) -> None:
    with pytest.raises(NoChunk):
        Answer().feed(chunk)


@pytest.mark.parametrize("chunk", [{}, {"choices": None}, {"id": 1, "surprise": [1], "choices": [{"delta": {}}]}])
def test_what_is_left_out_or_added_is_no_error(chunk: object) -> None:
    assert Answer().feed(chunk) == []


def test_a_filter_is_no_end() -> None:
    with pytest.raises(Withheld):
        deltas(text("a"), end("content_filter"))


def test_a_servers_words_are_found_in_every_form_of_error() -> None:
    assert error_text({"error": {"message": "no"}}) == "no"
    assert error_text({"message": "no", "code": 1}) == "no"
    assert error_text({"detail": "no"}) == "no"
    assert error_text({"error": "no"}) == "no"
    assert error_text("no") == "no"
    assert error_text({"error": {"message": 5}}) == error_text(None) == ""


def test_arguments_may_come_as_the_object_that_they_are() -> None:
    call = {"index": 0, "id": "x", "function": {"name": "add", "arguments": {"a": "ä"}}}
    said = deltas(delta(tool_calls=[call]), end("tool_calls"))
    assert said[0] == ToolCallDelta(index=0, call_id="x", name="add", arguments='{"a": "ä"}')
