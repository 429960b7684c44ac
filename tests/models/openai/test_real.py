"""The OpenAI-compatible backend against a real server: the one that comes with llama-cpp-python."""

from __future__ import annotations

import asyncio
import importlib.util
import os
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
import os, runpy, uvicorn
from agentd.models.llama.native import begin
begin()  # the server itself does not look for what was compiled for this processor
run = uvicorn.run
uvicorn.run = lambda app, **_: run(app, fd=int(os.environ["LISTENS"]))
runpy.run_module("llama_cpp.server", run_name="__main__", alter_sys=True)
"""


def request(text: str = "Hello?", *, max_tokens: int = 64) -> ModelRequest:
    messages = (Message(role="user", parts=(TextPart(text=text),)),)
    sampling = Sampling(temperature=0, max_tokens=max_tokens)
    return ModelRequest(messages=messages, session_id="s", turn_id="t", sampling=sampling)


@asynccontextmanager
async def served(path: Path) -> AsyncIterator[OpenAIModel]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SERVE, "--model", str(path), "--n_ctx", "2048", "--model_alias", "tiny"),
            env={**os.environ, "LISTENS": str(listening.fileno())},
            pass_fds=[listening.fileno()],
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    model = OpenAIModel(Endpoint(base_url=f"http://127.0.0.1:{port}/v1", retries=0))
    try:
        async with asyncio.timeout(DEADLINE):
            assert await _answers(port), "the server did not start"
        yield model
    finally:
        await model.close()
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _answers(port: int) -> bool:
    """Its address listens from the beginning, so that one question waits until it is up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /v1/models HTTP/1.0\r\n\r\n")
    answered = await reader.read(1)
    writer.close()
    return bool(answered)


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
        with pytest.raises(ModelUnavailable, match="model server"):
            async for _ in model.stream(request("word " * 3000)):
                pass
