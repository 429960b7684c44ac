"""What Python and the messages between the processes add to each token, in microseconds.

The child's part: the processor time of an engine in a process of its own, without the time inside llama.cpp's calls;
its messages are encoded as for the daemon. The daemon's part: the processor time that this process takes while it reads
the same answers from a child.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agentd.models.llama.engine import Engine
from agentd.models.llama.kept import Kept
from agentd.models.llama.model import LlamaModel
from agentd.models.llama.native import native
from agentd.models.llama.request import generate_message
from agentd.models.llama.settings import EngineSettings, ModelFile
from agentd.models.llama.template import Template
from agentd.models.llama.wire import FromChild, encode
from agentd.ports.generation import Message, ModelRequest, Sampling, TextPart, Usage
from bench.apart import Apart
from bench.engine_driver import open_driver

WARM_UP = 20
"""Tokens before the measured ones: work that is done once does not count."""
CALLS = ("llama_decode", "llama_synchronize", "llama_sampler_sample")


def per_token(path: Path, *, chats: int, tokens: int) -> tuple[float, float]:
    """Microseconds of the child and of the daemon for each token, with this many chats at once."""
    with Apart(_child, path) as child:
        inside = child.ask((chats, tokens))
    return inside, asyncio.run(_daemon(path, chats, tokens))


def _question(number: int, tokens: int) -> ModelRequest:
    return ModelRequest(
        messages=(Message(role="user", parts=(TextPart(text=f"Question{number}"),)),),
        session_id=str(number),
        turn_id=str(number),
        sampling=Sampling(temperature=1.0, max_tokens=tokens, seed=number),
    )


def _child(path: Path) -> Callable[[tuple[int, int]], float]:
    return lambda asked: _engine(path, *asked)


def _engine(path: Path, chats: int, tokens: int) -> float:
    sent: list[bytes] = []

    def send(message: FromChild) -> None:
        sent.append(encode(message))

    driver = open_driver(path, context=8192, threads=1, sequences=16)
    template = Template(driver.vocabulary.chat_template())
    engine = Engine(driver, template, EngineSettings(sequences=16, spill_bytes=0), Kept(), send=send)
    for number in range(chats):
        engine.handle(generate_message(_question(number, tokens + 1), number))
    while not any(b'"said"' in message for message in sent):
        engine.step()  # the prompts
    with _native_time() as inside:
        start = time.thread_time()
        while engine.busy:
            engine.step()
        whole = time.thread_time() - start
    return (whole - inside[0]) * 1e6 / (chats * tokens)


@contextmanager
def _native_time() -> Iterator[list[float]]:
    """Adds up the seconds inside llama.cpp's calls."""
    inside = [0.0]
    known = {name: getattr(native, name) for name in CALLS}

    def timed(call: Any) -> Any:
        def timed_call(*arguments: Any) -> Any:
            start = time.thread_time()
            try:
                return call(*arguments)
            finally:
                inside[0] += time.thread_time() - start

        return timed_call

    for name, call in known.items():
        setattr(native, name, timed(call))
    try:
        yield inside
    finally:
        for name, call in known.items():
            setattr(native, name, call)


async def _daemon(path: Path, chats: int, tokens: int) -> float:
    async with LlamaModel(ModelFile(path=path), EngineSettings(threads=1)) as model:
        await model.start()
        await _read(model, _question(chats, WARM_UP))
        start = time.process_time()
        counts = await asyncio.gather(*(_read(model, _question(number, tokens)) for number in range(chats)))
        return (time.process_time() - start) * 1e6 / sum(counts)


async def _read(model: LlamaModel, request: ModelRequest) -> int:
    count = 0
    async for delta in model.stream(request):
        if isinstance(delta, Usage):
            count = delta.completion_tokens
    return count
