"""Chunks as servers really send them are turned into deltas."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentd.host.http import PIECE
from agentd.models.openai.answer import MOST_CALLS, Answer, ServerFailed, Withheld, error_code, error_text, runs
from agentd.ports.generation import Delta, Finish, Reading, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from agentd.testing.openai_server import delta, end, text, tool_call, usage
from tests.processor import least_seconds


def deltas(*chunks: object, most: int = 10_000) -> list[Delta]:
    answer = Answer(most)
    return [*(delta for chunk in chunks for delta in answer.feed(chunk)), *answer.finish()]


def calls(*pieces: object) -> list[tuple[str, str, str]]:
    """Id, name and arguments of each call in these pieces."""
    found: dict[int, list[str]] = {}
    for d in deltas(*(delta(tool_calls=[piece]) for piece in pieces)):
        if isinstance(d, ToolCallDelta):
            call = found.setdefault(d.index, [d.call_id, d.name, ""])
            call[2] += d.arguments
    return [(call_id, name, arguments) for call_id, name, arguments in found.values()]


def texts(*pieces: str) -> tuple[str, str]:
    """The answer and the reasoning in these pieces of content."""
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


def test_pieces_that_come_together_are_one_and_what_came_before_an_error_is_kept() -> None:
    thought, call = delta(reasoning_content="hm"), tool_call(0, "{}", name="now")
    chunks = [text("a"), text("b"), thought, thought, text("c"), call, text("d"), {"error": {"message": "boom"}}]
    found: list[Delta] = []
    with pytest.raises(ServerFailed):
        for each in runs(Answer(100).all(chunks)):
            found.append(each)
    said = [each.text for each in found if isinstance(each, TextDelta | ReasoningDelta)]
    assert said == ["ab", "hmhm", "c", "d"] and len(found) == len(said) + 1


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
        Finish(reason="stop"),
    ]
    assert deltas(progress(100, 0.0, total=100), progress(50, 0.0), progress(2000, 0.0)) == [Finish(reason="stop")]


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


def piece(arguments: object, **fields: object) -> dict[str, object]:
    named = {"name": fields.pop("name")} if "name" in fields else {}
    return {**fields, "function": {**named, "arguments": arguments}}


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([piece("{}", index=3, name="a")], [("call_0", "a", "{}")]),
        ([piece("{", index=0, id="x", name="a"), piece("}", index=0, id="x", name="a")], [("x", "a", "{}")]),
        ([piece("{", index=0, id="x", name="a"), piece("}", index=0, id="", name=None)], [("x", "a", "{}")]),
        ([piece("{", index=0, id="x", name="a"), piece("}", index=0, id="y")], [("x", "a", "{}")]),
        ([piece("{", index="0", id="x", name="a"), piece("}", index=0)], [("x", "a", "{}")]),
        ([piece("{", index=None, id="x", name="a"), piece("}", index=None)], [("x", "a", "{}")]),
        ([piece("{", id="x", name="a"), piece("}", index=0)], [("x", "a", "{}")]),
        ([piece("{", index=0, id="x", name="a"), {"index": 0, "function": None}], [("x", "a", "{")]),
        ([piece("1", id="x", name="a"), piece("2", id="y", name="b")], [("x", "a", "1"), ("y", "b", "2")]),
        ([piece("1", name="a"), piece("2", name="b")], [("call_0", "a", "1"), ("call_1", "b", "2")]),
        ([piece(None, index=0, id=5, name="a")], [("5", "a", "")]),
        ([piece({"a": [1]}, index=0, id="x", name="a")], [("x", "a", '{"a": [1]}')]),
    ],
)
def test_the_pieces_of_calls_are_told_apart(pieces: list[object], expected: list[tuple[str, str, str]]) -> None:
    assert calls(*pieces) == expected


def test_a_single_call_need_not_be_in_a_list_and_may_have_the_old_form() -> None:
    call = {"function": {"name": "add", "arguments": "{}"}}
    for said in ({"tool_calls": call}, {"function_call": call["function"]}):
        assert deltas(delta(**said))[0] == ToolCallDelta(index=0, call_id="call_0", name="add", arguments="{}")


def test_a_flood_of_calls_is_bounded_in_number_and_in_all_its_lengths() -> None:
    many = [delta(tool_calls=[piece("", index=n, id=f"c{n}", name="calc\nFORGED")]) for n in range(10_000)]
    found = {d.index: d for d in deltas(*many, most=1000) if isinstance(d, ToolCallDelta)}
    assert len(found) == MOST_CALLS and found[0].name == "calc\ufffdFORGED"
    answer = Answer(1000)
    fed = next(n for n, chunk in enumerate(many) if (answer.feed(chunk), answer.full)[1])
    assert fed < 100, "names and ids count"
    (long,) = [
        d for d in deltas(delta(tool_calls=[piece("", id="i" * 9999, name="n" * 9999)])) if isinstance(d, ToolCallDelta)
    ]
    assert len(long.name) == len(long.call_id) == 200
    whole = deltas(delta(tool_calls=[piece("1" * 5000, name="n")]), text("x" * 5000), most=1000)
    assert sum(len(d.arguments) for d in whole if isinstance(d, ToolCallDelta)) < 1000


def test_no_more_is_handed_on_than_may_be() -> None:
    said = deltas(text("x" * 600), delta(reasoning="y" * 600), text("z"), most=1000)
    assert said == [TextDelta(text="x" * 600), ReasoningDelta(text="y" * 400), Finish(reason="length")]


def in_delta(**said: object) -> object:
    return {"choices": [{"delta": said}]}


NOTHING: list[object] = [None, "", [], {}, 5, True, ["x", None], "null"]
"""Values that say nothing, wherever they stand."""
UNSPOKEN: list[object] = [42, "x", [], None, {}, {"type": "ping"}, {"choices": 5}]
SPOKEN: list[object] = [{"choices": []}, delta(), {"usage": None}, {"prompt_progress": {}}]


@pytest.mark.parametrize(
    "chunk",
    [
        *UNSPOKEN,
        *SPOKEN,
        *({"choices": [None]}, {"choices": [{}]}, {"choices": ["x"]}, {"error": None}, {"error": ""}),
        *({"choices": [{"delta": value, "finish_reason": None}]} for value in NOTHING if not isinstance(value, str)),
        *(in_delta(content=value, reasoning=value) for value in NOTHING[:-2]),
        *(in_delta(content=[[["x"]]]), in_delta(content=[5])),
        *(in_delta(tool_calls=value) for value in NOTHING),
        *({"choices": [{"index": None, "delta": {}, "finish_reason": value}]} for value in NOTHING),
        *({"usage": value, "prompt_progress": value, "timings": value} for value in NOTHING),
        *({"usage": {"prompt_tokens": "many"}}, {"prompt_progress": {"total": "x", "cache": None}}),
        {"id": 1, "surprise": [1], "choices": [{"delta": {}}]},
    ],
)
def test_what_is_left_out_or_added_or_cannot_be_read_is_no_error(chunk: object) -> None:
    assert deltas(text("a"), chunk, text("b"), end()) == [
        TextDelta(text="a"),
        TextDelta(text="b"),
        Finish(reason="stop"),
    ]


def test_what_belongs_to_no_completion_is_told_apart() -> None:
    for other in UNSPOKEN:
        answer = Answer(10)
        answer.feed(other)
        assert not answer.spoken
    for chunk in SPOKEN:
        answer = Answer(10)
        answer.feed(chunk)
        assert answer.spoken


@pytest.mark.parametrize(
    "content",
    [
        "so",
        ["so"],
        [{"type": "text", "text": "so"}],
        {"type": "text", "text": "so"},
        [{"text": "s"}, {"type": "image_url", "image_url": "x"}, {"type": "output_text", "text": "o"}],
    ],
)
def test_a_content_may_be_a_list_of_parts(content: object) -> None:
    assert deltas(delta(content=content), end())[0] == TextDelta(text="so")


def test_parts_of_thinking_are_reasoning() -> None:
    content = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "so"}]
    assert deltas(delta(content=content), end())[:2] == [ReasoningDelta(text="hm"), TextDelta(text="so")]


def test_a_whole_message_counts_unless_its_pieces_have_come() -> None:
    whole = {"choices": [{"message": {"role": "assistant", "content": "whole"}, "finish_reason": "stop"}]}
    assert deltas(whole) == [TextDelta(text="whole"), Finish(reason="stop")]
    assert deltas(text("pieces"), whole) == [TextDelta(text="pieces"), Finish(reason="stop")]


# --- halves of characters ---


def test_halves_that_come_apart_are_joined() -> None:
    for field, kind in (("content", TextDelta), ("reasoning_content", ReasoningDelta)):
        found = deltas(delta(**{field: "wolf \ud83d"}), delta(**{field: "\udc3a end \ud83d"}), end())
        assert "".join(d.text for d in found if isinstance(d, kind)) == "wolf 🐺 end \ufffd"


def test_halves_in_a_tool_call_are_joined_or_replaced() -> None:
    first = {"index": 0, "id": "c\ud83d", "function": {"name": "calc\ud83d", "arguments": '{"a": "\ud83d'}}
    (call,) = calls(first, {"index": 0, "function": {"arguments": '\udc3a \udc3a"}\ud83d'}})
    assert call == ("c\ufffd", "calc\ufffd", '{"a": "🐺 \ufffd"}\ufffd')


# --- figures ---


@pytest.mark.parametrize("absurd", [None, -1, True, "7", 1e300, float("inf"), float("nan"), 10**12, [], {}])
def test_absurd_figures_are_left_out(absurd: object) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": absurd}}
    (found,) = [
        d
        for d in deltas(
            text("a"),
            end(),
            {"usage": {"prompt_tokens": 7, "completion_tokens": absurd} | details},
            {"timings": {"prompt_ms": absurd, "predicted_ms": 1000}},
        )
        if isinstance(d, Usage)
    ]
    assert found == Usage(prompt_tokens=7, cached_tokens=0, completion_tokens=0, write_seconds=1.0)


def test_more_in_the_cache_than_in_the_prompt_is_the_prompt() -> None:
    (found,) = [d for d in deltas(text("a"), end(), usage(7, 2, 9)) if isinstance(d, Usage)]
    assert found.cached_tokens == 7


# --- errors ---


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "no"}},
        {"error": "no", "choices": []},
        {"message": "no", "code": 1},
        {"detail": "no"},
        {"error": {"message": "no"}, "choices": [{"delta": {"content": ""}, "finish_reason": "error"}]},
        {"choices": [{"delta": {}, "finish_reason": "error", "error": {"message": "no"}}]},
    ],
)
def test_an_error_in_the_stream_is_the_servers(body: object) -> None:
    with pytest.raises(ServerFailed, match="no"):
        deltas(text("a"), body)


def test_a_filter_is_no_end() -> None:
    with pytest.raises(Withheld):
        deltas(text("a"), end("content_filter"))


def test_a_servers_words_are_found_in_every_form_of_error() -> None:
    assert error_text({"error": {"message": "no"}}) == "no"
    assert error_text({"message": "no", "code": 1}) == "no"
    assert error_text({"detail": "no"}) == "no"
    assert error_text({"error": "no"}) == "no"
    assert error_text("no") == "no"
    assert error_text({"detail": [{"loc": ["body"], "msg": "no"}]}) == "no"
    assert error_text({"errors": [{"message": "no"}]}) == error_text(["no"]) == "no"
    assert error_text({"error": {"message": 5}}) == error_text(None) == ""
    deep: object = "no"
    for _ in range(500):
        deep = {"error": deep}
    assert error_text(deep) == ""


@pytest.mark.parametrize("event", [1, {}, {"error": {}}, {"choices": [{"delta": {}}]}])
def test_a_piece_of_the_shortest_events_is_read_fast(event: object) -> None:
    def read() -> None:
        answer = Answer(1000)
        for _ in range(PIECE // len(b"data:1\n\n")):
            answer.feed(event)

    assert least_seconds(read, enough=0.1) < 0.25


def test_a_flood_of_pieces_of_a_call_in_one_event_is_cut() -> None:
    same = {"index": 0, "function": {"name": "a", "arguments": "b"}}
    said = deltas(delta(tool_calls=[same] * 10_000))
    assert len([d for d in said if isinstance(d, ToolCallDelta)]) <= MOST_CALLS


def test_the_status_that_a_server_means_is_found() -> None:
    assert error_code({"error": {"code": 402}}) == error_code({"code": "402"}) == error_code({"status": 402}) == 402
    assert error_code({"error": {"code": "server_error"}}) is error_code({"code": 1}) is error_code("x") is None


def test_arguments_may_come_as_the_object_that_they_are() -> None:
    call = {"index": 0, "id": "x", "function": {"name": "add", "arguments": {"a": "ä"}}}
    said = deltas(delta(tool_calls=[call]), end("tool_calls"))
    assert said[0] == ToolCallDelta(index=0, call_id="x", name="add", arguments='{"a": "ä"}')


KEYS = st.sampled_from(
    "choices delta message content reasoning tool_calls function name arguments index id finish_reason usage timings"
    " prompt_tokens prompt_progress total cache processed time_ms error code type text".split()
)
ANYTHING = st.recursive(
    st.sampled_from([None, True, 0, -1, 1e300, "", "stop", "<think>", "</think>", "\ud83d", "\udc3a", "x" * 50]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)
CHUNKS = ANYTHING | st.builds(lambda said: {"choices": [{"delta": said}]}, st.dictionaries(KEYS, ANYTHING, max_size=4))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CHUNKS, max_size=5))
def test_nothing_that_a_server_sends_is_an_error_of_ours_and_all_that_is_handed_on_can_be_encoded(
    chunks: list[object],
) -> None:
    try:
        found = deltas(*chunks, most=100)
    except (ServerFailed, Withheld):
        return
    assert isinstance(found[-1], Finish)
    for each in found:
        match each:
            case TextDelta() | ReasoningDelta():
                assert each.text.encode()
            case ToolCallDelta():
                assert f"{each.name}{each.call_id}{each.arguments}x".encode()
