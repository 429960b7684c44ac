"""A model whose own context is smaller than the settings allow, in sessions that outgrow it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentd.serving import protocol
from agentd.serving.client import Client
from agentd.testing.gguf import CHATML, chain, write_table_model
from agentd.testing.openai_server import OpenAIServer, Refusal, Stream, end, text
from tests.house import next_answer, next_of
from tests.model_house import ModelDaemon

CONTEXT = 2048


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """One token for each character of a prompt."""
    path = tmp_path / "small.gguf"
    write_table_model(path, chain("\n", " It", " is", " so", ".", "</s>"), chat_template=CHATML, context=CONTEXT)
    return path


def daemon(state_dir: Path, *settings: str, model: Path, environment: dict[str, str] | None = None) -> ModelDaemon:
    given = ("model.sampling.temperature=0", "model.sampling.max_tokens=100", *settings)
    words = [word for one in given for word in ("--set", one)]
    environment = {"AGENTD_CONFIG": "/dev/null", **(environment or {})}
    return ModelDaemon(state_dir, "--model", str(model), *words, environment=environment)


async def ask(client: Client, session: str, question: str) -> protocol.Answer:
    await client.post(session, question)
    answer = await next_answer(client)
    await client.ack(answer.id)
    return answer


async def test_a_long_session_is_cut_to_the_context_that_the_model_has(tmp_path: Path, model: Path) -> None:
    async with daemon(tmp_path / "s", model=model) as running, running.client() as client:
        session = (await client.open()).session
        for n in range(12):
            answer = await ask(client, session, f"Question {n}: " + "why " * 60)
            assert (answer.outcome, answer.model, answer.text.strip()) == ("answer", "small", "It is so.")


async def test_a_question_that_is_too_long_is_told_with_the_numbers_and_not_answered_by_another_model(
    tmp_path: Path, model: Path
) -> None:
    async with daemon(tmp_path / "s", model=model) as running, running.client() as client:
        session = (await client.open()).session
        answer = await ask(client, session, "x" * 5000)
        assert (answer.outcome, answer.error_code) == ("error", "prompt_too_long")
        assert re.search(r"has 5\d\d\d tokens", answer.text) and f" model {CONTEXT}" in answer.text
        assert "Shorten the question" in answer.text and "agentd model info" in answer.text
        assert (await ask(client, session, "Short?")).text.strip() == "It is so.", "it is not part of what follows"


async def test_a_smaller_model_that_takes_over_gets_a_prompt_that_fits(tmp_path: Path, model: Path) -> None:
    async with OpenAIServer() as server:
        server.replies += [Stream(steps=[text("So it is."), end()])] * 12 + [Refusal(status=503)]
        environment = {
            "AGENTD_MODEL__REMOTE__BASE_URL": server.base_url,
            "AGENTD_MODEL__REMOTE__NAME": "big",
            "AGENTD_MODEL__REMOTE__RETRIES": "0",
            "AGENTD_MODEL__REMOTE__CONTEXT": "131072",
        }
        big = daemon(tmp_path / "s", model=model, environment=environment)
        async with big as running, running.client() as client:
            session = (await client.open()).session
            for n in range(12):
                assert (await ask(client, session, f"Question {n}: " + "why " * 60)).model == "big"
            assert len(server.completions[-1]["messages"]) == 1 + 2 * 11 + 1, "all of it"
            await client.post(session, "And now?")
            while True:
                state = await next_of(client, protocol.State, state="running")
                assert isinstance(state, protocol.State)
                if state.detail:
                    break
            assert "small answers instead" in state.detail
            answer = await next_answer(client)
            assert (answer.outcome, answer.model, answer.text.strip()) == ("answer", "small", "It is so.")


async def test_a_server_that_says_how_much_it_has_is_believed(tmp_path: Path, model: Path) -> None:
    async with OpenAIServer() as server:
        small = "This model's maximum context length is 1500 tokens. However, you requested 4000 tokens."
        long = [Stream(steps=[text(" ".join(f"So it is {n}." for n in range(70))), end()])] * 6
        server.replies += [*long, Refusal(status=400, message=small), *long]
        environment = {"AGENTD_MODEL__REMOTE__BASE_URL": server.base_url, "AGENTD_MODEL__REMOTE__NAME": "big"}
        only = daemon(tmp_path / "s", 'model.order=["remote"]', model=model, environment=environment)
        async with only as running, running.client() as client:
            session = (await client.open()).session
            for n in range(8):
                answer = await ask(client, session, f"Question {n}")
                assert (answer.outcome, answer.model) == ("answer", "big")
        sizes = [len(asked["messages"]) for asked in server.completions]
        assert sizes[:7] == [2, 4, 6, 8, 10, 12, 14] and max(sizes[7:]) < 12
