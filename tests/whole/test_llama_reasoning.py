"""What a model thinks aloud is shown as it comes, and is no part of its answer, the history or the next prompt."""

from __future__ import annotations

from pathlib import Path

from agentd.serving import protocol
from agentd.testing.gguf import CHATML, chain, write_table_model
from tests.house import next_answer
from tests.model_house import ModelDaemon

ALOUD = chain("\n", "<think>", "secret", " thoughts", "</think>", "Yes", ".", "</s>")
OPENED = CHATML.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
"""A template that opens the reasoning itself, as those of newer models do."""
WITHIN = chain("\n", "secret", " thoughts", "</think>", "Yes", ".", "</s>")


async def check(tmp_path: Path, follows: dict[str, str], template: str) -> None:
    model = tmp_path / "thinker.gguf"
    write_table_model(model, follows, chat_template=template)
    settings = ("--model", str(model), "--set", "model.sampling.temperature=0")
    async with ModelDaemon(tmp_path / "s", *settings) as running, running.client() as client:
        session = (await client.open()).session
        for _ in range(2):
            await client.post(session, "Is it so?")
            thought, said = "", ""
            async for message in client.messages():
                if isinstance(message, protocol.Chunk):
                    thought += message.text if message.reasoning else ""
                    said += "" if message.reasoning else message.text
                if isinstance(message, protocol.Answer):
                    break
            assert isinstance(message, protocol.Answer)
            assert (thought.strip(), said, message.text) == ("secret thoughts", "Yes.", "Yes.")
        history = (await client.history(session)).as_json()
        assert [line["text"] for line in history["messages"]] == ["Is it so?", "Yes."] * 2
    assert b"secret" not in b"".join(path.read_bytes() for path in (tmp_path / "s").iterdir() if path.is_file())


async def test_reasoning_that_the_model_opens_is_in_no_answer_and_no_history(tmp_path: Path) -> None:
    await check(tmp_path, ALOUD, CHATML)


async def test_reasoning_that_the_template_opens_is_in_no_answer_and_no_history(tmp_path: Path) -> None:
    await check(tmp_path, WITHIN, OPENED)


async def test_an_answer_that_is_nothing_but_reasoning_is_an_error(tmp_path: Path) -> None:
    model = tmp_path / "thinker.gguf"
    write_table_model(model, chain("\n", "<think>", "secret", "</s>"))
    only = ("--model", str(model), "--set", "model.sampling.temperature=0", "--set", 'model.order=["local"]')
    async with ModelDaemon(tmp_path / "s", *only) as running, running.client() as client:
        await client.post((await client.open()).session, "Is it so?")
        answer = await next_answer(client)
        assert answer.outcome == "error" and "secret" not in answer.text
