"""Callers that bring a conversation and tools of their own, under the real daemon."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

from agentd.records import CalledTool, CallersTool, SaidMessage, SamplingTerms, Terms
from agentd.serving import protocol
from agentd.testing.openai_server import OpenAIServer, Refusal, Stream, end, text, tool_call
from tests.house import next_answer, next_of
from tests.turns.test_terms import WEATHER, told
from tests.whole.test_failover_daemon import daemon_with
from tests.whole.test_llama_tools import daemon, write_caller

TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": WEATHER.description, "parameters": WEATHER.parameters},
}
CALL = {"id": "call_7", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}


def calling() -> Stream:
    pieces = [tool_call(0, '{"city": ', name="get_weather", call_id="call_7"), tool_call(0, '"Oslo"}')]
    return Stream(steps=[text("Let me look."), *pieces, end("tool_calls")])


def said(server: OpenAIServer) -> list[list[dict[str, Any]]]:
    """The messages of each request."""
    return [body["messages"] for body in server.completions]


async def test_a_call_goes_to_its_caller_and_the_result_comes_back_after_the_daemon_was_killed(tmp_path: Path) -> None:
    terms = Terms(
        before=(told("system", "Be brief. <|im_end|>"),),
        tools=(WEATHER,),
        calling="required",
        sampling=SamplingTerms(temperature=0.5, seed=7, max_tokens=50),
        plain=True,
    )
    system = {"role": "system", "content": "Be brief. < |im_end|>"}
    question = {"role": "user", "content": "Weather in Oslo?"}
    async with OpenAIServer() as server, daemon_with(server, tmp_path / "s") as house:
        server.replies += [calling(), Stream(steps=[text("It rains."), end("length")])]
        async with house.client() as client:
            session = (await client.open()).session
            await client.post(session, "Weather in Oslo?", terms=terms)
            answer = await next_answer(client)
            assert (answer.outcome, answer.text, answer.cut_off) == ("calls", "Let me look.", False)
            assert answer.calls == (CalledTool(call_id="call_7", tool="get_weather", arguments='{"city": "Oslo"}'),)
            await client.ack(answer.id)
        asked = server.completions[0]
        assert (asked["messages"], asked["tools"], asked["tool_choice"]) == ([system, question], [TOOL], "required")
        assert (asked["temperature"], asked["seed"], asked["max_tokens"]) == (0.5, 7, 50)

        await house.end(signal.SIGKILL)
        await house.start()
        after = (told("tool", "rain", call_id="call_7"),)
        async with house.client() as client:
            await client.open(session)
            terms = terms.model_copy(update={"resumes": answer.turn, "after": after, "calling": "auto"})
            accepted = await client.post(session, "", terms=terms)
            # The first answer may come again: the daemon died soon after it was acknowledged.
            last = await next_of(client, protocol.Answer, turn=accepted.turn)
            assert isinstance(last, protocol.Answer)
            assert (last.outcome, last.text, last.cut_off) == ("answer", "It rains.", True)
            await client.ack(last.id)
            history = (await client.history(session)).messages
            assert [(line.role, line.text) for line in history] == [
                ("user", "Weather in Oslo?"),
                ("assistant", "It rains."),
            ]
        called = {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL]}
        result = {"role": "tool", "tool_call_id": "call_7", "content": "rain"}
        assert server.completions[1]["messages"] == [system, question, called, result]
        assert "tool_choice" not in server.completions[1]


async def test_a_question_whose_daemon_was_killed_is_asked_again_on_the_same_terms(tmp_path: Path) -> None:
    terms = Terms(before=(told("user", "first"), told("assistant", "1st")), tools=(WEATHER,))
    async with OpenAIServer() as server, daemon_with(server, tmp_path / "s") as house:
        server.replies += [Stream(steps=[text("Half an answer is said."), asyncio.Event()]), calling()]
        async with house.client() as client:
            session = (await client.open()).session
            await client.post(session, "Weather in Oslo?", terms=terms)
            await next_of(client, protocol.Chunk)
        await house.end(signal.SIGKILL)
        await house.start()
        async with house.client() as client:
            await client.open(session)
            assert (await next_answer(client)).outcome == "calls"
        first, second = said(server)
        assert first == second and [message["role"] for message in first] == ["system", "user", "assistant", "user"]
        assert server.completions[1]["tools"] == [TOOL]


async def test_without_a_language_model_nothing_else_answers_in_its_place(tmp_path: Path) -> None:
    async with OpenAIServer() as server, daemon_with(server, tmp_path / "s") as house, house.client() as client:
        session = (await client.open()).session
        for terms in (Terms(plain=True), Terms(tools=(WEATHER,)), Terms(answer_schema={"type": "object"})):
            server.replies.append(Refusal(status=400, message="broken"))
            await client.post(session, "Weather in Oslo?", terms=terms)
            answer = await next_answer(client)
            assert (answer.outcome, answer.error_code, answer.calls) == ("error", "model", ())
            assert "takes a language model" in answer.text
            await client.ack(answer.id)


async def test_the_local_model_hands_calls_back_and_answers_from_their_results(tmp_path: Path) -> None:
    model = write_caller(tmp_path / "caller.gguf")
    tool = CallersTool(name="calculate", parameters={"type": "object", "properties": {"expression": {}}})
    terms = Terms(tools=(tool,), plain=True)
    async with daemon(tmp_path / "s", model, "model.tools=off") as running, running.client() as client:
        session = (await client.open()).session
        await client.post(session, "Six rows of seven eggs?", terms=terms)
        answer = await next_answer(client)
        await client.ack(answer.id)
        assert (answer.outcome, answer.text.strip()) == ("calls", "Let me see.")
        [call] = answer.calls
        assert (call.tool, json.loads(call.arguments)) == ("calculate", {"expression": "6 * 7"})
        after = (SaidMessage(role="assistant", calls=(call,)), told("tool", "42", call_id=call.call_id))
        await client.post(session, "Six rows of seven eggs?", terms=terms.model_copy(update={"after": after}))
        answer = await next_answer(client)
        assert (answer.outcome, answer.text) == ("answer", "is the answer.")
