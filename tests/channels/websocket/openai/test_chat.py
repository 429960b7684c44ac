"""Chat completions, as the `openai` package and other programs use them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio

from channels.websocket.openai import exchange
from tests.channels.websocket.openai.served import (
    ANSWER,
    ASKED,
    LIST,
    WEATHER,
    Served,
    events,
    served,
    texts,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = Path(__file__).resolve().parents[4] / "docs" / "openai.md"
CHAT = "/v1/chat/completions"
TOOLS: list[Any] = [{"type": "function", "function": WEATHER}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with served(tmp_path_factory.mktemp("chat")) as house:
        yield house


def user(text: str) -> Any:
    return {"role": "user", "content": text}


def asking(text: str = "one two", **members: Any) -> dict[str, Any]:
    return {"model": "agentd", "messages": [user(text)], **members}


async def test_the_models_are_agentd_and_the_model_itself(here: Served) -> None:
    async with here.openai() as client:
        assert [model.id async for model in client.models.list()] == ["agentd", "scripted"]
        assert (await client.models.retrieve("scripted")).id == "scripted"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("owner/other")


async def test_an_answer_from_the_documents_cites_them(here: Served) -> None:
    async with here.openai() as client:
        answer = await client.chat.completions.create(**asking(ASKED))
        assert answer.choices[0].message.content == ANSWER + LIST
        assert answer.choices[0].finish_reason == "stop"
        assert answer.usage is not None and answer.usage.total_tokens == 10
        assert [cited["title"] for cited in answer.model_extra["agentd"]["citations"]] == ["Owls"]
        bare = await client.chat.completions.create(**asking(ASKED), extra_body={"agentd": {"sources": False}})
        assert bare.choices[0].message.content == ANSWER


async def test_a_stream_has_the_same_text_and_its_figures_on_request(here: Served) -> None:
    async with here.openai() as client:
        stream = await client.chat.completions.create(
            **asking(ASKED), stream=True, stream_options={"include_usage": True}
        )
        *chunks, figures = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ANSWER + LIST
        assert len(chunks) > 4 and chunks[-1].choices[0].finish_reason == "stop"
        assert figures.usage is not None and figures.usage.completion_tokens == 3
        async with client.chat.completions.stream(**asking("a text")) as helper:
            done = await helper.get_final_completion()
        assert (done.choices[0].message.content, done.choices[0].finish_reason) == ("a text ", "stop")
        long = await client.chat.completions.create(**asking("a long text"))
        assert long.choices[0].finish_reason == "length"


async def test_the_given_messages_are_the_conversation_and_leave_no_listed_session(here: Served) -> None:
    given = [user("my name is Ann"), {"role": "assistant", "content": "Hello Ann"}, user("what is it")]
    before = await here.listed()
    async with here.openai() as client:
        answer = await client.chat.completions.create(model="agentd", messages=given)
    assert answer.choices[0].message.content == "what is it "
    told = texts(here.model.requests[-1])
    assert ("user", "my name is Ann") in told and ("assistant", "Hello Ann") in told
    assert await here.listed() == before


async def test_the_model_itself_gets_the_given_messages_and_nothing_else(here: Served) -> None:
    given: list[Any] = [{"role": "system", "content": "Be brief."}, user(ASKED)]
    async with here.openai() as client:
        answer = await client.chat.completions.create(model="scripted", messages=given, temperature=0.5)
    assert (answer.model, answer.choices[0].message.content) == ("scripted", ASKED + " ")
    request = here.model.requests[-1]
    assert (texts(request), request.tools) == ([("system", "Be brief."), ("user", ASKED)], ())
    assert request.sampling.temperature == 0.5


async def test_a_named_session_goes_on_with_the_newest_message_alone(here: Served) -> None:
    async with here.http() as http:
        first = await http.post(CHAT, json=asking("first"), headers={"X-Agentd-Session": "diary"})
        session = first.headers["X-Agentd-Session"]
        given = [user("made up"), {"role": "assistant", "content": "indeed"}, user("second")]
        again = await http.post(
            CHAT, json={"model": "agentd", "messages": given}, headers={"X-Agentd-Session": session}
        )
    assert again.json()["agentd"]["session"] == session
    assert await here.said(session) == ["first", "first ", "second", "second "]


async def test_tools_of_the_caller_are_handed_back_and_their_results_answered(here: Served) -> None:
    async with here.openai() as client:
        called = await client.chat.completions.create(**asking("weather?"), tools=TOOLS)
        message = called.choices[0].message
        assert (called.choices[0].finish_reason, message.content) == ("tool_calls", None)
        (call,) = message.tool_calls or []
        assert call.type == "function" and call.function.name == "weather"
        result: Any = {"role": "tool", "tool_call_id": call.id, "content": "wet"}
        given: list[Any] = [user("weather?"), message.model_dump(exclude_none=True), result]
        answer = await client.chat.completions.create(model="agentd", messages=given, tools=TOOLS)
        assert answer.choices[0].message.content == "It is wet."
        async with client.chat.completions.stream(**asking("weather?"), tools=TOOLS) as stream:
            streamed = (await stream.get_final_completion()).choices[0].message.tool_calls
        assert streamed is not None and streamed[0].function.arguments == '{"place": "Ulm"}'
    assert [tool.name for tool in here.model.requests[-1].tools] == ["weather"]


async def test_side_requests_of_front_ends_are_answered_by_the_plain_model_outside_of_the_session(here: Served) -> None:
    title = f"### Task:\nGenerate a title.\n<chat_history>\n{ASKED}\n</chat_history>"
    async with here.http() as http:
        first = await http.post(CHAT, json=asking("first"), headers={"X-Agentd-Session": "with a title"})
        session = first.headers["X-Agentd-Session"]
        reply = await http.post(CHAT, json=asking(title), headers={"X-Agentd-Session": session})
    assert reply.json()["agentd"]["session"] != session
    assert texts(here.model.requests[-1]) == [("user", title)]
    assert await here.said(session) == ["first", "first "]


async def test_the_same_key_is_one_turn_and_another_request_under_it_is_refused(here: Served) -> None:
    key = {"Idempotency-Key": "key 1"}
    async with here.http() as http:
        asked = len(here.model.requests)
        async with here.held():
            await here.leaves(CHAT, asking(), key)
        first = (await http.post(CHAT, json=asking(), headers=key)).json()
        again = (await http.post(CHAT, json=asking(), headers=key)).json()
        assert first == again and first["choices"][0]["message"]["content"] == "one two "
        assert len(here.model.requests) == asked + 1
        other = await http.post(CHAT, json=asking("three"), headers=key)
        assert (other.status_code, other.json()["error"]["code"]) == (409, "id_reused")


@pytest.mark.parametrize(
    ("members", "status", "param"),
    [
        ({"n": 2}, 400, "n"),
        ({"tools": [{"type": "web_search"}]}, 400, "tools[0].type"),
        ({"messages": [user([{"type": "image_url", "image_url": {}}])]}, 400, "messages[0].content[0].type"),  # type: ignore[arg-type]
        ({"messages": "hello"}, 400, "messages"),
        ({"temperature": 9}, 400, "temperature"),
        ({"model": "gpt-4o"}, 404, "model"),
        ({"messages": [user("word " * 300_000)]}, 400, None),
    ],
)
async def test_what_cannot_be_done_is_refused_in_openais_form(
    here: Served, members: dict[str, Any], status: int, param: str | None
) -> None:
    async with here.http() as http:
        refused = await http.post(CHAT, json=asking(**members))
    error = refused.json()["error"]
    assert (refused.status_code, error["param"], error["type"]) == (status, param, "invalid_request_error")


async def test_who_is_not_known_is_refused_and_fields_that_are_not_known_are_not(here: Served) -> None:
    async with here.gateway.http(Authorization="Bearer nobody") as http:
        refused = await http.post(CHAT, json=asking())
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthorized")
    async with here.http() as http:
        assert (await http.post(CHAT, json=asking(logit_bias={}, user="ann", store=True))).status_code == 200
        broken = await http.post(CHAT, content=b"{", headers={"content-type": "application/json"})
        assert (broken.status_code, broken.json()["error"]["code"]) == (400, "usage")


async def test_a_model_that_cannot_answer_is_a_status_before_the_first_byte_and_an_event_after_it(here: Served) -> None:
    async with here.openai() as client:
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError) as failed:
                await client.chat.completions.create(**asking("it is broken"), stream=stream)
            assert failed.value.status_code == 503
            assert int(failed.value.response.headers["Retry-After"]) > 0
        said = []
        with pytest.raises(openai.APIError) as broke:
            async for chunk in await client.chat.completions.create(**asking("it breaks"), stream=True):
                said.append(chunk.choices[0].delta.content)
        assert said == ["", "Some text"]
        assert broke.value.code == "model"


async def test_embeddings_are_not_made_up(here: Served) -> None:
    async with here.openai() as client:
        with pytest.raises(openai.NotFoundError) as refused:
            await client.embeddings.create(model="agentd", input="owls")
    assert refused.value.param == "model"


async def test_a_turn_that_nobody_waits_for_is_stopped(here: Served) -> None:
    for stream in (True, False):
        async with here.held():  # so that nothing but a stop ends it
            await here.leaves(CHAT, asking(stream=stream), {})
            await here.until_running(0)


async def test_while_nothing_is_said_comments_keep_the_connection_alive(
    here: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "BEAT_SECONDS", 0.01)
    async with here.http() as http, here.held():
        async with http.stream("POST", CHAT, json=asking("slowly", stream=True)) as reply:
            assert reply.headers["content-type"].startswith("text/event-stream")
            body = ""
            async for text in reply.aiter_text():
                body += text
                if ": keep-alive" in body:
                    here.model.gate.set()
    assert ": 5 of 10 tokens are read" in body
    *_, last, done = events(body)
    assert (last["choices"][0]["finish_reason"], done) == ("stop", "[DONE]")


async def test_the_example_of_the_page_works_as_it_stands(
    here: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = PAGE.read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.setenv("OPENAI_BASE_URL", f"{here.gateway.address}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", here.token)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    await asyncio.to_thread(exec, code, {})
    assert capsys.readouterr().out == f"{ANSWER}{LIST}\n{ANSWER}{LIST}"


async def test_the_description_of_the_api_names_every_status(here: Served) -> None:
    async with here.http() as http:
        paths = (await http.get("/api/openapi.json")).json()["paths"]
    ours = {path: methods for path, methods in paths.items() if path.startswith("/v1/")}
    assert len(ours) == 6
    statuses = {"400", "401", "403", "404", "408", "409", "413", "415", "429", "500", "503", "default"}
    for methods in ours.values():
        for operation in methods.values():
            assert operation["responses"].keys() - {"200"} == statuses
