"""The OpenAI-compatible backend against a real server: the one that comes with llama-cpp-python."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import pytest

from agentd.errors import ModelUnavailable
from agentd.models.openai.model import OpenAIModel
from agentd.models.openai.server import Endpoint
from agentd.ports.generation import Finish, Message, ModelRequest, Sampling, TextDelta, TextPart
from agentd.testing.gguf import chain, write_random_model, write_table_model

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("sse_starlette", "starlette_context")),
    reason="llama-cpp-python's server needs sse-starlette and starlette-context",
)
DEADLINE = 60.0
SERVE = """
import runpy
from agentd.models.llama.native import begin
begin()  # the server itself does not look for what was compiled for this processor
runpy.run_module("llama_cpp.server", run_name="__main__", alter_sys=True)
"""


def request(text: str = "Hello?", *, max_tokens: int = 64) -> ModelRequest:
    messages = (Message(role="user", parts=(TextPart(text=text),)),)
    sampling = Sampling(temperature=0, max_tokens=max_tokens)
    return ModelRequest(messages=messages, session_id="s", turn_id="t", sampling=sampling)


@asynccontextmanager
async def served(path: Path) -> AsyncIterator[OpenAIModel]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVE, "--model", str(path), "--n_ctx", "2048", "--port", str(port)),
        *("--host", "127.0.0.1", "--model_alias", "tiny"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    model = OpenAIModel(Endpoint(base_url=f"http://127.0.0.1:{port}/v1", retries=0))
    try:
        async with asyncio.timeout(DEADLINE):
            while not await _answers(port):
                assert process.returncode is None, "the server did not start"
            yield model
    finally:
        await model.close()
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        await asyncio.sleep(0.05)
        return False
    writer.close()
    return True


async def test_it_lists_its_model_and_answers(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_table_model(path, chain("\n", " hello", " there"))
    async with served(path) as model:
        async with aclosing(model.stream(request())) as deltas:
            said = [delta async for delta in deltas]
        assert "".join(delta.text for delta in said if isinstance(delta, TextDelta)).strip() == "hello there"
        assert said[-1] == Finish(reason="stop") and model.name == "tiny"


async def test_an_answer_that_is_left_makes_room_for_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "random.gguf"
    write_random_model(path)
    async with served(path) as model:
        for _ in range(3):
            async with aclosing(model.stream(request(max_tokens=1500))) as deltas:
                assert isinstance(await anext(deltas), TextDelta)
        async with aclosing(model.stream(request(max_tokens=8))) as deltas:
            assert [delta async for delta in deltas][-1] == Finish(reason="length")


async def test_a_prompt_that_is_too_long_is_an_error_in_words(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_table_model(path, chain("\n", " hello"))
    async with served(path) as model:
        with pytest.raises(ModelUnavailable, match="The model server at"):
            async for _ in model.stream(request("word " * 3000)):
                pass
