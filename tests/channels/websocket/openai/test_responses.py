"""Responses, as the `openai` package and other programs use them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from tests.channels.websocket.openai.served import ANSWER, ASKED, DEADLINE, LIST, WEATHER, Served, events, served

pytestmark = pytest.mark.asyncio(loop_scope="module")

RESPONSES = "/v1/responses"
TOOLS: list[Any] = [{"type": "function", **WEATHER}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with served(tmp_path_factory.mktemp("responses")) as house:
        yield house


async def test_a_response_cites_documents_in_its_text_and_its_annotations(here: Served) -> None:
    async with here.openai() as client:
        response = await client.responses.create(model="agentd", input=ASKED, metadata={"for": "a test"})
        assert (response.output_text, response.status) == (ANSWER + LIST, "completed")
        message = response.output[0]
        assert message.type == "message" and message.content[0].type == "output_text"
        (annotation,) = message.content[0].annotations
        assert annotation.type == "file_citation" and annotation.filename == "Owls"
        assert (ANSWER[annotation.index :], response.metadata) == ("[1]", {"for": "a test"})
        async with client.responses.stream(model="agentd", input=ASKED, instructions="Be brief.") as stream:
            deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
            final = await stream.get_final_response()
        assert "".join(deltas) == final.output_text == ANSWER + LIST
        assert final.instructions == "Be brief."


async def test_a_response_is_kept_and_can_be_deleted(here: Served) -> None:
    async with here.openai() as client:
        response = await client.responses.create(model="agentd", input="one two")
        again = await client.responses.retrieve(response.id)
        assert (again.output_text, again.status, again.created_at) == ("one two ", "completed", response.created_at)
        await client.responses.delete(response.id)
        for unknown in (response.id, "resp_nothing", "nothing"):
            with pytest.raises(openai.NotFoundError) as refused:
                await client.responses.retrieve(unknown)
            assert unknown in refused.value.message and "session" not in refused.value.message


async def test_a_conversation_goes_on_after_a_response_or_by_its_session(here: Served) -> None:
    async with here.openai() as client:
        first = await client.responses.create(model="agentd", input="first")
        assert first.conversation is not None
        second = await client.responses.create(model="agentd", input="second", previous_response_id=first.id)
        third = await client.responses.create(model="agentd", input="third", conversation=first.conversation.id)
        assert first.conversation == second.conversation == third.conversation
        assert second.previous_response_id == first.id
        said = await here.said(first.conversation.id)
        assert said == ["first", "first ", "second", "second ", "third", "third "]
        for text, after in (("other", first), ("one more", second)):  # each goes on where it says, as a branch
            await client.responses.create(model="agentd", input=text, previous_response_id=after.id)
        assert await here.said(first.conversation.id) == [*said[:4], "one more", "one more "]
        with pytest.raises(openai.ConflictError):
            await client.responses.delete(second.id)
        with pytest.raises(openai.BadRequestError):
            await client.responses.create(
                model="agentd", input="x", conversation=first.conversation.id, previous_response_id=second.id
            )


async def test_one_in_the_background_is_told_at_once_and_fetched_later(here: Served) -> None:
    async with here.openai() as client:
        async with here.held():
            response = await client.responses.create(model="agentd", input="one two", background=True)
            assert (response.status, response.output, response.background) == ("queued", [], True)
            await here.until_running(1)
            assert (await client.responses.retrieve(response.id)).status == "in_progress"
        async with asyncio.timeout(DEADLINE):
            while (found := await client.responses.retrieve(response.id)).status != "completed":
                pass
        assert found.output_text == "one two "
        failed = await client.responses.create(model="agentd", input="it is broken", background=True)
        async with asyncio.timeout(DEADLINE):
            while (found := await client.responses.retrieve(failed.id)).status != "failed":
                pass
        assert found.error is not None and found.output == []


async def test_calls_of_the_callers_tools_are_items_and_their_results_are_answered(here: Served) -> None:
    async with here.openai() as client:
        called = await client.responses.create(model="agentd", input="weather?", tools=TOOLS)
        (call,) = called.output
        assert call.type == "function_call" and call.arguments == '{"place": "Ulm"}'
        result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "wet"}
        given: list[Any] = [{"role": "user", "content": "weather?"}, call.model_dump(exclude_none=True), result]
        answer = await client.responses.create(model="agentd", input=given, tools=TOOLS)
        assert answer.output_text == "It is wet."
        for _ in range(2):
            called = await client.responses.create(
                model="agentd", input=[result], previous_response_id=called.id, tools=TOOLS
            )
            assert called.output_text == "It is wet."
            called = await client.responses.create(model="agentd", input="weather?", tools=TOOLS)
        with pytest.raises(openai.NotFoundError):  # it made no calls
            await client.responses.create(model="agentd", input=[result], previous_response_id=answer.id)
        async with client.responses.stream(model="agentd", input="weather?", tools=TOOLS) as stream:
            kinds = [event.type async for event in stream]
            final = await stream.get_final_response()
        assert "response.function_call_arguments.done" in kinds
        assert [item.type for item in final.output] == ["function_call"]


async def test_a_stream_that_breaks_ends_with_the_error(here: Served) -> None:
    async with here.http() as http:
        asked = {"model": "agentd", "input": "it breaks", "stream": True}
        reply = await http.post(RESPONSES, json=asked)
    assert reply.status_code == 200
    *before, last = events(reply.text)
    assert [event["sequence_number"] for event in before] == [*range(len(before))]
    assert last["error"]["code"] == "model"


async def test_the_same_key_is_one_response(here: Served) -> None:
    async with here.http() as http:
        body, key = {"model": "agentd", "input": "one two"}, {"Idempotency-Key": "key"}
        first, again = [(await http.post(RESPONSES, json=body, headers=key)).json() for _ in range(2)]
        assert first == again
        other = await http.post(RESPONSES, json={**body, "input": "three"}, headers=key)
        assert other.status_code == 409
        following = {"model": "agentd", "input": "more", "previous_response_id": first["id"]}
        for _ in range(2):
            await http.post(RESPONSES, json=following, headers=key)
            assert await here.said(first["agentd"]["session"]) == ["one two", "one two ", "more", "more "]
