"""A real quantised model under the real daemon: SmolLM2-135M-Instruct, Q4_1.

What it says is its own, so the tests ask for what holds of any answer: it streams, it can be stopped, a crash costs an
attempt, and each turn ends with an answer or with a sentence that a person understands.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentd.cli import main
from agentd.records import CallersTool, Terms
from agentd.serving import protocol
from agentd.serving.client import Client
from agentd.testing.gguf import write_random_model
from tests.model_house import ModelDaemon
from tests.real_models import real_model, without_template
from tests.whole.test_llama_daemon import child_of

pytestmark = pytest.mark.timeout(300)
DEADLINE = 120.0
"""For one answer, on a machine that does other things."""
BOATS = "# Boats\n\nThe blue boat leaves the harbour at noon. The red boat leaves at dusk.\n"
QUESTION = "When does the blue boat leave the harbour?"
STORY = "Write a long story about a fox who lives in a forest."


@pytest.fixture(scope="module")
def smollm2() -> Path:
    return real_model("smollm2-135m")


def daemon(state: Path, model: Path, *settings: str) -> ModelDaemon:
    """Short answers, of the likeliest words unless the settings say otherwise."""
    all_settings = ("model.sampling.max_tokens=32", "model.sampling.temperature=0", *settings)
    options = [word for setting in all_settings for word in ("--set", setting)]
    return ModelDaemon(state, "--model", str(model), *options)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "boats.md").write_text(BOATS)
    return folder


async def ingest(client: Client, folder: Path) -> None:
    async for _ in client.ingest([folder]):
        pass


@dataclass(frozen=True, kw_only=True)
class Heard:
    """A turn as a client saw it; `pieces` are those of the last attempt."""

    answer: protocol.Answer
    pieces: Sequence[str]
    states: Sequence[protocol.State]


async def hear(client: Client) -> Heard:
    """All of the running turn."""
    pieces: list[str] = []
    states: list[protocol.State] = []
    async with asyncio.timeout(DEADLINE):
        async for message in client.messages():
            match message:
                case protocol.State():
                    pieces = [] if message.attempt > max((state.attempt for state in states), default=0) else pieces
                    states.append(message)
                case protocol.Chunk() if not message.reasoning:
                    pieces.append(message.text)
                case protocol.Answer():
                    await client.ack(message.id)
                    return Heard(answer=message, pieces=pieces, states=states)
    raise AssertionError("the connection ended")


async def ask(client: Client, question: str, session: str = "") -> Heard:
    session = session or (await client.open()).session
    await client.post(session, question)
    return await hear(client)


async def first_piece(client: Client) -> None:
    async with asyncio.timeout(DEADLINE):
        async for message in client.messages():
            if isinstance(message, protocol.Chunk):
                return


def assert_ended_well(answer: protocol.Answer) -> None:
    """With an answer, or with an error in one sentence or two."""
    assert answer.outcome in ("answer", "error")
    assert answer.text.strip()
    odd = {c for c in answer.text if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"}
    assert not odd, "nothing is shown that a terminal would obey"
    if answer.outcome == "error":
        assert len(answer.text) < 400 and answer.text.endswith(".")


async def test_an_answer_streams_and_tells_what_it_took(tmp_path: Path, smollm2: Path) -> None:
    async with daemon(tmp_path / "s", smollm2) as running, running.client() as client:
        heard = await ask(client, STORY)
        assert (heard.answer.outcome, heard.answer.model) == ("answer", "smollm2-135m")
        assert len(heard.pieces) > 1 and len("".join(heard.pieces).split()) > 5
        usage = heard.answer.usage
        assert usage is not None and usage.prompt_tokens > 10 and 5 < usage.completion_tokens <= 32
        assert 0 < usage.first_text_seconds <= usage.seconds and usage.read_seconds > 0
        assert await running.end() == 0


async def test_a_question_about_the_documents_ends_with_an_answer(tmp_path: Path, smollm2: Path, docs: Path) -> None:
    async with daemon(tmp_path / "s", smollm2) as running, running.client() as client:
        await ingest(client, docs)
        heard = await ask(client, QUESTION)
        assert heard.answer.outcome == "answer"
        assert_ended_well(heard.answer)
        again = await ask(client, "And the red boat?", heard.answer.session)
        assert again.answer.outcome == "answer"


async def test_stop_ends_the_answer_and_keeps_what_was_said(tmp_path: Path, smollm2: Path) -> None:
    async with daemon(tmp_path / "s", smollm2, "model.sampling.max_tokens=2000") as running, running.client() as client:
        session = (await client.open()).session
        await client.post(session, STORY)
        await first_piece(client)
        assert await client.stop(session)
        heard = await hear(client)
        assert heard.answer.outcome == "interrupted" and heard.answer.text.strip()


async def test_a_model_that_is_killed_in_mid_answer_answers_all_the_same(tmp_path: Path, smollm2: Path) -> None:
    async with daemon(tmp_path / "s", smollm2, "model.sampling.max_tokens=64") as running, running.client() as client:
        session = (await client.open()).session
        await client.post(session, STORY)
        await first_piece(client)
        os.kill(child_of(running.process.pid), signal.SIGKILL)
        heard = await hear(client)
        assert max(state.attempt for state in heard.states) == 2
        assert (heard.answer.outcome, heard.answer.model) == ("answer", "smollm2-135m")
        assert len("".join(heard.pieces).split()) > 5


@pytest.mark.parametrize("tools", ["off", "on"])
async def test_an_answer_comes_with_tools_and_without(tmp_path: Path, smollm2: Path, tools: str) -> None:
    async with daemon(tmp_path / "s", smollm2, f"model.tools={tools}") as running, running.client() as client:
        heard = await ask(client, "What is the capital of France?")
        assert_ended_well(heard.answer)
        assert "<tool_call>" not in heard.answer.text
        assert tools == "on" or not any(state.state == "tool" for state in heard.states)
        assert "398.5" in (await ask(client, "What is 17.5 * 23 - 4?")).answer.text


async def test_a_caller_gets_a_call_that_fits_its_schema_and_json_that_fits_another(
    tmp_path: Path, smollm2: Path
) -> None:
    """Its template knows no tools, and no trial would have offered it any."""
    city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = CallersTool(name="get_weather", description="The weather in a city.", parameters=city)
    async with daemon(tmp_path / "s", smollm2, "model.tools=off") as running, running.client() as client:
        session = (await client.open()).session
        await client.post(session, "Is it cold in Oslo?", terms=Terms(tools=(tool,), calling="required", plain=True))
        called = (await hear(client)).answer
        [call] = called.calls
        assert (called.outcome, called.text, call.tool) == ("calls", "", "get_weather")
        assert isinstance(json.loads(call.arguments)["city"], str)
        age = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
        await client.post(session, "Ann is 33.", terms=Terms(answer_schema=age, plain=True))
        assert list(json.loads((await hear(client)).answer.text)) == ["age"]


async def test_the_documents_answer_when_the_file_of_the_model_is_gone(
    tmp_path: Path, smollm2: Path, docs: Path
) -> None:
    link = tmp_path / "small.gguf"
    link.symlink_to(smollm2)
    async with daemon(tmp_path / "s", link) as running, running.client() as client:
        await ingest(client, docs)
        assert (await ask(client, STORY)).answer.model == "small"
        link.unlink()
        os.kill(child_of(running.process.pid), signal.SIGKILL)
        heard = await ask(client, QUESTION)
        assert (heard.answer.outcome, heard.answer.model) == ("answer", "extractive")
        assert "noon" in heard.answer.text
        assert any(str(link) in problem for problem in (await client.status()).as_json()["problems"])


async def test_without_a_template_it_is_written_to_in_chatml_and_that_is_said(
    tmp_path: Path, smollm2: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = without_template(smollm2, tmp_path / "bare.gguf")
    async with daemon(tmp_path / "s", bare) as running, running.client() as client:
        heard = await ask(client, STORY)
        assert heard.answer.outcome == "answer" and heard.pieces
    assert "no chat template" in running.log.read_text()
    assert "the ChatML form" in running.log.read_text()
    main(["model", "info", str(bare), "--state-dir", str(tmp_path / "s"), "--config", os.devnull])
    assert "none; a common" in capsys.readouterr().out


async def test_in_a_context_of_512_tokens_the_passages_give_way_and_a_long_question_is_refused_with_the_numbers(
    tmp_path: Path, smollm2: Path, docs: Path
) -> None:
    settings = ("model.context=512", "model.sampling.max_tokens=64", 'model.order=["local"]')
    async with daemon(tmp_path / "s", smollm2, *settings) as running, running.client() as client:
        await ingest(client, docs)
        assert (await ask(client, QUESTION)).answer.outcome == "answer"
        refused = (await ask(client, "And " + "then the boat came back, " * 300)).answer
        assert refused.outcome == "error" and "512" in refused.text
        assert_ended_well(refused)


@pytest.mark.parametrize("temperature", ["0", "2"])
async def test_an_answer_comes_at_any_temperature(tmp_path: Path, smollm2: Path, docs: Path, temperature: str) -> None:
    chosen = f"model.sampling.temperature={temperature}"
    async with daemon(tmp_path / "s", smollm2, chosen) as running, running.client() as client:
        await ingest(client, docs)
        for question in (STORY, QUESTION):
            assert_ended_well((await ask(client, question)).answer)


async def test_a_model_that_says_noise_ends_its_turns_and_the_daemon_goes_on(tmp_path: Path, docs: Path) -> None:
    noise = tmp_path / "noise.gguf"
    write_random_model(noise)
    async with daemon(tmp_path / "s", noise, "model.sampling.temperature=1") as running, running.client() as client:
        await ingest(client, docs)
        for question in (STORY, QUESTION, "hello"):
            assert_ended_well((await ask(client, question)).answer)
        assert running.process.returncode is None
