"""A whole daemon whose model is on a server that comes, goes, and breaks off in mid-answer."""

from __future__ import annotations

from pathlib import Path

from agentd.serving import protocol
from agentd.serving.client import Client
from agentd.testing.openai_server import OpenAIServer, Refusal, Stream, end, text
from tests.daemons import DaemonProcess
from tests.house import next_answer, next_of

KEY = "sk-very-secret"


def daemon_with(server: OpenAIServer, state: Path, *settings: str) -> DaemonProcess:
    environment = {
        "AGENTD_CONFIG": "/dev/null",
        "AGENTD_MODEL__REMOTE__BASE_URL": server.base_url,
        "AGENTD_MODEL__REMOTE__NAME": "big",
        "AGENTD_MODEL__REMOTE__API_KEY": KEY,
        "AGENTD_MODEL__REMOTE__RETRIES": "0",
    }
    options = [option for setting in settings for option in ("--set", setting)]
    return DaemonProcess(state, "--log-level", "debug", *options, environment=environment)


async def handed_over(client: Client) -> str:
    """What a person sees of a change of the model."""
    while True:
        state = await next_of(client, protocol.State, state="running")
        assert isinstance(state, protocol.State)
        if " instead: " in state.detail:
            return state.detail


async def test_a_server_answers_and_when_it_fails_the_documents_do(tmp_path: Path) -> None:
    async with OpenAIServer() as server, daemon_with(server, tmp_path / "s") as daemon, daemon.client() as client:
        server.replies += [
            Stream(steps=[text("Hello "), text("there."), end()]),
            Stream(steps=[text("Half an ans")], done=False),
        ]
        session = (await client.open()).session
        await client.post(session, "Hello?")
        answer = await next_answer(client)
        assert (answer.text, answer.model) == ("Hello there.", "big")
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"
        assert (await client.status()).as_json()["problems"] == []

        await client.post(session, "And now?")
        chunk = await next_of(client, protocol.Chunk)
        assert isinstance(chunk, protocol.Chunk) and (chunk.text, chunk.attempt) == ("Half an ans", 1)
        assert "your documents answer" in await handed_over(client)
        answer = await next_answer(client)
        assert (answer.outcome, answer.model) == ("answer", "extractive")
        assert "Half an ans" not in answer.text and "ithout a language model" not in answer.text
        status = (await client.status()).as_json()
        assert status["model"]["name"] == "big" and "in the middle" in status["problems"][0]

        await client.post(session, "Still down?")
        assert "your documents answer" in await handed_over(client)
        assert (await next_answer(client)).model == "extractive"
        assert len(server.completions) == 2, "the server rests"
    assert KEY not in daemon.log.read_text()


async def test_with_the_server_alone_its_fault_is_the_answer(tmp_path: Path) -> None:
    async with OpenAIServer() as server:
        server.replies.append(Refusal(status=401, message=f"wrong key {KEY}"))
        async with daemon_with(server, tmp_path / "s", 'model.order=["remote"]') as daemon, daemon.client() as client:
            await client.post((await client.open()).session, "Hello?")
            answer = await next_answer(client)
            assert (answer.outcome, answer.error_code) == ("error", "model_unavailable")
            assert "set model.remote.api_key" in answer.text and KEY not in answer.text
