"""The OpenAI-compatible backend against a local server that behaves, and one that does not."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from agentd.delivery.backoff import Backoff
from agentd.errors import Busy, ModelError, ModelUnavailable, PromptTooLong, TimedOut
from agentd.models.openai import model as backend
from agentd.models.openai import patience
from agentd.models.openai.answer import runs
from agentd.models.openai.errors import LEAST_CONTEXT
from agentd.models.openai.model import AT_ONCE, OpenAIModel
from agentd.models.openai.server import Endpoint
from agentd.models.openai.thinking import WAS_THINKING
from agentd.ports.generation import (
    Delta,
    Finish,
    Limits,
    Message,
    ModelRequest,
    QueuePosition,
    Reading,
    Restarted,
    Sampling,
    TextDelta,
    TextPart,
    ToolSpec,
    Usage,
)
from agentd.ports.models import Pace
from agentd.testing.http import HttpServer, Reply, Request
from agentd.testing.openai_server import OpenAIServer, Refusal, Step, Stream, delta, end, text, tool_call, usage

KEY = "sk-very-secret"
DEADLINE = 60.0


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "PAUSES", Backoff(first=0.01, longest=8.0))


def request(
    question: str = "one two", *, session: str = "s", limits: Limits | None = None, **fields: Any
) -> ModelRequest:
    messages = (Message(role="user", parts=(TextPart(text=question),)),)
    return ModelRequest(messages=messages, session_id=session, turn_id="t", limits=limits or Limits(), **fields)


@asynccontextmanager
async def house(server: OpenAIServer | None = None, **fields: Any) -> AsyncIterator[tuple[OpenAIServer, OpenAIModel]]:
    async with server or OpenAIServer() as server, asyncio.timeout(DEADLINE):
        model = OpenAIModel(Endpoint(**{"base_url": server.base_url, "name": "served", **fields}))
        try:
            yield server, model
        finally:
            await model.close()


async def answer(model: OpenAIModel, asked: ModelRequest | None = None) -> list[Delta]:
    async with aclosing(model.stream(asked or request())) as deltas:
        return [delta async for delta in deltas]


async def said(model: OpenAIModel, asked: ModelRequest | None = None) -> str:
    return "".join(delta.text for delta in await answer(model, asked) if isinstance(delta, TextDelta))


async def test_an_answer_streams_with_its_figures_and_its_end() -> None:
    async with house(api_key=SecretStr(KEY)) as (server, model):
        *said, usage, end = runs(await answer(model))
        assert said == [TextDelta(text="one two ")] and end == Finish(reason="stop")
        assert isinstance(usage, Usage) and usage.read_seconds > 0 and usage.write_seconds > 0
        assert replace(usage, read_seconds=0, write_seconds=0) == Usage(
            prompt_tokens=2, cached_tokens=0, completion_tokens=2
        )
        assert server.completions[0]["model"] == model.name == "served"
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"


async def test_a_server_that_sends_fast_leaves_the_loop_time_for_others() -> None:
    pieces = [f"{n} " for n in range(5000)]
    others = 0

    async def other_work() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    async with house() as (server, model):
        at_once = b"".join(b"data: " + json.dumps(piece).encode() + b"\n\n" for piece in map(text, pieces))
        server.replies.append(Stream(steps=[at_once, end()]))
        busy = asyncio.create_task(other_work(), name="other work")
        deltas = await answer(model)
        busy.cancel()
    *said, _ = runs(deltas)
    assert said == [TextDelta(text="".join(pieces))]
    assert len(deltas) < len(pieces) / 10, "each piece costs every client a message"
    assert others > 2 * len(pieces) / AT_ONCE


async def test_the_environment_of_other_programs_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "sk-somebody-elses")
    async with house() as (server, model):
        await answer(model)
        assert "sk-somebody-elses" not in server.headers[0].values()


async def test_the_first_delta_is_there_before_the_answer_is_whole() -> None:
    gate = asyncio.Event()
    async with house() as (server, model):
        server.replies.append(Stream(steps=[text("now"), gate, text(" later"), end()]))
        async with aclosing(model.stream(request())) as deltas:
            assert await anext(deltas) == TextDelta(text="now")
            gate.set()
            assert [d async for d in deltas] == [TextDelta(text=" later"), Finish(reason="stop")]


async def test_closing_the_stream_ends_the_request_at_the_server() -> None:
    async with house() as (server, model):
        server.replies.append(Stream(steps=[text("a"), asyncio.Event()]))
        async with aclosing(model.stream(request())) as deltas:
            await anext(deltas)
        while server.running:
            server.news.clear()
            await server.news.wait()
        assert server.abandoned == 1
        assert await said(model) == "one two ", "and its place is free again"


async def test_without_a_name_the_first_model_of_the_server_is_asked() -> None:
    async with house(OpenAIServer(models=["big", "small"]), name=None) as (server, model):
        assert model.name.startswith("127.0.0.1")
        await answer(model)
        assert server.completions[0]["model"] == model.name == "big"


async def test_a_server_without_models_is_told() -> None:
    async with house(OpenAIServer(models=[]), name=None) as (_, model):
        with pytest.raises(ModelUnavailable, match="offers no model"):
            await answer(model)
        assert await model.count_tokens(request()) > 0


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_passing_fault_is_repeated_before_anybody_sees_it(status: int) -> None:
    async with house() as (server, model):
        server.replies += [Refusal(status=status), Refusal(status=status)]
        assert await said(model) == "one two "
        assert len(server.completions) == 3


async def test_a_fault_that_stays_is_told_after_the_last_attempt() -> None:
    async with house(retries=1) as (server, model):
        server.replies += [Refusal(status=500, message="out of memory")] * 5
        with pytest.raises(ModelUnavailable, match="out of memory"):
            await answer(model)
        assert len(server.completions) == 2


async def test_a_wait_that_the_server_asks_for_is_kept_or_the_fault_is_told_at_once() -> None:
    async with house() as (server, model):
        server.replies.append(Refusal(status=429, headers={"retry-after": "0.2"}))
        began = asyncio.get_running_loop().time()
        await answer(model)
        assert asyncio.get_running_loop().time() - began >= 0.2
        server.replies.append(Refusal(status=429, headers={"retry-after": "3600"}))
        with pytest.raises(ModelUnavailable, match="overloaded"):
            await answer(model)


@pytest.mark.parametrize(("status", "advice"), [(401, "api_key"), (404, "model.remote.name"), (400, "model.remote")])
async def test_a_fault_that_stays_by_its_nature_is_not_repeated(status: int, advice: str) -> None:
    async with house() as (server, model):
        server.replies.append(Refusal(status=status))
        with pytest.raises(ModelError, match=advice):
            await answer(model)
        assert len(server.completions) == 1


async def test_an_answer_that_is_cut_off_before_its_first_word_is_asked_for_again() -> None:
    async with house() as (server, model):
        server.replies += [Stream(steps=[], done=False), Stream(steps=[]), Stream(steps=[b": comment\n\n"], done=False)]
        with pytest.raises(ModelUnavailable, match="in the middle"):
            await answer(model)
        assert await said(model) == "one two "
        assert len(server.completions) == 4


async def test_an_answer_that_is_cut_off_later_is_never_repeated() -> None:
    async with house() as (server, model):
        server.replies.append(Stream(steps=[text("half an ans")], done=False))
        deltas = []
        with pytest.raises(ModelUnavailable, match="in the middle"):
            async for delta in model.stream(request()):
                deltas.append(delta)
        assert deltas == [TextDelta(text="half an ans")] and len(server.completions) == 1


async def test_an_error_in_the_stream_is_told_in_the_servers_words() -> None:
    async with house(retries=0) as (server, model):
        server.replies.append(Stream(steps=[text("a"), {"error": {"message": "slot was evicted"}}]))
        with pytest.raises(ModelUnavailable, match="slot was evicted"):
            await answer(model)


@pytest.mark.parametrize(
    "garbage",
    [b"data: {oops\n\n", b"data: 42\n\n", b'data: {"choices": 5}\n\n', b"data: \xff\xfe\n\n", b'data: "x"\n\n'],
)
async def test_garbage_is_an_error_that_a_person_understands(garbage: bytes) -> None:
    async with house() as (server, model):
        server.replies.append(Stream(steps=[garbage]))
        with pytest.raises(ModelUnavailable, match=r"does not speak .*base_url"):
            await answer(model)


async def test_nothing_behind_the_address_is_told_with_the_address() -> None:
    async with house(retries=0) as (server, _):
        address = server.base_url
    model = OpenAIModel(Endpoint(base_url=address, name="x", retries=0))
    with pytest.raises(ModelUnavailable, match=f"{address} cannot be reached"):
        await answer(model)
    await model.close()


@pytest.mark.parametrize("steps", [[asyncio.Event()], [{"choices": []}, b": ping\n\n", asyncio.Event()]])
async def test_a_server_that_does_not_begin_is_given_up(steps: list[Any]) -> None:
    async with house(first_token=0.2) as (server, model):
        server.replies.append(Stream(steps=steps))
        with pytest.raises(TimedOut, match=r"\bbegin .* 0\.2 s"):
            await answer(model)


async def test_a_server_that_stalls_is_given_up() -> None:
    async with house() as (server, model):
        server.replies.append(Stream(steps=[text("a"), asyncio.Event()]))
        with pytest.raises(TimedOut, match=r"nothing more .* 0\.2 s"):
            await answer(model, request(limits=Limits(idle=0.2)))


async def test_the_whole_turn_has_a_limit() -> None:
    async with house() as (server, model):
        server.replies.append(Stream(steps=[text("a"), asyncio.Event()]))
        with pytest.raises(TimedOut, match=r"\bend .* 0\.2 s"):
            await answer(model, request(limits=Limits(turn=0.2)))


async def test_a_server_that_never_closes_after_the_end_does_not_hold_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "AFTER_END", 0.05)
    async with house() as (server, model):
        server.replies.append(Stream(steps=[text("a"), end(), asyncio.Event()]))
        assert await answer(model) == [TextDelta(text="a"), Finish(reason="stop")]


async def test_a_model_that_never_stops_is_stopped() -> None:
    async with house() as (server, model):
        server.replies.append(Stream(steps=[text("word " * 100)] * 1000))
        deltas = await answer(model, request(sampling=Sampling(max_tokens=10)))
        assert deltas[-1] == Finish(reason="length") and len(deltas) < 20


async def test_so_many_requests_run_at_once_and_the_others_are_told_their_place() -> None:
    gate = asyncio.Event()
    async with house(concurrency=2) as (server, model):
        server.replies += [Stream(steps=[gate, text("a"), end()]) for _ in range(3)]
        running = [asyncio.create_task(answer(model, request(session=str(n))), name=f"request {n}") for n in range(3)]
        while server.running < 2:
            server.news.clear()
            await server.news.wait()
        gate.set()
        deltas = await asyncio.gather(*running)
        assert server.most_running == 2
        assert [QueuePosition(position=1) in each for each in deltas] == [False, False, True]


async def test_a_wait_for_a_place_ends_with_the_turn() -> None:
    async with house(concurrency=1) as (server, model):
        server.replies.append(Stream(steps=[text("a"), asyncio.Event()]))
        async with aclosing(model.stream(request())) as deltas:
            await anext(deltas)
            with pytest.raises(TimedOut, match="was busy"):
                await answer(model, request(limits=Limits(turn=0.1)))


async def test_a_queue_that_is_full_is_told() -> None:
    async with house(concurrency=1) as (_, model):
        model._slots._waiting = 0
        with pytest.raises(Busy):
            await answer(model)


async def test_a_session_stays_with_its_slot_of_llama_server() -> None:
    async with house(dialect="llama-server", pin_slots=True, concurrency=3) as (server, model):
        for session in "abab":
            await answer(model, request(session=session))
        assert [body["id_slot"] for body in server.completions] == [0, 1, 0, 1]
        assert all(body["cache_prompt"] for body in server.completions)


@pytest.mark.parametrize("dialect", ["llama-server", "vllm"])
async def test_tokens_are_counted_by_servers_that_can(dialect: str) -> None:
    async with house(dialect=dialect) as (_, model):
        assert await model.count_tokens(request("one two three")) == 3


async def test_tokens_are_estimated_where_the_server_does_not_count() -> None:
    async with house(OpenAIServer(counts=False), dialect="llama-server") as (_, model):
        guess = await model.count_tokens(request("one two three"))
        assert 3 <= guess < 40
        assert await model.count_tokens(request("one two three " * 100)) > 300


@pytest.mark.parametrize("count", [b"1e999", b"9" * 99, b"-7", b"0", b"null", b"true", b"[]", b'"\\ud800"'])
async def test_tokens_are_estimated_if_a_server_counts_absurdly(count: bytes) -> None:
    async def counts(_: Request, reply: Reply) -> None:
        await reply.send(200, b'{"count": ' + count + b', "prompt": "", "tokens": []}')

    async with HttpServer(counts) as server:
        for dialect in ("vllm", "llama-server"):
            async with house(dialect=dialect, base_url=f"{server.url}/v1") as (_, model):
                assert 3 <= await model.count_tokens(request("one two three")) < 40


async def test_the_key_is_in_no_log_and_no_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with house(api_key=SecretStr(KEY)) as (server, model):
        server.replies += [Refusal(status=500, message=f"bad key {KEY}")] * 3
        with pytest.raises(ModelError) as raised:
            await answer(model)
        assert KEY not in str(raised.value) and KEY not in repr(model._endpoint)
    assert KEY not in caplog.text


async def test_the_context_is_the_one_that_is_set_or_less_once_the_server_says_so() -> None:
    async with house() as (server, model):
        assert await model.context(Limits()) is None
        server.replies.append(Refusal(status=400, message="This model's maximum context length is 1900 tokens."))
        with pytest.raises(PromptTooLong):
            await answer(model)
        assert len(server.completions) == 1 and await model.context(Limits()) == 1900
    async with house(context=500) as (server, model):
        server.replies.append(Refusal(status=400, message="This model's maximum context length is 1900 tokens."))
        with pytest.raises(PromptTooLong):
            await answer(model)
        assert await model.context(Limits()) == 500


def progress(processed: int) -> dict[str, Any]:
    """What llama-server says while it reads a prompt of 1,000 tokens."""
    figures = {"total": 1000, "cache": 0, "processed": processed, "time_ms": processed}
    return {**delta(role="assistant"), "prompt_progress": figures}


async def test_a_prompt_that_is_being_read_is_no_answer_yet() -> None:
    cut = Stream(steps=[progress(0), progress(500)], done=False)
    whole = Stream(steps=[progress(0), progress(500), text("so"), end(), usage(1000, 1)])
    async with house(dialect="llama-server") as (server, model):
        server.replies += [cut, whole]
        found = await answer(model)
    assert [delta.done for delta in found if isinstance(delta, Reading)] == [0, 500, 0, 500]
    assert [delta.text for delta in found if isinstance(delta, TextDelta)] == ["so"], "it was not asked again"


async def test_the_limit_of_the_first_token_begins_anew_with_everything_that_was_read() -> None:
    never = asyncio.Event()
    async with house(dialect="llama-server") as (server, model):
        server.replies.append(Stream(steps=[progress(500), never]))
        with pytest.raises(TimedOut, match=r"\bbegin .* 0\.2 s"):
            await answer(model, request(limits=Limits(first_token=0.2, idle=60)))


async def test_how_fast_a_server_is_is_learned_from_its_answers() -> None:
    timings = {"timings": {"prompt_ms": 2000.0, "predicted_ms": 1000.0}}
    async with house() as (server, model):
        assert model.pace is None
        server.replies.append(Stream(steps=[text("so"), end(), usage(200, 21) | timings]))
        await answer(model)
        assert model.pace == Pace(read=100.0, write=20.0)
        await answer(model)
        assert model.pace == Pace(read=100.0, write=20.0), "a few tokens teach nothing"


# --- what servers really send ---


@pytest.mark.parametrize(
    "steps",
    [
        [text("so")],
        [delta("", content="so")],
        [b"id: 1\n\n", text("so"), b"retry: 5\n\n", b"data:\n\n", end()],
        [text("so"), {"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}],
        [text("so"), end(), {"choices": None, "usage": {"prompt_tokens": None}}],
        [{"choices": [{"message": {"content": "so"}, "finish_reason": "stop"}]}],
        [
            b'data: {"choices": [{"delta": {"content": "s"}}]}\r\n\r\n',
            b'data:{"choices":[{"delta":{"content":"o"}}]}\n',
        ],
    ],
)
async def test_an_answer_that_ended_with_done_is_whole(steps: list[Any]) -> None:
    async with house() as (server, model):
        server.replies.append(Stream(steps=steps))
        assert await said(model) == "so" and len(server.completions) == 1


@pytest.mark.parametrize("indent", [None, 2])
async def test_a_whole_answer_in_json_is_the_answer(indent: int | None) -> None:
    whole = {"choices": [{"message": {"role": "assistant", "content": "so"}}], "usage": {"prompt_tokens": 3}}
    async with house() as (server, model):
        server.replies.append(Stream(steps=[json.dumps(whole, indent=indent).encode()], done=False, whole=True))
        found = await answer(model)
    assert found[0] == TextDelta(text="so") and found[-1] == Finish(reason="stop")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "insufficient balance", "code": 402}}', r"insufficient balance; look at the account"),
        (b'{"detail": "not today"}', "not today"),
        (b'data: {"message": "not today"}\n\n', "not today"),
        (b'event: error\ndata: {"error": {"message": "boom \\ud83d", "code": 502}}\n\n', "boom \ufffd"),
        (b"<!doctype html><html>Login</html>", r"does not speak .*base_url"),
    ],
)
async def test_what_else_comes_with_success_is_told_in_the_servers_words(body: bytes, said: str) -> None:
    async with house(retries=0) as (server, model):
        server.replies.append(Stream(steps=[body], done=False, whole=True))
        with pytest.raises(ModelError, match=said):
            await answer(model)


async def test_halves_of_characters_are_whole_wherever_they_come_from() -> None:
    halves: list[Step] = [
        b'data: {"choices": [{"delta": {"content": "wolf \\ud83d"}}]}\n\n',
        text("\udc3a \ud83d"),
        end(),
    ]
    async with house(OpenAIServer(models=["m\ud83d"]), name=None) as (server, model):
        server.replies += [Stream(steps=halves), Refusal(status=400, message="boom \ud83d")]
        assert await said(model) == "wolf 🐺 \ufffd" and model.name == "m\ufffd"
        with pytest.raises(ModelError, match="boom \ufffd"):
            await answer(model)


async def test_thoughts_of_which_only_the_end_is_marked_are_no_answer_and_are_expected_from_then_on() -> None:
    thought = [text("I should"), text(" think.\n</th"), text("ink>\n\n"), text("so"), end()]
    async with house() as (server, model):
        server.replies += [Stream(steps=thought), Stream(steps=thought), Stream(steps=[text("so"), end()])]
        first = await answer(model)
        assert Restarted(reason=WAS_THINKING) in first
        assert first[-2:] == [TextDelta(text="so"), Finish(reason="stop")]
        second = await answer(model)
        assert [d.text for d in second if isinstance(d, TextDelta)] == ["so"]
        assert await said(model) == "so", "one that does not think"


# --- floods ---


@pytest.mark.parametrize(
    ("head", "flood"),
    [
        (b'data: {"choices": [{"delta": {"content": "', b"x" * 65536),
        (b"data: ", b"x" * 65536),
        (b"", b": ping\n\n" * 8192),
        (b"", b'data: {"choices": [{"delta": {"content": ""}}]}\n\n' * 1024),
        (b'data: {"choices":[', b"0," * 32768),
        (b"", b"data: 1\n" * 8192),
        (b"<html>", b"<" * 65535 + b"\n"),
    ],
)
async def test_a_flood_ends_at_a_limit_and_is_told(head: bytes, flood: bytes) -> None:
    async with house(retries=0) as (server, model):
        server.replies.append(Stream(steps=[head, *[flood] * 1000], done=False))
        with pytest.raises(ModelError, match=r"sends .*more than [\d,]+ bytes"):
            await answer(model, request(sampling=Sampling(max_tokens=10)))
        assert server.abandoned <= 1


async def test_a_flood_of_words_and_of_calls_is_an_answer_of_its_longest_length() -> None:
    for step in (text("word " * 100), delta(reasoning_content="word " * 100), tool_call(0, "1" * 500, name="calc")):
        async with house() as (server, model):
            server.replies.append(Stream(steps=[step] * 5000))
            found = await answer(model, request(sampling=Sampling(max_tokens=10)))
        assert len(found) < 20 and isinstance(found[-1], Finish)


async def test_a_redirect_to_another_server_takes_nothing_there() -> None:
    async with OpenAIServer() as other, house(retries=0) as (server, model):
        place = {"location": f"{other.base_url}/chat/completions"}
        server.replies.append(Refusal(status=307, headers=place))
        with pytest.raises(ModelUnavailable, match=r"redirects \(307\) to http://127.* another server"):
            await answer(model)
    assert not other.completions


# --- what a server refuses ---


async def test_what_a_server_refuses_is_left_out_and_remembered() -> None:
    async with house() as (server, model):
        server.replies += [
            Refusal(status=400, message="Unrecognized request argument supplied: stream_options"),
            Refusal(status=400, message="Unsupported value: 'temperature' does not support 0.7 with this model."),
            Refusal(status=400, message="Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
            Refusal(status=400, message="m does not support tools"),
        ]
        tool = ToolSpec(name="add", description="", parameters={})
        asked = request(tools=(tool,), sampling=Sampling(temperature=0.7))
        assert model.tools and await said(model, asked) == "one two " and not model.tools
        assert await said(model, asked) == "one two "
        assert len(server.completions) == 6
        left = server.completions[-1]
        assert left.keys() == {"model", "messages", "stream", "max_completion_tokens"}


async def test_a_server_that_refuses_everything_is_asked_so_often_and_no_more() -> None:
    async with house() as (server, model):
        server.replies += [Refusal(status=400, message="stream_options temperature max_tokens tools")] * 100
        with pytest.raises(ModelError, match="refused the request"):
            await answer(model, request(sampling=Sampling(temperature=0.7)))
        assert len(server.completions) < 8


async def test_a_model_that_the_server_no_longer_has_is_looked_up_again() -> None:
    async with house(OpenAIServer(models=["nomic-embed", "a"]), name=None) as (server, model):
        await answer(model)
        assert model.name == "a"
        server.models = ["b"]
        server.replies.append(Refusal(status=404, message="model 'a' not found"))
        assert await said(model) == "one two " and model.name == "b"
        server.replies += [Refusal(status=404, message="model 'b' not found")] * 50
        with pytest.raises(ModelUnavailable, match="not found"):
            await answer(model)


async def test_an_absurd_claim_of_a_context_is_not_remembered() -> None:
    async with house() as (server, model):
        server.replies.append(Refusal(status=400, message="exceeds context size", fields={"n_ctx": 1}))
        with pytest.raises(PromptTooLong) as refused:
            await answer(model)
        assert refused.value.context == LEAST_CONTEXT and await model.context(Limits()) is None
        assert await said(model) == "one two "
